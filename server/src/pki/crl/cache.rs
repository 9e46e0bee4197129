//! Fetched lists on disk, one file per address, so that a restart without network knows what was revoked.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cygnet_ike::crypto::hash::Hash;

use super::http::LIST_MAX;

/// A folder of lists.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The folder is made when there is something to keep.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What was kept for an address; `None` also if it cannot be read.
    pub(super) fn load(&self, uri: &str) -> Option<Vec<u8>> {
        let path = self.path(uri);
        let is_sane = fs::metadata(&path).ok()?.len() <= u64::try_from(LIST_MAX).unwrap_or(u64::MAX);
        if is_sane { fs::read(path).ok() } else { None }
    }

    /// Keeps a list in place of the one before. There is never half a file.
    pub(super) fn keep(&self, uri: &str, list: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(uri);
        let fresh = path.with_extension("new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(list)?;
        file.sync_all()?;
        fs::rename(fresh, path)
    }

    /// The name is a hash: addresses have characters that file names cannot have.
    fn path(&self, uri: &str) -> PathBuf {
        let digest = Hash::Sha256.digest(&[uri.as_bytes()]);
        let name: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension("crl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_one_list_per_address() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("crl"));
        assert_eq!(cache.load("http://a.example/"), None);
        cache.keep("http://a.example/", b"one").unwrap();
        cache.keep("http://b.example/../../x", b"two").unwrap();
        cache.keep("http://a.example/", b"three").unwrap();
        assert_eq!(cache.load("http://a.example/").as_deref(), Some(&b"three"[..]));
        assert_eq!(cache.load("http://b.example/../../x").as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::read_dir(folder.path().join("crl")).unwrap().count(), 2);
    }
}
