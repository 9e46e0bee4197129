//! The Notification payload, RFC 2408 section 3.14 and RFC 2407 section 4.6.3.
//!
//! Does not: say what a notification means; unprotected ones mean nothing.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::num::{NotifyType, ProtocolId};
use super::sa::IPSEC_DOI;
use crate::wire::{IkeSpi, Malformed, Parsed, Writer};

/// Largest SPI: both cookies of an ISAKMP SA.
const MAX_SPI: u8 = 16;

/// The domain of notifications that ISAKMP itself defines, RFC 2408 section 3.14.
const GENERIC_DOI: u32 = 0;

/// A notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// What the notification is about.
    pub protocol: ProtocolId,
    /// The SA it is about: 16 bytes (both cookies) or none for ISAKMP, four for ESP. Some senders use other sizes.
    pub spi: &'a [u8],
    /// What is said.
    pub kind: NotifyType,
    /// What the kind adds.
    pub data: &'a [u8],
}

impl<'a> Notify<'a> {
    /// A notification about the ISAKMP SA or an exchange of it, without naming the SA.
    pub const fn new(kind: NotifyType, data: &'a [u8]) -> Self {
        Self { protocol: ProtocolId::ISAKMP, spi: &[], kind, data }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Notify`] if it is cut off or the SPI has more than 16 bytes, [`Malformed::Doi`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (_, (doi, notify)) = notify(body).map_err(|_| Malformed::Notify)?;
        if doi != IPSEC_DOI && doi != GENERIC_DOI {
            return Err(Malformed::Doi);
        }
        if notify.spi.len() > usize::from(MAX_SPI) {
            return Err(Malformed::Notify);
        }
        Ok(notify)
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u32(IPSEC_DOI);
        out.u8(self.protocol.0);
        out.count_u8(self.spi.len());
        out.u16(self.kind.0);
        out.bytes(self.spi);
        out.bytes(self.data);
    }

    /// Whether the SPI names this ISAKMP SA, or nothing at all.
    pub fn is_about(&self, initiator: IkeSpi, responder: IkeSpi) -> bool {
        self.spi.is_empty() || self.spi == [initiator.0, responder.0].concat()
    }
}

fn notify(body: &[u8]) -> Parsed<'_, (u32, Notify<'_>)> {
    let (rest, (doi, protocol, spi_size, kind)) = (be_u32, be_u8, be_u8, be_u16).parse(body)?;
    let (data, spi) = take(usize::from(spi_size)).parse(rest)?;
    Ok((&[], (doi, Notify { protocol: ProtocolId(protocol), spi, kind: NotifyType(kind), data })))
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
    use crate::wire::testing::{assert_truncations, emitted};

    /// R-U-THERE with both cookies and a sequence number.
    const PROBE: &[u8] = &[0, 0, 0, 1, 1, 16, 0x8d, 0x28, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 9];

    #[test]
    fn round_trips_a_probe() {
        let notify = Notify {
            protocol: ProtocolId::ISAKMP,
            spi: &PROBE[8..24],
            kind: NotifyType::R_U_THERE,
            data: &[0, 0, 0, 9],
        };
        assert_eq!(Notify::parse(PROBE), Ok(notify));
        assert_eq!(emitted(|out| notify.emit(out)), PROBE);
        assert!(notify.is_about(IkeSpi([1; 8]), IkeSpi([2; 8])));
        assert!(!notify.is_about(IkeSpi([2; 8]), IkeSpi([1; 8])));
    }

    #[test]
    fn rejects_every_truncation() {
        assert_truncations(PROBE, 24, Malformed::Notify, |b| Notify::parse(b).map(|n| n.kind));
    }

    #[test]
    fn takes_spis_of_any_size_up_to_two_cookies() {
        for size in 0..=20_u8 {
            let body = [vec![0, 0, 0, 1, 3, size, 0, 14], vec![9; size.into()]].concat();
            assert_eq!(Notify::parse(&body).is_ok(), size <= 16, "{size} bytes");
        }
    }

    #[test]
    fn takes_the_generic_domain_but_no_other() {
        let with = |doi: u8| [&[0, 0, 0, doi], &PROBE[4..]].concat();
        assert!(Notify::parse(&with(0)).is_ok());
        assert_eq!(Notify::parse(&with(2)), Err(Malformed::Doi));
    }
}
