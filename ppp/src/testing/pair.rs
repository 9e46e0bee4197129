//! A link and its client, with a line and a virtual clock between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::epoch;
use super::peer::Peer;
use super::profile::Profile;
use crate::auth::{Credentials, Proof, Verdict, Verifier};
use crate::config::{Grant, LinkConfig, Seed};
use crate::event::{CloseReason, Event, Family};
use crate::generator::Generator;
use crate::link::Link;

/// How bad a line is. It keeps the order, as ESP nearly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineQuality {
    /// Frames lost, in percent.
    pub loss: u8,
    /// Frames delivered twice, in percent.
    pub duplicates: u8,
    /// Time on the way.
    pub delay: Duration,
}

impl LineQuality {
    /// Nothing is lost, and all arrives after 10 ms.
    pub const PERFECT: Self = Self { loss: 0, duplicates: 0, delay: Duration::from_millis(10) };
}

/// Who may come in.
pub struct Account {
    /// Name of the only user.
    pub user: &'static str,
    /// Their password.
    pub password: &'static str,
}

/// Who gets a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    Link,
    Peer,
}

/// A link, its client, and what happened.
pub struct Pair {
    /// The virtual clock.
    pub now: Instant,
    /// The gateway's end.
    pub link: Link,
    /// The client's end.
    pub peer: Peer,
    /// The account that logins are checked against.
    pub account: Account,
    /// What an authenticated client gets; `None`: it waits.
    pub grant: Option<Grant>,
    /// Names that logged in, in order.
    pub users: Vec<String>,
    /// Families that came up, in order.
    pub up: Vec<Family>,
    /// Why the link ended.
    pub down: Option<CloseReason>,
    /// Every frame that the gateway sent, lost ones as well.
    pub sent: Vec<Bytes>,
    quality: LineQuality,
    random: Generator,
    on_the_way: BTreeMap<(Instant, u64), (To, Bytes)>,
    sequence: u64,
}

impl Pair {
    /// The account of [`Pair::new`].
    pub const ACCOUNT: Account = Account { user: "anna", password: "correct horse" };

    /// Both ends have begun; accidents of the line follow from `seed`.
    #[must_use]
    pub fn new(config: LinkConfig, profile: Profile, quality: LineQuality, seed: u8) -> Self {
        let now = epoch();
        Self {
            now,
            link: Link::new(Arc::new(config), Seed::new([seed; 32]), now),
            peer: Peer::new(profile, Self::ACCOUNT.user, Self::ACCOUNT.password, 0x5eed_0001, now),
            account: Self::ACCOUNT,
            grant: Some(Self::dual_stack()),
            users: Vec::new(),
            up: Vec::new(),
            down: None,
            sent: Vec::new(),
            quality,
            random: Generator::new(Seed::new([!seed; 32])),
            on_the_way: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// A grant with both families, two name servers and no NetBIOS name server.
    #[must_use]
    pub fn dual_stack() -> Grant {
        Grant {
            ipv4: Some(Ipv4Addr::new(10, 20, 0, 7)),
            ipv6: Some("fd20::a:b:c:d".parse().expect("an address")),
            gateway4: Ipv4Addr::new(10, 20, 0, 1),
            dns: ["10.20.0.1", "fd20::1", "9.9.9.9"]
                .map(|server| server.parse::<IpAddr>().expect("an address"))
                .to_vec(),
            nbns: Vec::new(),
            domains: vec!["example.org".to_owned()],
            routes: Vec::new(),
            mtu: 1380,
        }
    }

    /// Lets time pass until `until`, or until nothing is left to happen.
    pub fn run_until(&mut self, until: Instant) {
        self.exchange();
        while let Some(at) = self.next_moment().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            while let Some(entry) = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    (To::Link, frame) => self.link.handle_frame(self.now, &frame),
                    (To::Peer, frame) => self.peer.handle_frame(self.now, &frame),
                }
                self.exchange();
            }
            self.link.handle_timeout(self.now);
            self.peer.handle_timeout(self.now);
            self.exchange();
        }
        self.now = until;
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Whether IP packets of this family may flow on both sides.
    #[must_use]
    pub fn is_up(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.link.info().ipv4 && self.peer.ipv4().is_some(),
            Family::V6 => self.link.info().ipv6 && self.peer.ipv6_identifier().is_some(),
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        let arrival = self.on_the_way.first_key_value().map(|((at, _), _)| *at);
        [arrival, self.link.poll_timeout(), self.peer.poll_timeout()].into_iter().flatten().min()
    }

    /// Answers events and puts frames on the line.
    fn exchange(&mut self) {
        while let Some(event) = self.link.poll_event() {
            self.answer(event);
        }
        while let Some(frame) = self.link.poll_transmit() {
            self.sent.push(frame.clone());
            self.send(To::Peer, &frame);
        }
        while let Some(frame) = self.peer.poll_transmit() {
            self.send(To::Link, &frame);
        }
    }

    fn answer(&mut self, event: Event) {
        match event {
            Event::Credentials(credentials) => self.link.verdict(self.now, judge(&self.account, &credentials)),
            Event::Authenticated { user, .. } => {
                self.users.push(user);
                if let Some(grant) = self.grant.clone() {
                    self.link.grant(self.now, grant);
                }
            }
            Event::NetworkUp { family } => self.up.push(family),
            Event::NetworkDown { .. } => {}
            Event::Down { reason } => self.down = Some(reason),
        }
    }

    fn send(&mut self, to: To, frame: &Bytes) {
        let copies = match self.percent() {
            roll if roll < self.quality.loss => 0,
            roll if roll < self.quality.loss + self.quality.duplicates => 2,
            _ => 1,
        };
        for _ in 0..copies {
            self.sequence += 1;
            self.on_the_way.insert((self.now + self.quality.delay, self.sequence), (to, frame.clone()));
        }
    }

    fn percent(&mut self) -> u8 {
        u8::try_from(self.random.magic() % 100).expect("below 100")
    }
}

/// What a gateway with this one account says.
#[must_use]
pub(super) fn judge(account: &Account, credentials: &Credentials) -> Verdict {
    let verifier = Verifier::of_password(account.password);
    let name = credentials.user().rsplit('\\').next().unwrap_or_default();
    match credentials.prove(&verifier) {
        Proof::Right(proof) if name == account.user => Verdict::Accepted { user: account.user.to_owned(), proof },
        _ => Verdict::Rejected,
    }
}
