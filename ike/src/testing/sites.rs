//! Stories of two sites for the fuzzer: bytes become operations on two gateways that are each other's site, and on the
//! network between them.
//!
//! Whatever comes as an answer, neither of them panics, strangers change nothing that is protected, and nothing is left of any
//! session or attempt in the end.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::Config;
use crate::credential::{LocalAuth, PeerAuth};
use crate::crypto::secret::Secret;
use crate::crypto::testing::SeededRandom;
use crate::identity::Identity;
use crate::proposal::{Policy, PolicyName};
use crate::wire::header::{ExchangeType, Flags, HEADER_LEN, Header};
use crate::wire::num::{NotifyType, PayloadType};
use crate::wire::v2::{MessageBuilder, Notify, Payload, TrafficSelector, Unknown};
use crate::{
    ChildMode, CloseReason, Endpoint, EspSpi, Event, Grant, IkeSpi, Path, Prefix, SessionInfo, Site, SiteChild, Timing,
    UnixTime,
};

use super::story::Script;

/// A story that goes on longer is cut off.
const MAX_STEPS: usize = 64;
/// More sessions of one gateway are not begun.
const MAX_SESSIONS: usize = 3;
/// How long a datagram travels.
const HOP: Duration = Duration::from_millis(10);
/// Long enough for every timer to run.
const FOR_EVER: Duration = Duration::from_secs(3600);

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)];
const NAMES: [&str; 2] = ["west.example", "east.example"];

/// Notifications that an initiator has to make something of.
const NOTIFICATIONS: [NotifyType; 8] = [
    NotifyType::COOKIE,
    NotifyType::INVALID_KE_PAYLOAD,
    NotifyType::NO_PROPOSAL_CHOSEN,
    NotifyType::INVALID_SYNTAX,
    NotifyType::INVALID_MAJOR_VERSION,
    NotifyType::NAT_DETECTION_SOURCE_IP,
    NotifyType::IKEV2_FRAGMENTATION_SUPPORTED,
    NotifyType::SIGNATURE_HASH_ALGORITHMS,
];

/// Plays the story that `script` tells.
///
/// # Panics
/// If one of the gateways does not keep its promises.
pub fn play(script: &[u8]) {
    let mut script = Script(script);
    let options = script.byte();
    let mut world = World {
        now: super::epoch(),
        gateways: [0, 1].map(|own| Gateway::new(own, options)),
        on_the_way: VecDeque::new(),
        is_cut: false,
    };
    for _ in 0..MAX_STEPS {
        if script.0.is_empty() {
            break;
        }
        world.step(&mut script);
    }
    world.end();
}

struct World {
    now: Instant,
    gateways: [Gateway; 2],
    /// Messages with their receivers and with the addresses as these see them.
    on_the_way: VecDeque<(usize, Path, Bytes)>,
    is_cut: bool,
}

struct Gateway {
    endpoint: Endpoint,
    site: Arc<Site>,
    children: BTreeSet<EspSpi>,
}

impl Gateway {
    fn new(own: usize, options: u8) -> Self {
        let site = Arc::new(site(own, options));
        let mut config = Config::new(Identity::Fqdn("gateway.example".into()));
        config.sites = vec![site.clone()];
        config.limits.cookie_threshold = if options & 1 == 0 { 1000 } else { 0 };
        let seed = u64::try_from(own).expect("0 or 1");
        let endpoint = Endpoint::new(Arc::new(config), Box::new(SeededRandom::new(seed)));
        Self { endpoint, site, children: BTreeSet::new() }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Authenticated { session, .. } => self.endpoint.grant(now, session, Grant::default()),
            Event::ChildUp { child, .. } => assert!(self.children.insert(child.inbound_spi), "an SPI is used twice"),
            Event::ChildDown { inbound_spi, .. } => {
                assert!(self.children.remove(&inbound_spi), "a Child SA goes down once");
            }
            _ => {}
        }
    }
}

