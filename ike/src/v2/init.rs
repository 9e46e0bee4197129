//! IKE_SA_INIT, RFC 7296 sections 1.2, 2.6, 2.7 and 2.23.
//!
//! No state is made before a proposal is acceptable, the KE payload is of its group, and, under load, the peer has shown with
//! a cookie that it receives what we send to its address. All refusals are stateless.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;

use crate::config::Config;
use crate::crypto::dh::KeyPair;
use crate::crypto::sign::HASH_ALGORITHMS;
use crate::event::{Event, Path, SessionId, Transmit};
use crate::nat::{NatStatus, detection_hash};
use crate::proposal::{ChosenIke, Mismatch, choose_ike};
use crate::refusal::{Refusal, RefusalReason};
use crate::site::Site;
use crate::wire::IkeSpi;
use crate::wire::header::{Flags, HEADER_LEN, Header, Version};
use crate::wire::num::{CertEncoding, ExchangeType, NotifyType};
use crate::wire::v2::{
    CertificateRequest, KeyExchange, MessageBuilder, Nonce, Notify, Payload, PayloadError, Payloads,
};

use super::cookie::CookieJar;
use super::half_open::HalfOpen;
use super::keys::SpiPair;
use super::proof::Transcript;
use super::request::{InitRequest, Invalid};
use super::{Context, Session, connection, ppk};

/// Length of our nonces in bytes: at least half the key size of any PRF (RFC 7296 section 2.10).
pub(crate) const NONCE_LEN: usize = 32;

/// Longest request: a score of proposals, the largest group and some vendor IDs need half of it. It is kept until the peer
/// has proven who it is.
const MAX_REQUEST: usize = 4096;

/// The same under load: still more than any stock client sends.
const MAX_REQUEST_UNDER_LOAD: usize = 2048;

/// Under load a handshake waits no longer than this for IKE_AUTH. Otherwise it has the time of [`Timing`](crate::Timing),
/// which is for clients like strongSwan: where packets are lost, their third transmission comes after 11 s, the fourth after
/// 24 s.
const PATIENCE_UNDER_LOAD: Duration = Duration::from_secs(10);

/// How busy we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Anybody may begin.
    Normal,
    /// Whoever shows a cookie may begin.
    Cookies,
    /// Nobody may begin.
    Full,
}

impl Load {
    fn max_request(self) -> usize {
        if self == Self::Normal { MAX_REQUEST } else { MAX_REQUEST_UNDER_LOAD }
    }

    /// How long a new handshake waits for IKE_AUTH.
    fn patience(self, config: &Config) -> Duration {
        let patience = config.timing.half_open;
        if self == Self::Normal { patience } else { patience.min(PATIENCE_UNDER_LOAD) }
    }
}

/// A request as it came in.
struct Incoming<'a> {
    path: Path,
    header: &'a Header,
    message: &'a [u8],
    load: Load,
}

/// Whether both sides have postquantum preshared keys, RFC 8784 section 3.
fn offers_ppk(config: &Config, request: &InitRequest<'_>) -> bool {
    request.ppk && ppk::has_any(config)
}

/// Takes a request that was not answered before. Gives back the new session, if it comes to that.
pub(crate) fn handle(
    ctx: &mut Context<'_>,
    cookies: &mut CookieJar,
    load: Load,
    path: Path,
    (header, message): (&Header, &[u8]),
    id: SessionId,
) -> Option<Session> {
    let incoming = Incoming { path, header, message, load };
    if message.len() > load.max_request() {
        incoming.refuse(ctx, RefusalReason::Payloads { problem: "it is longer than any client's first message" });
        return None;
    }
    let chain = message.get(HEADER_LEN..)?;
    let parsed = Payloads::parse(header.next_payload, chain);
    let payloads = match parsed {
        Ok(payloads) => payloads,
        Err(error) => {
            incoming.refuse_payloads(ctx, error);
            return None;
        }
    };
    let nat = NatStatus::detect(payloads.iter(), header.initiator_spi, path);
    let mut request = match InitRequest::read(payloads) {
        Ok(request) => request,
        Err(Invalid { reason, .. }) => {
            incoming.refuse(ctx, *reason);
            return None;
        }
    };
    request.fragmentation &= connection::sites_at(ctx.config, path.peer.ip()).all(|site| site.fragmentation);
    if !incoming.passes(ctx, cookies, &request) {
        return None;
    }
    let chosen = match choose(ctx.config, path, &request) {
        Ok(chosen) => chosen,
        Err(mismatch) => {
            incoming.answer_notify(ctx, NotifyType::NO_PROPOSAL_CHOSEN, &[]);
            let site = connection::only_site(ctx.config, path.peer.ip()).map(|site| Arc::clone(&site.name));
            incoming.refuse_site(ctx, site, RefusalReason::IkeProposal(mismatch));
            return None;
        }
    };
    incoming.accept(ctx, &request, &chosen, nat, id)
}

