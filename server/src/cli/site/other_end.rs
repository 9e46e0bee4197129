//! A site as the other end sees it: what is ours is its peer's, and the other way round.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Context;

use crate::config::{LocalAuth, Peer, PeerAuth, Policy, Selector, Site, SiteChild, SiteMode, Start};

/// What the other end has to be told.
pub(super) struct OtherEnd<'a> {
    pub(super) site: &'a Site,
    /// Where it reaches us.
    pub(super) our_address: String,
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
        Ok(Self {
            site,
            our_address: our_address(site, our_name, given)?,
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
}

fn our_address(site: &Site, our_name: Option<&str>, given: Option<&str>) -> anyhow::Result<String> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    if let Some(address) = site.local_address {
        return Ok(address.to_string());
    }
    if let Some(name) = our_name {
        return Ok(name.to_owned());
    }
    let Peer::Address(peer) = site.peer else {
        anyhow::bail!("our address towards the site {} is not known", site.name);
    };
    Ok(source_towards(peer).with_context(|| format!("there is no route to {peer}"))?.to_string())
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
pub(super) fn by_limit(child: &SiteChild) -> Vec<SiteChild> {
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
}
