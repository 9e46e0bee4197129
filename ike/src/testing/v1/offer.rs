//! Proposals in the handwriting of each client.

use std::borrow::Cow;

use crate::crypto::suite::{Encr, Integ};
use crate::wire::EspSpi;
use crate::wire::v1::num::{EncapsulationMode, EspTransformId, IpsecAuth, ProtocolId};
use crate::wire::v1::{Attribute, Attributes, Proposal, SecurityAssociation, Transform};

/// Whose order and forms of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Windows: long lifetimes, and two of them in phase 2.
    Windows,
    /// macOS, iOS, and Android up to 11.
    Racoon,
    /// strongSwan, and with it ChromeOS and NetworkManager.
    Strongswan,
}

/// A transform of phase 1, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsakmpTransform {
    /// Encryption algorithm.
    pub encr: u16,
    /// Key length in bits.
    pub bits: Option<u16>,
    /// Hash algorithm.
    pub hash: u16,
    /// Group.
    pub group: u16,
    /// Authentication method.
    pub auth: u16,
}

/// A transform of phase 2, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EspTransform {
    /// Transform ID.
    pub id: u8,
    /// Key length in bits.
    pub bits: Option<u16>,
    /// Authentication algorithm; `None` with AES-GCM.
    pub auth: Option<u16>,
}

impl IsakmpTransform {
    /// With a pre-shared key.
    #[must_use]
    pub const fn psk(encr: u16, bits: Option<u16>, hash: u16, group: u16) -> Self {
        Self { encr, bits, hash, group, auth: 1 }
    }

    fn write(&self, number: u8, dialect: Dialect, life: u32) -> Transform<'static> {
        let short = Attribute::short;
        let bits = self.bits.map(|bits| short(14, bits));
        let mut list = Vec::new();
        match dialect {
            Dialect::Windows | Dialect::Strongswan => {
                list.push(short(1, self.encr));
                list.extend(bits);
                list.extend([short(2, self.hash), short(4, self.group), short(3, self.auth), short(11, 1)]);
                list.push(duration(12, life, dialect));
            }
            Dialect::Racoon => {
                list.extend([short(11, 1), duration(12, life, dialect), short(1, self.encr)]);
                list.extend(bits);
                list.extend([short(3, self.auth), short(2, self.hash), short(4, self.group)]);
            }
        }
        Transform { number, id: 1, attributes: Attributes::new(list) }
    }
}

impl EspTransform {
    /// The algorithms, if they can be computed.
    #[must_use]
    pub fn algorithms(&self) -> Option<(Encr, Option<Integ>)> {
        let encr = Encr::from_esp(EspTransformId(self.id), self.bits)?;
        match self.auth {
            None if encr.is_aead() => Some((encr, None)),
            Some(auth) => Integ::from_ipsec(IpsecAuth(auth)).map(|integ| (encr, Some(integ))),
            None => None,
        }
    }

    fn write(&self, number: u8, dialect: Dialect, life: &EspLife) -> Transform<'static> {
        let short = Attribute::short;
        let mode = short(4, life.mode.0);
        let bits = self.bits.map(|bits| short(6, bits));
        let auth = self.auth.map(|auth| short(5, auth));
        let seconds = [short(1, 1), duration(2, life.seconds, dialect)];
        let kilobytes = life.kilobytes.map(|kilobytes| [short(1, 2), duration(2, kilobytes, dialect)]);
        let group = life.group.map(|group| short(3, group));
        let mut list = Vec::new();
        match dialect {
            Dialect::Windows => {
                list.push(mode);
                list.extend(bits);
                list.extend(auth);
                list.extend(seconds);
                list.extend(kilobytes.into_iter().flatten());
                list.extend(group);
            }
            Dialect::Racoon => {
                list.extend(seconds);
                list.extend(kilobytes.into_iter().flatten());
                list.push(mode);
                list.extend(bits);
                list.extend(auth);
                list.extend(group);
            }
            Dialect::Strongswan => {
                list.extend(bits);
                list.extend(auth);
                list.push(mode);
                list.extend(seconds);
                list.extend(kilobytes.into_iter().flatten());
                list.extend(group);
            }
        }
        Transform { number, id: self.id, attributes: Attributes::new(list) }
    }
}

/// What all transforms of a phase 2 offer have in common.
pub(super) struct EspLife {
    pub(super) mode: EncapsulationMode,
    pub(super) seconds: u32,
    pub(super) kilobytes: Option<u32>,
    pub(super) group: Option<u16>,
}

/// Windows always writes four bytes; the others only where two are too few.
fn duration(kind: u16, value: u32, dialect: Dialect) -> Attribute<'static> {
    match u16::try_from(value) {
        Ok(value) if dialect != Dialect::Windows => Attribute::short(kind, value),
        _ => Attribute::long(kind, value.to_be_bytes().to_vec()),
    }
}

/// The SA payload of phase 1.
#[must_use]
pub fn isakmp_offer(transforms: &[IsakmpTransform], dialect: Dialect, life: u32) -> SecurityAssociation<'static> {
    let transforms = (1..).zip(transforms).map(|(number, transform)| transform.write(number, dialect, life)).collect();
    let number = if dialect == Dialect::Strongswan { 0 } else { 1 };
    let proposal = Proposal { number, protocol: ProtocolId::ISAKMP, spi: Cow::Borrowed(&[]), transforms };
    SecurityAssociation { proposals: vec![proposal] }
}

/// The SA payload of phase 2.
pub(super) fn esp_offer(
    transforms: &[EspTransform],
    dialect: Dialect,
    spi: EspSpi,
    life: &EspLife,
) -> SecurityAssociation<'static> {
    let transforms = (1..).zip(transforms).map(|(number, transform)| transform.write(number, dialect, life)).collect();
    let spi = Cow::Owned(spi.0.to_be_bytes().to_vec());
    SecurityAssociation { proposals: vec![Proposal { number: 1, protocol: ProtocolId::ESP, spi, transforms }] }
}
