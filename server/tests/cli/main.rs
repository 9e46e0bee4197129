//! The `cygnet` command as a process: exit codes, files, output. Needs no privileges and no network.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where something does not work")]

mod daemon;
mod init;
mod sites;
mod user;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory with a configuration, and `cygnet` run on it.
struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// With a configuration that is fine.
    fn configured() -> Self {
        let site = Self::new();
        site.write(
            "cygnet.toml",
            "[remote]\nname = \"vpn.example.org\"\npool = \"10.83.20.0/24\"\npsk = \"0123456789-0123456789\"\n\
             [daemon]\nsocket = \"control.sock\"\n",
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
        command.args(arguments).arg("--config").arg(self.path("cygnet.toml")).stdin(Stdio::null());
        for name in ["CYGNET_CONFIG", "CYGNET_SOCKET", "CYGNET_LOG", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// With `input` on standard input.
    fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Run::of(&child.wait_with_output().unwrap())
    }
}

/// How a command ended.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Fails the test unless the command worked.
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn check_says_yes_or_no_by_its_exit_code() {
    let site = Site::configured();
    let run = site.run(&["check"]).ok();
    assert!(run.out.ends_with("cygnet.toml is fine: clients log in by pre-shared key; 0 users\n"), "{run:?}");
    site.write("cygnet.toml", "[remote]\nnmae = \"x\"\n");
    let run = site.run(&["check"]);
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("did you mean `name`?") && run.out.ends_with("cygnet.toml: 4 errors\n"), "{run:?}");
    let json = site.run(&["check", "--json"]).json();
    assert_eq!((json["ok"].as_bool(), json["errors"].as_u64()), (Some(false), Some(4)));
}

#[test]
fn check_can_be_strict_about_warnings() {
    let site = Site::new();
    site.write("cygnet.toml", "[remote]\nname = \"vpn.example.org\"\npool = \"10.83.20.0/24\"\npsk = \"short\"\n");
    let run = site.run(&["check"]).ok();
    assert!(run.out.contains("is fine, with 1 warning"), "{run:?}");
    assert_eq!(site.run(&["check", "--strict"]).code, Some(1));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let site = Site::configured();
    for arguments in [&["chekc"][..], &["status", "--wach"], &["user"], &["run", "--log-level", "loud=very"]] {
        assert_eq!(site.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn run_refuses_a_broken_configuration_with_the_whole_report() {
    let site = Site::new();
    site.write("cygnet.toml", "[remote]\nname = \"vpn example\"\n");
    let run = site.run(&["run"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.err.contains("is neither a DNS name nor an IP address") && run.err.contains("has no `pool`"),
        "{run:?}"
    );
}

#[test]
fn colours_come_when_asked_for() {
    let site = Site::new();
    site.write("cygnet.toml", "[remotes]\n");
    assert!(!site.run(&["check"]).out.contains('\u{1b}'));
    assert!(site.run(&["check", "--color", "always"]).out.contains('\u{1b}'));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let site = Site::configured();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = site.command(&["check"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let run = Run::of(&output);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
}

#[test]
fn help_names_every_verb() {
    let run = Site::new().run(&["--help"]).ok();
    for verb in ["init", "check", "run", "status", "explain", "user", "reload"] {
        assert!(run.out.contains(&format!("\n  {verb} ")), "{verb}\n{}", run.out);
    }
}
