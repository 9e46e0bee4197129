//! The answer to our IKE_SA_INIT: what it demands, or the keys that follow from it (RFC 7296 sections 1.2, 2.6 and 2.14).

use tracing::debug;

use crate::crypto::dh::Group;
use crate::event::Path;
use crate::nat::NatStatus;
use crate::proposal::chosen_ike;
use crate::refusal::RefusalReason;
use crate::wire::header::{HEADER_LEN, Header};
use crate::wire::num::ExchangeType;
use crate::wire::v2::{KeyExchange, Payloads, SecurityAssociation};

use super::super::keys::{IkeKeys, SpiPair};
use super::super::proof::{Proof, Transcript};
use super::super::request::{InitAnswer, InitKeys};
use super::super::sa::IkeSa;
use super::super::{Context, ENCAPSULATION_PORT, Session, State};
use super::{Attempt, Initiating, auth};

impl Initiating {
    /// Takes a message for our SPI.
    pub(in super::super) fn handle(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        path: Path,
        header: &Header,
        message: &[u8],
    ) -> State {
        let is_answer = header.exchange == ExchangeType::IKE_SA_INIT
            && header.message_id == 0
            && (header.flags.response, header.flags.initiator) == (true, false)
            && (path.peer.ip().to_canonical(), path.peer.port())
                == (session.path.peer.ip().to_canonical(), session.path.peer.port());
        if !is_answer {
            ctx.shared.counters.unexpected += 1;
            return State::Initiating(self);
        }
        let Ok(payloads) = Payloads::parse(header.next_payload, message.get(HEADER_LEN..).unwrap_or_default()) else {
            ctx.shared.counters.malformed += 1;
            return State::Initiating(self);
        };
        let spis = header.responder_spi.map(|responder| SpiPair { initiator: self.spi, responder });
        let nat = spis.map(|spis| NatStatus::detect_answer(payloads.iter(), spis, session.path));
        match InitAnswer::read(payloads) {
            Ok(InitAnswer::Cookie(cookie)) => self.cookie_demanded(ctx, cookie),
            Ok(InitAnswer::OtherGroup(group)) => self.other_group(session, ctx, Group::from_id(group)),
            Ok(InitAnswer::Refused(notify)) => {
                debug!(session = %session.id, %notify, "the peer refuses, or somebody in its name");
                self.complain(ctx, RefusalReason::PeerRefused { notify, protected: false });
            }
            Ok(InitAnswer::Keys(answer)) if self.children.is_empty() && !answer.childless => {
                self.complain(ctx, RefusalReason::Childless);
            }
            Ok(InitAnswer::Keys(answer)) => {
                let (Some(spis), Some(nat)) = (spis.filter(|spis| spis.initiator != spis.responder), nat) else {
                    self.complain(ctx, RefusalReason::Payloads { problem: "the answer has no SPI" });
                    return State::Initiating(self);
                };
                match self.keys(session, ctx, spis, &answer, message) {
                    Ok((sa, proof)) => return self.go_on(session, ctx, sa, proof, nat),
                    Err(reason) => self.complain(ctx, reason),
                }
            }
            Err(invalid) => self.complain(ctx, *invalid.reason),
        }
        State::Initiating(self)
    }

    /// The IKE SA that the answer makes, if it is what was asked for.
    fn keys(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        spis: SpiPair,
        answer: &InitKeys<'_>,
        message: &[u8],
    ) -> Result<(IkeSa, Proof), RefusalReason> {
        let (suite, at) = self.choice(&answer.sa, &answer.ke)?;
        let Attempt { group, pair, request } = self.attempts.remove(at);
        let Ok(shared) = pair.agree(answer.ke.data) else {
            // The pair is used up; another one takes its place, should the real answer be yet to come.
            self.attempt(session, ctx, group);
            return Err(RefusalReason::KeyExchange);
        };
        let transcript = Transcript {
            request: request.to_vec(),
            answer: message.to_vec().into(),
            initiator_nonce: self.nonce.clone(),
            responder_nonce: answer.nonce.to_vec(),
            hashes: answer.hashes.clone(),
            ppk: answer.ppk && session.site().is_some_and(|site| site.ppk.is_some()),
        };
        let IkeKeys { sa: keys, prove_initiator, prove_responder } =
            IkeKeys::initial(&suite, &shared, &transcript.nonces(), spis);
        let fragmentation = answer.fragmentation && session.site().is_some_and(|site| site.fragmentation);
        let sa = IkeSa::after_own_init(spis, suite, keys, fragmentation);
        Ok((sa, Proof::new(suite.prf, prove_initiator, prove_responder, transcript)))
    }

    /// The suite of the answer, and which of our requests it answers.
    fn choice(
        &self,
        sa: &SecurityAssociation,
        ke: &KeyExchange<'_>,
    ) -> Result<(crate::proposal::IkeSuite, usize), RefusalReason> {
        let (suite, _) = chosen_ike(&self.offer, sa).ok_or(RefusalReason::NotOffered)?;
        let is_of_suite = suite.group.id() == ke.group && suite.group.public_len() == ke.data.len();
        let at = self.attempts.iter().position(|attempt| is_of_suite && attempt.group == suite.group);
        Ok((suite, at.ok_or(RefusalReason::KeyExchange)?))
    }

    /// Goes on with IKE_AUTH, from port 4500 where ESP may have to go through UDP: now, or with MOBIKE later (section 2.23,
    /// RFC 4555 section 3.3).
    fn go_on(
        self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        sa: IkeSa,
        proof: Proof,
        nat: NatStatus,
    ) -> State {
        debug!(session = %session.id, peer = %session.path.peer, suite = %sa.suite, ?nat, "IKE_SA_INIT is answered");
        session.nat = nat;
        session.precedence = sa.spis.precedence();
        session.last_heard = ctx.now;
        let may_move = session.site().is_some_and(|site| site.mobike);
        if nat.supported && (nat.any() || may_move || session.forces_udp(ctx.config)) {
            session.path.local.set_port(ENCAPSULATION_PORT);
            session.path.peer.set_port(ENCAPSULATION_PORT);
            session.reply_path = session.path;
        }
        auth::begin(session, ctx, sa, proof, self.children)
    }
}
