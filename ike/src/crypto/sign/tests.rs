use super::*;
use crate::{
    crypto::testing::{SeededRandom, from_hex},
    wire::num::AuthMethod,
};

macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("testdata/", $name))
    };
}

const OCTETS: &[u8] = testdata!("octets");

const RSA: &[u8] = testdata!("rsa2048.pkcs8.pem");
const P256: &[u8] = testdata!("p256.pkcs8.pem");
const P384: &[u8] = testdata!("p384.pkcs8.pem");
const P521: &[u8] = testdata!("p521.pkcs8.pem");
const ED25519: &[u8] = testdata!("ed25519.pem");

const KEYS: [(&[u8], &[u8]); 5] = [
    (RSA, testdata!("rsa2048.spki.der")),
    (P256, testdata!("p256.spki.der")),
    (P384, testdata!("p384.spki.der")),
    (P521, testdata!("p521.spki.der")),
    (ED25519, testdata!("ed25519.spki.der")),
];

fn key(pem: &[u8]) -> SigningKey {
    SigningKey::from_pem(pem).expect("a good key")
}

/// Every key with every scheme that it can sign with.
fn schemes() -> Vec<(SigningKey, Scheme)> {
    let mut all = vec![
        (key(RSA), Scheme::RsaSha1),
        (key(P256), Scheme::Ecdsa256),
        (key(P384), Scheme::Ecdsa384),
        (key(P521), Scheme::Ecdsa521),
        (key(P256), Scheme::DigitalSignature(Algorithm::Ecdsa(Sha2::Sha256))),
        (key(P384), Scheme::DigitalSignature(Algorithm::Ecdsa(Sha2::Sha384))),
        (key(ED25519), Scheme::DigitalSignature(Algorithm::Ed25519)),
    ];
    for hash in Sha2::ALL {
        all.push((key(RSA), Scheme::DigitalSignature(Algorithm::RsaPkcs1(hash))));
        all.push((key(RSA), Scheme::DigitalSignature(Algorithm::RsaPss(hash))));
        all.push((key(P521), Scheme::DigitalSignature(Algorithm::Ecdsa(hash))));
    }
    all
}

fn sign(key: &SigningKey, scheme: Scheme) -> Vec<u8> {
    key.sign(scheme, OCTETS, &mut SeededRandom::new(1)).expect("the scheme fits the key")
}

/// The data of method 14 with a signature made elsewhere.
fn digital(algorithm: Algorithm, signature: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    algorithm::emit(algorithm, &mut data);
    data.extend(signature);
    data
}

#[test]
fn verifies_what_it_signed_with_every_scheme() {
    for (key, scheme) in schemes() {
        let data = sign(&key, scheme);
        assert_eq!(key.public_key().verify(scheme.method(), &data, OCTETS, true), Ok(()), "{key:?} {scheme:?}");
    }
}

#[test]
fn refuses_signatures_of_other_octets_and_under_other_keys() {
    let all = schemes();
    for (key, scheme) in &all {
        let data = sign(key, *scheme);
        let verified = key.public_key().verify(scheme.method(), &data, b"other octets", true);
        assert_eq!(verified, Err(SignatureError::Wrong), "{key:?} {scheme:?}");
        for (other, _) in all.iter().filter(|(other, _)| other.public_key() != key.public_key()) {
            let verified = other.public_key().verify(scheme.method(), &data, OCTETS, true);
            assert!(verified.is_err(), "{other:?} {scheme:?}");
        }
    }
}

#[test]
fn refuses_every_truncation() {
    for (key, scheme) in schemes() {
        let data = sign(&key, scheme);
        for n in 0..data.len() {
            assert!(
                key.public_key().verify(scheme.method(), &data[..n], OCTETS, true).is_err(),
                "{scheme:?}, {n} bytes"
            );
        }
        let longer = [&*data, &[0]].concat();
        assert!(key.public_key().verify(scheme.method(), &longer, OCTETS, true).is_err(), "{scheme:?}, longer");
    }
}

#[test]
fn refuses_a_changed_byte_anywhere() {
    for (key, scheme) in schemes() {
        let data = sign(&key, scheme);
        for n in 0..data.len() {
            let mut changed = data.clone();
            changed[n] ^= 0x10;
            assert!(key.public_key().verify(scheme.method(), &changed, OCTETS, true).is_err(), "{scheme:?}, byte {n}");
        }
    }
}

