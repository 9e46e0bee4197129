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
