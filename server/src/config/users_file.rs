//! The users file: what `cygnet user` writes and the configuration reads besides its own `[users]`.
//!
//! One line per user, passwords as NT hashes, mode 0600, replaced in one step. Comments in it are not kept. Does not:
//! check users against the configuration (the command does, by reading everything again).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroizing;

use crate::auth::nt_hash::NtHash;
use crate::auth::users::canonical;

const HEADER: &str = "# Written by `cygnet user`; comments are not kept. Users may stand in cygnet.toml as well.\n\n";
/// Whoever has an NT hash can log in with it.
const MODE: u32 = 0o600;

/// The users file, locked for the one who edits it.
pub struct UsersFile {
    path: PathBuf,
    /// What was in the file when it was opened; `None` if there was no file.
    before: Option<Zeroizing<String>>,
    users: Table,
    /// Held until drop; the lock is on the directory, since the file itself is replaced.
    _lock: File,
}

/// Why the users file cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum UsersFileError {
    /// The file or its directory cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Somebody broke the file by hand.
    #[error("{} is not a users file: {reason}\n`cygnet check` shows the place", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl UsersFile {
    /// Opens the file at `path` for editing; it need not exist. Waits for others who edit it.
    ///
    /// # Errors
    /// If it cannot be read, or is not a users file.
    pub fn open(path: &Path) -> Result<Self, UsersFileError> {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |path: &Path, error| UsersFileError::Io { path: path.to_owned(), error };
        let lock = File::open(directory).map_err(|e| failed(directory, e))?;
        lock.lock().map_err(|e| failed(directory, e))?;
        let before = match fs::read_to_string(path) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(path, error)),
        };
        let users = before.as_ref().map(|text| parse(path, text)).transpose()?.unwrap_or_default();
        Ok(Self { path: path.to_owned(), before, users, _lock: lock })
    }

    /// Whether there is a user of this name; capital letters make no difference.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.key_of(name).is_some()
    }

    /// Adds a user, or replaces the one of this name.
    pub fn insert(&mut self, name: &str, user: &NewUser) {
        self.remove(name);
        self.users.insert(name.to_owned(), Value::Table(user.to_table()));
    }

    /// Removes a user; `false` if there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        self.key_of(name).and_then(|key| self.users.remove(&key)).is_some()
    }

    /// Gives a user another password; `false` if there is none of this name.
    pub fn set_password(&mut self, name: &str, nt_hash: &NtHash) -> bool {
        let Some(user) = self.table_of(name) else { return false };
        user.remove("password");
        user.insert("nt_hash".to_owned(), Value::String(hex(nt_hash.expose())));
        true
    }

    /// Locks a user out or lets them in again; `false` if there is none of this name.
    pub fn set_disabled(&mut self, name: &str, disabled: bool) -> bool {
        let Some(user) = self.table_of(name) else { return false };
        if disabled {
            user.insert("disabled".to_owned(), Value::Boolean(true));
        } else {
            user.remove("disabled");
        }
        true
    }

    /// Writes the file in one step: whoever reads it sees the old or the new one.
    ///
    /// # Errors
    /// If it cannot be written; then the old one is still there.
    pub fn save(&self) -> Result<(), UsersFileError> {
        self.write(&self.render())
    }

    /// Puts back what was there when the file was opened.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn restore(&self) -> Result<(), UsersFileError> {
        match &self.before {
            Some(text) => self.write(text),
            None => fs::remove_file(&self.path).map_err(|error| UsersFileError::Io { path: self.path.clone(), error }),
        }
    }

    fn render(&self) -> Zeroizing<String> {
        render(&self.users)
    }

    fn write(&self, text: &str) -> Result<(), UsersFileError> {
        let directory = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = directory.join(format!(".users.{}.new", std::process::id()));
        let written = write_synced(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &self.path))
            .and_then(|()| File::open(directory)?.sync_all());
        written.map_err(|error| {
            // Best effort: the error that matters is the one above.
            let _ = fs::remove_file(&temporary);
            UsersFileError::Io { path: self.path.clone(), error }
        })
    }

    fn key_of(&self, name: &str) -> Option<String> {
        self.users.keys().find(|key| canonical(key) == canonical(name)).cloned()
    }

    /// The user as a table; one that was written as `name = "password"` becomes one.
    fn table_of(&mut self, name: &str) -> Option<&mut Table> {
        let user = self.key_of(name).and_then(|key| self.users.get_mut(&key))?;
        if let Value::String(password) = user {
            let password = Value::String(std::mem::take(password));
            *user = Value::Table(Table::from_iter([("password".to_owned(), password)]));
        }
        user.as_table_mut()
    }
}

