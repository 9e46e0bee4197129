//! Validation: each exchange has one function that turns a chain of payloads into a struct with what is required and what
//! is optional. A payload that is missing or there twice is an error before anything changes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::refusal::RefusalReason;
use crate::wire::EspSpi;
use crate::wire::num::{CertEncoding, CpAttr, CpType, GroupId, HashAlgId, NotifyType, PayloadType};
use crate::wire::v2::{
    About, Authentication, Certificate, Configuration, Delete, Eap, Identification, KeyExchange, Notify, Payload,
    PayloadError, Payloads, SecurityAssociation, TrafficSelector,
};

use super::mobike::Mobike;
use super::ppk::PpkClaim;

/// IKE_SA_INIT, RFC 7296 section 1.2.
pub(crate) struct InitRequest<'a> {
    pub(crate) sa: SecurityAssociation,
    pub(crate) ke: KeyExchange<'a>,
    pub(crate) nonce: &'a [u8],
    pub(crate) cookie: Option<&'a [u8]>,
    pub(crate) fragmentation: bool,
    /// The hash algorithms that the peer announces, RFC 7427 section 4.
    pub(crate) hashes: Option<Vec<HashAlgId>>,
    /// The peer has a postquantum preshared key, RFC 8784.
    pub(crate) ppk: bool,
}

/// The first request of IKE_AUTH, section 1.2.
pub(crate) struct AuthRequest<'a> {
    pub(crate) idi: Identification<'a>,
    pub(crate) idr: Option<Identification<'a>>,
    /// Certificates, that of the peer first.
    pub(crate) certificates: Vec<Certificate<'a>>,
    /// The authorities whose certificates the peer would like to see, as hashes of 20 octets; `None`: it did not say.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Absent: the peer wants EAP (section 2.16).
    pub(crate) auth: Option<Authentication<'a>>,
    /// Our AUTH payload may stay away until the EAP method has proven who we are, RFC 5998.
    pub(crate) eap_only: bool,
    /// The postquantum preshared key in AUTH, RFC 8784.
    pub(crate) ppk: PpkClaim<'a>,
    pub(crate) initial_contact: bool,
    pub(crate) mobike: Mobike<'a>,
    pub(crate) configuration: Option<ConfigurationWish>,
    /// Absent: an IKE SA without Child SA, RFC 6023.
    pub(crate) child: Option<ChildWish>,
}

/// A Child SA as a peer wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChildWish {
    pub(crate) sa: SecurityAssociation,
    pub(crate) tsi: Vec<TrafficSelector>,
    pub(crate) tsr: Vec<TrafficSelector>,
    /// USE_TRANSPORT_MODE, section 1.3.1.
    pub(crate) transport: bool,
    pub(crate) configuration: Option<ConfigurationWish>,
}

/// What a CFG_REQUEST asks for, section 3.15.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigurationWish {
    /// Attributes, each once.
    pub(crate) attributes: Vec<CpAttr>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
}

/// The answer to our IKE_SA_INIT, section 1.2.
pub(crate) enum InitAnswer<'a> {
    /// The peer goes on.
    Keys(InitKeys<'a>),
    /// The request is to carry this cookie, section 2.6.
    Cookie(&'a [u8]),
    /// The key exchange is to be of this group, section 2.7.
    OtherGroup(GroupId),
    /// The peer refuses.
    Refused(NotifyType),
}

/// What the keys of the IKE SA follow from, and what the peer can do.
pub(crate) struct InitKeys<'a> {
    pub(crate) sa: SecurityAssociation,
    pub(crate) ke: KeyExchange<'a>,
    pub(crate) nonce: &'a [u8],
    pub(crate) fragmentation: bool,
    /// The hash algorithms that the peer announces, RFC 7427 section 4.
    pub(crate) hashes: Option<Vec<HashAlgId>>,
    /// It has a postquantum preshared key, RFC 8784.
    pub(crate) ppk: bool,
    /// It does without a Child SA in IKE_AUTH, RFC 6023.
    pub(crate) childless: bool,
}

