//! What is wrong with a configuration, for the person who wrote it.

use std::fmt;

/// A configuration that cannot be used.
///
/// `Display` gives the whole report: one block per mistake with file, line, column, the reason and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    report: String,
}

impl ConfigError {
    pub(super) fn new(report: String) -> Self {
        Self { report }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl std::error::Error for ConfigError {}
