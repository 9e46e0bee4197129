//! Making Child SAs: choice of the suite, traffic selectors, keys (RFC 7296 sections 1.2, 1.3, 2.9 and 2.17).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tracing::debug;

use crate::child_sa::{ChildKeys, ChildMode, ChildSa, ChildSuite};
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::event::{ChildInfo, Event, Grant};
use crate::narrow::Narrowed;
use crate::proposal::{ChildKeyExchange, ChosenChild, choose_child};
use crate::refusal::RefusalReason;
use crate::wire::EspSpi;
use crate::wire::num::NotifyType;
use crate::wire::v2::{
    ChainBuilder, KeyExchange, Nonce, Notify, Payload, SecurityAssociation, TrafficSelector, TrafficSelectors,
};

use super::fit::{self, Fit};
use super::init::NONCE_LEN;
use super::keys::{self, Nonces};
use super::life::Life;
use super::request::ChildWish;
use super::sa::IkeSa;
use super::{Context, ENCAPSULATION_PORT, Session};

/// A Child SA that is up.
pub(crate) struct Child {
    pub(crate) inbound: EspSpi,
    pub(crate) outbound: EspSpi,
    pub(crate) suite: ChildSuite,
    /// Where its keys come from.
    pub(crate) exchange: KeyExchangeOf,
    /// Which tunnel of a site it is.
    pub(crate) name: Option<Arc<str>>,
    /// What is inside of its packets.
    pub(crate) mode: ChildMode,
    /// Traffic on our side.
    pub(crate) local_ts: Vec<TrafficSelector>,
    /// Traffic on the client's side.
    pub(crate) remote_ts: Vec<TrafficSelector>,
    /// The lowest nonce of the exchange by which we made it as a new tunnel, or what it has replaced.
    pub(crate) asked_with: Option<Vec<u8>>,
    /// Set when another took its place: the client will delete it, or we do at that time.
    pub(crate) replaced_until: Option<Instant>,
    /// Our DELETE is on its way.
    pub(crate) is_leaving: bool,
    /// When to rekey it, and when it ends if that fails.
    pub(crate) life: Life,
}

/// The Diffie-Hellman exchange behind the keys of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyExchangeOf {
    /// It was made in IKE_AUTH, which has no exchange of its own for it; nobody has said what the next one is to have.
    IkeAuth,
    /// One of its own, or none: what replaces it has the same.
    Own(Option<Group>),
}

impl Child {
    /// Whether `address` is on the peer's side of a tunnel.
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        let host = TrafficSelector::host(address);
        self.info().mode == ChildMode::Tunnel && self.remote_ts.iter().any(|part| part.intersection(&host).is_some())
    }

    /// Whether neither side has replaced or deleted it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.replaced_until.is_none() && !self.is_leaving
    }

    /// A view for people.
    pub(crate) fn info(&self) -> ChildInfo {
        ChildInfo {
            inbound_spi: self.inbound,
            name: self.name.clone(),
            local_ts: self.local_ts.clone(),
            remote_ts: self.remote_ts.clone(),
            suite: self.suite,
            mode: self.mode,
        }
    }
}

/// What the keys of a Child SA are made of.
pub(crate) struct Terms<'a> {
    pub(crate) prf: Prf,
    pub(crate) derive: &'a Secret,
    /// The result of a Diffie-Hellman exchange of its own.
    pub(crate) shared: Option<&'a Secret>,
    pub(crate) nonces: Nonces<'a>,
}

/// A Child SA that was just made, and how the peer is told.
pub(crate) struct Made {
    pub(crate) child: Child,
    sa: SecurityAssociation,
    narrowed: Narrowed,
}

/// No Child SA.
pub(crate) struct Refused {
    pub(crate) reason: Box<RefusalReason>,
    notify: NotifyType,
    data: Vec<u8>,
}

/// Our half of a Diffie-Hellman exchange with the result.
pub(crate) struct Agreed {
    pub(crate) group: Group,
    pub(crate) public: Vec<u8>,
    pub(crate) shared: Secret,
}

impl Refused {
    pub(crate) fn new(reason: RefusalReason, notify: NotifyType) -> Self {
        Self { reason: Box::new(reason), notify, data: Vec::new() }
    }

    /// Appends the notification.
    pub(crate) fn push(&self, chain: &mut ChainBuilder) {
        chain.push(&Payload::Notify(Notify::new(self.notify, &self.data)));
    }
}

impl Made {
    /// Appends SA, TSi and TSr.
    pub(crate) fn push(&self, chain: &mut ChainBuilder) {
        self.push_mode(chain);
        chain.push(&Payload::SecurityAssociation(self.sa.clone()));
        self.push_selectors(chain);
    }

    /// Appends SA, Nr, KE, TSi and TSr.
    pub(crate) fn push_with(&self, chain: &mut ChainBuilder, nonce: &[u8], agreed: Option<&Agreed>) {
        self.push_mode(chain);
        chain.push(&Payload::SecurityAssociation(self.sa.clone()));
        chain.push(&Payload::Nonce(Nonce(nonce)));
        if let Some(Agreed { group, public, .. }) = agreed {
            chain.push(&Payload::KeyExchange(KeyExchange { group: group.id(), data: public }));
        }
        self.push_selectors(chain);
    }

    /// Section 1.3.1: the answer says it again if it is granted.
    fn push_mode(&self, chain: &mut ChainBuilder) {
        if self.child.mode == ChildMode::Transport {
            chain.push(&Payload::Notify(Notify::new(NotifyType::USE_TRANSPORT_MODE, &[])));
        }
    }