/// The answer to our IKE_AUTH, section 1.2.
pub(crate) struct AuthAnswer<'a> {
    /// Who the peer is, and what proves it; absent if it refuses.
    pub(crate) proof: Option<(Identification<'a>, Authentication<'a>)>,
    /// Certificates, that of the peer first.
    pub(crate) certificates: Vec<Certificate<'a>>,
    /// The first notification of an error.
    pub(crate) error: Option<NotifyType>,
    pub(crate) child: ChildAnswer,
    pub(crate) mobike: Mobike<'a>,
    /// The postquantum preshared key is used, RFC 8784 section 3.
    pub(crate) ppk: bool,
    /// The peer wants us to authenticate again within this time, RFC 4478 section 2.
    pub(crate) auth_lifetime: Option<Duration>,
}

/// What the answer to IKE_AUTH says about the Child SA.
pub(crate) enum ChildAnswer {
    /// It exists.
    Made {
        sa: SecurityAssociation,
        tsi: Vec<TrafficSelector>,
        tsr: Vec<TrafficSelector>,
        /// USE_TRANSPORT_MODE is granted.
        transport: bool,
    },
    /// It does not.
    Refused(NotifyType),
    /// Nothing.
    Absent,
}

/// CREATE_CHILD_SA, section 1.3.
pub(crate) enum CreateChild<'a> {
    /// A new Child SA, or one in place of another.
    Child { wish: ChildWish, nonce: &'a [u8], ke: Option<KeyExchange<'a>>, rekeys: Option<EspSpi> },
    /// A new IKE SA in place of this one.
    IkeSa { sa: SecurityAssociation, nonce: &'a [u8], ke: KeyExchange<'a> },
}

/// The answer to our CREATE_CHILD_SA, section 1.3.
pub(crate) enum CreateChildAnswer<'a> {
    /// The Child SA.
    Child {
        sa: SecurityAssociation,
        nonce: &'a [u8],
        ke: Option<KeyExchange<'a>>,
        tsi: Vec<TrafficSelector>,
        tsr: Vec<TrafficSelector>,
        /// USE_TRANSPORT_MODE is granted.
        transport: bool,
    },
    /// The IKE SA that is to take the place of this one.
    IkeSa { sa: SecurityAssociation, nonce: &'a [u8], ke: KeyExchange<'a> },
    /// The peer refuses; with the data of the notification.
    Refused(NotifyType, &'a [u8]),
}

/// INFORMATIONAL, in either direction: section 1.4, RFC 4555 and RFC 4478.
pub(crate) struct Informational<'a> {
    pub(crate) deletes: Vec<Delete>,
    /// AUTHENTICATION_FAILED: our proof was not good enough, section 2.21.2.
    pub(crate) distrusts: bool,
    pub(crate) mobike: Mobike<'a>,
    /// The peer wants us to authenticate again within this time, RFC 4478 section 2.
    pub(crate) auth_lifetime: Option<Duration>,
}

/// Longest cookie, section 2.6.
const MAX_COOKIE: usize = 64;

/// What is wrong with a chain of payloads, with the notification that tells the peer.
pub(crate) struct Invalid {
    pub(crate) reason: Box<RefusalReason>,
    pub(crate) notify: NotifyType,
    pub(crate) data: Vec<u8>,
}

impl Invalid {
    pub(crate) fn problem(problem: &'static str) -> Self {
        let reason = Box::new(RefusalReason::Payloads { problem });
        Self { reason, notify: NotifyType::INVALID_SYNTAX, data: Vec::new() }
    }
}

impl From<PayloadError> for Invalid {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Malformed(malformed) => Self {
                reason: Box::new(RefusalReason::Malformed(malformed)),
                notify: NotifyType::INVALID_SYNTAX,
                data: Vec::new(),
            },
            PayloadError::UnsupportedCritical(kind) => Self {
                reason: Box::new(RefusalReason::UnsupportedCritical(kind)),
                notify: NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD,
                data: vec![kind.0],
            },
        }
    }
}

/// Everything that may be in a request, at most once each where that is the rule.
#[derive(Default)]
struct Parts<'a> {
    sa: Option<SecurityAssociation>,
    ke: Option<KeyExchange<'a>>,
    idi: Option<Identification<'a>>,
    idr: Option<Identification<'a>>,
    auth: Option<Authentication<'a>>,
    nonce: Option<&'a [u8]>,
    tsi: Option<Vec<TrafficSelector>>,
    tsr: Option<Vec<TrafficSelector>>,
    configuration: Option<Configuration<'a>>,
    eap: Option<Eap<'a>>,
    certificates: Vec<Certificate<'a>>,
    authorities: Option<Vec<u8>>,
    notifies: Vec<Notify<'a>>,
    deletes: Vec<Delete>,
}

