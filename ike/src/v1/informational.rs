//! Informational exchanges, RFC 2409 section 5.7: DELETE, INITIAL-CONTACT, dead peer detection.
//!
//! What is not encrypted is ignored, whatever it says; of the rest nothing is read before its hash was verified.

use tracing::debug;

use crate::crypto::cbc::Iv;
use crate::event::Path;
use crate::v2::Context;
use crate::wire::v1::num::NotifyType;
use crate::wire::v1::{Chain, ChainBuilder, Delete, Header, Notify, Payload, Payloads};

use super::dpd;
use super::keys::Cookies;
use super::peer::{Incoming, Peer};

impl Peer {
    /// Takes a message of an informational exchange for the ISAKMP SA at `at`.
    pub(super) fn informational(
        &mut self,
        ctx: &mut Context<'_>,
        at: usize,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Incoming {
        let phase1 = &self.phase1s[at];
        let (id, cookies) = (header.message_id, phase1.cookies);
        let iv: Iv = phase1.exchange_iv(id);
        let Some(decrypted) = phase1.open(&iv, header, message) else { return Incoming::Unexpected };
        let Some(payloads) = decrypted.verify(|rest| phase1.keys.message_hash(id, &[rest])) else {
            return Incoming::Forged;
        };
        if phase1.is_finished(id) {
            // A copy. Whether we live may still be asked.
            self.answer_liveness(ctx, at, path, &payloads);
            return Incoming::Unexpected;
        }
        self.phase1s[at].finish(id);
        self.heard(ctx);
        self.answer_liveness(ctx, at, path, &payloads);
        self.deletes(ctx, at, &payloads);
        // Deletions and INITIAL-CONTACT may have taken ISAKMP SAs away, this one included.
        if let Some(at) = self.phase1s.iter().position(|phase1| phase1.cookies == cookies) {
            self.notifies(ctx, at, path, &payloads);
        }
        Incoming::Done
    }

    /// R-U-THERE, RFC 3706 section 5.3.
    fn answer_liveness(&mut self, ctx: &mut Context<'_>, at: usize, path: Path, payloads: &Payloads<'_>) {
        for notify in payloads.notifies().filter(|notify| notify.kind == NotifyType::R_U_THERE) {
            let cookies = self.phase1s[at].cookies;
            let Some(sequence) = sequence(&notify, cookies) else { continue };
            let is_new = self.phase1s[at].dpd.is_new(sequence);
            let answer = dpd::notify(NotifyType::R_U_THERE_ACK, cookies, sequence);
            let answer = self.phase1s[at].informational(&answer, &mut *ctx.shared.random);
            ctx.transmit(path, answer);
            if is_new {
                self.follow(ctx, path);
            }
        }
    }

    fn notifies(&mut self, ctx: &mut Context<'_>, at: usize, path: Path, payloads: &Payloads<'_>) {
        let mut has_initial_contact = false;
        for notify in payloads.notifies() {
            match notify.kind {
                NotifyType::R_U_THERE_ACK => {
                    let phase1 = &mut self.phase1s[at];
                    if sequence(&notify, phase1.cookies).is_some_and(|sequence| phase1.dpd.answered(sequence)) {
                        self.follow(ctx, path);
                    }
                }
                NotifyType::INITIAL_CONTACT => has_initial_contact = true,
                NotifyType::R_U_THERE => {}
                kind => debug!(session = %self.id, peer = %self.path.peer, %kind, "notification"),
            }
        }
        if has_initial_contact {
            self.initial_contact(ctx, at);
        }
    }

    /// INITIAL-CONTACT, RFC 2407 section 4.6.3.3: the client has nothing that is older than this ISAKMP SA.
    fn initial_contact(&mut self, ctx: &mut Context<'_>, at: usize) {
        self.has_initial_contact = true;
        let Some(since) = self.phase1s.get(at).map(|phase1| phase1.since) else { return };
        while let Some(child) = self.children.take_older(since) {
            self.child_down(ctx, &child);
        }
        let is_older = |phase1: &&super::phase1::Phase1| phase1.since < since;
        let older: Vec<Cookies> = self.phase1s.iter().filter(is_older).map(|phase1| phase1.cookies).collect();
        for cookies in older {
            self.drop_phase1(ctx, cookies);
        }
    }

    /// Deletions count at once, and behind that of the ISAKMP SA itself nothing is read.
    fn deletes(&mut self, ctx: &mut Context<'_>, at: usize, payloads: &Payloads<'_>) {
        let own = self.phase1s[at].cookies;
        for payload in payloads.iter() {
            match payload {
                Payload::Delete(Delete::Esp(spis)) => {
                    for spi in spis {
                        if let Some(child) = self.children.take_outbound(*spi) {
                            self.child_down(ctx, &child);
                        }
                    }
                }
                Payload::Delete(Delete::Isakmp(all)) => {
                    for (initiator, responder) in all {
                        self.drop_phase1(ctx, Cookies { initiator: *initiator, responder: *responder });
                    }
                    if !self.phase1s.iter().any(|phase1| phase1.cookies == own) {
                        return;
                    }
                }
                _ => {}
            }
        }
    }
}

/// The sequence number of R-U-THERE or its answer, if it is about this ISAKMP SA.
fn sequence(notify: &Notify<'_>, cookies: Cookies) -> Option<u32> {
    let is_about = notify.is_about(cookies.initiator, cookies.responder);
    <[u8; 4]>::try_from(notify.data).ok().filter(|_| is_about).map(u32::from_be_bytes)
}

/// A DELETE payload.
pub(crate) fn delete(delete: Delete) -> Chain {
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Delete(delete));
    chain.finish().expect("deletions are bounded")
}
