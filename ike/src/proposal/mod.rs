//! Which algorithms are acceptable, and which of a peer's offer to take (RFC 7296 sections 2.7 and 3.3).
//!
//! A [`Policy`] is made of named sets or of explicit lists; it only holds algorithms that can be computed. We choose by our
//! own order of preference, except that the Diffie-Hellman group of the peer's first guess is taken where it is acceptable,
//! which saves a round trip.
//!
//! Does not: look at anything but SA payloads.

mod choose;
mod notation;
mod offer;
mod suite;
mod v1;

pub use choose::{
    ChildKeyExchange, ChosenChild, ChosenIke, Mismatch, child_offer, choose_child, choose_ike, ike_offer,
};
pub use notation::NotationError;
pub(crate) use notation::{encr_name, group_name, prf_name};
pub use offer::{
    child_guess, child_offer_with_choice, child_offers, chosen_child, chosen_ike, ike_guess, ike_offers, offers_group,
};
pub use suite::{ChildOffer, IkeOffer, IkeSuite};
pub use v1::{RefusedTransform, V1Mismatch};

use crate::crypto::dh::Group;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{AesBits, Encr, Integ};

/// A named set of acceptable algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyName {
    /// What current clients can do at their best: AEAD ciphers, SHA-2, elliptic curves or MODP of 3072 bits and more.
    Modern,
    /// What unmodified current clients do, except weak Diffie-Hellman.
    Compatible,
    /// MODP-1024, which Windows proposes unless told otherwise, and MODP-1536.
    LegacyWindowsIkev2,
    /// MODP-1024 for Android 10 and older, and MODP-1536.
    LegacyAndroid,
}

impl PolicyName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Modern, Self::Compatible, Self::LegacyWindowsIkev2, Self::LegacyAndroid];

    /// Its name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Compatible => "compatible",
            Self::LegacyWindowsIkev2 => "legacy-windows-ikev2",
            Self::LegacyAndroid => "legacy-android",
        }
    }

    fn ike(self) -> IkeOffer {
        match self {
            Self::Modern => IkeOffer {
                encrs: AEADS.to_vec(),
                integs: Vec::new(),
                prfs: SHA2_PRFS.to_vec(),
                groups: MODERN_GROUPS.to_vec(),
            },
            Self::Compatible => compatible_ike(&[MODERN_GROUPS, &[Group::Modp2048]].concat()),
            Self::LegacyWindowsIkev2 | Self::LegacyAndroid => compatible_ike(&[Group::Modp1536, Group::Modp1024]),
        }
    }

    fn child(self) -> ChildOffer {
        let ike = self.ike();
        ChildOffer { encrs: ike.encrs, integs: ike.integs, groups: ike.groups, esn: true }
    }
}

const AES_GCM_256: Encr = Encr::AesGcm16 { bits: AesBits::B256 };
const AES_GCM_192: Encr = Encr::AesGcm16 { bits: AesBits::B192 };
const AES_GCM_128: Encr = Encr::AesGcm16 { bits: AesBits::B128 };
const AES_CBC_256: Encr = Encr::AesCbc { bits: AesBits::B256 };
const AES_CBC_192: Encr = Encr::AesCbc { bits: AesBits::B192 };
const AES_CBC_128: Encr = Encr::AesCbc { bits: AesBits::B128 };
const AEADS: &[Encr] = &[AES_GCM_256, Encr::ChaCha20Poly1305, AES_GCM_128, AES_GCM_192];
const SHA2_PRFS: &[Prf] = &[Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512];
const MODERN_GROUPS: &[Group] =
    &[Group::Curve25519, Group::Ecp256, Group::Ecp384, Group::Modp3072, Group::Modp4096, Group::Ecp521];

fn compatible_ike(groups: &[Group]) -> IkeOffer {
    IkeOffer {
        encrs: [AEADS, &[AES_CBC_256, AES_CBC_128, AES_CBC_192]].concat(),
        integs: vec![Integ::HmacSha256_128, Integ::HmacSha384_192, Integ::HmacSha512_256, Integ::HmacSha1_96],
        prfs: [SHA2_PRFS, &[Prf::HmacSha1]].concat(),
        groups: groups.to_vec(),
    }
}

/// What may be negotiated, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    names: Vec<PolicyName>,
    ike: Vec<IkeOffer>,
    child: Vec<ChildOffer>,
}

impl Policy {
    /// Everything that one of these sets accepts; earlier sets are preferred.
    #[must_use]
    pub fn named(names: &[PolicyName]) -> Self {
        Self {
            names: names.to_vec(),
            ike: names.iter().map(|name| name.ike()).collect(),
            child: names.iter().map(|name| name.child()).collect(),
        }
    }

    /// Replaces what is acceptable for IKE SAs by a list such as `["aes256gcm16-prfsha384-ecp384"]`.
    ///
    /// # Errors
    /// [`NotationError`] if an entry names something unknown or is not complete.
    pub fn with_ike<S: AsRef<str>>(mut self, list: &[S]) -> Result<Self, NotationError> {
        self.ike = list.iter().map(|entry| notation::ike(entry.as_ref())).collect::<Result<_, _>>()?;
        self.names.clear();
        Ok(self)
    }

    /// Replaces what is acceptable for Child SAs by a list such as `["aes256gcm16", "aes256-sha256-ecp256"]`. Groups are
    /// what a rekey may use; without a group, any of the IKE list will do.
    ///
    /// # Errors
    /// [`NotationError`] if an entry names something unknown or is not complete.
    pub fn with_child<S: AsRef<str>>(mut self, list: &[S]) -> Result<Self, NotationError> {
        let groups: Vec<Group> = self.ike.iter().flat_map(|offer| offer.groups.iter().copied()).collect();
        self.child = list.iter().map(|entry| notation::child(entry.as_ref(), &groups)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// What is acceptable for IKE SAs.
    #[must_use]
    pub fn ike(&self) -> &[IkeOffer] {
        &self.ike
    }

    /// What is acceptable for Child SAs.
    #[must_use]
    pub fn child(&self) -> &[ChildOffer] {
        &self.child
    }

    /// Whether an IKE SA may have this suite.
    #[must_use]
    pub fn allows_ike(&self, suite: &IkeSuite) -> bool {
        self.ike.iter().any(|offer| {
            let integrity = suite.integ.is_none_or(|integ| offer.integs.contains(&integ));
            let (encr, prf) = (offer.encrs.contains(&suite.encr), offer.prfs.contains(&suite.prf));
            encr && integrity && prf && offer.groups.contains(&suite.group)
        })
    }

    /// The named sets of which this is made; none if the IKE list is explicit.
    #[must_use]
    pub fn names(&self) -> &[PolicyName] {
        &self.names
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::named(&[PolicyName::Compatible])
    }
}
