//! Lists of algorithms in the words of other programs.
//!
//! Takes entries as they stand in `ike` and `esp` (`aes256gcm16-prfsha384-ecp384`), which the configuration has checked. Does
//! not: guess. What a program cannot do is an error that says so.

use anyhow::{Context, bail};

/// What a word of an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Aead,
    Cipher,
    Integrity,
    Prf,
    Group,
    /// `esn`, `noesn`.
    Switch,
}

/// One algorithm: our words for it, those of others where they have it.
struct Word {
    ours: &'static [&'static str],
    kind: Kind,
    libreswan: Option<&'static str>,
    iked: Option<&'static str>,
}

const fn word(
    ours: &'static [&'static str],
    kind: Kind,
    libreswan: Option<&'static str>,
    iked: Option<&'static str>,
) -> Word {
    Word { ours, kind, libreswan, iked }
}

/// libreswan calls a pseudorandom function like the integrity algorithm with that hash. It is built without MODP-1024.
const WORDS: [Word; 26] = [
    word(&["aes256gcm16", "aes256gcm"], Kind::Aead, Some("aes_gcm256"), Some("aes-256-gcm")),
    word(&["aes192gcm16", "aes192gcm"], Kind::Aead, Some("aes_gcm192"), Some("aes-192-gcm")),
    word(&["aes128gcm16", "aes128gcm"], Kind::Aead, Some("aes_gcm128"), Some("aes-128-gcm")),
    word(&["chacha20poly1305"], Kind::Aead, Some("chacha20_poly1305"), Some("chacha20-poly1305")),
    word(&["aes256", "aes256cbc"], Kind::Cipher, Some("aes256"), Some("aes-256")),
    word(&["aes192", "aes192cbc"], Kind::Cipher, Some("aes192"), Some("aes-192")),
    word(&["aes128", "aes128cbc", "aes"], Kind::Cipher, Some("aes128"), Some("aes-128")),
    word(&["sha256", "sha2_256"], Kind::Integrity, Some("sha2_256"), Some("hmac-sha2-256")),
    word(&["sha384"], Kind::Integrity, Some("sha2_384"), Some("hmac-sha2-384")),
    word(&["sha512"], Kind::Integrity, Some("sha2_512"), Some("hmac-sha2-512")),
    word(&["sha1", "sha"], Kind::Integrity, Some("sha1"), Some("hmac-sha1")),
    word(&["prfsha256"], Kind::Prf, Some("sha2_256"), Some("hmac-sha2-256")),
    word(&["prfsha384"], Kind::Prf, Some("sha2_384"), Some("hmac-sha2-384")),
    word(&["prfsha512"], Kind::Prf, Some("sha2_512"), Some("hmac-sha2-512")),
    word(&["prfsha1"], Kind::Prf, Some("sha1"), Some("hmac-sha1")),
    word(&["x25519", "curve25519"], Kind::Group, Some("dh31"), Some("curve25519")),
    word(&["ecp256"], Kind::Group, Some("dh19"), Some("ecp256")),
    word(&["ecp384"], Kind::Group, Some("dh20"), Some("ecp384")),
    word(&["ecp521"], Kind::Group, Some("dh21"), Some("ecp521")),
    word(&["modp2048"], Kind::Group, Some("dh14"), Some("modp2048")),
    word(&["modp3072"], Kind::Group, Some("dh15"), Some("modp3072")),
    word(&["modp4096"], Kind::Group, Some("dh16"), Some("modp4096")),
    word(&["modp1536"], Kind::Group, Some("dh5"), Some("modp1536")),
    word(&["modp1024"], Kind::Group, None, Some("modp1024")),
    word(&["esn"], Kind::Switch, None, None),
    word(&["noesn"], Kind::Switch, None, None),
];

/// Ciphers that iked has for ESP only.
const IKED_ESP_ONLY: [&str; 2] = ["aes-192-gcm", "chacha20-poly1305"];

