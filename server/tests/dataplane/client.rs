//! An L2TP client made by hand: one ESP pair in transport mode, and one octet after the other of what is inside.
//!
//! What the gateway says is taken apart without the code under test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use cygnet_esp::secret::Secret;
use cygnet_esp::selector::SelectorSet;
use cygnet_esp::{InboundConfig, InboundSa, OutboundConfig, OutboundSa, SaKeys, Spi, Suite, Transform};
use cygnet_ike::{EspSpi, Path};
use cygnet_server::dataplane::{Device, InnerPath, Limits, Link, Owner, SaPair};
use socket2::{Domain, Protocol, Socket, Type};

use crate::namespaces::Namespace;

/// Where the gateway listens.
const GATEWAY: [&str; 2] = ["192.0.2.2", "2001:db8::2"];

/// Behind the gateway: answers echo requests.
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// What tells one client, or one SA pair of a client, from another. All else is equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sa {
    pub(crate) transform: Transform,
    /// Keys and SPIs.
    pub(crate) number: u8,
    /// Worker of the gateway.
    pub(crate) worker: u8,
}

impl Sa {
    /// The gateway's name of the pair.
    pub(crate) fn spi(self) -> EspSpi {
        EspSpi(u32::from_be_bytes([self.worker + 1, 0x12, 0x70, self.number]))
    }

    fn client_spi(self) -> Spi {
        Spi(u32::from_be_bytes([0xc1, 0x1e, 0x27, self.number]))
    }

    fn suite(self) -> Suite {
        Suite { transform: self.transform, esn: false }
    }

    fn keys(self, octet: u8) -> SaKeys {
        let key = |len| Secret::new((octet..).take(len).collect());
        SaKeys { encr: key(self.transform.encr_key_len()), integ: key(self.transform.integ_key_len()) }
    }

    fn up(self) -> SaKeys {
        self.keys(self.number)
    }

    fn down(self) -> SaKeys {
        self.keys(self.number + 100)
    }
}

/// How ESP packets of the client travel.
enum Outer {
    Udp(UdpSocket),
    /// Packets from here have their IP header in front.
    Raw(Socket),
}

/// See the module.
pub(crate) struct Client {
    outer: Outer,
    gateway: SocketAddr,
    pub(crate) lease: Ipv4Addr,
    pub(crate) sa: Sa,
    outbound: OutboundSa,
    inbound: InboundSa,
    /// Of the UDP header inside.
    pub(crate) checksum: u16,
}

/// A UDP datagram as it came out of ESP.
pub(crate) struct Inside {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) checksum: u16,
    /// All of it, header included.
    pub(crate) octets: Vec<u8>,
}

impl Inside {
    pub(crate) fn payload(&self) -> &[u8] {
        &self.octets[8..]
    }

    /// The packet in a data message in its long form.
    pub(crate) fn packet(&self) -> &[u8] {
        let payload = self.payload();
        assert_eq!(payload[..2], [0x40, 0x02], "a data message with a length");
        assert_eq!(usize::from(u16::from_be_bytes([payload[2], payload[3]])), payload.len());
        assert_eq!(payload[8..11], [0xff, 0x03, 0], "PPP");
        &payload[12..]
    }
}

impl Client {
    /// A client with a UDP socket of its own, in the namespace.
    pub(crate) fn new(namespace: &Namespace, sa: Sa, lease: [u8; 4], ipv6: bool) -> Self {
        let any = if ipv6 { "[::]:0" } else { "192.0.2.1:0" };
        let socket = namespace.inside(|| UdpSocket::bind(any).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self::with(Outer::Udp(socket), sa, lease, ipv6)
    }

    /// A client that sends ESP directly in IPv4.
    pub(crate) fn raw(namespace: &Namespace, sa: Sa, lease: [u8; 4]) -> Self {
        let socket = namespace.inside(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(50))).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self::with(Outer::Raw(socket), sa, lease, false)
    }

    fn with(outer: Outer, sa: Sa, lease: [u8; 4], ipv6: bool) -> Self {
        let inbound = InboundConfig { spi: sa.client_spi(), suite: sa.suite(), keys: sa.down(), replay_window: 1024 };
        let outbound = OutboundConfig { spi: Spi(sa.spi().0), suite: sa.suite(), keys: sa.up(), soft_limit: None };
        Self {
            outer,
            gateway: SocketAddr::new(GATEWAY[usize::from(ipv6)].parse().unwrap(), 4500),
            lease: lease.into(),
            sa,
            outbound: OutboundSa::new(outbound).unwrap(),
            inbound: InboundSa::new(inbound).unwrap(),
            checksum: 0xbad0,
        }
    }

