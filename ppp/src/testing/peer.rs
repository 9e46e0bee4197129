//! The client's end of a link.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::profile::Profile;
use super::wishes::Wishes;
use crate::auth::Method;
use crate::auth::testing::Client;
use crate::config::Timing;
use crate::control::{Control, Signal};
use crate::frame::{self, Head, Protocol};
use crate::packet::{Code, Packet, leading_u16};

type Lcp = Control<Wishes<{ Protocol::LCP.0 }>>;
type Ipcp = Control<Wishes<{ Protocol::IPCP.0 }>>;
type Ipv6cp = Control<Wishes<{ Protocol::IPV6CP.0 }>>;

/// How often PAP's request is repeated.
const PAP_RESTART: Duration = Duration::from_secs(3);

/// The client's end of a link: LCP, its half of the login, IPCP, IPV6CP, and the habits of a [`Profile`].
pub struct Peer {
    profile: Profile,
    name: String,
    password: String,
    lcp: Lcp,
    login: Option<Client>,
    pap_due: Option<Instant>,
    ipcp: Ipcp,
    ipv6cp: Option<Ipv6cp>,
    /// Protocols that the gateway does not have, in the order of its Protocol-Rejects.
    pub rejected: Vec<Protocol>,
    /// IP packets that came in while the link was up.
    pub packets: Vec<(Protocol, Vec<u8>)>,
    /// The gateway refused name or password, or did not prove itself.
    pub refused: bool,
    /// LCP has ended.
    pub ended: bool,
    transmits: VecDeque<Bytes>,
}

impl Peer {
    /// A client that begins at once. `magic` is its magic number.
    #[must_use]
    pub fn new(profile: Profile, name: &str, password: &str, magic: u32, now: Instant) -> Self {
        let mut own = profile.lcp.clone();
        for (_, value) in own.iter_mut().filter(|(kind, value)| *kind == 5 && value.is_empty()) {
            *value = magic.to_be_bytes().to_vec();
        }
        let mut lcp = Lcp::new(Wishes::new(own, profile.auth.clone()), timing());
        lcp.open(now);
        let (ipcp, ipv6cp) = network(&profile);
        let mut peer = Self {
            profile,
            name: name.to_owned(),
            password: password.to_owned(),
            lcp,
            login: None,
            pap_due: None,
            ipcp,
            ipv6cp,
            rejected: Vec::new(),
            packets: Vec::new(),
            refused: false,
            ended: false,
            transmits: VecDeque::new(),
        };
        peer.drain(now);
        peer
    }