#[test]
fn verifies_method_14_of_openssl() {
    use Algorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
    use Sha2::{Sha256, Sha384, Sha512};
    let cases: [(&[u8], Algorithm, &[u8]); 16] = [
        (RSA, RsaPkcs1(Sha256), testdata!("rsa2048.sha256.sig")),
        (RSA, RsaPkcs1(Sha384), testdata!("rsa2048.sha384.sig")),
        (RSA, RsaPkcs1(Sha512), testdata!("rsa2048.sha512.sig")),
        (RSA, RsaPss(Sha256), testdata!("rsa2048.pss256.sig")),
        (RSA, RsaPss(Sha384), testdata!("rsa2048.pss384.sig")),
        (RSA, RsaPss(Sha512), testdata!("rsa2048.pss512.sig")),
        (P256, Ecdsa(Sha256), testdata!("p256.sha256.sig")),
        (P256, Ecdsa(Sha384), testdata!("p256.sha384.sig")),
        (P256, Ecdsa(Sha512), testdata!("p256.sha512.sig")),
        (P384, Ecdsa(Sha256), testdata!("p384.sha256.sig")),
        (P384, Ecdsa(Sha384), testdata!("p384.sha384.sig")),
        (P384, Ecdsa(Sha512), testdata!("p384.sha512.sig")),
        (P521, Ecdsa(Sha256), testdata!("p521.sha256.sig")),
        (P521, Ecdsa(Sha384), testdata!("p521.sha384.sig")),
        (P521, Ecdsa(Sha512), testdata!("p521.sha512.sig")),
        (ED25519, Ed25519, testdata!("ed25519.sig")),
    ];
    for (pem, algorithm, signature) in cases {
        let verify = |algorithm| {
            let data = digital(algorithm, signature);
            key(pem).public_key().verify(AuthMethod::DIGITAL_SIGNATURE, &data, OCTETS, false)
        };
        assert_eq!(verify(algorithm), Ok(()), "{algorithm:?}");
        for (_, other, _) in cases.iter().filter(|(_, other, _)| *other != algorithm) {
            assert!(verify(*other).is_err(), "{algorithm:?} under the name of {other:?}");
        }
    }
}

#[test]
fn refuses_pss_with_another_salt_length() {
    let data = digital(Algorithm::RsaPss(Sha2::Sha256), testdata!("rsa2048.pss256-salt20.sig"));
    let verified = key(RSA).public_key().verify(AuthMethod::DIGITAL_SIGNATURE, &data, OCTETS, false);
    assert_eq!(verified, Err(SignatureError::Wrong));
}

#[test]
fn verifies_sha1_in_method_1_only_where_it_is_allowed() {
    let public = key(RSA).public_key().clone();
    let sha1 = testdata!("rsa2048.sha1.sig");
    assert_eq!(public.verify(AuthMethod::RSA_SIGNATURE, sha1, OCTETS, true), Ok(()));
    assert_eq!(public.verify(AuthMethod::RSA_SIGNATURE, sha1, OCTETS, false), Err(SignatureError::Sha1));
    for hash in Sha2::ALL {
        for algorithm in [Algorithm::RsaPkcs1(hash), Algorithm::RsaPss(hash)] {
            let verified = public.verify(AuthMethod::DIGITAL_SIGNATURE, &digital(algorithm, sha1), OCTETS, true);
            assert_eq!(verified, Err(SignatureError::Wrong), "{algorithm:?}");
        }
    }
}

#[test]
fn verifies_sha2_in_method_1_and_never_md5() {
    let public = key(RSA).public_key().clone();
    for signature in [testdata!("rsa2048.sha256.sig"), testdata!("rsa2048.sha384.sig"), testdata!("rsa2048.sha512.sig")]
    {
        assert_eq!(public.verify(AuthMethod::RSA_SIGNATURE, signature, OCTETS, false), Ok(()));
    }
    let md5 = testdata!("rsa2048.md5.sig");
    assert_eq!(public.verify(AuthMethod::RSA_SIGNATURE, md5, OCTETS, true), Err(SignatureError::Wrong));
}

