//! A script of bytes becomes the life of a link: what a fuzzer plays with.
//!
//! Each operation takes one octet and its arguments. Whatever the script says, the rules of [`Teller::check`] hold, and a
//! link that hears nothing more ends by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::pair::{Pair, judge};
use super::{Peer, Profile, epoch};
use crate::auth::{Credentials, Method, Verdict};
use crate::config::{LinkConfig, Seed};
use crate::event::{CloseReason, Event, Phase};
use crate::frame::{Head, Protocol};
use crate::link::Link;
use crate::packet::{Code, Packet};

/// Frames that one call may lead to: each part of a link has its say once.
const MAX_FRAMES_PER_CALL: usize = 8;

/// Octets of a frame that the gateway may send: FF 03, protocol, and the largest MRU.
const MAX_FRAME: usize = 1504;

/// Silence after which every link must have ended: login, echoes and goodbye, with time to spare.
const PATIENCE: Duration = Duration::from_secs(400);

/// Protocols that scripts may name by number.
const PROTOCOLS: [Protocol; 12] = [
    Protocol::LCP,
    Protocol::IPCP,
    Protocol::IPV6CP,
    Protocol::CHAP,
    Protocol::PAP,
    Protocol::EAP,
    Protocol::CCP,
    Protocol::IPV4,
    Protocol::IPV6,
    Protocol::ECP,
    Protocol(0x8235),
    Protocol(0x002d),
];

/// Plays a script; panics if a rule is broken.
pub fn play(script: &[u8]) {
    let (&setup, script) = script.split_first().unwrap_or((&0, &[]));
    let mut teller = Teller::new(setup);
    let mut script = Script(script);
    while let Some(operation) = script.octet() {
        teller.perform(operation, &mut script);
    }
    teller.end();
}

/// What is left of the script.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn octets(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.octet().unwrap_or(0));
        let (octets, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        octets
    }
}

struct Teller {
    now: Instant,
    link: Link,
    peer: Peer,
    to_link: VecDeque<Bytes>,
    to_peer: VecDeque<Bytes>,
    asked: VecDeque<Credentials>,
    authenticated: bool,
    granted: bool,
    down: bool,
}

impl Teller {
    fn new(setup: u8) -> Self {
        let now = epoch();
        let profiles = Profile::all();
        let profile = profiles[usize::from(setup) % profiles.len()].clone();
        let mut config = LinkConfig::new("gateway", 1400);
        config.auth = Method::ALL
            .into_iter()
            .cycle()
            .skip(usize::from(setup >> 2) % 4)
            .take(1 + usize::from(setup >> 4) % 4)
            .collect();
        let link = Link::new(Arc::new(config), Seed::new([setup; 32]), now);
        let peer = Peer::new(profile, Pair::ACCOUNT.user, Pair::ACCOUNT.password, 0x5eed_0001, now);
        let (to_link, to_peer, asked) = Default::default();
        let mut teller =
            Self { now, link, peer, to_link, to_peer, asked, authenticated: false, granted: false, down: false };
        teller.check();
        teller
    }

    fn perform(&mut self, operation: u8, script: &mut Script<'_>) {
        match operation % 16 {
            0..=4 => self.exchange(),
            5 => self.pass(Duration::from_millis(100) * u32::from(script.octet().unwrap_or(0))),
            6 => {
                let octets = script.octets();
                self.link.handle_frame(self.now, octets);
            }
            7 | 8 => self.inject(script),
            9 => drop(self.to_link.pop_front()),
            10 => drop(self.to_peer.pop_front()),
            11 => self.judge(script.octet().unwrap_or(0)),
            12 => {
                self.granted |= self.authenticated;
                self.link.grant(self.now, Pair::dual_stack());
            }
            13 => self.link.note_inbound(self.now),
            14 if script.octet() == Some(0) => self.link.close(self.now, CloseReason::Administrative),
            _ => self.peer.renegotiate(self.now),
        }
        self.check();
    }

    /// One frame each way, if there is any.
    fn exchange(&mut self) {
        while let Some(frame) = self.peer.poll_transmit() {
            self.to_link.push_back(frame);
        }
        if let Some(frame) = self.to_link.pop_front() {
            self.link.handle_frame(self.now, &frame);
        }
        self.check();
        if let Some(frame) = self.to_peer.pop_front() {
            self.peer.handle_frame(self.now, &frame);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.link.handle_timeout(self.now);
        self.peer.handle_timeout(self.now);
    }

    /// A frame that is well-formed on the outside.
    fn inject(&mut self, script: &mut Script<'_>) {
        let protocol = PROTOCOLS[usize::from(script.octet().unwrap_or(0)) % PROTOCOLS.len()];
        let (code, identifier) = (Code(script.octet().unwrap_or(0)), script.octet().unwrap_or(0));
        let packet = Packet { code, identifier, data: script.octets() }.emit();
        let frame = [Head::full(protocol).as_slice(), &packet].concat();
        self.link.handle_frame(self.now, &frame);
    }

    fn judge(&mut self, how: u8) {
        let Some(credentials) = self.asked.pop_front() else { return };
        let verdict = if how == 0 { Verdict::Rejected } else { judge(&Pair::ACCOUNT, &credentials) };
        self.link.verdict(self.now, verdict);
    }

    /// The rules that hold after each call.
    fn check(&mut self) {
        let mut frames = 0;
        while let Some(frame) = self.link.poll_transmit() {
            assert!(frame.len() <= MAX_FRAME, "a frame of {} octets", frame.len());
            frames += 1;
            self.to_peer.push_back(frame);
        }
        assert!(frames <= MAX_FRAMES_PER_CALL, "{frames} frames for one");
        while let Some(event) = self.link.poll_event() {
            assert!(!self.down, "{event:?} after the end");
            match event {
                Event::Credentials(credentials) => self.asked.push_back(credentials),
                Event::Authenticated { .. } => {
                    assert!(!std::mem::replace(&mut self.authenticated, true), "authenticated twice");
                }
                Event::NetworkUp { .. } => assert!(self.granted, "packets may flow without a grant"),
                Event::NetworkDown { .. } => {}
                Event::Down { .. } => self.down = true,
            }
        }
        let info = self.link.info();
        assert_eq!(info.phase == Phase::Dead, self.down);
        assert!(info.phase == Phase::Network || !(info.ipv4 || info.ipv6));
        assert!(info.phase != Phase::Network || self.authenticated);
        assert_eq!(self.link.poll_timeout().is_none(), self.down, "a link waits for something or has ended");
        self.to_link.truncate(64);
        self.to_peer.truncate(64);
    }

    /// The client falls silent.
    fn end(&mut self) {
        let last = self.now + PATIENCE;
        while let Some(due) = self.link.poll_timeout() {
            assert!(due <= last, "a link without a client lives on");
            self.now = self.now.max(due);
            self.link.handle_timeout(self.now);
            self.check();
            assert!(self.link.poll_timeout().is_none_or(|next| next > self.now), "a timer that does not move on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six exchanges, a verdict, a grant, and then some: the seeds of the corpus do reach the last phase.
    #[test]
    fn a_script_brings_a_link_up() {
        for setup in 0..4 {
            let mut teller = Teller::new(setup);
            let operations = [&[0; 8][..], &[11, 1, 0, 0, 12], &[0; 16]].concat();
            let mut script = Script(&operations);
            while let Some(operation) = script.octet() {
                teller.perform(operation, &mut script);
            }
            assert!(teller.link.info().ipv4, "client {setup}: {:?}", teller.link.info());
            teller.end();
        }
    }
}