impl<'a> Parts<'a> {
    fn parse(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        Self::collect(Payloads::parse(first, chain)?)
    }

    fn collect(payloads: Payloads<'a>) -> Result<Self, Invalid> {
        let mut parts = Self::default();
        for payload in payloads {
            let once = match payload {
                Payload::SecurityAssociation(p) => parts.sa.replace(p).is_none(),
                Payload::KeyExchange(p) => parts.ke.replace(p).is_none(),
                Payload::IdInitiator(p) => parts.idi.replace(p).is_none(),
                Payload::IdResponder(p) => parts.idr.replace(p).is_none(),
                Payload::Authentication(p) => parts.auth.replace(p).is_none(),
                Payload::Nonce(p) => parts.nonce.replace(p.0).is_none(),
                Payload::TsInitiator(p) => parts.tsi.replace(p.0).is_none(),
                Payload::TsResponder(p) => parts.tsr.replace(p.0).is_none(),
                Payload::Configuration(p) => parts.configuration.replace(p).is_none(),
                Payload::Eap(p) => parts.eap.replace(p).is_none(),
                Payload::Certificate(p) => {
                    parts.certificates.push(p);
                    true
                }
                Payload::CertificateRequest(p) => {
                    if p.encoding == CertEncoding::X509_SIGNATURE {
                        parts.authorities.get_or_insert_default().extend(p.authorities);
                    }
                    true
                }
                Payload::Notify(p) => {
                    parts.notifies.push(p);
                    true
                }
                Payload::Delete(p) => {
                    parts.deletes.push(p);
                    true
                }
                Payload::VendorId(_) | Payload::Encrypted(_) | Payload::EncryptedFragment(_) | Payload::Unknown(_) => {
                    true
                }
            };
            if !once {
                return Err(Invalid::problem("a payload is there twice"));
            }
        }
        Ok(parts)
    }

    fn notify(&self, kind: NotifyType) -> Option<&Notify<'a>> {
        self.notifies.iter().find(|notify| notify.kind == kind)
    }

    fn child(&mut self) -> Result<ChildWish, Invalid> {
        Ok(ChildWish {
            sa: self.sa.take().ok_or(Invalid::problem("SA is missing"))?,
            tsi: self.tsi.take().ok_or(Invalid::problem("TSi is missing"))?,
            tsr: self.tsr.take().ok_or(Invalid::problem("TSr is missing"))?,
            transport: self.notify(NotifyType::USE_TRANSPORT_MODE).is_some(),
            configuration: self.configuration(),
        })
    }

    fn configuration(&self) -> Option<ConfigurationWish> {
        self.configuration.as_ref().and_then(ConfigurationWish::read)
    }

    fn cookie(&self) -> Result<Option<&'a [u8]>, Invalid> {
        let cookie = self.notify(NotifyType::COOKIE).map(|notify| notify.data);
        if cookie.is_some_and(|cookie| !(1..=MAX_COOKIE).contains(&cookie.len())) {
            return Err(Invalid::problem("the cookie has an impossible length"));
        }
        Ok(cookie)
    }

    fn hashes(&self) -> Option<Vec<HashAlgId>> {
        self.notify(NotifyType::SIGNATURE_HASH_ALGORITHMS).map(|notify| {
            let (pairs, _) = notify.data.as_chunks::<2>();
            pairs.iter().map(|pair| HashAlgId(u16::from_be_bytes(*pair))).collect()
        })
    }

    fn error(&self) -> Option<&Notify<'a>> {
        self.notifies.iter().find(|notify| notify.kind.is_error())
    }

    /// Whether nothing of a Child SA is there, RFC 6023 section 3.
    fn is_childless(&self) -> bool {
        self.sa.is_none() && self.tsi.is_none() && self.tsr.is_none()
    }
}

