//! Distinguished names (X.501), the subjects of certificates: read from text, written for people, and compared.
//!
//! Text follows RFC 4514, where the most special part comes first: `CN=gw,O=Example,C=CH`. Many tools write the other order,
//! that of the certificate itself, with spaces: `C=CH, O=Example, CN=gw`. Both are read, and both name the same peer. Nor
//! does it matter in which of its string types a certificate has a part, or in upper or lower case (RFC 5280 section 7.1).
//!
//! Does not: make names for certificates; DER that is sent comes from a certificate.

use std::str::FromStr;

use der::{Decode, Encode};
use x509_cert::name::{Name, RdnSequence};

/// DER of a name in text form; `None` if it is not one.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let parts: Option<Vec<String>> = split(text).map(part).collect();
    Name::from_str(&parts?.join(",")).ok()?.to_der().ok()
}

/// Whether a text is meant as a distinguished name: it begins with the type of an attribute.
pub(crate) fn is_meant(text: &str) -> bool {
    let (kind, _) = text.split_once('=').unwrap_or_default();
    let kind = kind.trim();
    !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// A name for people: RFC 4514 text; `None` if the DER is not a name at all.
pub(crate) fn text(der: &[u8]) -> Option<String> {
    Name::from_der(der).ok().map(|name| name.to_string())
}

/// Whether two names (DER) are the same.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(mut other)) = (comparable(one), comparable(other)) else { return false };
    if one == other {
        return true;
    }
    other.reverse();
    one == other
}

/// The parts in a form in which equal ones are equal.
fn comparable(der: &[u8]) -> Option<Vec<String>> {
    let name = RdnSequence::from_der(der).ok()?;
    let plain = |part: String| part.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    Some(name.iter().map(|part| plain(part.to_string())).collect())
}

/// At commas without a backslash before them.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |c| {
        let separates = c == ',' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        separates
    })
}

/// One part without spaces around it.
fn part(text: &str) -> Option<String> {
    let (kind, value) = text.split_once('=')?;
    let (kind, value) = (kind.trim(), value.trim());
    (!value.is_empty()).then(|| format!("{kind}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(text: &str) -> Vec<u8> {
        parse(text).expect("a name")
    }

    #[test]
    fn reads_both_orders_with_and_without_spaces() {
        let name = der("CN=gw.example.org,O=Example\\, Inc.,C=CH");
        assert_eq!(text(&name).as_deref(), Some("CN=gw.example.org,O=Example\\, Inc.,C=CH"));
        for same in [
            "CN=gw.example.org, O=Example\\, Inc., C=CH",
            "C=CH, O=Example\\, Inc., CN=gw.example.org",
            "C = CH,O = example\\,  inc.,CN = GW.example.org",
            "2.5.4.6=CH,2.5.4.10=Example\\, Inc.,2.5.4.3=gw.example.org",
        ] {
            assert!(is_same(&der(same), &name), "{same}");
        }
    }

    #[test]
    fn other_names_are_others() {
        let name = der("CN=gw,OU=one,O=Example");
        for other in
            ["CN=gw", "CN=gw,O=Example", "CN=gw,O=one,OU=Example", "OU=one,CN=gw,O=Example", "CN=gw2,OU=one,O=Example"]
        {
            assert!(!is_same(&der(other), &name), "{other}");
        }
        assert!(!is_same(b"", &name) && !is_same(&[0x30, 0], &name) && !is_same(&name, b"\x30\x05"));
    }

    #[test]
    fn string_types_do_not_matter() {
        let utf8 = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02gw";
        let printable = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02gw";
        assert!(is_same(utf8, printable));
    }

    #[test]
    fn text_that_is_no_name_is_none() {
        for text in ["", "CN", "=x", "CN=", "CN=a,,O=b", "NOSUCHTYPE=x", "CN=gw,"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(is_meant("CN=gw") && is_meant(" C = CH, O=x") && is_meant("2.5.4.3=x"));
        assert!(!is_meant("vpn.example.org") && !is_meant("a@b=c") && !is_meant("=x") && !is_meant("keyid:a=b"));
    }
}