    /// Takes a frame of the gateway.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        let Ok((protocol, offset)) = frame::parse(frame) else { return };
        let information = frame.get(offset..).unwrap_or_default();
        match protocol {
            Protocol::LCP => self.handle_lcp(now, information),
            Protocol::PAP | Protocol::CHAP | Protocol::EAP => self.handle_login(now, information),
            _ if !self.is_logged_in() => {}
            Protocol::IPV4 | Protocol::IPV6 => self.packets.push((protocol, information.to_vec())),
            _ => self.handle_control(now, protocol, information),
        }
        self.drain(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.lcp.handle_timeout(now);
        self.ipcp.handle_timeout(now);
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.handle_timeout(now);
        }
        if self.pap_due.is_some_and(|due| now >= due) {
            self.send_pap(now);
        }
        self.drain(now);
    }

    /// When something is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ipv6cp = self.ipv6cp.as_ref().and_then(Control::poll_timeout);
        [self.lcp.poll_timeout(), self.ipcp.poll_timeout(), ipv6cp, self.pap_due].into_iter().flatten().min()
    }

    /// The next frame to the gateway.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// Says goodbye.
    pub fn hang_up(&mut self, now: Instant) {
        self.lcp.close(now);
        self.drain(now);
    }

    /// Begins with LCP anew, as a Configure-Request in the middle of a link does.
    pub fn renegotiate(&mut self, now: Instant) {
        *self = Self::new(self.profile.clone(), &self.name, &self.password, 0x5eed_0002, now);
    }

    /// As [`Peer::renegotiate`], with another name.
    pub fn log_in_as(&mut self, now: Instant, name: &str) {
        self.name = name.to_owned();
        self.renegotiate(now);
    }

    /// Sends an IP packet, in the shortest form.
    pub fn send_ip(&mut self, protocol: Protocol, packet: &[u8]) {
        self.transmits.push_back([Head::shortest(protocol, true, true).as_slice(), packet].concat().into());
    }

    /// Sends a frame.
    pub fn send(&mut self, protocol: Protocol, information: &[u8]) {
        self.transmits.push_back([Head::full(protocol).as_slice(), information].concat().into());
    }

    /// The method that was agreed on.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        self.lcp.negotiation.method()
    }

    /// What the gateway said to name and password; with MS-CHAPv2 `Some(true)` includes its own proof.
    #[must_use]
    pub fn login_outcome(&self) -> Option<bool> {
        self.login.as_ref().and_then(Client::outcome)
    }

    /// The address that IPCP gave, once it is open.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        self.ipcp.is_opened().then(|| self.ipcp_value(3)).flatten()
    }

    /// An address that IPCP told: 129 to 132 are the name servers.
    #[must_use]
    pub fn ipcp_value(&self, kind: u8) -> Option<Ipv4Addr> {
        let value = u32::try_from(self.ipcp.negotiation.own(kind)?).ok()?;
        Some(Ipv4Addr::from(value))
    }

    /// The interface identifier, once IPV6CP is open.
    #[must_use]
    pub fn ipv6_identifier(&self) -> Option<u64> {
        self.ipv6cp.as_ref().filter(|control| control.is_opened()).and_then(|control| control.negotiation.own(1))
    }

    /// Whether LCP is open.
    #[must_use]
    pub fn is_lcp_open(&self) -> bool {
        self.lcp.is_opened()
    }

    fn is_logged_in(&self) -> bool {
        self.login_outcome() == Some(true)
    }

    fn handle_lcp(&mut self, now: Instant, information: &[u8]) {
        let Ok(packet) = Packet::parse(information) else { return };
        match packet.code {
            Code::ECHO_REQUEST => self.lcp.handle_echo(now, packet.identifier, packet.data),
            Code::ECHO_REPLY => {}
            Code::PROTOCOL_REJECT => {
                let rejected = leading_u16(packet.data).map(|(number, _)| Protocol(number));
                self.rejected.extend(rejected);
                if rejected == Some(Protocol::IPV6CP)
                    && let Some(ipv6cp) = &mut self.ipv6cp
                {
                    ipv6cp.handle_protocol_reject(now);
                }
            }
            _ => self.lcp.handle_packet(now, &packet),
        }
    }

    fn handle_login(&mut self, now: Instant, information: &[u8]) {
        let before = self.is_logged_in();
        let Some(login) = &mut self.login else { return };
        let answer = login.handle(information);
        let protocol = self.method().map(Method::protocol);
        if let (Some(answer), Some(protocol)) = (answer, protocol) {
            self.send(protocol, &answer);
        }
        self.refused |= self.login_outcome() == Some(false);
        if !before && self.is_logged_in() {
            self.pap_due = None;
            self.begin_network(now);
        }
    }

    fn begin_network(&mut self, now: Instant) {
        self.ipcp.open(now);
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.open(now);
        }
        for (protocol, packet) in self.profile.others.clone() {
            self.send(protocol, &packet);
        }
    }

    /// Anything but IPCP and IPV6CP is met with a Protocol-Reject.
    fn handle_control(&mut self, now: Instant, protocol: Protocol, information: &[u8]) {
        let Ok(packet) = Packet::parse(information) else { return };
        match (protocol, &mut self.ipv6cp) {
            (Protocol::IPCP, _) => self.ipcp.handle_packet(now, &packet),
            (Protocol::IPV6CP, Some(ipv6cp)) => ipv6cp.handle_packet(now, &packet),
            _ => {
                let data = [&protocol.0.to_be_bytes(), information].concat();
                self.lcp.reject_protocol(now, &data);
            }
        }
    }

    fn send_pap(&mut self, now: Instant) {
        let request = self.login.as_mut().and_then(Client::start);
        self.pap_due = request.is_some().then_some(now + PAP_RESTART);
        if let Some(request) = request {
            self.send(Protocol::PAP, &request);
        }
    }

    fn drain(&mut self, now: Instant) {
        self.flush();
        while let Some(signal) = self.lcp.poll_signal() {
            match signal {
                Signal::Up => self.begin_login(now),
                Signal::Down => self.leave_network(),
                Signal::Finished(_) => self.ended = true,
            }
        }
        while self.ipcp.poll_signal().is_some() {}
        while self.ipv6cp.as_mut().and_then(Control::poll_signal).is_some() {}
        self.flush();
    }

    /// LCP begins anew, so everything above it does.
    fn leave_network(&mut self) {
        (self.login, self.pap_due) = (None, None);
        (self.ipcp, self.ipv6cp) = network(&self.profile);
    }

    fn begin_login(&mut self, now: Instant) {
        self.login = self.method().map(|method| Client::new(method, &self.name, &self.password));
        if self.profile.identifies {
            let magic = [0; 4];
            let data = [&magic[..], b"MSRASV5.20"].concat();
            let identification = Packet { code: Code::IDENTIFICATION, identifier: 2, data: &data }.emit();
            self.send(Protocol::LCP, &identification);
        }
        self.send_pap(now);
    }

    fn flush(&mut self) {
        while let Some(packet) = self.lcp.poll_transmit() {
            self.send(Protocol::LCP, &packet);
        }
        while let Some(packet) = self.ipcp.poll_transmit() {
            self.send(Protocol::IPCP, &packet);
        }
        while let Some(packet) = self.ipv6cp.as_mut().and_then(Control::poll_transmit) {
            self.send(Protocol::IPV6CP, &packet);
        }
    }
}

/// Clients keep to the restart timer of RFC 1661 section 4.6.
fn timing() -> Timing {
    Timing { quick_restart: Duration::from_secs(3), ..Timing::default() }
}

/// The protocols of the network phase, not yet begun.
fn network(profile: &Profile) -> (Ipcp, Option<Ipv6cp>) {
    let ipv6cp = profile
        .ipv6
        .map(|identifier| Ipv6cp::new(Wishes::new(vec![(1, identifier.to_be_bytes().to_vec())], Vec::new()), timing()));
    (Ipcp::new(Wishes::new(profile.ipcp.clone(), Vec::new()), timing()), ipv6cp)
}