impl<'a> InitRequest<'a> {
    pub(crate) fn read(payloads: Payloads<'a>) -> Result<Self, Invalid> {
        let parts = Parts::collect(payloads)?;
        Ok(Self {
            cookie: parts.cookie()?,
            hashes: parts.hashes(),
            ppk: parts.notify(NotifyType::USE_PPK).is_some(),
            fragmentation: parts.notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED).is_some(),
            sa: parts.sa.ok_or(Invalid::problem("SA is missing"))?,
            ke: parts.ke.ok_or(Invalid::problem("KE is missing"))?,
            nonce: parts.nonce.ok_or(Invalid::problem("Nonce is missing"))?,
        })
    }
}

impl<'a> InitAnswer<'a> {
    pub(crate) fn read(payloads: Payloads<'a>) -> Result<Self, Invalid> {
        let parts = Parts::collect(payloads)?;
        match (parts.error(), parts.cookie()?, &parts.sa) {
            (Some(Notify { kind: NotifyType::INVALID_KE_PAYLOAD, data, .. }), ..) => {
                let group =
                    <[u8; 2]>::try_from(*data).map_err(|_| Invalid::problem("INVALID_KE_PAYLOAD names no group"));
                return group.map(|group| Self::OtherGroup(GroupId(u16::from_be_bytes(group))));
            }
            (Some(error), ..) => return Ok(Self::Refused(error.kind)),
            (None, Some(cookie), None) => return Ok(Self::Cookie(cookie)),
            (None, ..) => {}
        }
        Ok(Self::Keys(InitKeys {
            hashes: parts.hashes(),
            childless: parts.notify(NotifyType::CHILDLESS_IKEV2_SUPPORTED).is_some(),
            ppk: parts.notify(NotifyType::USE_PPK).is_some(),
            fragmentation: parts.notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED).is_some(),
            sa: parts.sa.ok_or(Invalid::problem("SA is missing"))?,
            ke: parts.ke.ok_or(Invalid::problem("KE is missing"))?,
            nonce: parts.nonce.ok_or(Invalid::problem("Nonce is missing"))?,
        }))
    }
}

impl<'a> AuthAnswer<'a> {
    pub(crate) fn read(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        let parts = Parts::parse(first, chain)?;
        let error = parts.error().map(|notify| notify.kind);
        let transport = parts.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let (mobike, ppk) = (Mobike::read(&parts.notifies)?, parts.notify(NotifyType::PPK_IDENTITY).is_some());
        let auth_lifetime = parts.notify(NotifyType::AUTH_LIFETIME).and_then(auth_lifetime);
        let child = match (parts.sa, parts.tsi, parts.tsr, error) {
            (Some(sa), Some(tsi), Some(tsr), _) => ChildAnswer::Made { sa, tsi, tsr, transport },
            (.., Some(error)) => ChildAnswer::Refused(error),
            (.., None) => ChildAnswer::Absent,
        };
        let proof = parts.idr.zip(parts.auth);
        Ok(Self { proof, certificates: parts.certificates, error, child, mobike, ppk, auth_lifetime })
    }
}

impl<'a> AuthRequest<'a> {
    pub(crate) fn read(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        let mut parts = Parts::parse(first, chain)?;
        let child = if parts.is_childless() { None } else { Some(parts.child()?) };
        Ok(Self {
            child,
            configuration: parts.configuration(),
            mobike: Mobike::read(&parts.notifies)?,
            initial_contact: parts.notify(NotifyType::INITIAL_CONTACT).is_some(),
            eap_only: parts.notify(NotifyType::EAP_ONLY_AUTHENTICATION).is_some(),
            ppk: PpkClaim::read(&parts.notifies),
            idi: parts.idi.ok_or(Invalid::problem("IDi is missing"))?,
            idr: parts.idr,
            certificates: parts.certificates,
            authorities: parts.authorities,
            auth: parts.auth,
        })
    }
}

/// A later request of IKE_AUTH that carries EAP, section 2.16.
pub(crate) fn eap(first: Option<PayloadType>, chain: &[u8]) -> Result<&[u8], Invalid> {
    let parts = Parts::parse(first, chain)?;
    parts.eap.map(|eap| eap.0).ok_or(Invalid::problem("EAP is missing"))
}

/// The last request of IKE_AUTH after EAP, section 2.16.
pub(crate) fn final_auth(
    first: Option<PayloadType>,
    chain: &[u8],
) -> Result<(Authentication<'_>, PpkClaim<'_>), Invalid> {
    let parts = Parts::parse(first, chain)?;
    let claim = PpkClaim::read(&parts.notifies);
    Ok((parts.auth.ok_or(Invalid::problem("AUTH is missing"))?, claim))
}

