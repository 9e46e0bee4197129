//! The wall clock, as far as certificates need it.

use std::{fmt, time::Duration};

use der::DateTime;

/// A moment of the wall clock: the time since 1970-01-01 00:00:00 UTC. It comes from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub Duration);

impl UnixTime {
    /// So many seconds after the beginning of 1970.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// Writes date and time of day in UTC, by RFC 3339.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_unix_duration(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} s after 1970", self.0.as_secs()),
        }
    }
}
