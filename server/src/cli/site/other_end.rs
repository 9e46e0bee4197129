//! A site as the other end sees it: what is ours is its peer's, and the other way round.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use cygnet_ike::crypto::sign::SigningKey;
use pkcs8::{LineEnding, SecretDocument};

use crate::config::{LocalAuth, Peer, PeerAuth, Policy, Selector, Site, SiteChild, SiteMode, Start};

/// What the other end has to be told.
pub(super) struct OtherEnd<'a> {
    pub(super) site: &'a Site,
    /// Where it reaches us.
    pub(super) our_address: String,
    /// Whether that is only the address that we send from, private, and the peer's is not: there may be a NAT between.
    doubtful_address: bool,
    /// Its own address, if that is fixed.
    pub(super) own_address: Option<String>,
    /// How we call ourselves; `None`: by our address.
    pub(super) our_id: Option<&'a str>,
    /// How it has to call itself; `None`: as it likes.
    pub(super) own_id: Option<&'a str>,
    /// The key that both know, where one of both sides uses it.
    pub(super) psk: Option<&'a [u8]>,
    /// How it has to prove itself, and how we do.
    pub(super) own_proof: Proof,
    pub(super) our_proof: Proof,
    /// Whether it has to begin, since we do not know where it is.
    pub(super) begins: bool,
}

/// A way to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Psk,
    Certificate,
    RawKey,
}

impl<'a> OtherEnd<'a> {
    /// Mirrors `site`; `our_name` is what clients type, `given` what the operator says our address is.
    pub(super) fn of(site: &'a Site, our_name: Option<&str>, given: Option<&str>) -> anyhow::Result<Self> {
        let (psk_of_ours, our_proof) = match &site.local_auth {
            LocalAuth::Psk(psk) => (Some(psk), Proof::Psk),
            LocalAuth::Certificate(_) => (None, Proof::Certificate),
            LocalAuth::RawKey(_) => (None, Proof::RawKey),
        };
        let (psk_of_theirs, own_proof) = match &site.peer_auth {
            PeerAuth::Psk(psk) => (Some(psk), Proof::Psk),
            PeerAuth::Certificate(_) => (None, Proof::Certificate),
            PeerAuth::RawKey(_) => (None, Proof::RawKey),
        };
        let (our_address, doubtful) = our_address(site, our_name, given)?;
        Ok(Self {
            site,
            doubtful_address: doubtful,
            our_address,
            own_address: match &site.peer {
                Peer::Address(address) => Some(address.to_string()),
                Peer::Name(_) | Peer::Any => None,
            },
            our_id: site.id.as_deref(),
            own_id: site.peer_id.as_deref(),
            psk: psk_of_ours.or(psk_of_theirs).map(|psk| psk.expose()),
            own_proof,
            our_proof,
            begins: site.peer == Peer::Any || site.start == Start::Passive,
        })
    }

    /// IKE proposals as they were configured; empty: by policy.
    pub(super) fn ike(&self) -> &[String] {
        &self.site.proposals.ike
    }

    /// ESP proposals as they were configured; empty: by policy.
    pub(super) fn esp(&self) -> &[String] {
        &self.site.proposals.esp
    }

    /// Whether the other end may propose whatever it likes.
    pub(super) fn accepts_defaults(&self) -> bool {
        self.site.policy.contains(&Policy::Compatible)
    }

    pub(super) fn is_transport(&self) -> bool {
        self.site.mode == SiteMode::Transport
    }

    /// The network device of a route-based site.
    pub(super) fn device(&self) -> Option<&str> {
        match &self.site.mode {
            SiteMode::Interface { device } => Some(device),
            SiteMode::Tunnel | SiteMode::Transport => None,
        }
    }

    /// A number for the other end's device, 1 to 65535: the same for every export of a site, hardly ever that of another one.
    pub(super) fn device_number(&self) -> u32 {
        let sum = self.site.name.bytes().fold(5381_u32, |sum, byte| sum.wrapping_mul(33) ^ u32::from(byte));
        sum % 65_535 + 1
    }

    /// What connections and files are called at the other end, so that two sites do not overwrite each other.
    pub(super) fn name(&self) -> String {
        format!("cygnet-{}", self.site.name)
    }

    /// The networks for programs that know one protocol per connection, each part with a name of its own.
    pub(super) fn connections(&self) -> Vec<SiteChild> {
        let alone = self.site.children.len() == 1;
        let named = |child: &SiteChild| match alone && child.name == self.site.name {
            true => child.clone(),
            false => SiteChild { name: format!("{}-{}", self.site.name, child.name), ..child.clone() },
        };
        self.site.children.iter().map(named).flat_map(|child| by_limit(&child)).collect()
    }

    /// Networks of ours that the other end needs routes to, in route-based mode.
    pub(super) fn routed(&self) -> Vec<String> {
        let named = self.site.local_networks().filter(|network| network.prefix_len() > 0);
        named.map(|network| network.to_string()).collect()
    }