/// A users file with one user in it.
pub(crate) fn text_of_one(name: &str, user: &NewUser) -> Zeroizing<String> {
    render(&Table::from_iter([(name.to_owned(), Value::Table(user.to_table()))]))
}

fn render(users: &Table) -> Zeroizing<String> {
    let lines = users.iter().map(|(name, user)| format!("{} = {user}\n", key(name)));
    Zeroizing::new(format!("{HEADER}[users]\n{}", lines.collect::<String>()))
}

/// A user to be added.
pub struct NewUser {
    /// Proof of the password.
    pub nt_hash: NtHash,
    /// Fixed addresses, at most one per family.
    pub addresses: Vec<std::net::IpAddr>,
    /// The last day on which they can log in.
    pub expires: Option<jiff::civil::Date>,
    /// How many sessions at the same time.
    pub devices: Option<u32>,
}

impl NewUser {
    fn to_table(&self) -> Table {
        let mut table = Table::new();
        table.insert("nt_hash".to_owned(), Value::String(hex(self.nt_hash.expose())));
        if !self.addresses.is_empty() {
            let addresses = self.addresses.iter().map(|a| Value::String(a.to_string())).collect();
            table.insert("address".to_owned(), Value::Array(addresses));
        }
        if let Some(date) = self.expires.and_then(|date| date.to_string().parse().ok()) {
            table.insert("expires".to_owned(), Value::Datetime(date));
        }
        if let Some(devices) = self.devices {
            table.insert("devices".to_owned(), Value::Integer(devices.into()));
        }
        table
    }
}

fn parse(path: &Path, text: &str) -> Result<Table, UsersFileError> {
    let broken = |reason: &str| UsersFileError::Broken { path: path.to_owned(), reason: reason.to_owned() };
    let mut file: Table = text.parse().map_err(|e: toml::de::Error| broken(e.message()))?;
    match file.remove("users") {
        Some(Value::Table(users)) if file.is_empty() => Ok(users),
        None if file.is_empty() => Ok(Table::new()),
        _ => Err(broken("it may hold the table [users] only")),
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A TOML key: bare where that is allowed.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn alice() -> NewUser {
        NewUser {
            nt_hash: NtHash::of_password("password"),
            addresses: vec!["10.20.0.9".parse().unwrap(), "fd00:20::9".parse().unwrap()],
            expires: Some("2027-01-31".parse().unwrap()),
            devices: Some(2),
        }
    }

    #[test]
    fn writes_one_line_per_user_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let mut file = UsersFile::open(&path).unwrap();
        file.insert("alice", &alice());
        file.insert("bob \"b\" jones", &NewUser { addresses: vec![], expires: None, devices: None, ..alice() });
        file.save().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!(
                "{HEADER}[users]\nalice = {{ address = [\"10.20.0.9\", \"fd00:20::9\"], devices = 2, expires = 2027-01-31, \
                 nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\" }}\n\
                 \"bob \\\"b\\\" jones\" = {{ nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\" }}\n"
            )
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        let file = UsersFile::open(&path).unwrap();
        assert!(file.contains("ALICE") && file.contains("bob \"b\" jones") && !file.contains("carol"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn changes_and_removes_users() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        fs::write(&path, "[users]\nalice = \"old\"\n").unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        assert!(file.set_disabled("Alice", true));
        assert!(file.render().contains("alice = { disabled = true, password = \"old\" }"));
        assert!(file.set_password("alice", &NtHash::of_password("password")));
        assert!(!file.render().contains("old"));
        assert!(file.set_disabled("alice", false));
        assert!(file.render().contains("alice = { nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\" }"));
        assert!(file.remove("alice") && !file.remove("alice"));
        assert!(!file.set_password("alice", &NtHash::of_password("x")) && !file.set_disabled("alice", true));
    }

    #[test]
    fn puts_back_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        let mut file = UsersFile::open(&path).unwrap();
        file.insert("alice", &alice());
        file.save().unwrap();
        file.restore().unwrap();
        assert!(!path.exists());
        drop(file);
        fs::write(&path, "# mine\n[users]\n").unwrap();
        let mut file = UsersFile::open(&path).unwrap();
        file.insert("alice", &alice());
        file.save().unwrap();
        file.restore().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n[users]\n");
    }

    #[test]
    fn refuses_what_is_not_a_users_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.toml");
        for text in ["[remote]\nname = \"x\"\n", "users = 1\n", "broken"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(UsersFile::open(&path), Err(UsersFileError::Broken { .. })), "{text}");
        }
    }
}
