//! The link against octets: what it sends for what it gets.

mod establish;
mod liveness;
mod network;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth::testing::Client;
use crate::auth::{Method, Proof, Verdict, Verifier};
use crate::config::{Grant, LinkConfig, Seed};
use crate::event::{CloseReason, Event, Phase};
use crate::frame::{self, Head, Protocol};
use crate::link::Link;
use crate::packet::{Code, Packet};
use crate::testing::{Pair, epoch};

const SECOND: Duration = Duration::from_secs(1);

/// A link and its clock.
struct Gateway {
    link: Link,
    now: Instant,
}

impl Gateway {
    fn new(config: LinkConfig) -> Self {
        let now = epoch();
        Self { link: Link::new(Arc::new(config), Seed::new([7; 32]), now), now }
    }

    /// MS-CHAPv2 and an MRU of 1400.
    fn plain() -> Self {
        Self::new(LinkConfig::new("gateway", 1400))
    }

    /// LCP is open, and the client has been asked who it is.
    fn opened() -> Self {
        Self::opened_with(LinkConfig::new("gateway", 1400), &[])
    }

    /// As [`Gateway::opened`], with these options of the client.
    fn opened_with(config: LinkConfig, options: &[u8]) -> Self {
        let mut gateway = Self::new(config);
        gateway.open_lcp(options);
        assert_eq!(gateway.link.info().phase, Phase::Authenticate);
        gateway
    }

    /// Logged in, but without an address.
    fn logged_in() -> Self {
        Self::logged_in_with(&[])
    }

    fn logged_in_with(options: &[u8]) -> Self {
        let mut gateway = Self::opened_with(LinkConfig::new("gateway", 1400), options);
        gateway.log_in();
        assert!(matches!(gateway.events()[..], [Event::Authenticated { .. }]));
        gateway
    }

    /// Logged in with this grant; our first requests of the network phase are taken out.
    fn granted(grant: Grant) -> Self {
        let mut gateway = Self::logged_in();
        gateway.link.grant(gateway.now, grant);
        gateway.sent();
        gateway
    }

    fn open_lcp(&mut self, options: &[u8]) {
        let request = self.last_request(Protocol::LCP);
        self.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_ACK, ..request.packet() }.emit());
        self.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_REQUEST, identifier: 1, data: options }.emit());
    }

    /// Answers the challenge that was just sent.
    fn log_in(&mut self) {
        let method = self.link.info().auth.expect("LCP is open");
        let mut client = Client::new(method, Pair::ACCOUNT.user, Pair::ACCOUNT.password);
        for _ in 0..8 {
            for sent in self.sent().iter().filter(|sent| sent.protocol == method.protocol()) {
                if let Some(answer) = client.handle(&sent.information) {
                    self.receive(sent.protocol, &answer);
                }
            }
            while let Some(event) = self.link.poll_event() {
                match event {
                    Event::Credentials(credentials) => {
                        let proof = credentials.prove(&Verifier::of_password(Pair::ACCOUNT.password));
                        let Proof::Right(proof) = proof else { panic!("the password is right") };
                        let user = Pair::ACCOUNT.user.to_owned();
                        self.link.verdict(self.now, Verdict::Accepted { user, proof });
                    }
                    other => self.link.events.push_back(other),
                }
                if self.link.info().phase == Phase::Network {
                    assert_eq!(self.sent().len(), 1, "only the success");
                    return;
                }
            }
        }
        panic!("no login");
    }

    fn receive(&mut self, protocol: Protocol, information: &[u8]) {
        let frame = [Head::full(protocol).as_slice(), information].concat();
        self.link.handle_frame(self.now, &frame);
    }

    /// A packet of LCP with this code and identifier 9.
    fn receive_lcp(&mut self, code: Code, data: &[u8]) {
        self.receive(Protocol::LCP, &Packet { code, identifier: 9, data }.emit());
    }

    /// Takes out what was sent.
    fn sent(&mut self) -> Vec<Sent> {
        std::iter::from_fn(|| self.link.poll_transmit()).map(|frame| Sent::parse(&frame)).collect()
    }

    /// Takes out what was sent, which has to be one packet.
    fn only(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:02x?}");
        sent.remove(0)
    }

    /// Takes out what was sent and gives the last Configure-Request of the protocol.
    fn last_request(&mut self, protocol: Protocol) -> Sent {
        let mut sent = self.sent();
        sent.retain(|sent| sent.protocol == protocol && sent.packet().code == Code::CONFIGURE_REQUEST);
        sent.pop().expect("a Configure-Request")
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.poll_event()).collect()
    }

    /// Why it ended.
    fn down(&mut self) -> Option<CloseReason> {
        self.events().into_iter().find_map(|event| match event {
            Event::Down { reason } => Some(reason),
            _ => None,
        })
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.link.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            self.link.handle_timeout(due);
        }
        self.now = until;
    }
}

/// A frame of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    protocol: Protocol,
    information: Vec<u8>,
}

impl Sent {
    fn parse(frame: &[u8]) -> Self {
        let (protocol, offset) = frame::parse(frame).expect("a frame");
        assert_eq!(offset, 4, "control frames are sent in full");
        Self { protocol, information: frame[offset..].to_vec() }
    }

    fn packet(&self) -> Packet<'_> {
        Packet::parse(&self.information).expect("a packet")
    }

    /// Code, identifier and data.
    fn parts(&self) -> (Code, u8, &[u8]) {
        let packet = self.packet();
        (packet.code, packet.identifier, packet.data)
    }
}
