//! Payloads that are nothing but bytes: Key Exchange, Hash, Signature and Nonce, RFC 2408 sections 3.7, 3.11, 3.12, 3.13.
//!
//! Does not: check the length of a public value, hash or signature; it belongs to the negotiated algorithm.

use crate::wire::limits::V1_NONCE;
use crate::wire::{Malformed, Writer};

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident, $error:ident, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a [u8]);

        impl<'a> $name<'a> {
            /// Takes the payload body, without the generic payload header.
            ///
            /// # Errors
            #[doc = concat!("[`Malformed::", stringify!($error), "`] if its length is out of range.")]
            pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
                let fits: fn(usize) -> bool = $fits;
                if fits(body.len()) { Ok(Self(body)) } else { Err(Malformed::$error) }
            }

            /// Appends the payload body.
            pub fn emit(&self, out: &mut Writer) {
                out.bytes(self.0);
            }
        }
    };
}

opaque!(
    /// A Diffie-Hellman public value; not empty.
    KeyExchange, KeyExchange, |len| len > 0
);
opaque!(
    /// A keyed hash that authenticates a peer or a message; not empty.
    Hash, Hash, |len| len > 0
);
opaque!(
    /// A signature over a hash; not empty.
    Signature, Signature, |len| len > 0
);
opaque!(
    /// Random bytes of one side: 8 to 256 of them.
    Nonce, Nonce, |len| V1_NONCE.contains(&len)
);

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::wire::testing::emitted;

    #[test]
    fn round_trips_any_bytes_but_none() {
        let body = &[1, 2, 3];
        assert_eq!(emitted(|out| KeyExchange::parse(body).expect("valid").emit(out)), body);
        assert_eq!(emitted(|out| Hash::parse(body).expect("valid").emit(out)), body);
        assert_eq!(emitted(|out| Signature::parse(body).expect("valid").emit(out)), body);
        assert_eq!(KeyExchange::parse(&[]), Err(Malformed::KeyExchange));
        assert_eq!(Hash::parse(&[]), Err(Malformed::Hash));
        assert_eq!(Signature::parse(&[]), Err(Malformed::Signature));
    }

    #[test]
    fn limits_nonces() {
        let accepted: Vec<_> = (0..300).filter(|len| Nonce::parse(&vec![7; *len]).is_ok()).collect();
        assert_eq!(accepted, (8..=256).collect::<Vec<_>>());
        assert_eq!(emitted(|out| Nonce(&[5; 16]).emit(out)), [5; 16]);
    }
}
