//! The Delete payload, RFC 7296 section 3.11.

use nom::Parser;
use nom::multi::count;
use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::wire::num::ProtocolId;
use crate::wire::{EspSpi, Malformed, Parsed, Writer};

/// What the sender has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// The IKE SA of this message, and with it all its Child SAs.
    IkeSa,
    /// Child SAs of one protocol, named by the SPIs of the sender's inbound side.
    ChildSas {
        /// ESP or AH.
        protocol: ProtocolId,
        /// At least one, at most what fits into a payload.
        spis: Vec<EspSpi>,
    },
}

impl Delete {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Delete`] if protocol, SPI size, count and number of bytes do not agree.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let (rest, (protocol, spi_size, num_spis)) = head(body).map_err(|_| Malformed::Delete)?;
        match (protocol, spi_size, num_spis) {
            (ProtocolId::IKE, 0, 0) if rest.is_empty() => Ok(Self::IkeSa),
            (ProtocolId::ESP | ProtocolId::AH, 4, 1..) => {
                Ok(Self::ChildSas { protocol, spis: spis(rest, num_spis).ok_or(Malformed::Delete)? })
            }
            _ => Err(Malformed::Delete),
        }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        match self {
            Self::IkeSa => out.bytes(&[ProtocolId::IKE.0, 0, 0, 0]),
            Self::ChildSas { protocol, spis } => {
                out.bytes(&[protocol.0, 4]);
                out.count_u16(spis.len());
                for spi in spis {
                    out.u32(spi.0);
                }
            }
        }
    }
}

fn head(body: &[u8]) -> Parsed<'_, (ProtocolId, u8, u16)> {
    (be_u8.map(ProtocolId), be_u8, be_u16).parse(body)
}

/// Reads the SPIs; before it allocates it checks that their number is the one announced.
fn spis(rest: &[u8], number: u16) -> Option<Vec<EspSpi>> {
    if rest.len() != usize::from(number).saturating_mul(4) {
        return None;
    }
    let parsed: Parsed<'_, Vec<EspSpi>> = count(be_u32.map(EspSpi), usize::from(number)).parse(rest);
    parsed.ok().map(|(_, spis)| spis)
}

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

    const TWO: &[u8] = &[3, 4, 0, 2, 0, 0, 1, 0, 0, 0, 1, 1];

    #[test]
    fn round_trips_child_sas() {
        let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![EspSpi(0x100), EspSpi(0x101)] };
        assert_eq!(Delete::parse(TWO).as_ref(), Ok(&delete));
        assert_eq!(emitted(|out| delete.emit(out)), TWO);
    }

    #[test]
    fn round_trips_the_ike_sa() {
        assert_eq!(Delete::parse(&[1, 0, 0, 0]), Ok(Delete::IkeSa));
        assert_eq!(emitted(|out| Delete::IkeSa.emit(out)), [1, 0, 0, 0]);
    }

    #[test]
    fn rejects_every_truncation() {
        for vector in [TWO, &[1, 0, 0, 0]] {
            for len in 0..vector.len() {
                assert_eq!(Delete::parse(&vector[..len]), Err(Malformed::Delete), "{len} bytes");
            }
        }
    }

    #[test]
    fn rejects_what_does_not_add_up() {
        let cases: [&[u8]; 9] = [
            &[1, 0, 0, 1],
            &[1, 0, 0, 0, 0],
            &[1, 4, 0, 1, 0, 0, 0, 1],
            &[1, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
            &[3, 0, 0, 0],
            &[3, 4, 0, 0],
            &[3, 4, 0, 1, 0, 0, 0, 1, 0],
            &[3, 4, 0xff, 0xff, 0, 0, 0, 1],
            &[9, 4, 0, 1, 0, 0, 0, 1],
        ];
        for body in cases {
            assert_eq!(Delete::parse(body), Err(Malformed::Delete), "{body:?}");
        }
    }
}
