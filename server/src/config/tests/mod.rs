//! What the operator sees: each mistake with its line, column and help; and what a good file becomes.

mod certificates;
mod legacy;
mod reference;
mod reports;
mod settings;
mod sites;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{Check, Settings, Surroundings, check};

/// A directory with a configuration in it, and a machine around it.
struct Machine {
    directory: tempfile::TempDir,
    surroundings: Surroundings,
}

impl Machine {
    fn new() -> Self {
        let environment =
            |name: &str| (name == "CYGNET_TEST_PSK").then(|| "a-pre-shared-key-from-the-environment".into());
        let surroundings = Surroundings {
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            environment,
            credentials: None,
            is_own_address: |address| ["203.0.113.1", "192.0.2.1"].contains(&address.to_string().as_str()),
            networks: vec![("eth1".to_owned(), "10.77.0.0/16".parse().unwrap())],
        };
        Self { directory: tempfile::tempdir().unwrap(), surroundings }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file for the owner only.
    fn write(&self, name: &str, text: &str) -> &Self {
        self.write_with_mode(name, text, 0o600)
    }

    fn write_with_mode(&self, name: &str, text: &str, mode: u32) -> &Self {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn check(&self, text: &str) -> Check {
        self.write("cygnet.toml", text);
        check(&self.path("cygnet.toml"), &self.surroundings, false)
    }

    /// The report about `text`, with short paths.
    fn report(&self, text: &str) -> String {
        let report = self.check(text).report;
        report.replace(&format!("{}/", self.directory.path().display()), "")
    }

    fn settings(&self, text: &str) -> Settings {
        let check = self.check(text);
        check.settings.unwrap_or_else(|| panic!("{}", check.report))
    }
}

/// A configuration that is fine, with `more` at the end of `[remote]`.
fn remote(more: &str) -> String {
    format!("[remote]\nname = \"vpn.example.org\"\npool = \"10.20.0.0/24\"\npsk = \"file:psk\"\n{more}")
}

/// A machine with the pre-shared key of [`remote`].
fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("psk", "a-pre-shared-key-in-a-file\n");
    machine
}
