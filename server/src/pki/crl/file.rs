//! Lists in files: DER, or any number of them as PEM.

use std::fs;
use std::path::Path;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use cygnet_ike::cert::RevocationList;

/// Longest file, octets.
const FILE_MAX: u64 = 16 << 20;

/// The lists of a file, DER.
///
/// # Errors
/// A sentence: it cannot be read, or holds something else.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if fs::metadata(path).map_err(failed)?.len() > FILE_MAX {
        return Err(format!("{} is too large: at most {} MiB", path.display(), FILE_MAX >> 20));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let lists = lists(&bytes);
    if lists.is_empty() {
        return Err(format!("{} holds no revocation list (DER or PEM)", path.display()));
    }
    for der in &lists {
        RevocationList::from_der(der).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(lists)
}

/// The lists in these octets.
pub(super) fn lists(bytes: &[u8]) -> Vec<Vec<u8>> {
    let pem = || CertificateRevocationListDer::pem_slice_iter(bytes).filter_map(Result::ok).map(|der| der.to_vec());
    // DER begins with a sequence, PEM with text.
    if bytes.first() == Some(&0x30) { vec![bytes.to_vec()] } else { pem().collect() }
}