    /// The key that signs for us, as PEM, where we have a bare one.
    pub(super) fn our_public_key(&self) -> Option<String> {
        let LocalAuth::RawKey(key) = &self.site.local_auth else { return None };
        public_pem(&SigningKey::from_pem(key.expose()).ok()?.public_key().to_spki())
    }

    /// The key that signs for the other end, as PEM, where it has a bare one.
    pub(super) fn own_public_key(&self) -> Option<String> {
        let PeerAuth::RawKey(spki) = &self.site.peer_auth else { return None };
        public_pem(spki)
    }

    /// What the other end should know about our address, as a line of comment, if anything.
    pub(super) fn address_note(&self) -> String {
        if !self.doubtful_address {
            return String::new();
        }
        format!(
            "# {} is our address as this machine sees it; if there is NAT in front of it, export again with --address PUBLIC.\n",
            self.our_address
        )
    }
}

/// A SubjectPublicKeyInfo as PEM.
fn public_pem(spki: &[u8]) -> Option<String> {
    let pem = SecretDocument::try_from(spki).ok()?.to_pem("PUBLIC KEY", LineEnding::LF).ok()?;
    Some(pem.as_str().to_owned())
}

/// Lines of a PEM text as comments.
pub(super) fn commented(pem: &str) -> String {
    pem.lines().map(|line| format!("# {line}\n")).collect()
}

/// Whether the networks are those that a route-based site has where none are named.
pub(super) fn is_everything(list: &[Selector]) -> bool {
    let of = |v4: bool| list.iter().any(|s| s.network.addr().is_ipv4() == v4);
    of(true) && of(false) && list.iter().all(|s| s.network.prefix_len() == 0 && s.protocol == 0)
}

/// A connection for each family that both sides have, for programs that do not mix them.
pub(super) fn by_family(child: SiteChild) -> Vec<SiteChild> {
    let of = |list: &[Selector], v4: bool| -> Vec<Selector> {
        list.iter().filter(|s| s.network.addr().is_ipv4() == v4).copied().collect()
    };
    let part = |v4| SiteChild { name: child.name.clone(), local: of(&child.local, v4), remote: of(&child.remote, v4) };
    let mut parts: Vec<_> =
        [part(true), part(false)].into_iter().filter(|p| !p.local.is_empty() && !p.remote.is_empty()).collect();
    if let [_, second] = parts.as_mut_slice() {
        second.name.push_str("-v6");
    }
    if parts.is_empty() { vec![child] } else { parts }
}

/// Our address for the other end, and whether it is doubtful.
fn our_address(site: &Site, our_name: Option<&str>, given: Option<&str>) -> anyhow::Result<(String, bool)> {
    if let Some(given) = given {
        return Ok((given.to_owned(), false));
    }
    let doubtful = |ours: IpAddr| matches!(site.peer, Peer::Address(peer) if may_be_translated(ours, peer));
    if let Some(address) = site.local_address {
        return Ok((address.to_string(), doubtful(address)));
    }
    if let Some(name) = our_name {
        return Ok((name.to_owned(), false));
    }
    let Peer::Address(peer) = site.peer else {
        anyhow::bail!("our address towards the site {} is not known", site.name);
    };
    let ours = source_towards(peer).with_context(|| format!("there is no route to {peer}"))?;
    Ok((ours.to_string(), doubtful(ours)))
}

/// Whether the internet is between the two, where our address is none.
fn may_be_translated(ours: IpAddr, peer: IpAddr) -> bool {
    is_private(ours) && !is_private(peer)
}

/// Addresses of private networks, of carriers' NAT and of single links (RFC 1918, 6598, 3927, 4193, 4291).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, ..]);
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// The address that the kernel would send from; nothing is sent.
fn source_towards(peer: IpAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(peer, 500))?;
    Ok(socket.local_addr()?.ip())
}

/// A time span in its largest unit without a rest: `4h`, `90s`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A key in quotes where its characters allow it, otherwise in hexadecimal.
pub(super) fn quoted_key(key: &[u8]) -> String {
    let plain = key.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=_.-".contains(b));
    let prefixed = key.starts_with(b"0x") || key.starts_with(b"0s");
    match std::str::from_utf8(key) {
        Ok(text) if plain && !prefixed => format!("\"{text}\""),
        _ => hexadecimal(key),
    }
}

/// `0x` and the octets.
pub(super) fn hexadecimal(key: &[u8]) -> String {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// Ports of a selector: `443`, `1000-2000`; `None` for all. For ICMP the number that type and code make.
pub(super) fn ports(selector: &Selector) -> Option<String> {
    match (selector.first_port, selector.last_port) {
        (0, u16::MAX) => None,
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}-{last}")),
    }
}

