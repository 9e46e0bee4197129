//! Dead peer detection, RFC 3706: for clients that announced it, and only when they are silent.

use std::time::Instant;

use crate::config::Timing;
use crate::crypto::random::Random;
use crate::retransmit::{Retransmit, Verdict};
use crate::wire::v1::num::{NotifyType, ProtocolId};
use crate::wire::v1::{Chain, ChainBuilder, Notify, Payload};

use super::keys::Cookies;

/// The two counters of one ISAKMP SA, and the question that has no answer yet.
pub(crate) struct Dpd {
    /// Our next sequence number.
    next: u32,
    asked: Option<Asked>,
    /// The client's last sequence number.
    heard: Option<u32>,
}

struct Asked {
    sequence: u32,
    retransmit: Retransmit,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Ask, with this sequence number.
    Ask(u32),
    /// The client is gone.
    Dead,
}

impl Dpd {
    /// The first sequence number is random and has room above, section 7.
    pub(crate) fn new(random: &mut dyn Random) -> Self {
        let mut next = [0; 4];
        random.fill(&mut next);
        Self { next: u32::from_be_bytes(next) >> 1, asked: None, heard: None }
    }

    /// Whether R-U-THERE with this number is new; a copy moves nothing, but is answered.
    pub(crate) fn is_new(&mut self, sequence: u32) -> bool {
        let is_new = self.heard.is_none_or(|heard| sequence > heard);
        if is_new {
            self.heard = Some(sequence);
        }
        is_new
    }

    /// Whether R-U-THERE-ACK with this number answers our question.
    pub(crate) fn answered(&mut self, sequence: u32) -> bool {
        let fits = self.asked.as_ref().is_some_and(|asked| asked.sequence == sequence);
        if fits {
            self.asked = None;
        }
        fits
    }

    /// The client was heard in another way.
    pub(crate) fn heard(&mut self) {
        self.asked = None;
    }

    /// What is due when the client was silent until `silent_until`.
    pub(crate) fn due(&mut self, now: Instant, silent_until: Instant, timing: &Timing) -> Due {
        match &mut self.asked {
            None if now >= silent_until => {
                let sequence = self.next;
                self.next = self.next.wrapping_add(1);
                let retransmit = Retransmit::new(now, timing.retransmit, timing.transmissions);
                self.asked = Some(Asked { sequence, retransmit });
                Due::Ask(sequence)
            }
            None => Due::Nothing,
            Some(asked) => match asked.retransmit.check(now) {
                Verdict::Wait => Due::Nothing,
                Verdict::Send => Due::Ask(asked.sequence),
                Verdict::GiveUp => Due::Dead,
            },
        }
    }

    /// When [`Dpd::due`] has something to say.
    pub(crate) fn timeout(&self, silent_until: Instant) -> Instant {
        self.asked.as_ref().map_or(silent_until, |asked| asked.retransmit.due())
    }

    pub(crate) fn fingerprint(&self) -> impl std::hash::Hash + use<> {
        (self.next, self.asked.as_ref().map(|asked| asked.sequence), self.heard)
    }
}

/// R-U-THERE or its answer.
pub(crate) fn notify(kind: NotifyType, cookies: Cookies, sequence: u32) -> Chain {
    let spi = [cookies.initiator.0, cookies.responder.0].concat();
    let data = sequence.to_be_bytes();
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Notify(Notify { protocol: ProtocolId::ISAKMP, spi: &spi, kind, data: &data }));
    chain.finish().expect("a notification is short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::SeededRandom;

    #[test]
    fn asks_a_silent_client_with_one_number_until_it_answers_or_is_dead() {
        let (mut dpd, now, timing) = (Dpd::new(&mut SeededRandom::new(1)), crate::testing::epoch(), Timing::default());
        let silent = now + timing.retransmit;
        assert_eq!(dpd.due(now, silent, &timing), Due::Nothing);
        let Due::Ask(first) = dpd.due(silent, silent, &timing) else { panic!("it is time") };
        assert_eq!(dpd.due(dpd.timeout(silent), silent, &timing), Due::Ask(first));
        assert!(!dpd.answered(first.wrapping_add(1)) && dpd.answered(first) && !dpd.answered(first));
        assert_eq!(dpd.due(silent, silent, &timing), Due::Ask(first + 1), "a new question has a new number");
        let mut asked = 1;
        while dpd.due(dpd.timeout(silent), silent, &timing) != Due::Dead {
            asked += 1;
        }
        assert_eq!(asked, timing.transmissions);
    }

    #[test]
    fn a_copy_of_a_question_is_not_new() {
        let mut dpd = Dpd::new(&mut SeededRandom::new(1));
        assert!(dpd.is_new(7) && !dpd.is_new(7) && !dpd.is_new(6) && dpd.is_new(8));
    }
}