#[test]
fn refuses_methods_that_are_not_signatures_and_signatures_that_are_empty() {
    for (pem, _) in KEYS {
        let key = key(pem);
        for method in
            [AuthMethod::SHARED_KEY, AuthMethod::NULL, AuthMethod::DSS_SIGNATURE, AuthMethod(0), AuthMethod(255)]
        {
            let verified = key.public_key().verify(method, b"data", OCTETS, true);
            assert_eq!(verified, Err(SignatureError::Method(method)), "{key:?}");
        }
        for method in [1, 9, 10, 11, 14].map(AuthMethod) {
            assert!(key.public_key().verify(method, b"", OCTETS, true).is_err(), "{key:?} {method}");
        }
        for method in [1, 9, 10, 11].map(AuthMethod) {
            assert!(key.public_key().verify(method, &[0; 132], OCTETS, true).is_err(), "{key:?} {method}");
        }
    }
}

#[test]
fn refuses_ecdsa_signatures_of_zeros() {
    for (pem, method, length) in [(P256, 9, 64), (P384, 10, 96), (P521, 11, 132)] {
        let verified = key(pem).public_key().verify(AuthMethod(method), &vec![0; length], OCTETS, true);
        assert_eq!(verified, Err(SignatureError::Wrong));
        let zeros = digital(Algorithm::Ecdsa(Sha2::Sha256), b"\x30\x06\x02\x01\x00\x02\x01\x00");
        let verified = key(pem).public_key().verify(AuthMethod::DIGITAL_SIGNATURE, &zeros, OCTETS, true);
        assert_eq!(verified, Err(SignatureError::Wrong));
    }
}

#[test]
fn signs_only_with_schemes_of_the_key() {
    let all = schemes();
    for (key, _) in &all {
        for (_, scheme) in &all {
            let fits = all.iter().any(|(other, own)| other.public_key() == key.public_key() && own == scheme);
            let signed = key.sign(*scheme, OCTETS, &mut SeededRandom::new(1)).map(drop);
            assert_eq!(signed, if fits { Ok(()) } else { Err(SignError::OtherKey) }, "{key:?} {scheme:?}");
        }
    }
}

#[test]
fn chooses_method_14_with_a_hash_that_the_peer_announced() {
    let all = &HASH_ALGORITHMS[..];
    let pkcs1 = |hash| Ok(Scheme::DigitalSignature(Algorithm::RsaPkcs1(hash)));
    assert_eq!(key(RSA).choose(Some(all), false), pkcs1(Sha2::Sha256));
    assert_eq!(key(RSA).choose(Some(&[HashAlgId::SHA1, HashAlgId::SHA2_512]), true), pkcs1(Sha2::Sha512));
    for (pem, algorithm) in [
        (P256, Algorithm::Ecdsa(Sha2::Sha256)),
        (P384, Algorithm::Ecdsa(Sha2::Sha384)),
        (P521, Algorithm::Ecdsa(Sha2::Sha512)),
        (ED25519, Algorithm::Ed25519),
    ] {
        assert_eq!(key(pem).choose(Some(all), false), Ok(Scheme::DigitalSignature(algorithm)));
    }
}

#[test]
fn chooses_an_older_method_for_peers_without_method_14() {
    assert_eq!(key(RSA).choose(None, true), Ok(Scheme::RsaSha1));
    for (pem, scheme) in [(P256, Scheme::Ecdsa256), (P384, Scheme::Ecdsa384), (P521, Scheme::Ecdsa521)] {
        assert_eq!(key(pem).choose(None, false), Ok(scheme));
        assert_eq!(key(pem).choose(Some(&[HashAlgId::SHA1]), false), Ok(scheme));
    }
}

#[test]
fn chooses_sha1_neither_where_it_is_off_nor_for_peers_that_announced_hashes() {
    assert_eq!(key(RSA).choose(None, false), Err(NoScheme::Rsa));
    assert_eq!(key(RSA).choose(Some(&[HashAlgId::SHA1]), true), Err(NoScheme::Rsa));
    assert_eq!(key(RSA).choose(Some(&[]), true), Err(NoScheme::Rsa));
    assert_eq!(key(ED25519).choose(None, true), Err(NoScheme::Ed25519));
}

