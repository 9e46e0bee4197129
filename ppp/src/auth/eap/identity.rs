//! The Identity method (RFC 3748 section 5.1): what the client calls itself before it has proven anything.
//!
//! The name is a hint for logs and for counting failures. Who the client is follows from EAP-MSCHAPv2 alone.

use crate::auth::{NAME_MAX, name_text as text};

use super::Malformed;

/// Reads the Type-Data of a Response/Identity. It may be empty.
///
/// # Errors
/// If it is longer than any user name.
pub(super) fn parse(data: &[u8]) -> Result<String, Malformed> {
    if data.len() > NAME_MAX { Err(Malformed("EAP identity")) } else { Ok(text(data)) }
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
}
