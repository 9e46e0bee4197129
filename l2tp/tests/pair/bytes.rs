//! Messages of the stock clients byte for byte, against a gateway that is driven by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_l2tp::header::Header;
use cygnet_l2tp::message::{Attributes, Message, Sccrp};
use cygnet_l2tp::testing::{SeededRandom, epoch};
use cygnet_l2tp::{ChannelId, Config, Endpoint, Event, Refusal};

pub(crate) const CHANNEL: ChannelId = ChannelId(1);

/// An AVP: flags (0x8000 is the M bit), vendor, attribute, value.
pub(crate) fn avp(flags: u16, vendor: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 6).expect("short");
    [&[flags | length, vendor, attribute].map(u16::to_be_bytes).concat(), value].concat()
}

/// A mandatory AVP of the IETF.
pub(crate) fn must(attribute: u16, value: &[u8]) -> Vec<u8> {
    avp(0x8000, 0, attribute, value)
}

/// A control message.
pub(crate) fn control(tunnel: u16, session: u16, ns: u16, nr: u16, avps: &[Vec<u8>]) -> Vec<u8> {
    let body = avps.concat();
    let length = u16::try_from(body.len() + 12).expect("short");
    [&[0xc802, length, tunnel, session, ns, nr].map(u16::to_be_bytes).concat(), body.as_slice()].concat()
}

pub(crate) fn windows_sccrq() -> Vec<u8> {
    let parts = [
        must(0, &[0, 1]),
        must(2, &[1, 0]),
        must(3, &[0, 0, 0, 1]),
        must(4, &[0, 0, 0, 0]),
        avp(0, 0, 6, &[0x0a, 0x00]),
        must(7, b"RWB-LAPTOP-DELL"),
        avp(0, 0, 8, b"Microsoft"),
        must(9, &[0, 1]),
        must(10, &[0, 8]),
    ];
    control(0, 0, 0, 0, &parts)
}

pub(crate) fn macos_sccrq() -> Vec<u8> {
    let name = must(7, b"macbook.local\0");
    let parts =
        [must(0, &[0, 1]), must(2, &[1, 0]), must(3, &[0, 0, 0, 3]), name, must(9, &[0, 10]), must(10, &[0, 4])];
    control(0, 0, 0, 0, &parts)
}

pub(crate) fn android_sccrq() -> Vec<u8> {
    let (name, framing) = (must(7, b"anonymous"), must(3, &[0, 0, 0, 3]));
    let parts = [must(0, &[0, 1]), must(2, &[1, 0]), name, framing, must(9, &[0x04, 0xd2]), must(10, &[0, 1])];
    control(0, 0, 0, 0, &parts)
}

pub(crate) fn linux_sccrq() -> Vec<u8> {
    let parts = [
        must(0, &[0, 1]),
        must(2, &[1, 0]),
        must(3, &[0, 0, 0, 3]),
        must(4, &[0, 0, 0, 0]),
        avp(0, 0, 6, &[0x06, 0x90]),
        must(7, b"desktop"),
        avp(0, 0, 8, b"xelerance.com"),
        must(9, &[0x5e, 0x5e]),
        must(10, &[0, 4]),
    ];
    control(0, 0, 0, 0, &parts)
}

/// A gateway that is driven by hand.
pub(crate) struct Hand {
    pub(crate) now: Instant,
    pub(crate) server: Endpoint,
}

impl Hand {
    pub(crate) fn new(config: Config) -> Self {
        Self { now: epoch(), server: Endpoint::new(Arc::new(config), Box::new(SeededRandom::new(5))) }
    }

    /// What the gateway answers to a datagram.
    pub(crate) fn send(&mut self, port: u16, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.send_through(CHANNEL, port, datagram)
    }

    pub(crate) fn send_through(&mut self, channel: ChannelId, port: u16, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.server.handle_datagram(self.now, channel, port, datagram);
        let transmits = std::iter::from_fn(|| self.server.poll_transmit());
        transmits
            .inspect(|transmit| assert_eq!((transmit.channel, transmit.port), (channel, port)))
            .map(|transmit| transmit.payload.to_vec())
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    pub(crate) fn refusals(&mut self) -> Vec<Refusal> {
        let refused = |event| if let Event::Refused(refusal) = event { Some(*refusal) } else { None };
        self.events().into_iter().filter_map(refused).collect()
    }

    /// Opens a tunnel with this SCCRQ; the result is the gateway's id of it.
    pub(crate) fn open(&mut self, port: u16, sccrq: &[u8]) -> u16 {
        let tunnel = sccrp(&self.send(port, sccrq)).assigned_tunnel_id;
        let zlb = self.send(port, &control(tunnel, 0, 1, 1, &[must(0, &[0, 3])]));
        assert_eq!(zlb.len(), 1, "SCCCN is acknowledged at once");
        tunnel
    }

    /// Opens a session in an open tunnel; the result is the gateway's id of it.
    pub(crate) fn call(&mut self, port: u16, tunnel: u16, session: u16) -> u16 {
        let icrq = [must(0, &[0, 10]), must(14, &session.to_be_bytes()), must(15, &[0, 0, 0, 1])];
        let answers = self.send(port, &control(tunnel, 0, 2, 1, &icrq));
        let Some(Message::Icrp(reply)) = message(&answers[0]) else { panic!("no ICRP: {answers:02x?}") };
        let id = reply.assigned_session_id;
        let iccn = [must(0, &[0, 12]), must(24, &[0, 0x0f, 0x42, 0x40]), must(19, &[0, 0, 0, 3])];
        let answers = self.send(port, &control(tunnel, id, 3, 2, &iccn));
        assert!(answers.len() == 1 && answers[0].len() == 12, "ICCN is acknowledged at once: {answers:02x?}");
        id
    }

    pub(crate) fn advance(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.server.handle_timeout(self.now);
            sent.extend(std::iter::from_fn(|| self.server.poll_transmit()).map(|transmit| transmit.payload.to_vec()));
        }
        self.now = end;
        sent
    }
}

pub(crate) fn message(datagram: &[u8]) -> Option<Message> {
    let (_, range) = Header::parse(datagram).expect("valid header");
    let attributes = Attributes::read(&datagram[range], None).ok()?;
    Message::understand(&attributes).expect("valid message")
}

pub(crate) fn sccrp(answers: &[Vec<u8>]) -> Sccrp {
    match answers {
        [answer] => match message(answer) {
            Some(Message::Sccrp(reply)) => reply,
            other => panic!("not SCCRP but {other:?}"),
        },
        other => panic!("{} answers", other.len()),
    }
}

/// Attribute numbers and M bits of a control message.
pub(crate) fn attributes(datagram: &[u8]) -> Vec<(u16, bool)> {
    let (_, range) = Header::parse(datagram).expect("valid header");
    let mut rest = &datagram[range];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (raw, after) = cygnet_l2tp::avp::RawAvp::parse(rest).expect("valid AVP");
        found.push((raw.attribute, raw.mandatory));
        rest = after;
    }
    found
}