impl<'a> CreateChild<'a> {
    pub(crate) fn read(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        let mut parts = Parts::parse(first, chain)?;
        let nonce = parts.nonce.ok_or(Invalid::problem("Nonce is missing"))?;
        let rekey = parts.notify(NotifyType::REKEY_SA).map(|notify| notify.about);
        if rekey.is_none() && parts.tsi.is_none() && parts.tsr.is_none() {
            let sa = parts.sa.ok_or(Invalid::problem("SA is missing"))?;
            let ke = parts.ke.ok_or(Invalid::problem("KE is missing"))?;
            return Ok(Self::IkeSa { sa, nonce, ke });
        }
        let rekeys = match rekey {
            None => None,
            Some(About::ChildSa(_, spi)) => Some(spi),
            Some(About::IkeSa | About::NamedIkeSa(_)) => return Err(Invalid::problem("REKEY_SA names no Child SA")),
        };
        Ok(Self::Child { wish: parts.child()?, nonce, ke: parts.ke, rekeys })
    }
}

impl<'a> CreateChildAnswer<'a> {
    pub(crate) fn read(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        let parts = Parts::parse(first, chain)?;
        if let Some(error) = parts.error() {
            return Ok(Self::Refused(error.kind, error.data));
        }
        let transport = parts.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let sa = parts.sa.ok_or(Invalid::problem("SA is missing"))?;
        let nonce = parts.nonce.ok_or(Invalid::problem("Nonce is missing"))?;
        match (parts.tsi, parts.tsr) {
            (Some(tsi), Some(tsr)) => Ok(Self::Child { sa, nonce, ke: parts.ke, tsi, tsr, transport }),
            (None, None) => Ok(Self::IkeSa { sa, nonce, ke: parts.ke.ok_or(Invalid::problem("KE is missing"))? }),
            _ => Err(Invalid::problem("TSi or TSr is missing")),
        }
    }
}

impl<'a> Informational<'a> {
    pub(crate) fn read(first: Option<PayloadType>, chain: &'a [u8]) -> Result<Self, Invalid> {
        let parts = Parts::parse(first, chain)?;
        let mobike = Mobike::read(&parts.notifies)?;
        let auth_lifetime = parts.notify(NotifyType::AUTH_LIFETIME).and_then(auth_lifetime);
        let distrusts = parts.notify(NotifyType::AUTHENTICATION_FAILED).is_some();
        Ok(Self { mobike, auth_lifetime, distrusts, deletes: parts.deletes })
    }
}

/// The seconds of AUTH_LIFETIME, RFC 4478 section 3; what is not four octets long says nothing.
pub(crate) fn auth_lifetime(notify: &Notify<'_>) -> Option<Duration> {
    let seconds = <[u8; 4]>::try_from(notify.data).ok()?;
    Some(Duration::from_secs(u32::from_be_bytes(seconds).into()))
}

/// What a request deletes; the rest of it has no meaning here.
pub(crate) fn deletes(first: Option<PayloadType>, chain: &[u8]) -> Result<Vec<Delete>, Invalid> {
    Parts::parse(first, chain).map(|parts| parts.deletes)
}

impl ConfigurationWish {
    fn read(configuration: &Configuration<'_>) -> Option<Self> {
        if configuration.kind != CpType::REQUEST {
            return None;
        }
        let mut wish = Self::default();
        for attribute in &configuration.attributes {
            if !wish.attributes.contains(&attribute.kind) {
                wish.attributes.push(attribute.kind);
            }
            match attribute.kind {
                CpAttr::INTERNAL_IP4_ADDRESS => wish.ipv4 = wish.ipv4.or(attribute.as_ip4()),
                CpAttr::INTERNAL_IP6_ADDRESS => wish.ipv6 = wish.ipv6.or(attribute.as_ip6()),
                _ => {}
            }
        }
        wish.ipv4 = wish.ipv4.filter(|address| !address.is_unspecified());
        wish.ipv6 = wish.ipv6.filter(|address| !address.is_unspecified());
        Some(wish)
    }

    pub(crate) fn wants(&self, attribute: CpAttr) -> bool {
        self.attributes.contains(&attribute)
    }
}
