//! The notation of algorithm lists: words joined by `-`, as in `aes256gcm16-prfsha384-ecp384` or `aes256-sha256-modp2048`.

use crate::crypto::dh::Group;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{AesBits, Encr, Integ};

use super::{ChildOffer, IkeOffer};

/// Why an entry of a list is no offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotationError {
    /// A word is not the name of an algorithm that we have.
    #[error("`{entry}`: unknown algorithm `{word}`{}", hint(.nearest))]
    Unknown {
        /// The whole entry.
        entry: String,
        /// The word.
        word: String,
        /// A word that would have been right and looks alike.
        nearest: Option<&'static str>,
    },
    /// Something is missing.
    #[error("`{entry}`: {missing} is missing")]
    Missing {
        /// The whole entry.
        entry: String,
        /// What.
        missing: &'static str,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" (did you mean `{word}`?)"))
}

const ENCRS: [(&str, Encr); 7] = [
    ("aes256gcm16", Encr::AesGcm16 { bits: AesBits::B256 }),
    ("aes192gcm16", Encr::AesGcm16 { bits: AesBits::B192 }),
    ("aes128gcm16", Encr::AesGcm16 { bits: AesBits::B128 }),
    ("chacha20poly1305", Encr::ChaCha20Poly1305),
    ("aes256", Encr::AesCbc { bits: AesBits::B256 }),
    ("aes192", Encr::AesCbc { bits: AesBits::B192 }),
    ("aes128", Encr::AesCbc { bits: AesBits::B128 }),
];

const INTEGS: [(&str, Integ); 4] = [
    ("sha256", Integ::HmacSha256_128),
    ("sha384", Integ::HmacSha384_192),
    ("sha512", Integ::HmacSha512_256),
    ("sha1", Integ::HmacSha1_96),
];

const PRFS: [(&str, Prf); 4] = [
    ("prfsha256", Prf::HmacSha256),
    ("prfsha384", Prf::HmacSha384),
    ("prfsha512", Prf::HmacSha512),
    ("prfsha1", Prf::HmacSha1),
];

const GROUPS: [(&str, Group); 9] = [
    ("x25519", Group::Curve25519),
    ("ecp256", Group::Ecp256),
    ("ecp384", Group::Ecp384),
    ("ecp521", Group::Ecp521),
    ("modp2048", Group::Modp2048),
    ("modp3072", Group::Modp3072),
    ("modp4096", Group::Modp4096),
    ("modp1536", Group::Modp1536),
    ("modp1024", Group::Modp1024),
];

/// Other spellings of the same.
const ALIASES: [(&str, &str); 10] = [
    ("curve25519", "x25519"),
    ("aes256gcm", "aes256gcm16"),
    ("aes192gcm", "aes192gcm16"),
    ("aes128gcm", "aes128gcm16"),
    ("aes256cbc", "aes256"),
    ("aes192cbc", "aes192"),
    ("aes128cbc", "aes128"),
    ("aes", "aes128"),
    ("sha", "sha1"),
    ("sha2_256", "sha256"),
];

/// Words of the notation that switch something instead of naming an algorithm.
const ESN: &str = "esn";
const NO_ESN: &str = "noesn";

#[derive(Default)]
struct Words {
    encrs: Vec<Encr>,
    integs: Vec<Integ>,
    prfs: Vec<Prf>,
    groups: Vec<Group>,
    no_esn: bool,
}

pub(super) fn ike(entry: &str) -> Result<IkeOffer, NotationError> {
    let mut words = read(entry)?;
    if words.prfs.is_empty() {
        words.prfs = words.integs.iter().map(|integ| prf_of(*integ)).collect();
    }
    let missing = |missing| NotationError::Missing { entry: entry.to_owned(), missing };
    match () {
        () if words.prfs.is_empty() => Err(missing("a pseudorandom function such as `prfsha256`")),
        () if words.groups.is_empty() => Err(missing("a Diffie-Hellman group such as `ecp256`")),
        () => Ok(IkeOffer { encrs: words.encrs, integs: words.integs, prfs: words.prfs, groups: words.groups }),
    }
}

pub(super) fn child(entry: &str, groups: &[Group]) -> Result<ChildOffer, NotationError> {
    let words = read(entry)?;
    let groups = if words.groups.is_empty() { groups.to_vec() } else { words.groups };
    Ok(ChildOffer { encrs: words.encrs, integs: words.integs, groups, esn: !words.no_esn })
}

