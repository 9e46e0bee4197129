//! Domain names on the wire, uncompressed (RFC 1035 section 3.1), as DHCP, DHCPv6 and router advertisements list them.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

/// Appends a name; `false`, and nothing is appended, if it cannot be one.
pub(super) fn emit(name: &str, out: &mut Vec<u8>) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut encoded = Vec::new();
    for label in name.split('.') {
        match u8::try_from(label.len()) {
            Ok(length @ 1..=63) => encoded.push(length),
            _ => return false,
        }
        encoded.extend(label.as_bytes());
    }
    encoded.push(0);
    let fits = encoded.len() <= 255;
    if fits {
        out.extend(encoded);
    }
    fits
}

/// All names of a list that can be names.
pub(super) fn list(names: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        emit(name, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_with_their_lengths() {
        let names = ["corp.example".to_owned(), "a.b.".to_owned()];
        assert_eq!(list(&names), b"\x04corp\x07example\0\x01a\x01b\0");
    }

    #[test]
    fn what_cannot_be_a_name_is_left_out() {
        let long = vec!["a".repeat(63); 4].join(".");
        for name in ["", ".", "a..b", &"a".repeat(64), &long] {
            let mut out = Vec::new();
            assert!(!emit(name, &mut out) && out.is_empty(), "{name}");
        }
    }
}