    /// Goes on from another port, as after a NAT has forgotten it.
    pub(crate) fn rebind(&mut self, namespace: &Namespace) {
        let socket = namespace.inside(|| UdpSocket::bind("192.0.2.1:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        self.outer = Outer::Udp(socket);
    }

    /// The gateway's path to the client.
    pub(crate) fn path(&self) -> Path {
        match &self.outer {
            Outer::Udp(socket) => {
                let address: IpAddr = if self.gateway.is_ipv6() { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
                Path { local: self.gateway, peer: SocketAddr::new(address, socket.local_addr().unwrap().port()) }
            }
            Outer::Raw(_) => Path { local: "192.0.2.2:500".parse().unwrap(), peer: "192.0.2.1:500".parse().unwrap() },
        }
    }

    /// The SA pair as the gateway has it.
    pub(crate) fn pair(&self) -> SaPair {
        let sa = self.sa;
        SaPair {
            inbound: InboundConfig { spi: Spi(sa.spi().0), suite: sa.suite(), keys: sa.up(), replay_window: 1024 },
            outbound: OutboundConfig { spi: sa.client_spi(), suite: sa.suite(), keys: sa.down(), soft_limit: None },
            inner: InnerPath::L2tp,
            selectors: SelectorSet::new([], []),
            udp_encap: matches!(self.outer, Outer::Udp(_)),
            path: self.path(),
            device: Device::Shared,
            limits: Limits::default(),
            owner: Owner::Clients,
        }
    }

    /// The link: tunnel 1 and session 1 in both directions, as of two Windows clients that have just booted.
    pub(crate) fn link(&self) -> Link {
        Link {
            local_tunnel: 1,
            local_session: 1,
            peer_tunnel: 1,
            peer_session: 1,
            port: 1701,
            addresses: vec![self.lease.into()],
            short_protocol: false,
            omit_address_control: false,
            sequencing: false,
            mtu: 1400,
        }
    }

    /// One ESP packet around a UDP payload.
    pub(crate) fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let header = [1701, 1701, len, self.checksum].map(u16::to_be_bytes).concat();
        let datagram = [&header, payload].concat();
        let mut packet = vec![0; self.outbound.sealed_len(datagram.len())];
        packet[self.outbound.header_len()..][..datagram.len()].copy_from_slice(&datagram);
        let sequence = self.outbound.reserve(1).unwrap().next().unwrap();
        self.outbound.seal(sequence, &mut packet, datagram.len(), 17).unwrap();
        packet
    }

    /// One ESP packet around an IP packet of the session.
    pub(crate) fn seal_packet(&self, packet: &[u8]) -> Vec<u8> {
        self.seal(&[&[0, 2, 0, 1, 0, 1, 0xff, 0x03, 0, 0x21], packet].concat())
    }

    pub(crate) fn send(&self, octets: &[u8]) {
        match &self.outer {
            Outer::Udp(socket) => socket.send_to(octets, self.gateway).unwrap(),
            Outer::Raw(socket) => {
                let gateway = SocketAddr::new(self.gateway.ip(), 0);
                socket.send_to(octets, &gateway.into()).unwrap()
            }
        };
    }

    /// What comes next; `None` if nothing comes for a while.
    pub(crate) fn receive(&mut self) -> Option<Inside> {
        loop {
            let mut packet = self.receive_outer()?;
            if packet[..4] != self.sa.client_spi().0.to_be_bytes() {
                continue; // of another pair of this client
            }
            let opened = self.inbound.open(&mut packet).unwrap();
            assert_eq!(opened.next_header, 17);
            let octets = packet[opened.range].to_vec();
            let field = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
            assert_eq!(usize::from(field(4)), octets.len(), "UDP length");
            return Some(Inside { source: field(0), destination: field(2), checksum: field(6), octets });
        }
    }

    fn receive_outer(&self) -> Option<Vec<u8>> {
        match &self.outer {
            Outer::Udp(socket) => {
                let mut packet = vec![0; 4000];
                let (len, from) = socket.recv_from(&mut packet).ok()?;
                assert_eq!(from, self.gateway);
                packet.truncate(len);
                Some(packet)
            }
            Outer::Raw(socket) => {
                let mut packet = vec![0; 4000];
                let len = std::io::Read::read(&mut &*socket, &mut packet).ok()?;
                Some(packet[20..len].to_vec()) // behind the IP header
            }
        }
    }

    /// Sends an echo request and requires its answer.
    pub(crate) fn ping(&mut self, sequence: u16) {
        self.send(&self.seal_packet(&self.echo_request(sequence)));
        self.expect_answer(sequence);
    }

    pub(crate) fn echo_request(&self, sequence: u16) -> Vec<u8> {
        echo(8, self.lease, INSIDE, self.sa.number, sequence)
    }

    /// Requires the answer to an echo request, and that it is ours.
    pub(crate) fn expect_answer(&mut self, sequence: u16) {
        assert_eq!(self.receive_answer(), sequence);
    }

    /// Requires that the next thing to come is an answer to an echo request of ours, and tells to which.
    pub(crate) fn receive_answer(&mut self) -> u16 {
        let inside = self.receive().expect("an answer");
        assert_eq!((inside.source, inside.destination), (1701, 1701));
        let packet = inside.packet();
        assert_eq!(packet[16..20], self.lease.octets(), "for another client");
        let sequence = u16::from_be_bytes([packet[26], packet[27]]);
        assert_eq!(packet[20..], echo(0, INSIDE, self.lease, self.sa.number, sequence)[20..]);
        sequence
    }
}

/// An ICMP message between two addresses. Identifier and content name the client.
fn echo(kind: u8, source: Ipv4Addr, destination: Ipv4Addr, identity: u8, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let mut icmp = vec![kind, 0, 0, 0, 0, identity, high, low];
    icmp.extend([identity; 56]);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    let len = u8::try_from(20 + icmp.len()).unwrap();
    let mut packet = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, 1, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(icmp);
    packet
}

/// RFC 1071, word by word.
pub(crate) fn checksum(octets: &[u8]) -> [u8; 2] {
    let mut sum = 0_u32;
    for pair in octets.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}