fn site(own: usize, options: u8) -> Site {
    let other = 1 - own;
    let is_east = own == 1;
    let key = |wrong: bool| Secret::from_slice(if wrong { b"sardine" } else { b"swordfish" });
    let policy = if is_east && options & 4 != 0 { PolicyName::Compatible } else { PolicyName::Modern };
    let networks = [[10, 1, 0, 0], [10, 2, 0, 0], [10, 3, 0, 0], [10, 4, 0, 0]];
    let network = |number: usize| vec![TrafficSelector::prefix(IpAddr::from(networks[number]), 16)];
    let child = |name: &str, base: usize| SiteChild {
        name: name.into(),
        local: network(base + own),
        remote: network(base + other),
        mode: ChildMode::Tunnel,
    };
    let timing = Timing { child_lifetime: None, ike_lifetime: None, ..Timing::default() };
    Site {
        name: "other".into(),
        identity: Identity::Fqdn(NAMES[own].into()),
        peer_identity: Some(Identity::Fqdn(NAMES[other].into())),
        peer_addresses: vec![Prefix { address: ADDRESSES[other].into(), len: 24 }],
        local_auth: LocalAuth::Psk(key(is_east && options & 2 != 0)),
        peer_auth: PeerAuth::Psk(key(false)),
        ppk: None,
        policy: Policy::named(&[policy]),
        children: vec![child("one", 0), child("two", 2)],
        timing,
        reauthentication: None,
        mobike: options & 8 == 0,
        force_udp_encap: options & 16 != 0,
        fragmentation: options & 32 == 0,
    }
}

impl World {
    fn wall() -> UnixTime {
        UnixTime::from_secs(1_800_000_000)
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let argument = script.byte();
        let side = usize::from(argument & 1);
        match argument >> 4 {
            0 | 1 => self.initiate(side),
            2..=5 => self.advance(HOP * u32::from(argument & 3)),
            6 => self.advance(Duration::from_secs(u64::from(script.byte()))),
            7 => self.forge(script),
            8 => self.answer(script),
            9 | 10 => self.change_first_answer(script),
            11 => drop(self.on_the_way.pop_front()),
            12 => self.is_cut = argument & 1 != 0,
            13 | 14 => self.task(side, script),
            _ => self.roam(side, script),
        }
        self.exchange();
    }

    fn initiate(&mut self, side: usize) {
        let local = SocketAddr::new(ADDRESSES[side].into(), 500);
        let peer = SocketAddr::new(ADDRESSES[1 - side].into(), 500);
        let gateway = &mut self.gateways[side];
        if gateway.endpoint.snapshot().len() < MAX_SESSIONS {
            let site = gateway.site.clone();
            gateway.endpoint.initiate(self.now, Self::wall(), &site, Path { local, peer }, &[0, 1]);
        }
    }

    /// Somebody asks for something on one of the sessions.
    fn task(&mut self, side: usize, script: &mut Script<'_>) {
        let (task, which) = (script.byte(), usize::from(script.byte()));
        let endpoint = &mut self.gateways[side].endpoint;
        let sessions = endpoint.snapshot();
        let Some(SessionInfo { session, children, .. }) = sessions.get(which % sessions.len().max(1)) else { return };
        let child = children.first().map(|child| child.inbound_spi);
        match (task % 6, child) {
            (0, Some(spi)) => endpoint.rekey_child(self.now, *session, spi),
            (1, Some(spi)) => endpoint.close_child(self.now, *session, spi),
            (2, _) => endpoint.rekey_ike(self.now, *session),
            (3, _) => endpoint.create_child(self.now, *session, which % 2),
            (4, _) => endpoint.close(self.now, *session, CloseReason::Administrative),
            _ => endpoint.note_inbound(self.now, *session),
        }
    }

    /// A gateway moves to one of a few addresses.
    fn roam(&mut self, side: usize, script: &mut Script<'_>) {
        let endpoint = &mut self.gateways[side].endpoint;
        let Some(SessionInfo { session, path, .. }) = endpoint.snapshot().into_iter().next() else { return };
        let [a, b, c, _] = ADDRESSES[side].octets();
        let host = IpAddr::from([a, b, c, 1 + script.byte() % 4]);
        let local = SocketAddr::new(host, path.local.port());
        endpoint.relocate(self.now, session, Path { local, ..path });
    }

    /// A stranger changes a protected message on its way, and is faster.
    fn forge(&mut self, script: &mut Script<'_>) {
        let Some((to, path, payload)) = self.find(|payload| payload.get(18) != Some(&ExchangeType::IKE_SA_INIT.0))
        else {
            return;
        };
        let mut message = payload.to_vec();
        let at = usize::from(script.byte()) % message.len();
        message[at] ^= script.byte().max(1);
        self.assert_unchanged(to, path, &message);
    }

