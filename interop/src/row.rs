//! Runs one row: its recipe in a process of its own, with a namespace prefix and an output folder of its own.
//!
//! Does not: judge checks (the recipe does, by its exit code), decide the order of rows (see `schedule.rs`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::suite::Row;

/// Against what rows run, and where they write.
#[derive(Clone, Debug)]
pub(crate) struct Laboratory {
    /// The folder with `recipes/` and `servers/`.
    pub(crate) interop: PathBuf,
    /// The binary under test.
    pub(crate) cygnet: PathBuf,
    /// Take each row's reference server in place of cygnet.
    pub(crate) reference: bool,
    /// Parent of the rows' output folders.
    pub(crate) out: PathBuf,
    /// Keep the output of rows that passed.
    pub(crate) keep: bool,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All checks passed.
    Passed,
    /// A check failed.
    Failed,
    /// The laboratory could not be set up.
    NotSetUp,
    /// A program is missing.
    ProgramMissing,
    /// It took too long, or was stopped.
    Stopped,
}

impl Verdict {
    /// The exit codes of `lab/run.sh`.
    fn from_exit_code(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Passed,
            Some(3) => Self::NotSetUp,
            Some(77) => Self::ProgramMissing,
            Some(124 | 137 | 143) | None => Self::Stopped,
            Some(_) => Self::Failed,
        }
    }

    /// Why the row did not pass, in words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "a check failed",
            Self::NotSetUp => "the laboratory could not be set up",
            Self::ProgramMissing => "a program is missing, see interop/install-packages.sh",
            Self::Stopped => "stopped at its time limit or by a signal",
        }
    }
}

/// What is known of a row after its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// How long it took.
    pub(crate) took: Duration,
    /// Lines of its log that tell what went wrong.
    pub(crate) complaints: Vec<String>,
    /// Its output folder; gone if it passed and nobody wanted it.
    pub(crate) out: PathBuf,
}

impl Laboratory {
    /// Runs `row`; `number` makes its namespace prefix unique within this process.
    ///
    /// # Errors
    /// When the recipe cannot be started at all or its folder cannot be written.
    #[expect(clippy::disallowed_methods, reason = "it is the real time that a run takes")]
    pub(crate) fn run(&self, row: &Row, number: usize) -> Result<Outcome> {
        let out = self.out.join(&row.name);
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let prefix = format!("cyg{}x{number}-", std::process::id());
        let began = Instant::now();
        let code = self.recipe(row, &prefix, &out)?.status().context("cannot start the recipe")?.code();
        let took = began.elapsed();
        self.sweep(&prefix);
        let verdict = Verdict::from_exit_code(code);
        let complaints = complaints(&out.join("recipe.log"));
        if verdict == Verdict::Passed && !self.keep {
            fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
        }
        Ok(Outcome { verdict, took, complaints, out })
    }

    /// The recipe's command line. `setpriv` sees to it that it gets TERM, and cleans up, should this process die.
    fn recipe(&self, row: &Row, prefix: &str, out: &Path) -> Result<Command> {
        let log = File::create(out.join("recipe.log")).context("cannot create recipe.log")?;
        let server = row.reference.as_deref().filter(|_| self.reference).unwrap_or("cygnet");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "bash"]);
        command.arg(self.interop.join(format!("recipes/{}.sh", row.recipe)));
        command.args(row.args.iter().map(|(name, value)| format!("{name}={value}")));
        command.env("SERVER", server).env("CYGNET", &self.cygnet).env("PREFIX", prefix).env("OUT", out);
        command.env("TIME_LIMIT", row.time_limit.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Removes what a recipe that was killed could not remove. There is nothing to do after any other.
    fn sweep(&self, prefix: &str) {
        let swept = Command::new("bash").arg(self.interop.join("clean.sh")).arg(prefix).status();
        if let Err(error) = swept {
            eprintln!("cannot clean up namespaces {prefix}*: {error}");
        }
    }
}

/// The lines of a recipe's log worth showing: failed checks and trouble of the laboratory, ten at most.
fn complaints(log: &Path) -> Vec<String> {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let telling =
        |line: &&str| ["  FAIL  ", "SETUP FAILED", "STOPPED", "missing command"].iter().any(|s| line.contains(s));
    text.lines().filter(telling).take(10).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_of_recipes_have_a_meaning() {
        let verdicts = [0, 1, 2, 3, 77, 124, 137, 143].map(|code| Verdict::from_exit_code(Some(code)));
        use Verdict::{Failed, NotSetUp, Passed, ProgramMissing, Stopped};
        assert_eq!(verdicts, [Passed, Failed, Failed, NotSetUp, ProgramMissing, Stopped, Stopped, Stopped]);
        assert_eq!(Verdict::from_exit_code(None), Stopped);
    }

    /// A laboratory whose only recipe is `script`.
    fn laboratory(folder: &Path, script: &str) -> Laboratory {
        for name in ["recipes", "servers"] {
            fs::create_dir_all(folder.join(name)).expect("writable");
        }
        fs::write(folder.join("recipes/r.sh"), script).expect("writable");
        fs::write(folder.join("clean.sh"), "").expect("writable");
        let out = folder.join("out");
        Laboratory { interop: folder.to_owned(), cygnet: "/nowhere/cygnet".into(), reference: false, out, keep: false }
    }

    fn row() -> Row {
        let text =
            "name = 'a'\nrecipe = 'r'\ngroup = 'userspace'\nreference = 'ref'\nproves = ''\nargs = { AUTH = 'psk' }";
        toml::from_str(text).expect("a valid row")
    }

    #[test]
    fn a_failing_row_keeps_its_output_and_tells_its_complaints() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script =
            "echo \"[ 1] FAIL is only shown with blanks\"; echo \"[ 1.00]   FAIL  ping of $SERVER $1\"; exit 1";
        let outcome = laboratory(folder.path(), script).run(&row(), 7).expect("it runs");
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(outcome.complaints, ["[ 1.00]   FAIL  ping of cygnet AUTH=psk"]);
        assert!(outcome.out.join("recipe.log").is_file());
    }

    #[test]
    fn a_passing_row_leaves_no_output_unless_it_is_wanted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut laboratory = laboratory(folder.path(), "exit 0");
        assert!(!laboratory.run(&row(), 0).expect("it runs").out.exists());
        laboratory.keep = true;
        assert!(laboratory.run(&row(), 0).expect("it runs").out.is_dir());
    }

    #[test]
    fn a_row_runs_against_its_reference_when_told_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut laboratory = laboratory(folder.path(), "test \"$SERVER\" = ref && test -n \"$PREFIX$OUT$TIME_LIMIT\"");
        assert_eq!(laboratory.run(&row(), 0).expect("it runs").verdict, Verdict::Failed);
        laboratory.reference = true;
        assert_eq!(laboratory.run(&row(), 0).expect("it runs").verdict, Verdict::Passed);
    }
}
