//! Fetched lists on disk, one file per address, and the addresses, so that a restart without network knows what was revoked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cygnet_ike::crypto::hash::Hash;

use super::http::LIST_MAX;

/// The file with the addresses, one a line.
const ADDRESSES: &str = "addresses";

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

    /// Keeps a list in place of the one before.
    pub(super) fn keep(&self, uri: &str, list: &[u8]) -> io::Result<()> {
        self.replace(&self.path(uri), list)
    }

    /// The addresses that certificates have told, and when they did last, in seconds since 1970.
    pub(super) fn addresses(&self) -> BTreeMap<String, u64> {
        let text = fs::read_to_string(self.folder.join(ADDRESSES)).unwrap_or_default();
        let entry = |line: &str| {
            let (told, uri) = line.split_once(' ')?;
            Some((uri.to_owned(), told.parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }

    /// Keeps the addresses in place of those before.
    pub(super) fn keep_addresses(&self, addresses: &BTreeMap<String, u64>) -> io::Result<()> {
        let mut text = String::new();
        for (uri, told) in addresses.iter().filter(|(uri, _)| !uri.contains(char::is_whitespace)) {
            // Writing to a string never fails.
            let _ = writeln!(text, "{told} {uri}");
        }
        self.replace(&self.folder.join(ADDRESSES), text.as_bytes())
    }

    /// There is never half a file.
    fn replace(&self, path: &Path, list: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
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

    #[test]
    fn keeps_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        assert!(cache.addresses().is_empty());
        let mut addresses = BTreeMap::from([("http://a.example/".to_owned(), 5), ("http://b.example/x".to_owned(), 7)]);
        cache.keep_addresses(&addresses).unwrap();
        assert_eq!(cache.addresses(), addresses);
        addresses.insert("http://two lines\n9 http://c.example/".to_owned(), 8);
        cache.keep_addresses(&addresses).unwrap();
        assert_eq!(cache.addresses().len(), 2);
    }
}