/// Chooses the suite. Who calls is not known yet: the policies of all who may come from there are tried.
fn choose(config: &Config, path: Path, request: &InitRequest<'_>) -> Result<ChosenIke, Mismatch> {
    let mut first = None;
    for policy in connection::policies(config, path.peer.ip()) {
        match choose_ike(policy, &request.sa, request.ke.group) {
            Ok(chosen) => return Ok(chosen),
            Err(mismatch) => first = first.or(Some(mismatch)),
        }
    }
    Err(first.expect("there is one policy at least"))
}

impl Incoming<'_> {
    /// Whether the load allows to go on; if not, the peer may get a cookie.
    fn passes(&self, ctx: &mut Context<'_>, cookies: &mut CookieJar, request: &InitRequest<'_>) -> bool {
        let (lifetime, address, spi) =
            (ctx.config.timing.cookie_secret, self.path.peer.ip(), self.header.initiator_spi);
        let known = |cookie: &[u8]| cookies.accepts(ctx.now, lifetime, cookie, request.nonce, address, spi);
        match self.load {
            Load::Normal => true,
            Load::Cookies if request.cookie.is_some_and(known) => true,
            Load::Cookies => {
                let cookie = cookies.bake(ctx.now, lifetime, &mut *ctx.shared.random, request.nonce, address, spi);
                ctx.shared.counters.cookies_sent += 1;
                self.answer_notify(ctx, NotifyType::COOKIE, &cookie);
                false
            }
            Load::Full => {
                ctx.shared.counters.overload_dropped += 1;
                false
            }
        }
    }

    /// The proposal is acceptable: answers and makes a session, unless the guess of the group was wrong.
    fn accept(
        &self,
        ctx: &mut Context<'_>,
        request: &InitRequest<'_>,
        chosen: &ChosenIke,
        nat: NatStatus,
        id: SessionId,
    ) -> Option<Session> {
        let group = chosen.suite.group;
        if request.ke.group != group.id() {
            debug!(peer = %self.path.peer, guess = %request.ke.group, wanted = %group.id(), "another group is wanted");
            self.answer_notify(ctx, NotifyType::INVALID_KE_PAYLOAD, &group.id().0.to_be_bytes());
            return None;
        }
        if request.ke.data.len() != group.public_len() {
            self.refuse(ctx, RefusalReason::KeyExchange);
            return None;
        }
        let spis = SpiPair { initiator: self.header.initiator_spi, responder: ctx.new_ike_spi() };
        let pair = KeyPair::generate(group, &mut *ctx.shared.random);
        let mut nonce = vec![0; NONCE_LEN];
        ctx.shared.random.fill(&mut nonce);
        let answer = self.answer(ctx.config, request, chosen, nat, spis, pair.public(), &nonce);
        self.send(ctx, answer.clone());
        let transcript = Transcript {
            request: self.message.to_vec(),
            answer,
            initiator_nonce: request.nonce.to_vec(),
            responder_nonce: nonce,
            hashes: request.hashes.clone(),
            ppk: offers_ppk(ctx.config, request),
        };
        let deadline = ctx.now + self.load.patience(ctx.config);
        let exchange = (pair, request.ke.data.to_vec());
        let state = HalfOpen::new(spis, chosen.suite, deadline, transcript, exchange, request.fragmentation);
        debug!(session = %id, peer = %self.path.peer, suite = %chosen.suite, ?nat, "IKE_SA_INIT answered");
        Some(Session::new(id, self.path, nat, ctx.now, state))
    }

    #[expect(clippy::too_many_arguments, reason = "the answer holds that much")]
    fn answer(
        &self,
        config: &Config,
        request: &InitRequest<'_>,
        chosen: &ChosenIke,
        nat: NatStatus,
        spis: SpiPair,
        public: &[u8],
        nonce: &[u8],
    ) -> Bytes {
        let mut message = MessageBuilder::new(&self.answer_header(Some(spis.responder)));
        message.push(&Payload::SecurityAssociation(chosen.reply(None)));
        message.push(&Payload::KeyExchange(KeyExchange { group: chosen.suite.group.id(), data: public }));
        message.push(&Payload::Nonce(Nonce(nonce)));
        if nat.supported {
            let (source, destination) = self.detection_hashes(config, spis);
            message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source)));
            message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)));
        }
        let authorities = &connection::requested_authorities(config, self.path.peer.ip());
        if !authorities.is_empty() {
            let encoding = CertEncoding::X509_SIGNATURE;
            message.push(&Payload::CertificateRequest(CertificateRequest { encoding, authorities }));
        }
        if request.fragmentation {
            message.push(&Payload::Notify(Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])));
        }
        if config.childless {
            message.push(&Payload::Notify(Notify::new(NotifyType::CHILDLESS_IKEV2_SUPPORTED, &[])));
        }
        if request.hashes.is_some() {
            let hashes: Vec<u8> = HASH_ALGORITHMS.iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
            message.push(&Payload::Notify(Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, &hashes)));
        }
        if offers_ppk(config, request) {
            message.push(&Payload::Notify(Notify::new(NotifyType::USE_PPK, &[])));
        }
        message.finish().expect("what we answer is bounded").into()
    }

    /// What we tell about our and the peer's address. If ESP is to go through UDP in any case, our own is told wrong, so
    /// that the peer sees address translation.
    fn detection_hashes(&self, config: &Config, spis: SpiPair) -> (Vec<u8>, Vec<u8>) {
        let hash = |address| detection_hash(spis.initiator, Some(spis.responder), address);
        let mut source = hash(self.path.local);
        let forces_udp = |site: &Arc<Site>| site.force_udp_encap;
        if config.force_udp_encap || connection::sites_at(config, self.path.peer.ip()).any(forces_udp) {
            source.iter_mut().for_each(|byte| *byte = !*byte);
        }
        (source, hash(self.path.peer))
    }

    fn answer_header(&self, responder_spi: Option<IkeSpi>) -> Header {
        Header {
            initiator_spi: self.header.initiator_spi,
            responder_spi,
            next_payload: None,
            version: Version::V2,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: false, version: false, response: true },
            message_id: self.header.message_id,
        }
    }

    /// Answers with one notification, without state.
    fn answer_notify(&self, ctx: &mut Context<'_>, kind: NotifyType, data: &[u8]) {
        let mut message = MessageBuilder::new(&self.answer_header(None));
        message.push(&Payload::Notify(Notify::new(kind, data)));
        self.send(ctx, message.finish().expect("one notification is short").into());
    }

    fn refuse_payloads(&self, ctx: &mut Context<'_>, error: PayloadError) {
        if let PayloadError::UnsupportedCritical(kind) = error {
            self.answer_notify(ctx, NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, &[kind.0]);
        }
        self.refuse(ctx, *Invalid::from(error).reason);
    }

    fn refuse(&self, ctx: &mut Context<'_>, reason: RefusalReason) {
        self.refuse_site(ctx, None, reason);
    }

    /// Nothing is proven: the site is the one that the caller would be, going by its address.
    fn refuse_site(&self, ctx: &mut Context<'_>, site: Option<Arc<str>>, reason: RefusalReason) {
        debug!(peer = %self.path.peer, exchange = %ExchangeType::IKE_SA_INIT, reason = reason.name(), "refused");
        ctx.shared.counters.refused += 1;
        let (path, exchange) = (self.path, ExchangeType::IKE_SA_INIT);
        let refusal = Refusal { path, session: None, exchange, identity: None, site, reason };
        ctx.shared.events.push_back(Event::Refused(Box::new(refusal)));
    }

    fn send(&self, ctx: &mut Context<'_>, payload: Bytes) {
        ctx.shared.transmits.push_back(Transmit { path: self.path, payload });
    }
}