fn read(entry: &str) -> Result<Words, NotationError> {
    let mut words = Words::default();
    for word in entry.trim().split('-') {
        let word = word.trim().to_ascii_lowercase();
        let word = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word.as_str(), |(_, name)| name);
        if let Some(encr) = lookup(&ENCRS, word) {
            words.encrs.push(encr);
        } else if let Some(integ) = lookup(&INTEGS, word) {
            words.integs.push(integ);
        } else if let Some(prf) = lookup(&PRFS, word) {
            words.prfs.push(prf);
        } else if let Some(group) = lookup(&GROUPS, word) {
            words.groups.push(group);
        } else if matches!(word, ESN | NO_ESN) {
            words.no_esn = word == NO_ESN;
        } else {
            let (entry, nearest) = (entry.to_owned(), nearest(word));
            return Err(NotationError::Unknown { entry, word: word.to_owned(), nearest });
        }
    }
    let missing = |missing| Err(NotationError::Missing { entry: entry.to_owned(), missing });
    if words.encrs.is_empty() {
        return missing("a cipher such as `aes256gcm16`");
    }
    if words.integs.is_empty() && words.encrs.iter().any(|encr| !encr.is_aead()) {
        return missing("an integrity algorithm such as `sha256`");
    }
    Ok(words)
}

fn lookup<T: Copy>(table: &[(&str, T)], word: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

fn name_of<T: PartialEq>(table: &'static [(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, other)| other == value).map_or("?", |(name, _)| name)
}

/// The word for a cipher. That of 3DES can be printed, but not be configured.
pub(crate) fn encr_name(encr: Encr) -> &'static str {
    if encr == Encr::TripleDesCbc { "3des" } else { name_of(&ENCRS, &encr) }
}

pub(crate) fn integ_name(integ: Integ) -> &'static str {
    name_of(&INTEGS, &integ)
}

pub(crate) fn prf_name(prf: Prf) -> &'static str {
    name_of(&PRFS, &prf)
}

pub(crate) fn group_name(group: Group) -> &'static str {
    name_of(&GROUPS, &group)
}

/// The function with the hash of an integrity algorithm.
pub(super) const fn prf_of(integ: Integ) -> Prf {
    match integ {
        Integ::HmacSha1_96 => Prf::HmacSha1,
        Integ::HmacSha256_128 => Prf::HmacSha256,
        Integ::HmacSha384_192 => Prf::HmacSha384,
        Integ::HmacSha512_256 => Prf::HmacSha512,
    }
}

fn nearest(word: &str) -> Option<&'static str> {
    let names = ENCRS.iter().map(|(name, _)| *name);
    let names = names.chain(INTEGS.iter().map(|(name, _)| *name));
    let names = names.chain(PRFS.iter().map(|(name, _)| *name)).chain(GROUPS.iter().map(|(name, _)| *name));
    let (distance, name) = names.map(|name| (distance(word, name), name)).min()?;
    (distance <= 2).then_some(name)
}

/// Insertions, deletions and replacements that turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_aead_entry() {
        let offer = ike("aes256gcm16-prfsha384-ecp384").expect("valid");
        assert_eq!(offer.encrs, [Encr::AesGcm16 { bits: AesBits::B256 }]);
        assert_eq!((offer.prfs, offer.groups, offer.integs), (vec![Prf::HmacSha384], vec![Group::Ecp384], vec![]));
    }

    #[test]
    fn takes_the_prf_of_the_integrity_algorithm() {
        let offer = ike("aes128-aes256-sha256-sha1-modp2048-x25519").expect("valid");
        assert_eq!(offer.prfs, [Prf::HmacSha256, Prf::HmacSha1]);
        assert_eq!(offer.groups, [Group::Modp2048, Group::Curve25519]);
        assert_eq!(offer.to_string(), "aes128, aes256; sha256, sha1; prfsha256, prfsha1; modp2048, x25519");
    }

    #[test]
    fn names_what_is_missing_or_unknown() {
        let text = |result: Result<IkeOffer, NotationError>| result.expect_err("invalid").to_string();
        assert!(text(ike("aes256-sha256")).contains("Diffie-Hellman"));
        assert!(text(ike("aes256-ecp256")).contains("integrity"));
        assert!(text(ike("aes256gcm16-ecp256")).contains("prfsha256"));
        assert!(text(ike("sha256-ecp256")).contains("cipher"));
        assert!(text(ike("aes256gcm16-prfsha256-ecp265")).contains("did you mean `ecp256`"));
        assert!(text(ike("3des-sha1-modp1024")).contains("unknown algorithm `3des`"));
        assert!(text(ike("")).contains("unknown algorithm ``"));
    }

    #[test]
    fn a_child_without_groups_may_use_those_of_the_ike_sa() {
        let ike_groups = [Group::Curve25519];
        assert_eq!(child("aes128gcm16", &ike_groups).expect("valid").groups, ike_groups);
        assert_eq!(child("aes128gcm16-ecp256", &ike_groups).expect("valid").groups, [Group::Ecp256]);
        assert!(child("aes128gcm16", &ike_groups).expect("valid").esn);
        assert!(!child("aes128gcm16-noesn", &ike_groups).expect("valid").esn);
    }
}