/// A network; one address without its length.
pub(super) fn network(selector: &Selector) -> String {
    let net = selector.network;
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// The pairs of networks of a child that share their limits, for programs that know one protocol per connection; each with a
/// name of its own.
fn by_limit(child: &SiteChild) -> Vec<SiteChild> {
    let (locals, remotes) = (same_limit(&child.local), same_limit(&child.remote));
    let pairs = locals.iter().flat_map(|local| remotes.iter().map(move |remote| (local, remote)));
    let fitting: Vec<_> = pairs.filter(|(local, remote)| may_meet(local, remote)).collect();
    let several = fitting.len() > 1;
    let named = |(n, (local, remote)): (usize, (&Vec<Selector>, &Vec<Selector>))| SiteChild {
        name: if several { format!("{}-{}", child.name, n + 1) } else { child.name.clone() },
        local: local.clone(),
        remote: remote.clone(),
    };
    fitting.into_iter().enumerate().map(named).collect()
}

/// Selectors with equal limits together, in the order in which they are first met; one empty group for none.
fn same_limit(list: &[Selector]) -> Vec<Vec<Selector>> {
    let mut groups: Vec<Vec<Selector>> = Vec::new();
    for selector in list {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| limit(first) == limit(selector))) {
            Some(group) => group.push(*selector),
            None => groups.push(vec![*selector]),
        }
    }
    if groups.is_empty() { vec![Vec::new()] } else { groups }
}

fn limit(selector: &Selector) -> (u8, u16, u16) {
    (selector.protocol, selector.first_port, selector.last_port)
}

/// Whether some packet can belong to both.
fn may_meet(local: &[Selector], remote: &[Selector]) -> bool {
    let protocol = |group: &[Selector]| group.first().map_or(0, |first| first.protocol);
    protocol(local) == 0 || protocol(remote) == 0 || protocol(local) == protocol(remote)
}

/// The protocol that a pair of groups of [`by_limit`] is about; zero: any.
pub(super) fn protocol(child: &SiteChild) -> u8 {
    child.local.iter().chain(&child.remote).map(|selector| selector.protocol).find(|&number| number != 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_with_different_limits_become_connections_of_their_own() {
        let all = |net: &str| Selector::all_of(net.parse().unwrap());
        let tcp = |net: &str, port| Selector { protocol: 6, first_port: port, last_port: port, ..all(net) };
        let udp = |net: &str| Selector { protocol: 17, ..all(net) };
        let child = SiteChild {
            name: "lan".into(),
            local: vec![all("10.1.0.0/16"), tcp("10.3.0.1/32", 443), all("10.4.0.0/16")],
            remote: vec![all("10.2.0.0/16"), udp("10.5.0.0/16")],
        };
        let text = |list: &[Selector]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let found: Vec<String> = by_limit(&child)
            .iter()
            .map(|part| format!("{} {}: {} === {}", part.name, protocol(part), text(&part.local), text(&part.remote)))
            .collect();
        let expected = [
            "lan-1 0: 10.1.0.0/16, 10.4.0.0/16 === 10.2.0.0/16",
            "lan-2 17: 10.1.0.0/16, 10.4.0.0/16 === 10.5.0.0/16 udp",
            "lan-3 6: 10.3.0.1 tcp/443 === 10.2.0.0/16",
        ];
        assert_eq!(found, expected, "TCP and UDP never meet");
        let hosts = SiteChild { name: "hosts".into(), local: vec![], remote: vec![] };
        assert_eq!(by_limit(&hosts), [hosts]);
    }

    #[test]
    fn families_become_connections_of_their_own() {
        let all = |net: &str| Selector::all_of(net.parse().unwrap());
        let both = vec![all("0.0.0.0/0"), all("::/0")];
        let names = |child| by_family(child).into_iter().map(|part| part.name).collect::<Vec<_>>();
        let child = |local: &[Selector], remote: &[Selector]| SiteChild {
            name: "x".into(),
            local: local.to_vec(),
            remote: remote.to_vec(),
        };
        assert_eq!(names(child(&both, &both)), ["x", "x-v6"]);
        assert_eq!(names(child(&both, &[all("10.1.0.0/16")])), ["x"]);
        assert_eq!(names(child(&[], &[])), ["x"]);
        assert!(is_everything(&both) && !is_everything(&[all("0.0.0.0/0")]) && !is_everything(&[]));
    }

    #[test]
    fn a_private_address_towards_the_internet_is_doubtful() {
        let doubtful = |ours: &str, peer: &str| may_be_translated(ours.parse().unwrap(), peer.parse().unwrap());
        for ours in ["10.0.0.5", "172.16.3.1", "192.168.1.2", "100.64.0.9", "169.254.1.1", "fd00::1"] {
            assert!(doubtful(ours, "198.51.100.7") && !doubtful(ours, "10.9.9.9"), "{ours}");
        }
        assert!(!doubtful("203.0.113.1", "198.51.100.7") && !doubtful("2001:db8::1", "2001:db8::2"));
    }
}