/// One entry in the words of another program; an entry with AEADs and other ciphers becomes two.
struct Translated {
    ciphers: Vec<&'static str>,
    integrity: Vec<&'static str>,
    prfs: Vec<&'static str>,
    groups: Vec<&'static str>,
    no_esn: bool,
}

/// The entry in the words that `of` picks, where `program` has all of them.
fn translated(entry: &str, program: &str, of: fn(&Word) -> Option<&'static str>) -> anyhow::Result<Vec<Translated>> {
    let (mut aeads, mut ciphers, mut integrity, mut prfs, mut groups) = (vec![], vec![], vec![], vec![], vec![]);
    let mut no_esn = false;
    for text in entry.split('-').map(|word| word.trim().to_ascii_lowercase()) {
        let word = WORDS.iter().find(|word| word.ours.contains(&text.as_str()));
        let word = word.with_context(|| format!("`{text}` in \"{entry}\" has no name in the words of {program}"))?;
        if word.kind == Kind::Switch {
            no_esn = text == "noesn";
            continue;
        }
        let Some(theirs) = of(word) else { bail!("{program} has no {text}; take another algorithm than \"{entry}\"") };
        match word.kind {
            Kind::Aead => aeads.push(theirs),
            Kind::Cipher => ciphers.push(theirs),
            Kind::Integrity => integrity.push(theirs),
            Kind::Prf => prfs.push(theirs),
            Kind::Group | Kind::Switch => groups.push(theirs),
        }
    }
    let part = |ciphers: Vec<_>, integrity: &[_]| Translated {
        ciphers,
        integrity: integrity.to_vec(),
        // Without a word for it the function has the hash of the integrity algorithm, which libreswan and iked call the same.
        prfs: if prfs.is_empty() { integrity.to_vec() } else { prfs.clone() },
        groups: groups.clone(),
        no_esn,
    };
    let mut parts = Vec::new();
    if !aeads.is_empty() {
        let with_hash = part(aeads, &integrity);
        parts.push(Translated { integrity: Vec::new(), ..with_hash });
    }
    if !ciphers.is_empty() {
        parts.push(part(ciphers, &integrity));
    }
    Ok(parts)
}

/// `ike=` of libreswan: `aes_gcm256-sha2_384;dh20`.
///
/// # Errors
/// It has no such algorithm, or cannot combine them so.
pub(super) fn libreswan_ike(list: &[String]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    for entry in list {
        for part in translated(entry, "libreswan", |word| word.libreswan)? {
            if !part.integrity.is_empty() && part.prfs != part.integrity {
                bail!(
                    "libreswan takes the pseudorandom function of the integrity algorithm; \"{entry}\" names another one"
                );
            }
            out.push(format!("{}-{};{}", part.ciphers.join("+"), part.prfs.join("+"), part.groups.join("+")));
        }
    }
    Ok(out.join(","))
}

/// `esp=` of libreswan, and whether it has to do without extended sequence numbers.
///
/// # Errors
/// It has no such algorithm.
pub(super) fn libreswan_esp(list: &[String]) -> anyhow::Result<(String, bool)> {
    let (mut out, mut no_esn) = (Vec::new(), false);
    for entry in list {
        for part in translated(entry, "libreswan", |word| word.libreswan)? {
            let kinds = [part.ciphers, part.integrity].map(|kind| kind.join("+"));
            let text = kinds.iter().filter(|kind| !kind.is_empty()).cloned().collect::<Vec<_>>().join("-");
            let groups = part.groups.join("+");
            out.push(if groups.is_empty() { text } else { format!("{text};{groups}") });
            no_esn |= part.no_esn;
        }
    }
    Ok((out.join(","), no_esn))
}

/// `ikesa` of iked, once for each entry.
///
/// # Errors
/// It has no such algorithm for IKE SAs.
pub(super) fn iked_ike(list: &[String]) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    for entry in list {
        for part in translated(entry, "iked", |word| word.iked)? {
            if let Some(cipher) = part.ciphers.iter().find(|cipher| IKED_ESP_ONLY.contains(cipher)) {
                bail!("iked has {cipher} for ESP only; take another cipher than that of \"{entry}\" in `ike`");
            }
            let kinds = [("enc", part.ciphers), ("auth", part.integrity), ("prf", part.prfs), ("group", part.groups)];
            out.push(format!("ikesa{}", phrases(&kinds)));
        }
    }
    Ok(out)
}

