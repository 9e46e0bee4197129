//! Containers as OpenSSL makes them; see `testdata/README.md`.

use cygnet_ike::cert::pem::certificates;

use super::*;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("testdata/", $name)).as_slice()
    };
}

fn password() -> Secret {
    Secret::from("swordfish")
}

/// Whether `key` is PKCS#8 as PEM, and the key of the certificate of our files.
fn is_the_key(key: &Secret) -> bool {
    let ours = SigningKey::from_pem(file!("leaf-key.pem")).unwrap();
    let text = key.expose().starts_with(b"-----BEGIN PRIVATE KEY-----");
    text && SigningKey::from_pem(key.expose()).unwrap().public_key() == ours.public_key()
}

fn chain_of_files() -> Vec<Vec<u8>> {
    [file!("leaf.pem"), file!("issuing.pem")].iter().flat_map(|pem| certificates(pem).unwrap()).collect()
}

fn refusal(result: Result<Contents, ContainerError>) -> ContainerError {
    result.map(|_| ()).unwrap_err()
}

#[test]
fn new_and_old_pkcs12_files_give_key_and_chain_without_root() {
    for bytes in [file!("modern.p12"), file!("legacy.p12")] {
        assert!(is_pkcs12(bytes));
        let contents = open_pkcs12(bytes, &password()).map_err(|e| e.to_string()).ok().unwrap();
        assert!(is_the_key(&contents.key));
        assert_eq!(contents.chain, chain_of_files());
    }
    let contents = open_pkcs12(file!("empty-password.p12"), &Secret::from("")).ok().unwrap();
    assert!(is_the_key(&contents.key));
    assert_eq!(contents.chain, chain_of_files()[..1]);
}

#[test]
fn a_wrong_password_is_told_apart() {
    for bytes in [file!("modern.p12"), file!("legacy.p12"), file!("camellia.p12")] {
        for wrong in ["", "Swordfish", "swordfish "] {
            assert_eq!(refusal(open_pkcs12(bytes, &Secret::from(wrong))), ContainerError::WrongPassword);
        }
    }
    for pem in [file!("pbkdf2.pem"), file!("scrypt.pem")] {
        let result = open_key(pem, Some(&Secret::from("Swordfish"))).map(|_| ());
        assert_eq!(result, Err(ContainerError::WrongPassword));
        assert_eq!(open_key(pem, None).map(|_| ()), Err(ContainerError::PasswordNeeded));
    }
    let not_text = Secret::new(vec![0xff]);
    assert_eq!(refusal(open_pkcs12(file!("modern.p12"), &not_text)), ContainerError::PasswordEncoding);
}

#[test]
fn containers_without_key_or_certificate_are_told_apart() {
    assert_eq!(refusal(open_pkcs12(file!("key-only.p12"), &password())), ContainerError::NoCertificate);
    assert_eq!(refusal(open_pkcs12(file!("certificate-only.p12"), &password())), ContainerError::NoKey);
}

#[test]
fn what_is_encrypted_in_other_ways_comes_with_the_command_that_helps() {
    let text = refusal(open_pkcs12(file!("camellia.p12"), &password())).to_string();
    assert!(text.starts_with("its encryption is not supported (") && text.contains("`openssl pkcs12 "), "{text}");
    for pem in [file!("des3.pem"), file!("pbes1.pem"), file!("sha1.pem"), file!("traditional.pem")] {
        assert!(is_encrypted_key(pem));
        let text = open_key(pem, Some(&password())).map(|_| ()).unwrap_err().to_string();
        assert!(text.starts_with("its encryption is not supported (") && text.contains("`openssl pkcs8 "), "{text}");
    }
}

#[test]
fn encrypted_keys_are_opened_also_beside_certificates() {
    for pem in [file!("pbkdf2.pem"), file!("scrypt.pem")] {
        assert!(is_encrypted_key(pem) && !is_pkcs12(pem));
        assert!(is_the_key(&open_key(pem, Some(&password())).ok().unwrap()));
        let both = [file!("leaf.pem"), pem].concat();
        assert!(is_the_key(&open_key(&both, Some(&password())).ok().unwrap()));
    }
}

#[test]
fn keys_without_password_stay_as_they_are() {
    let plain = file!("leaf-key.pem");
    assert!(!is_encrypted_key(plain));
    for password in [None, Some(&password())] {
        assert_eq!(open_key(plain, password).ok().unwrap().expose(), plain);
    }
    assert_eq!(open_key(file!("leaf.pem"), None).map(|_| ()), Err(ContainerError::NoKey));
    assert_eq!(open_key(b"\xff", None).map(|_| ()), Err(ContainerError::Malformed("a PEM text")));
}

#[test]
fn damaged_files_are_refused() {
    let whole = file!("modern.p12");
    for length in (0..whole.len()).step_by(31) {
        assert!(open_pkcs12(&whole[..length], &password()).is_err(), "{length} bytes");
    }
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x10;
        if let Ok(contents) = open_pkcs12(&changed, &password()) {
            assert!(is_the_key(&contents.key), "octet {at}");
        }
    }
    for text in [file!("leaf.pem"), b"", b"0\x03\x02\x01\x02"] {
        assert!(!is_pkcs12(text));
        assert_eq!(refusal(open_pkcs12(text, &password())), ContainerError::Malformed("a PKCS#12 file"));
    }
}
