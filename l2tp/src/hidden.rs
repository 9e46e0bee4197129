//! Hiding of attribute values (RFC 2661 section 4.3): MD5 as a key stream over the shared secret and a random vector.
//!
//! It predates IPsec below L2TP and protects nobody who can break MD5; it is here since a peer may use it. We never hide.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use md5::{Digest, Md5};
use nom::IResult;
use nom::Parser;
use nom::multi::length_data;
use nom::number::complete::be_u16;

use crate::avp::{Avp, IETF, MAX_VALUE_LEN, RawAvp};
use crate::error::Malformed;
use crate::secret::Secret;

const BLOCK: usize = 16;

/// Reads a hidden value with the value of the Random Vector AVP that preceded it last.
///
/// # Errors
/// The length inside is larger than what is there: the secrets differ, or the bytes are no hidden value.
pub fn unhide(attribute: u16, hidden: &[u8], secret: &Secret, random_vector: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut clear = Vec::with_capacity(hidden.len());
    let mut key = first_key(attribute, secret, random_vector);
    for block in hidden.chunks(BLOCK) {
        clear.extend(block.iter().zip(key).map(|(byte, key)| byte ^ key));
        key = next_key(secret, block);
    }
    let parsed: IResult<_, _> = length_data(be_u16).parse(clear.as_slice());
    let (_padding, value) = parsed.map_err(|_| Malformed("hidden AVP"))?;
    Ok(value.to_vec())
}

/// Appends the AVP with its value hidden. `padding` obscures the length; what does not fit an AVP is cut.
pub fn emit_hidden(avp: &Avp, secret: &Secret, random_vector: &[u8], padding: &[u8], out: &mut Vec<u8>) {
    let value = avp.value();
    let mut clear = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    clear.extend_from_slice(&value);
    clear.extend_from_slice(padding);
    clear.truncate(MAX_VALUE_LEN);
    let mut hidden = Vec::with_capacity(clear.len());
    let mut key = first_key(avp.attribute(), secret, random_vector);
    for block in clear.chunks(BLOCK) {
        let sealed: Vec<u8> = block.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
        key = next_key(secret, &sealed);
        hidden.extend(sealed);
    }
    let (mandatory, attribute) = (avp.mandatory(), avp.attribute());
    RawAvp { mandatory, hidden: true, reserved: false, vendor: IETF, attribute, value: &hidden }.emit(out);
}

/// b(1) = MD5(attribute type, secret, random vector).
fn first_key(attribute: u16, secret: &Secret, random_vector: &[u8]) -> [u8; BLOCK] {
    let digest = Md5::new().chain_update(attribute.to_be_bytes()).chain_update(secret.expose());
    digest.chain_update(random_vector).finalize().into()
}

/// b(i) = MD5(secret, c(i - 1)).
fn next_key(secret: &Secret, sealed: &[u8]) -> [u8; BLOCK] {
    Md5::new().chain_update(secret.expose()).chain_update(sealed).finalize().into()
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const VECTOR: [u8; 16] = [0xa5; 16];

    fn secret() -> Secret {
        Secret::from_slice(b"swordfish")
    }

    fn hide(avp: &Avp, padding: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        emit_hidden(avp, &secret(), &VECTOR, padding, &mut out);
        out
    }

    /// The key is MD5(00 09, "swordfish", 16 times a5) = 673cb038.., the clear text 00 02 12 34 (computed apart from this code).
    #[test]
    fn hides_a_tunnel_id_as_computed_elsewhere() {
        let bytes = hide(&Avp::AssignedTunnelId(0x1234), &[]);
        assert_eq!(bytes, [0xc0, 10, 0, 0, 0, 9, 0x67, 0x3e, 0xa2, 0x0c]);
    }

    #[test]
    fn round_trips_values_of_every_length_around_the_blocks() {
        for length in 0..70 {
            for padding in [0, 1, 15, 16] {
                let value: Vec<u8> = (0..length).collect();
                let bytes = hide(&Avp::HostName(value.clone()), &vec![0xee; padding]);
                let (raw, _) = RawAvp::parse(&bytes).expect("valid");
                assert!(raw.hidden);
                assert_eq!(unhide(7, raw.value, &secret(), &VECTOR), Ok(value));
            }
        }
    }

    #[test]
    fn another_secret_vector_or_attribute_reads_nothing_sensible() {
        let value = b"0123456789abcdef0123456789abcdef".to_vec();
        let bytes = hide(&Avp::HostName(value.clone()), &[]);
        let (raw, _) = RawAvp::parse(&bytes).expect("valid");
        assert_ne!(unhide(7, raw.value, &Secret::from_slice(b"sardine"), &VECTOR), Ok(value.clone()));
        assert_ne!(unhide(7, raw.value, &secret(), &[0xa4; 16]), Ok(value.clone()));
        assert_ne!(unhide(8, raw.value, &secret(), &VECTOR), Ok(value));
    }

    #[test]
    fn rejects_every_truncation() {
        let bytes = hide(&Avp::HostName(vec![7; 40]), &[]);
        let (raw, _) = RawAvp::parse(&bytes).expect("valid");
        for n in 0..raw.value.len() {
            assert!(unhide(7, &raw.value[..n], &secret(), &VECTOR).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn a_value_longer_than_an_avp_is_cut_and_then_refused() {
        let bytes = hide(&Avp::HostName(vec![7; 1200]), &[]);
        let (raw, _) = RawAvp::parse(&bytes).expect("valid");
        assert_eq!(raw.value.len(), MAX_VALUE_LEN);
        assert!(unhide(7, raw.value, &secret(), &VECTOR).is_err());
    }
}