    fn push_selectors(&self, chain: &mut ChainBuilder) {
        chain.push(&Payload::TsInitiator(TrafficSelectors(self.narrowed.tsi.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(self.narrowed.tsr.clone())));
    }
}

/// The Child SA of IKE_AUTH.
pub(crate) fn first(
    session: &Session,
    ctx: &mut Context<'_>,
    grant: &Grant,
    wish: &ChildWish,
    terms: &Terms<'_>,
) -> Result<Made, Refused> {
    let chosen = choose(session, ctx, wish, ChildKeyExchange::Never)?;
    let fit = fit::fit(session, grant, &[], None, wish)?;
    let mut made = make(session, ctx, &chosen, fit, terms, None);
    made.child.exchange = KeyExchangeOf::IkeAuth;
    Ok(made)
}

/// The suite of the Child SA of CREATE_CHILD_SA.
pub(crate) fn negotiate(
    session: &Session,
    ctx: &Context<'_>,
    wish: &ChildWish,
    ke: Option<&KeyExchange<'_>>,
) -> Result<ChosenChild, Refused> {
    let key_exchange = ke.map_or(ChildKeyExchange::Absent, |ke| ChildKeyExchange::Guess(ke.group));
    choose(session, ctx, wish, key_exchange)
}

fn choose(
    session: &Session,
    ctx: &Context<'_>,
    wish: &ChildWish,
    key_exchange: ChildKeyExchange,
) -> Result<ChosenChild, Refused> {
    choose_child(session.policy(ctx.config), &wish.sa, key_exchange)
        .map_err(|mismatch| Refused::new(RefusalReason::ChildProposal(mismatch), NotifyType::NO_PROPOSAL_CHOSEN))
}

/// Makes the Child SA and tells the server.
pub(crate) fn make(
    session: &Session,
    ctx: &mut Context<'_>,
    chosen: &ChosenChild,
    fit: Fit,
    terms: &Terms<'_>,
    replaces: Option<EspSpi>,
) -> Made {
    let inbound = ctx.new_esp_spi(session.id);
    let child = Child {
        inbound,
        outbound: chosen.spi,
        suite: chosen.suite,
        exchange: KeyExchangeOf::Own(chosen.group),
        name: fit.name,
        mode: fit.mode,
        asked_with: None,
        local_ts: fit.narrowed.tsr.clone(),
        remote_ts: fit.narrowed.tsi.clone(),
        replaced_until: None,
        is_leaving: false,
        life: Life::begin(ctx, session.timing(ctx.config).child_lifetime),
    };
    let keys = keys::child(terms.prf, terms.derive, &chosen.suite, terms.shared, &terms.nonces);
    bring_up(session, ctx, &child, keys, replaces);
    Made { child, sa: chosen.reply(inbound), narrowed: fit.narrowed }
}

/// Tells the server of a Child SA.
pub(crate) fn bring_up(
    session: &Session,
    ctx: &mut Context<'_>,
    child: &Child,
    keys: ChildKeys,
    replaces: Option<EspSpi>,
) {
    let (inbound, outbound, suite) = (child.inbound, child.outbound, child.suite);
    debug!(session = %session.id, %inbound, %outbound, %suite, ?replaces, "Child SA is up");
    let sa = ChildSa {
        mode: child.mode,
        inbound_spi: inbound,
        outbound_spi: outbound,
        suite,
        keys,
        local_ts: child.local_ts.clone(),
        remote_ts: child.remote_ts.clone(),
        udp_encap: uses_udp(session, ctx),
        path: session.path,
        site_child: child.name.clone(),
        lifetime: session.timing(ctx.config).child_lifetime,
    };
    ctx.shared.events.push_back(Event::ChildUp { session: session.id, child: Box::new(sa), replaces });
}

/// Whether ESP goes through UDP: on account of address translation, and to a peer that has moved to port 4500 for it.
pub(super) fn uses_udp(session: &Session, ctx: &Context<'_>) -> bool {
    let wanted = session.nat.any() || (session.forces_udp(ctx.config) && session.nat.supported);
    wanted && session.path.local.port() == ENCAPSULATION_PORT
}

/// Our half of the exchange with the peer's KE payload, of the group that was chosen. Without one, or with one of another
/// group, the peer is told the right group.
pub(crate) fn agree(ctx: &mut Context<'_>, group: Group, ke: Option<&KeyExchange<'_>>) -> Result<Agreed, Refused> {
    let ke = ke.filter(|ke| ke.group == group.id()).ok_or_else(|| Refused {
        reason: Box::new(RefusalReason::OtherGroup { wanted: group.id() }),
        notify: NotifyType::INVALID_KE_PAYLOAD,
        data: group.id().0.to_be_bytes().to_vec(),
    })?;
    let pair = KeyPair::generate(group, &mut *ctx.shared.random);
    let public = pair.public().to_vec();
    let shared =
        pair.agree(ke.data).map_err(|_| Refused::new(RefusalReason::KeyExchange, NotifyType::NO_PROPOSAL_CHOSEN))?;
    Ok(Agreed { group, public, shared })
}

/// A nonce of ours.
pub(crate) fn new_nonce(ctx: &mut Context<'_>) -> Vec<u8> {
    let mut nonce = vec![0; NONCE_LEN];
    ctx.shared.random.fill(&mut nonce);
    nonce
}

/// What the keys of a Child SA of CREATE_CHILD_SA are made of.
pub(crate) fn terms<'a>(sa: &'a IkeSa, agreed: Option<&'a Agreed>, nonces: Nonces<'a>) -> Terms<'a> {
    Terms { prf: sa.suite.prf, derive: &sa.derive, shared: agreed.map(|agreed| &agreed.shared), nonces }
}
