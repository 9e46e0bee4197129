//! What a step of a tunnel needs, and where its results go.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::Config;
use crate::error::{Refusal, RefusalReason};
use crate::event::{ChannelId, Counters, Event, Transmit};
use crate::random::Random;

/// Longest text of a peer that is handed on, in characters.
const MAX_TEXT: usize = 64;

/// Results that wait to be taken out.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) counters: Counters,
}

impl Output {
    pub(crate) fn refused(&mut self, channel: ChannelId, host_name: Option<String>, reason: RefusalReason) {
        self.counters.refused += 1;
        self.events.push_back(Event::Refused(Box::new(Refusal { channel, host_name, reason })));
    }
}

/// Surroundings of one step.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    pub(crate) random: &'a mut (dyn Random + Send),
    pub(crate) out: &'a mut Output,
}

impl Context<'_> {
    /// An id that is not 0 and not in use. `None` if nearly all are, which takes a peer with many thousand sessions.
    pub(crate) fn fresh_id(&mut self, in_use: impl Fn(u16) -> bool) -> Option<u16> {
        (0..64).find_map(|_| {
            let mut bytes = [0; 2];
            self.random.fill(&mut bytes);
            Some(u16::from_be_bytes(bytes)).filter(|id| *id != 0 && !in_use(*id))
        })
    }
}

/// Text of a peer for people: without trailing NULs, which Apple clients send, and without control characters.
pub(crate) fn printable(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|byte| *byte != 0)?;
    let text = String::from_utf8_lossy(text.get(..=end)?);
    Some(text.chars().take(MAX_TEXT).map(|c| if c.is_control() { '?' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_peers_is_made_harmless() {
        assert_eq!(printable(b"macbook.local\0"), Some("macbook.local".into()));
        assert_eq!(printable(b"a\nb\x1b[31m\xff"), Some("a?b?[31m\u{fffd}".into()));
        assert_eq!(printable("ü".repeat(100).as_bytes()), Some("ü".repeat(64)));
        assert_eq!(printable(b""), None);
        assert_eq!(printable(b"\0\0"), None);
    }

    #[test]
    fn ids_are_neither_zero_nor_in_use() {
        struct Counting(u16);
        impl Random for Counting {
            fn fill(&mut self, out: &mut [u8]) {
                out.copy_from_slice(&self.0.to_be_bytes());
                self.0 += 1;
            }
        }
        let (mut random, mut out, config) = (Counting(0), Output::default(), Config::new("gw"));
        let now = crate::testing::epoch();
        let mut ctx = Context { now, config: &config, random: &mut random, out: &mut out };
        assert_eq!(ctx.fresh_id(|id| id < 5), Some(5));
        assert_eq!(ctx.fresh_id(|_| true), None);
    }
}