    /// A stranger answers a request that is on its way.
    fn answer(&mut self, script: &mut Script<'_>) {
        let Some((to, path, payload)) = self.find(is_request) else { return };
        let Ok(header) = Header::parse(&payload) else { return };
        let is_first = header.exchange == ExchangeType::IKE_SA_INIT;
        let flags = Flags { initiator: !header.flags.initiator, response: true, version: false };
        let responder_spi = header.responder_spi.or_else(|| (script.byte() & 1 != 0).then_some(IkeSpi([9; 8])));
        let mut builder = MessageBuilder::new(&Header { flags, responder_spi, ..header });
        for _ in 0..=script.byte() % 3 {
            let (kind, length) = (script.byte(), usize::from(script.byte() % 64));
            let body = script.take(length);
            let notification = NOTIFICATIONS[usize::from(kind) % NOTIFICATIONS.len()];
            let kind = PayloadType(33 + kind % 16);
            if kind == PayloadType::NOTIFY {
                builder.push(&Payload::Notify(Notify::new(notification, body)));
            } else if !kind.ends_chain() {
                builder.push(&Payload::Unknown(Unknown { kind, critical: false, body }));
            }
        }
        let Ok(message) = builder.finish() else { return };
        let back = Path { local: path.peer, peer: path.local };
        if is_first {
            self.deliver(1 - to, back, &message);
        } else {
            self.assert_unchanged(1 - to, back, &message);
        }
    }

    /// The answer to IKE_SA_INIT, which nothing protects yet, arrives changed, and then as it was.
    fn change_first_answer(&mut self, script: &mut Script<'_>) {
        let is_answer = |payload: &Bytes| payload.get(18) == Some(&ExchangeType::IKE_SA_INIT.0) && !is_request(payload);
        let Some((to, path, payload)) = self.find(is_answer) else { return };
        let mut message = payload.to_vec();
        let body = message.len().saturating_sub(HEADER_LEN).max(1);
        let at = (HEADER_LEN + (usize::from(script.byte()) * 256 + usize::from(script.byte())) % body)
            .min(message.len() - 1);
        message[at] ^= script.byte().max(1);
        self.deliver(to, path, &message);
    }

    fn find(&self, wanted: impl Fn(&Bytes) -> bool) -> Option<(usize, Path, Bytes)> {
        self.on_the_way.iter().find(|(_, _, payload)| wanted(payload)).cloned()
    }

    fn deliver(&mut self, to: usize, path: Path, message: &[u8]) {
        self.gateways[to].endpoint.handle_datagram(self.now, Self::wall(), path, message);
    }

    fn assert_unchanged(&mut self, to: usize, path: Path, message: &[u8]) {
        let before = self.gateways[to].endpoint.fingerprint();
        self.deliver(to, path, message);
        assert_eq!(self.gateways[to].endpoint.fingerprint(), before, "a stranger has changed something");
    }

    /// Lets so much time pass.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let timers = self.gateways.iter().filter_map(|gateway| gateway.endpoint.poll_timeout());
            let arrival = (!self.on_the_way.is_empty()).then(|| self.now + HOP);
            match timers.chain(arrival).min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => break,
            }
            for (to, path, payload) in std::mem::take(&mut self.on_the_way) {
                self.deliver(to, path, &payload);
            }
            for gateway in &mut self.gateways {
                gateway.endpoint.handle_timeout(self.now, Self::wall());
            }
        }
        self.now = end;
    }

    /// Takes out all events and puts all messages on their way.
    fn exchange(&mut self) {
        for (from, gateway) in self.gateways.iter_mut().enumerate() {
            while let Some(event) = gateway.endpoint.poll_event() {
                gateway.event(self.now, event);
            }
            while let Some(transmit) = gateway.endpoint.poll_transmit() {
                let Path { local, peer } = transmit.path;
                if !self.is_cut {
                    self.on_the_way.push_back((1 - from, Path { local: peer, peer: local }, transmit.payload));
                }
            }
        }
    }

    /// Both stop, and nothing is left.
    fn end(mut self) {
        self.is_cut = false;
        for gateway in &mut self.gateways {
            gateway.endpoint.close_all(self.now);
        }
        self.advance(FOR_EVER);
        for gateway in &self.gateways {
            assert!(gateway.endpoint.snapshot().is_empty(), "a session is left");
            assert!(gateway.endpoint.poll_timeout().is_none(), "a timer is left");
            assert_eq!(gateway.endpoint.spis_in_use(), (0, 0), "SPIs are left");
            assert!(gateway.children.is_empty(), "a Child SA is left");
        }
    }
}

fn is_request(payload: &Bytes) -> bool {
    Header::parse(payload).is_ok_and(|header| !header.flags.response)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn any_story_of_two_sites_has_a_good_end(script in proptest::collection::vec(any::<u8>(), 0..160)) {
            play(&script);
        }
    }
}
