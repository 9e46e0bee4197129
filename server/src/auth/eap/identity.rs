//! The Identity method (RFC 3748 section 5.1): what the client calls itself before it has proven anything.
//!
//! The name is a hint for logs and for counting failures. Who the client is follows from EAP-MSCHAPv2 alone.

use super::Malformed;
use crate::auth::users::NAME_MAX;

/// Longest part of a client's text that goes into a message for the operator, bytes.
const SHOWN_MAX: usize = 64;

/// Reads the Type-Data of a Response/Identity. It may be empty.
///
/// # Errors
/// If it is longer than any user name.
pub(super) fn parse(data: &[u8]) -> Result<String, Malformed> {
    if data.len() > NAME_MAX { Err(Malformed("EAP identity")) } else { Ok(text(data)) }
}

/// A name for lookups: what isn't UTF-8 becomes a name that nobody has.
pub(super) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The beginning of a name, fit for a message to the operator. It is printed with escapes.
pub(super) fn shown(name: &str) -> String {
    let end = (0..=SHOWN_MAX.min(name.len())).rev().find(|&n| name.is_char_boundary(n));
    let (head, tail) = name.split_at(end.unwrap_or(0));
    if tail.is_empty() { head.to_owned() } else { format!("{head}...") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_up_to_the_limit() {
        assert_eq!(parse(b"alice@example.org"), Ok("alice@example.org".to_owned()));
        assert_eq!(parse(b""), Ok(String::new()));
        assert!(parse(&[b'a'; 253]).is_ok());
        assert_eq!(parse(&[b'a'; 254]), Err(Malformed("EAP identity")));
    }

    #[test]
    fn names_that_are_not_utf_8_survive_as_unknown_ones() {
        assert_eq!(parse(&[b'a', 0xff]), Ok("a\u{fffd}".to_owned()));
    }

    #[test]
    fn long_names_are_shown_cut_at_a_character() {
        assert_eq!(shown("alice"), "alice");
        let shown = shown(&"ä".repeat(50));
        assert_eq!(shown, format!("{}...", "ä".repeat(32)));
    }
}
