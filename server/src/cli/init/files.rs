//! A set of new files: all are written, or none; nothing is overwritten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use zeroize::Zeroizing;

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Others may pass through to what is public.
const DIRECTORY: u32 = 0o755;

/// Files that are going to be written.
pub(super) struct NewFiles {
    directory: PathBuf,
    files: Vec<(PathBuf, u32, Zeroizing<String>)>,
}

impl NewFiles {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), files: Vec::new() }
    }

    /// A file that only its owner may read.
    pub(super) fn private(&mut self, path: &str, text: impl Into<ZeroizingText>) {
        self.files.push((self.directory.join(path), PRIVATE, text.into().0));
    }

    /// A file that everybody may read.
    pub(super) fn public(&mut self, path: &str, text: String) {
        self.files.push((self.directory.join(path), PUBLIC, Zeroizing::new(text)));
    }

    /// Refuses if one of the files is there already.
    pub(super) fn check_absent(&self) -> anyhow::Result<()> {
        let there: Vec<String> =
            self.files.iter().filter(|(path, ..)| path.exists()).map(|(path, ..)| path.display().to_string()).collect();
        anyhow::ensure!(
            there.is_empty(),
            "there is a configuration already: {}\nedit it, or move it away, or name another place with --config",
            there.join(", ")
        );
        Ok(())
    }

    /// Writes all files and gives back their names; after an error none of them is left.
    pub(super) fn write(&self) -> anyhow::Result<Vec<String>> {
        self.check_absent()?;
        let mut created: Vec<&Path> = Vec::new();
        for (path, mode, text) in &self.files {
            if let Err(error) = write_new(path, *mode, text) {
                for path in created {
                    // Best effort: the error that matters is the one above.
                    let _ = fs::remove_file(path);
                }
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
            created.push(path);
        }
        Ok(created.iter().map(|path| path.display().to_string()).collect())
    }
}

/// Text that is wiped after use, from either kind of string.
pub(super) struct ZeroizingText(Zeroizing<String>);

impl From<String> for ZeroizingText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for ZeroizingText {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<Zeroizing<String>> for ZeroizingText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(DIRECTORY).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn writes_with_modes_and_never_overwrites() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = NewFiles::new(&directory.path().join("etc"));
        files.private("cygnet.toml", "secret");
        files.public("pki/ca.pem", "public".into());
        assert_eq!(files.write().unwrap().len(), 2);
        let mode = |path: &str| fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("etc/cygnet.toml"), mode("etc/pki/ca.pem")), (0o600, 0o644));
        let error = files.write().unwrap_err().to_string();
        assert!(error.contains("there is a configuration already") && error.contains("cygnet.toml"), "{error}");
    }

    #[test]
    fn leaves_nothing_behind_after_an_error() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("pki"), "a file where a directory should be").unwrap();
        let mut files = NewFiles::new(directory.path());
        files.private("cygnet.toml", "x");
        files.public("pki/ca.pem", "x".into());
        assert!(files.write().unwrap_err().to_string().contains("cannot write"));
        assert!(!directory.path().join("cygnet.toml").exists());
    }
}
