//! New private keys.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::{KeyKind, NewKey, PkiError};

/// The least size that current clients accept.
const RSA_BITS: usize = 2048;

/// Makes a key with the operating system's randomness.
pub(super) fn generate(kind: KeyKind) -> Result<NewKey, PkiError> {
    let pair = match kind {
        KeyKind::Rsa2048 => rsa_pair()?,
        KeyKind::EcdsaP256 => {
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| PkiError::Key(e.to_string()))?
        }
    };
    let pem = Zeroizing::new(pair.serialize_pem());
    Ok(NewKey { pair, pem })
}

fn rsa_pair() -> Result<KeyPair, PkiError> {
    let mut random = UnwrapErr(SysRng);
    let key = RsaPrivateKey::new(&mut random, RSA_BITS).map_err(|e| PkiError::Key(e.to_string()))?;
    let der = key.to_pkcs8_der().map_err(|e| PkiError::Key(e.to_string()))?;
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_bytes()), &PKCS_RSA_SHA256);
    pair.map_err(|e| PkiError::Key(e.to_string()))
}
