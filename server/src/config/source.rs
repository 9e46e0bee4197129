//! Reading files that the configuration is made of: the file itself, secrets, keys, certificates.
//!
//! A file that holds a secret and that everybody on the machine can read is refused, with the `chmod` that cures it.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::defaults::FILE_MAX;
use super::problem::{Located, Problem, Problems, Spot};
use super::reader::Value;
use super::{Secret, Surroundings};

/// Permission bits of everybody who is neither owner nor in the group.
const OTHERS: u32 = 0o007;

/// One configuration file while it is being read.
pub(super) struct Source<'a> {
    pub(super) problems: &'a Problems,
    pub(super) surroundings: &'a Surroundings,
    path: &'a Path,
    /// Where the first secret stands that is written out in the file.
    literal_secret: Cell<Option<Spot>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(problems: &'a Problems, surroundings: &'a Surroundings, path: &'a Path) -> Self {
        Self { problems, surroundings, path, literal_secret: Cell::new(None) }
    }

    /// `path` as seen from the directory of the file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The secret that `value` holds or names: literal, `file:PATH`, `env:NAME` or `cred:NAME`.
    pub(super) fn secret(&self, value: &Value<'_>) -> Option<Located<Secret>> {
        let text = value.text()?;
        let loaded = if let Some(path) = text.value.strip_prefix("file:") {
            read_secret_file(&self.resolve(path))
        } else if let Some(name) = text.value.strip_prefix("env:") {
            self.environment_variable(name)
        } else if let Some(name) = text.value.strip_prefix("cred:") {
            self.systemd_credential(name)
        } else {
            self.note_literal(text.spot);
            self.suspect_path(text.value, text.spot);
            Ok(Secret::from(text.value))
        };
        match loaded {
            Ok(secret) if secret.expose().is_empty() => {
                let help = "write it there; a new one for two gateways:  openssl rand -base64 24";
                value.error("a secret must not be empty", "nothing here", Some(help.into()))
            }
            Ok(value) => Some(Located { value, spot: text.spot }),
            Err(unreadable) => value.error(unreadable.title, "named here", Some(unreadable.help)),
        }
    }

    /// The bytes of a file that `value` names and that holds no secret.
    pub(super) fn public_file(&self, value: &Value<'_>) -> Option<Located<Vec<u8>>> {
        let text = value.text()?;
        let path = self.resolve(text.value.strip_prefix("file:").unwrap_or(text.value));
        match read_bounded(&path) {
            Ok(bytes) => Some(Located { value: bytes.to_vec(), spot: text.spot }),
            Err(unreadable) => value.error(unreadable.title, "named here", Some(unreadable.help)),
        }
    }

    /// The bytes of a file with a private key that `value` names; `env:` and `cred:` work too.
    pub(super) fn private_key(&self, value: &Value<'_>) -> Option<Located<Secret>> {
        let text = value.text()?;
        if ["file:", "env:", "cred:"].iter().any(|prefix| text.value.starts_with(prefix)) {
            return self.secret(value);
        }
        match read_secret_file(&self.resolve(text.value)) {
            Ok(secret) => Some(Located { value: secret, spot: text.spot }),
            Err(unreadable) => value.error(unreadable.title, "named here", Some(unreadable.help)),
        }
    }

    /// The bytes of a file that `value` names and that holds a secret among other things; not of text, so that no line end
    /// is taken off.
    pub(super) fn secret_file(&self, value: &Value<'_>) -> Option<Located<Secret>> {
        let text = value.text()?;
        let path = self.resolve(text.value.strip_prefix("file:").unwrap_or(text.value));
        let read = read_bounded(&path).and_then(|bytes| refuse_open_file(&path).map(|()| bytes));
        match read {
            Ok(mut bytes) => Some(Located { value: Secret::new(std::mem::take(&mut *bytes)), spot: text.spot }),
            Err(unreadable) => value.error(unreadable.title, "named here", Some(unreadable.help)),
        }
    }

    /// Takes note that a secret is written out in this file.
    pub(super) fn note_literal(&self, spot: Spot) {
        if self.literal_secret.get().is_none() {
            self.literal_secret.set(Some(spot));
        }
    }

    /// Warns of a secret that is meant as the name of the file with the secret.
    fn suspect_path(&self, text: &str, spot: Spot) {
        let path = self.resolve(text);
        let directory = path.parent().filter(|parent| parent.parent().is_some());
        if path.is_file() || (text.starts_with('/') && directory.is_some_and(Path::is_dir)) {
            let problem = Problem::warning("this secret looks like the name of a file").at(spot, "taken as it stands");
            self.problems.report(problem.help("to take the secret out of that file, write file: in front of its name"));
        }
    }

    /// Refuses the file if it holds a secret and is open to everybody.
    pub(super) fn check_mode(&self) {
        let Some(spot) = self.literal_secret.get() else { return };
        if let Err(open) = refuse_open_file(self.path) {
            self.problems.report(Problem::error(open.title).at(spot, "this is a secret").help(open.help));
        }
    }

    fn environment_variable(&self, name: &str) -> Result<Secret, Unreadable> {
        let value = (self.surroundings.environment)(name).ok_or_else(|| {
            Unreadable::new(format!("the environment variable {name} is not set"), format!("set {name} for the daemon"))
        })?;
        Ok(Secret::new(value.into_encoded_bytes()))
    }

    fn systemd_credential(&self, name: &str) -> Result<Secret, Unreadable> {
        let directory = self.surroundings.credentials.as_ref().ok_or_else(|| {
            Unreadable::new(
                format!("there are no systemd credentials to take \"{name}\" from"),
                format!("run as a systemd service with LoadCredential={name}:PATH, or use file:PATH"),
            )
        })?;
        read_secret_file(&directory.join(name))
    }
}

/// A file or variable that cannot be used, and what to do.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) title: String,
    pub(super) help: String,
}

impl Unreadable {
    fn new(title: impl Into<String>, help: impl Into<String>) -> Self {
        Self { title: title.into(), help: help.into() }
    }
}

/// The whole of a file, if it is not absurdly large.
pub(super) fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let failed = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "create it, or correct the path (relative to the configuration file)".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "run as root, or give the file to the user that cygnet runs as".to_owned()
            }
            _ => "correct the path".to_owned(),
        };
        Unreadable::new(format!("cannot read {}: {}", path.display(), reason(&error)), help)
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > FILE_MAX {
        let title = format!("{} is too large: {size} bytes, at most {FILE_MAX}", path.display());
        return Err(Unreadable::new(title, "this is probably not the file you meant"));
    }
    fs::read(path).map(Zeroizing::new).map_err(failed)
}

/// An I/O error without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn read_secret_file(path: &Path) -> Result<Secret, Unreadable> {
    let mut bytes = read_bounded(path)?;
    refuse_open_file(path)?;
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), |rest| rest.strip_suffix(b"\r").unwrap_or(rest).len());
    bytes.truncate(end);
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

fn refuse_open_file(path: &Path) -> Result<(), Unreadable> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let owner = if metadata.uid() == 0 { "" } else { " and check its owner" };
    Err(Unreadable::new(
        format!("{} holds a secret and is open to everybody (mode {mode:04o})", path.display()),
        format!("chmod {:04o} {}{owner}", mode & !OTHERS, path.display()),
    ))
}
