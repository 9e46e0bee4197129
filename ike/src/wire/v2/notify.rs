//! The Notify payload, RFC 7296 section 3.10.
//!
//! Does not: interpret the data of a notification.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::wire::num::{NotifyType, ProtocolId};
use crate::wire::{EspSpi, IkeSpi, Malformed, Parsed, Writer};

/// A report about an error, or about what the sender can do and wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// The SA that is meant.
    pub about: About,
    /// What is reported.
    pub kind: NotifyType,
    /// Depends on `kind`.
    pub data: &'a [u8],
}

/// What a notification is about. An SPI without its protocol cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The IKE SA of the message or the exchange itself: the SPI field is empty, the protocol ignored.
    IkeSa,
    /// One Child SA, named by its protocol (ESP or AH) and the SPI of its sender's inbound side.
    ChildSa(ProtocolId, EspSpi),
    /// An IKE SA named by its 8-byte SPI. RFC 7296 has no use for it; some peers send it.
    NamedIkeSa(IkeSpi),
}

impl<'a> Notify<'a> {
    /// A notification about the IKE SA of the message, without an SPI.
    pub fn new(kind: NotifyType, data: &'a [u8]) -> Self {
        Self { about: About::IkeSa, kind, data }
    }

    /// A notification about an ESP SA, such as REKEY_SA.
    pub fn about_esp(spi: EspSpi, kind: NotifyType, data: &'a [u8]) -> Self {
        Self { about: About::ChildSa(ProtocolId::ESP, spi), kind, data }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Notify`] if it is cut off or the SPI does not fit the protocol.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (rest, (protocol, spi_size, kind)) = head(body).map_err(|_| Malformed::Notify)?;
        let (data, about) = match (spi_size, protocol) {
            (0, _) => Ok((rest, About::IkeSa)),
            (4, ProtocolId::ESP | ProtocolId::AH) => {
                be_u32.map(|spi| About::ChildSa(protocol, EspSpi(spi))).parse(rest).map_err(|_: nom::Err<()>| ())
            }
            (8, ProtocolId::IKE) => ike_spi(rest).map_err(|_| ()),
            _ => Err(()),
        }
        .map_err(|()| Malformed::Notify)?;
        Ok(Self { about, kind, data })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        match self.about {
            About::IkeSa => out.bytes(&[0, 0]),
            About::ChildSa(protocol, _) => out.bytes(&[protocol.0, 4]),
            About::NamedIkeSa(_) => out.bytes(&[ProtocolId::IKE.0, 8]),
        }
        out.u16(self.kind.0);
        match self.about {
            About::IkeSa => {}
            About::ChildSa(_, spi) => out.u32(spi.0),
            About::NamedIkeSa(spi) => out.bytes(&spi.0),
        }
        out.bytes(self.data);
    }
}

fn head(body: &[u8]) -> Parsed<'_, (ProtocolId, u8, NotifyType)> {
    (be_u8.map(ProtocolId), be_u8, be_u16.map(NotifyType)).parse(body)
}

fn ike_spi(input: &[u8]) -> Parsed<'_, About> {
    take(8_usize).map_res(<[u8; 8]>::try_from).map(|spi| About::NamedIkeSa(IkeSpi(spi))).parse(input)
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

    /// REKEY_SA of the ESP SA c0ffee01.
    const REKEY: &[u8] = &[3, 4, 0x40, 0x09, 0xc0, 0xff, 0xee, 0x01];

    #[test]
    fn round_trips_rekey_sa() {
        let notify = Notify::about_esp(EspSpi(0xc0ff_ee01), NotifyType::REKEY_SA, &[]);
        assert_eq!(Notify::parse(REKEY), Ok(notify));
        assert_eq!(emitted(|out| notify.emit(out)), REKEY);
        assert_truncations(REKEY, 8, Malformed::Notify, |b| Notify::parse(b).map(|n| n.kind));
    }

    #[test]
    fn round_trips_a_cookie() {
        let body = &[0, 0, 0x40, 0x06, 1, 2, 3];
        let notify = Notify::new(NotifyType::COOKIE, &[1, 2, 3]);
        assert_eq!(Notify::parse(body), Ok(notify));
        assert_eq!(emitted(|out| notify.emit(out)), body);
        assert_truncations(body, 4, Malformed::Notify, |b| Notify::parse(b).map(|n| n.kind));
    }

    #[test]
    fn ignores_the_protocol_of_an_empty_spi() {
        for protocol in [0, 1, 2, 3, 99] {
            let about = Notify::parse(&[protocol, 0, 0x40, 0x04]).map(|n| n.about);
            assert_eq!(about, Ok(About::IkeSa), "{protocol}");
        }
    }

    #[test]
    fn round_trips_an_ike_spi() {
        let body = &[1, 8, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let notify = Notify::parse(body).expect("valid");
        assert_eq!(notify.about, About::NamedIkeSa(IkeSpi([1, 2, 3, 4, 5, 6, 7, 8])));
        assert_eq!(notify.data, [9]);
        assert_eq!(emitted(|out| notify.emit(out)), body);
        assert_truncations(body, 12, Malformed::Notify, |b| Notify::parse(b).map(|n| n.kind));
    }

    #[test]
    fn rejects_spi_sizes_that_do_not_fit_the_protocol() {
        for (protocol, size) in [(0, 4), (1, 4), (99, 4), (3, 8), (2, 8), (3, 1), (3, 16), (1, 255)] {
            let body = [vec![protocol, size, 0x40, 0x09], vec![7; 300]].concat();
            assert_eq!(Notify::parse(&body), Err(Malformed::Notify), "protocol {protocol}, size {size}");
        }
    }
}
