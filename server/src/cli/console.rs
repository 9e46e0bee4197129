//! Where commands print: standard output for what was asked for, standard error for what went wrong.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// The two outputs of a command.
pub(super) struct Console {
    out: Box<dyn Write>,
    /// Whether standard output takes colours.
    pub(super) styled: bool,
    /// Whether somebody looks at standard output.
    pub(super) is_terminal: bool,
}

impl Console {
    pub(super) fn standard(color: ColorChoice) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let styled = match color {
            ColorChoice::Auto => is_terminal && !no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self { out: Box::new(BufWriter::new(io::stdout())), styled, is_terminal }
    }

    pub(super) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    pub(super) fn line(&mut self, text: impl AsRef<str>) -> anyhow::Result<()> {
        self.print(text.as_ref())?;
        self.print("\n")
    }

    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    /// What went wrong, on standard error.
    pub(super) fn error(&mut self, error: &anyhow::Error) {
        // What was printed so far comes first; if neither output works there is nobody to tell.
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{}", sentence(error));
    }

    /// A remark that is not part of the answer, on standard error.
    pub(super) fn note(&mut self, text: &str) {
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// The error and its causes in one line; a cause that the words before it tell already is left out. A report about a
/// configuration has its own headings.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    let text = text.trim_end();
    match ["error: ", "warning: ", "error[", "\u{1b}["].iter().any(|heading| text.starts_with(heading)) {
        true => text.to_owned(),
        false => format!("error: {text}"),
    }
}

/// Whether the reader of our output has gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    error.chain().any(io_error)
}

#[cfg(test)]
mod tests {
    use super::sentence;
    use crate::control::client::ClientError;
    use crate::control::model::Failure;

    #[test]
    fn says_nothing_twice() {
        let refused = ClientError::Refused(Failure { message: "berlin does not answer".into() });
        assert_eq!(sentence(&refused.into()), "error: berlin does not answer");
        let inner = std::io::Error::other("the port is in use");
        let outer = anyhow::Error::new(inner).context("cannot listen: the port is in use").context("cannot start");
        assert_eq!(sentence(&outer), "error: cannot start: cannot listen: the port is in use");
    }

    #[test]
    fn a_report_keeps_its_own_headings() {
        let report = "error: unknown key `pear` in [site.NAME]\n --> cygnet.toml:5:1\n\nerror: another\n";
        let refused = ClientError::Refused(Failure { message: report.into() });
        assert_eq!(sentence(&refused.into()), report.trim_end());
    }
}
