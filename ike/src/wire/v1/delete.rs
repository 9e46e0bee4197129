//! The Delete payload, RFC 2408 section 3.15: the sender has dropped these SAs.

use nom::Parser;
use nom::combinator::all_consuming;
use nom::multi::count;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::num::ProtocolId;
use super::sa::IPSEC_DOI;
use crate::wire::header::spi as cookie;
use crate::wire::limits::MAX_V1_DELETED_SPIS;
use crate::wire::{EspSpi, IkeSpi, Malformed, Parsed, Writer};

/// SAs that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delete {
    /// ISAKMP SAs, by both cookies, the initiator's first.
    Isakmp(Vec<(IkeSpi, IkeSpi)>),
    /// ESP SAs, by the SPIs of the sender's inbound side.
    Esp(Vec<EspSpi>),
    /// SAs of another protocol (AH, IPCOMP), by SPIs of `spi_size` bytes.
    Other {
        /// Which protocol.
        protocol: ProtocolId,
        /// Bytes of one SPI.
        spi_size: u8,
        /// All SPIs.
        spis: Vec<u8>,
    },
}

impl Delete {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Delete`] unless the SPIs have the size of their protocol and are as many as announced, and no more
    /// than [`MAX_V1_DELETED_SPIS`]; [`Malformed::Doi`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let (spis, (doi, protocol, spi_size, number)) = head(body).map_err(|_| Malformed::Delete)?;
        let number = usize::from(number);
        if doi != IPSEC_DOI {
            return Err(Malformed::Doi);
        }
        if number > MAX_V1_DELETED_SPIS || number.checked_mul(usize::from(spi_size)) != Some(spis.len()) {
            return Err(Malformed::Delete);
        }
        let spis = match (ProtocolId(protocol), spi_size) {
            (ProtocolId::ISAKMP, 16) => isakmp(spis, number).map(|(_, spis)| Self::Isakmp(spis)),
            (ProtocolId::ESP, 4) => esp(spis, number).map(|(_, spis)| Self::Esp(spis)),
            (ProtocolId::ISAKMP | ProtocolId::ESP, _) => return Err(Malformed::Delete),
            (protocol, spi_size) => Ok(Self::Other { protocol, spi_size, spis: spis.to_vec() }),
        };
        spis.map_err(|_| Malformed::Delete)
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        let mut head = |protocol: ProtocolId, spi_size: u8, number: usize| {
            out.u32(IPSEC_DOI);
            out.u8(protocol.0);
            out.u8(spi_size);
            out.count_u16(number);
        };
        match self {
            Self::Isakmp(spis) => {
                head(ProtocolId::ISAKMP, 16, spis.len());
                for (initiator, responder) in spis {
                    out.bytes(&initiator.0);
                    out.bytes(&responder.0);
                }
            }
            Self::Esp(spis) => {
                head(ProtocolId::ESP, 4, spis.len());
                spis.iter().for_each(|spi| out.u32(spi.0));
            }
            Self::Other { protocol, spi_size, spis } => {
                let number = spis.len().checked_div(usize::from(*spi_size)).unwrap_or(0);
                head(*protocol, *spi_size, number);
                out.bytes(spis);
            }
        }
    }
}

fn head(body: &[u8]) -> Parsed<'_, (u32, u8, u8, u16)> {
    (be_u32, be_u8, be_u8, be_u16).parse(body)
}

fn isakmp(spis: &[u8], number: usize) -> Parsed<'_, Vec<(IkeSpi, IkeSpi)>> {
    all_consuming(count((cookie, cookie), number)).parse(spis)
}

fn esp(spis: &[u8], number: usize) -> Parsed<'_, Vec<EspSpi>> {
    all_consuming(count(be_u32.map(EspSpi), number)).parse(spis)
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

    const TWO_ESP: &[u8] = &[0, 0, 0, 1, 3, 4, 0, 2, 0xc0, 0xff, 0xee, 1, 0xc0, 0xff, 0xee, 2];

    fn assert_round_trip(body: &[u8], delete: &Delete) {
        assert_eq!(Delete::parse(body).as_ref(), Ok(delete));
        assert_eq!(emitted(|out| delete.emit(out)), body);
        for len in 0..body.len() {
            assert_eq!(Delete::parse(&body[..len]), Err(Malformed::Delete), "{len} bytes");
        }
        assert_eq!(Delete::parse(&[body, &[0]].concat()), Err(Malformed::Delete));
    }

    #[test]
    fn round_trips_esp_sas() {
        assert_round_trip(TWO_ESP, &Delete::Esp(vec![EspSpi(0xc0ff_ee01), EspSpi(0xc0ff_ee02)]));
    }

    #[test]
    fn round_trips_an_isakmp_sa() {
        let body = [vec![0, 0, 0, 1, 1, 16, 0, 1], vec![1; 8], vec![2; 8]].concat();
        assert_round_trip(&body, &Delete::Isakmp(vec![(IkeSpi([1; 8]), IkeSpi([2; 8]))]));
    }

    #[test]
    fn lets_other_protocols_survive() {
        let body = [0, 0, 0, 1, 4, 2, 0, 1, 0xab, 0xcd];
        assert_round_trip(&body, &Delete::Other { protocol: ProtocolId::IPCOMP, spi_size: 2, spis: vec![0xab, 0xcd] });
    }

    #[test]
    fn demands_the_spi_size_of_the_protocol() {
        for (protocol, size, right) in [(1, 16, true), (1, 8, false), (1, 0, false), (3, 4, true), (3, 8, false)] {
            let body = [vec![0, 0, 0, 1, protocol, size, 0, 1], vec![7; size.into()]].concat();
            assert_eq!(Delete::parse(&body).is_ok(), right, "protocol {protocol}, {size} bytes");
        }
        let sizeless = [0, 0, 0, 1, 4, 0, 0xff, 0xff];
        assert_eq!(Delete::parse(&sizeless), Err(Malformed::Delete));
    }

    #[test]
    fn rejects_other_domains_and_too_many_spis() {
        assert_eq!(Delete::parse(&[&[0, 0, 0, 0], &TWO_ESP[4..]].concat()), Err(Malformed::Doi));
        let many = |number: u8| [vec![0, 0, 0, 1, 3, 4, 0, number], vec![1; 4 * usize::from(number)]].concat();
        assert!(Delete::parse(&many(64)).is_ok());
        assert_eq!(Delete::parse(&many(65)), Err(Malformed::Delete));
    }
}