/// `childsa` of iked, once for each entry; with a group it is repeated without, since the first Child SA has none.
///
/// # Errors
/// It has no such algorithm.
pub(super) fn iked_esp(list: &[String]) -> anyhow::Result<Vec<String>> {
    let mut out = Vec::new();
    for entry in list {
        for part in translated(entry, "iked", |word| word.iked)? {
            let esn = if part.no_esn { " noesn" } else { "" };
            let kinds = phrases(&[("enc", part.ciphers), ("auth", part.integrity)]);
            if !part.groups.is_empty() {
                out.push(format!("childsa{kinds}{}{esn}", phrases(&[("group", part.groups)])));
            }
            out.push(format!("childsa{kinds} group none{esn}"));
        }
    }
    Ok(out)
}

fn phrases(kinds: &[(&str, Vec<&'static str>)]) -> String {
    kinds.iter().flat_map(|(kind, words)| words.iter().map(move |word| format!(" {kind} {word}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|&entry| entry.to_owned()).collect()
    }

    #[test]
    fn every_word_of_ours_is_one_that_the_configuration_takes() {
        use cygnet_ike::proposal::{Policy, PolicyName};
        for ours in WORDS.iter().flat_map(|word| word.ours) {
            let entry = format!("aes256-sha256-ecp256-{ours}");
            assert!(Policy::named(&[PolicyName::Compatible]).with_ike(&[&entry]).is_ok(), "{ours}");
        }
    }

    #[test]
    fn libreswan_gets_its_own_words() {
        let ike = list(&["chacha20poly1305-prfsha256-x25519", "aes256-aes128-sha256-sha1-modp2048-ecp384"]);
        let expected = "chacha20_poly1305-sha2_256;dh31,aes256+aes128-sha2_256+sha1;dh14+dh20";
        assert_eq!(libreswan_ike(&ike).unwrap(), expected);
        let mixed = list(&["aes256gcm16-aes256-sha512-ecp384"]);
        assert_eq!(libreswan_ike(&mixed).unwrap(), "aes_gcm256-sha2_512;dh20,aes256-sha2_512;dh20");
        let esp = list(&["aes256gcm16", "aes128-sha256-ecp256-noesn"]);
        assert_eq!(libreswan_esp(&esp).unwrap(), ("aes_gcm256,aes128-sha2_256;dh19".to_owned(), true));
    }

    #[test]
    fn libreswan_is_not_given_what_it_cannot_do() {
        let refused = |entry| libreswan_ike(&list(&[entry])).unwrap_err().to_string();
        assert!(refused("aes256-sha1-modp1024").starts_with("libreswan has no modp1024"));
        assert!(refused("aes256-sha256-prfsha512-ecp256").contains("names another one"));
    }

    #[test]
    fn iked_gets_its_own_words() {
        let ike = list(&["aes256gcm16-prfsha384-x25519-ecp384", "aes256-sha256-modp2048"]);
        let expected = [
            "ikesa enc aes-256-gcm prf hmac-sha2-384 group curve25519 group ecp384",
            "ikesa enc aes-256 auth hmac-sha2-256 prf hmac-sha2-256 group modp2048",
        ];
        assert_eq!(iked_ike(&ike).unwrap(), expected);
        let expected =
            ["childsa enc chacha20-poly1305 group ecp256 noesn", "childsa enc chacha20-poly1305 group none noesn"];
        assert_eq!(iked_esp(&list(&["chacha20poly1305-ecp256-noesn"])).unwrap(), expected);
        let refused = iked_ike(&list(&["chacha20poly1305-prfsha256-x25519"])).unwrap_err().to_string();
        assert!(refused.starts_with("iked has chacha20-poly1305 for ESP only"), "{refused}");
    }
}