#[test]
fn reads_the_same_key_from_every_container() {
    for (one, other) in [
        (RSA, &testdata!("rsa2048.pkcs1.pem")[..]),
        (P256, testdata!("p256.sec1.pem")),
        (P384, testdata!("p384.sec1.pem")),
        (P521, testdata!("p521.sec1.pem")),
    ] {
        assert_eq!(key(one).public_key(), key(other).public_key());
    }
    for (pem, spki) in KEYS {
        assert_eq!(PublicKey::from_spki(spki).as_ref(), Ok(key(pem).public_key()));
        assert_eq!(key(pem).public_key().to_spki(), spki);
    }
}

#[test]
fn reads_a_public_key_as_openssl_wrote_it() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(pem).map(|key| key.to_string()), Ok("Ed25519".into()));
    assert_eq!(PublicKey::from_pem(ED25519), Err(UnsupportedKey::Missing), "a private key is not one");
    assert_eq!(PublicKey::from_pem(b""), Err(UnsupportedKey::Missing));
}

#[test]
fn says_why_a_key_cannot_be_loaded() {
    let error = |pem: &[u8]| SigningKey::from_pem(pem).expect_err("not a good key");
    assert_eq!(error(testdata!("rsa2048.encrypted.pem")), KeyError::Encrypted);
    assert_eq!(error(testdata!("rsa2048.encrypted-pkcs1.pem")), KeyError::Encrypted);
    assert_eq!(error(testdata!("p256.no-public.pem")), KeyError::NoPublicKey);
    assert_eq!(error(b"no PEM at all"), KeyError::Missing);
    let empty = b"-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(error(empty), KeyError::Unsupported(UnsupportedKey::Malformed));
    assert_eq!(error(b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), KeyError::Malformed);
    assert!(matches!(error(testdata!("rsa1024.pem")), KeyError::Unsupported(UnsupportedKey::RsaSize(1024))));
    let curve = UnsupportedKey::Curve("1.3.132.0.10".into());
    assert_eq!(error(testdata!("secp256k1.pem")), KeyError::Unsupported(curve));
    let ed448 = UnsupportedKey::Algorithm("1.3.101.113".into());
    assert_eq!(error(testdata!("ed448.pem")), KeyError::Unsupported(ed448));
}

#[test]
fn refuses_public_keys_that_are_weak_or_of_other_kinds() {
    let error = |spki: &[u8]| PublicKey::from_spki(spki).expect_err("not a good key");
    assert_eq!(error(testdata!("rsa1024.spki.der")), UnsupportedKey::RsaSize(1024));
    assert_eq!(error(testdata!("rsa-e3.spki.der")), UnsupportedKey::RsaExponent);
    assert_eq!(error(testdata!("rsa-pss.spki.der")), UnsupportedKey::Algorithm("1.2.840.113549.1.1.10".into()));
    assert_eq!(error(testdata!("secp256k1.spki.der")), UnsupportedKey::Curve("1.3.132.0.10".into()));
    assert_eq!(error(testdata!("ed448.spki.der")), UnsupportedKey::Algorithm("1.3.101.113".into()));
}

#[test]
fn refuses_every_truncation_of_a_public_key() {
    for (_, spki) in KEYS {
        for n in 0..spki.len() {
            assert_eq!(PublicKey::from_spki(&spki[..n]), Err(UnsupportedKey::Malformed), "{n} bytes");
        }
    }
}

#[test]
fn names_a_key_by_its_kind() {
    let names: Vec<_> = KEYS.iter().map(|(pem, _)| key(pem).public_key().to_string()).collect();
    assert_eq!(names, ["RSA-2048", "ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "Ed25519"]);
    assert_eq!(format!("{:?}", key(RSA)), "SigningKey(RSA-2048)");
}

/// RFC 4754 section 8.1: the public key and the signature of "abc" on P-256.
#[test]
fn verifies_the_vector_of_rfc_4754() {
    let point = from_hex(
        "04 2442A5CC0ECD015FA3CA31DC8E2BBC70BF42D60CBCA20085E0822CB04235E970 \
            6FC98BD7E50211A4A27102FA3549DF79EBCB4BF246B80945CDDFE7D509BBFD7D",
    );
    let signature = from_hex(
        "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C \
         86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315",
    );
    let key = PublicKey::ec(public_key::P256, &point).expect("a point");
    assert_eq!(key.verify(AuthMethod::ECDSA_SHA256_P256, &signature, b"abc", false), Ok(()));
    assert_eq!(key.verify(AuthMethod::ECDSA_SHA256_P256, &signature, b"abd", false), Err(SignatureError::Wrong));
}
