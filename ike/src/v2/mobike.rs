//! MOBIKE, RFC 4555: a session changes its addresses without changing its keys.
//!
//! ```text
//! initiator                                     responder
//!   has another address: IKE SA and Child SAs move there
//!   UPDATE_SA_ADDRESSES, NAT_DETECTION_*  ------>  follows: IKE SA and Child SAs move to where it came from
//!                <------  NAT_DETECTION_*
//!                <------  COOKIE2                  asks whether the other really is there (section 3.7)
//!   COOKIE2      ------>
//! ```
//!
//! Only the side that began the session moves it; the other may do so by what it tells of its other addresses. The
//! responder follows at once and asks afterwards, so that no packet is lost while the question is on its way: who can ask
//! for it has authenticated itself, and if the answer stays away, the session ends and with it what is sent there.
//!
//! A message that comes from elsewhere without UPDATE_SA_ADDRESSES is a test of that path: the answer goes there, and nothing
//! else. The one exception is a port that changes at the same address of a translator: that is how a translator looks that has
//! lost its table, and clients do not always notice it themselves. ESP from elsewhere moves the session as section 3.8 allows.
//!
//! Does not: look for addresses of this machine, or move packets (the server does, on [`Event::Moved`]).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::event::{Event, Path};
use crate::nat::{Hashes, NatStatus, told_hashes};
use crate::refusal::RefusalReason;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::established::TokenBucket;
use super::keys::SpiPair;
use super::request::Invalid;
use super::{Context, Session, State, child};

/// Length of COOKIE2 in bytes, section 4.2.5.
const COOKIE2: std::ops::RangeInclusive<usize> = 8..=64;

/// Additional addresses of a peer that are kept.
const MAX_ADDITIONAL: usize = 16;

/// Changes of address a second that are followed, after a burst.
const UPDATES_PER_SECOND: u32 = 1;

/// After a change of address, ESP that was under way on the old path does not move the session back for this long.
const REORDERING: Duration = Duration::from_secs(10);

/// The notifications of RFC 4555 in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mobike<'a> {
    /// MOBIKE_SUPPORTED.
    pub(crate) supported: bool,
    /// UPDATE_SA_ADDRESSES.
    pub(crate) update: bool,
    /// NO_NATS_ALLOWED: source address and port, destination address and port.
    pub(crate) no_nats: Option<&'a [u8]>,
    /// COOKIE2.
    pub(crate) cookie2: Option<&'a [u8]>,
    /// All other addresses of the sender; `None` if it says nothing about them.
    pub(crate) additional: Option<Vec<IpAddr>>,
    /// NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP.
    pub(crate) nat: Hashes<'a>,
    /// UNACCEPTABLE_ADDRESSES or UNEXPECTED_NAT_DETECTED.
    pub(crate) refusal: Option<NotifyType>,
}

impl<'a> Mobike<'a> {
    /// Picks them out of all notifications. An additional address of an impossible length is passed over.
    pub(crate) fn read(notifies: &[Notify<'a>]) -> Result<Self, Invalid> {
        let mut found = Self::default();
        for Notify { kind, data, .. } in notifies {
            match *kind {
                NotifyType::MOBIKE_SUPPORTED => found.supported = true,
                NotifyType::UPDATE_SA_ADDRESSES => found.update = true,
                NotifyType::NO_NATS_ALLOWED => found.no_nats = Some(*data),
                NotifyType::COOKIE2 if !COOKIE2.contains(&data.len()) => {
                    return Err(Invalid::problem("COOKIE2 has an impossible length"));
                }
                NotifyType::COOKIE2 => found.cookie2 = Some(*data),
                NotifyType::NO_ADDITIONAL_ADDRESSES => found.additional = Some(Vec::new()),
                NotifyType::ADDITIONAL_IP4_ADDRESS => found.add(<[u8; 4]>::try_from(*data).ok().map(IpAddr::from)),
                NotifyType::ADDITIONAL_IP6_ADDRESS => found.add(<[u8; 16]>::try_from(*data).ok().map(IpAddr::from)),
                NotifyType::NAT_DETECTION_SOURCE_IP => found.nat.sources.push(*data),
                NotifyType::NAT_DETECTION_DESTINATION_IP => found.nat.destination = Some(*data),
                NotifyType::UNACCEPTABLE_ADDRESSES | NotifyType::UNEXPECTED_NAT_DETECTED => found.refusal = Some(*kind),
                _ => {}
            }
        }
        Ok(found)
    }

    fn add(&mut self, address: Option<IpAddr>) {
        let list = self.additional.get_or_insert_default();
        list.extend(address.filter(|_| list.len() < MAX_ADDITIONAL));
    }

    /// Whether the message came along this path without a change of its addresses, as NO_NATS_ALLOWED claims.
    fn is_untranslated(&self, path: Path) -> bool {
        self.no_nats.is_none_or(|claimed| claimed == untranslated(path.peer, path.local))
    }
}

/// The contents of NO_NATS_ALLOWED, section 4.2.6.
fn untranslated(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let end = |address: SocketAddr| match address.ip().to_canonical() {
        IpAddr::V4(ip) => [&ip.octets()[..], &address.port().to_be_bytes()].concat(),
        IpAddr::V6(ip) => [&ip.octets()[..], &address.port().to_be_bytes()].concat(),
    };
    [end(source), end(destination)].concat()
}

/// What a session knows about changing its addresses.
#[derive(Default)]
pub(crate) struct Mobility {
    /// Both sides have said MOBIKE_SUPPORTED.
    agreed: bool,
    /// Other addresses of the peer.
    additional: Vec<IpAddr>,
    bucket: Option<TokenBucket>,
    /// The path that was left last, and until when packets of it may come late.
    left: Option<(Path, Instant)>,
}

impl Mobility {
    /// Notes what the peer said in IKE_AUTH; `willing` is our side of it.
    pub(crate) fn agree(&mut self, willing: bool, peer: &Mobike<'_>) {
        self.agreed = willing && peer.supported;
        self.note_additional(peer);
    }

    /// Whether both sides want it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.agreed
    }

    /// Other addresses of the peer, as it told them.
    pub(crate) fn additional(&self) -> &[IpAddr] {
        &self.additional
    }

    fn note_additional(&mut self, peer: &Mobike<'_>) {
        if let Some(list) = peer.additional.as_ref().filter(|_| self.agreed) {
            self.additional.clone_from(list);
        }
    }
}

impl Session {
    /// What the last answer of IKE_AUTH tells about abilities that both sides have.
    pub(super) fn push_abilities(&mut self, chain: &mut ChainBuilder) {
        if self.mobility.agreed {
            chain.push(&Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])));
        }
    }
}
