//! Checks of sites that look at several keys, at other sites, at `[remote]` and at the machine: can both sides prove
//! themselves, do networks collide, can two peers be told apart.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Mode, RawNat, RawSite};
use crate::config::checked::{Peer, Start};
use crate::config::crosscheck::{overlap, validity};
use crate::config::problem::Problem;
use crate::config::remote::RawRemote;
use crate::config::source::Source;
use crate::config::{Daemon, names};

/// Looks at every site, and at all of them together.
pub(in crate::config) fn check(source: &Source<'_>, daemon: &Daemon, remote: Option<&RawRemote>, sites: &[RawSite]) {
    for (n, site) in sites.iter().enumerate() {
        proofs(source, site);
        identities(source, site);
        addresses(source, site);
        start(source, site);
        networks(source, site);
        nat(source, site);
        device(source, daemon, site);
        machine(source, daemon, site);
        if let Some(remote) = remote {
            pools(source, remote, site);
            keys_of_clients(source, remote, site);
        }
        for earlier in sites.iter().take(n) {
            two_sites(source, earlier, site);
        }
    }
}

/// Whether both sides can prove who they are, and are told apart from others.
fn proofs(source: &Source<'_>, site: &RawSite) {
    site.proof.check(source, &site.name.value);
    if let Some(found) = site.identity() {
        validity(source, found, "the peer refuses it");
        let own = site.id.as_ref().and_then(|id| Some((id, names::check_identity(&id.value).ok()?)));
        if let Some((id, identity)) = own.filter(|(_, identity)| !found.facts.speaks_for(identity)) {
            let problem = Problem::error(format!("the certificate does not name \"{identity}\""))
                .at(id.spot, "who we say we are")
                .at(found.spot, format!("names {}", found.facts.names()))
                .help("a peer refuses that; take one of the names of the certificate, or leave `id` out");
            source.problems.report(problem);
        } else if site.id.is_none() && found.facts.identity().is_none() {
            let problem = Problem::error("this certificate has no name that could be our identity").at(found.spot, "");
            source.problems.report(problem.help("issue one with a subjectAltName (DNS:, IP: or email:)"));
        }
    }
    let by_name = site.peer.as_ref().is_some_and(|peer| matches!(peer.value, Peer::Name(_)));
    if site.proof.peer_has_certificate() && site.peer_id.is_none() && !by_name {
        let title = format!("every certificate of this authority could claim to be {}", site.name.value);
        source.problems.report(
            Problem::error(title)
                .at(site.name.spot, "`peer_id` is missing")
                .help("add peer_id = \"NAME\": a name in the subjectAltName of the peer's certificate, or its subject"),
        );
    }
}

/// Two sides that call themselves the same cannot be told apart in any log, and often not by the peer either.
fn identities(source: &Source<'_>, site: &RawSite) {
    let (Some(own), Some(peer)) = (&site.id, &site.peer_id) else { return };
    if names::check_identity(&own.value).ok() == names::check_identity(&peer.value).ok() {
        let problem = Problem::warning(format!("both sides are called \"{}\"", peer.value))
            .at(peer.spot, "the peer")
            .at(own.spot, "we");
        source.problems.report(problem.help("`id` is our name, `peer_id` the peer's: give each its own"));
    }
}

/// Our address and the peer's.
fn addresses(source: &Source<'_>, site: &RawSite) {
    let is_ours = |address: IpAddr| !address.is_loopback() && (source.surroundings.is_own_address)(address);
    let peer = site.peer.as_ref().and_then(|peer| match peer.value {
        Peer::Address(address) => Some((address, peer.spot)),
        Peer::Name(_) | Peer::Any => None,
    });
    if let Some((address, spot)) = peer.filter(|(address, _)| is_ours(*address)) {
        let problem = Problem::warning(format!("{address} is an address of this machine")).at(spot, "the peer");
        source.problems.report(problem.help("write the address of the other gateway"));
    }
    let Some(own) = &site.local_address else { return };
    if let Some((address, spot)) = peer.filter(|(address, _)| address.is_ipv4() != own.value.is_ipv4()) {
        let problem = Problem::error(format!("nothing leads from {} to {address}", own.value))
            .at(own.spot, "our address")
            .at(spot, "the peer's")
            .help("both have to be IPv4, or both IPv6; without `local_address` the routes decide");
        return source.problems.report(problem);
    }
    if !own.value.is_loopback() && !is_ours(own.value) {
        let problem = Problem::warning(format!("{} is not an address of this machine", own.value)).at(own.spot, "");
        source.problems.report(
            problem.help("until it has this address no packet can leave; without `local_address` the routes decide"),
        );
    }
}

fn start(source: &Source<'_>, site: &RawSite) {
    let Some(start) = &site.start else { return };
    let Some(peer) = &site.peer else { return };
    if peer.value == Peer::Any && start.value != Start::Passive {
        let problem = Problem::error("nobody knows where to call a peer that may be anywhere")
            .at(start.spot, "we begin")
            .at(peer.spot, "with whom?")
            .help("write start = \"passive\", or the peer's address or name");
        source.problems.report(problem);
    }
    let no_routes = site.routes.as_ref().filter(|routes| !routes.value);
    if let (Start::Demand, Some(routes), Mode::Tunnel) = (start.value, no_routes, site.mode()) {
        let problem = Problem::warning("without routes no packet may ever ask for this tunnel")
            .at(start.spot, "waits for a packet")
            .at(routes.spot, "")
            .help("set the routes yourself, leave `routes` out, or write start = \"always\"");
        source.problems.report(problem);
    }
}

/// Whether the networks of the two sides make sense together.
fn networks(source: &Source<'_>, site: &RawSite) {
    if site.mode() == Mode::Tunnel {
        missing(source, site);
    }
    for child in &site.children {
        let families = |v4: bool| {
            let has = |list: &[super::LocatedSelector]| list.iter().any(|s| s.value.network.addr().is_ipv4() == v4);
            has(&child.local) && has(&child.remote)
        };
        let first = child.local.first().zip(child.remote.first());
        if let (Some((local, remote)), false) = (first, families(true) || families(false)) {
            let problem = Problem::error("one side has IPv4 only, the other IPv6 only")
                .at(local.spot, "our side")
                .at(remote.spot, "the peer's side")
                .help("write networks of the same family on both sides");
            source.problems.report(problem);
        }
        let same = child.remote.iter().find_map(|r| Some((child.local.iter().find(|l| l.value == r.value)?, r)));
        if let (Some((local, remote)), Mode::Tunnel) = (same, site.mode()) {
            let problem = Problem::error(format!("both sides have the network {}", remote.value.network))
                .at(remote.spot, "the peer's side")
                .at(local.spot, "our side")
                .help("each side needs addresses of its own; with mode = \"interface\" routes decide what goes where");
            source.problems.report(problem);
        }
    }
}

fn missing(source: &Source<'_>, site: &RawSite) {
    for (key, whose) in [("local", "our"), ("remote", "the peer's")] {
        let of = |child: &super::RawChild| if key == "local" { !child.names_local } else { !child.names_remote };
        let Some(child) = site.children.iter().find(|child| of(child)) else { continue };
        let problem = Problem::error(format!("`{key}` is missing"))
            .at(child.name.spot, format!("which of {whose} networks does the tunnel join?"))
            .help(format!("add {key} = [\"10.2.0.0/16\"] with {whose} networks"));
        source.problems.report(problem);
    }
}

fn nat(source: &Source<'_>, site: &RawSite) {
    let spot = match &site.nat {
        RawNat::Off => return,
        RawNat::First(spot) => *spot,
        RawNat::To(addresses) => {
            for address in addresses {
                nat_address(source, site, address);
            }
            match addresses.first() {
                Some(first) => first.spot,
                None => return,
            }
        }
    };
    if site.mode() == Mode::Transport {
        let problem = Problem::error("there is nothing to translate in transport mode").at(spot, "");
        source.problems.report(problem.help("remove `nat`"));
    } else if site.nat_addresses().is_empty() {
        let problem = Problem::error("`nat` has no address to translate to").at(spot, "");
        source.problems.report(problem.help("add `local`, or write the address: nat = \"10.1.0.1\""));
    }
}

fn nat_address(source: &Source<'_>, site: &RawSite, address: &crate::config::problem::Located<IpAddr>) {
    if !site.locals().any(|local| local.value.network.contains(&address.value)) && site.locals().next().is_some() {
        let problem = Problem::error(format!("{} is not in `local`", address.value)).at(address.spot, "");
        source
            .problems
            .report(problem.help("the peer expects addresses of `local`: take one of those, or add this one there"));
    }
}

/// The name of the site's own device.
fn device(source: &Source<'_>, daemon: &Daemon, site: &RawSite) {
    if site.mode() != Mode::Interface {
        if let Some(device) = &site.device {
            let problem =
                Problem::warning("`interface` has no effect without mode = \"interface\"").at(device.spot, "");
            source.problems.report(problem.help("add mode = \"interface\", or remove the key"));
        }
        return;
    }
    let spot = site.device.as_ref().map_or(site.name.spot, |device| device.spot);
    if let Err(reason) = names::check_interface(site.device()) {
        let problem =
            Problem::error(format!("an interface cannot be called \"{}\": {reason}", site.device())).at(spot, "");
        source.problems.report(problem.help("add interface = \"NAME\" with at most 15 letters, digits and -"));
    }
    if site.device() == daemon.interface {
        let problem = Problem::error(format!("\"{}\" is the device that everybody shares", site.device())).at(spot, "");
        source.problems.report(problem.help("add interface = \"NAME\" with another name"));
    }
}

/// Networks that are connected to this machine cannot be behind a peer.
fn machine(source: &Source<'_>, daemon: &Daemon, site: &RawSite) {
    if site.mode() == Mode::Transport {
        return;
    }
    for remote in site.remotes() {
        let ours = |interface: &str| interface == daemon.interface || interface == site.device();
        let connected = source.surroundings.networks.iter().filter(|(interface, _)| !ours(interface));
        for (interface, network) in connected.filter(|(_, network)| network.contains(&remote.value.network)) {
            let title =
                format!("{} is said to be behind the peer, but {network} is at {interface}", remote.value.network);
            let problem = Problem::warning(title).at(remote.spot, "");
            source.problems.report(problem.help(
                "hosts there may become unreachable for this machine; take networks that are only at the peer's side",
            ));
        }
    }
}

/// Addresses of clients are routed to clients.
fn pools(source: &Source<'_>, remote: &RawRemote, site: &RawSite) {
    if site.mode() == Mode::Transport {
        return;
    }
    for network in site.remotes() {
        for pool in remote.pools.iter().filter(|pool| overlap(&pool.value, &network.value.network)) {
            let inside = pool.value.contains(&network.value.network);
            if !inside && network.value.network.prefix_len() == 0 {
                continue; // everything that has no route of its own
            }
            let title = format!("{} behind the peer overlaps the pool {}", network.value.network, pool.value);
            let problem = if inside { Problem::error(title) } else { Problem::warning(title) };
            source.problems.report(
                problem
                    .at(network.spot, "the peer's side")
                    .at(pool.spot, "addresses of clients")
                    .help("packets to these addresses go to clients; give the pool a network of its own"),
            );
        }
    }
}

/// A key that remote clients know lets them pretend to be the site.
fn keys_of_clients(source: &Source<'_>, remote: &RawRemote, site: &RawSite) {
    let Some(psk) = site.proof.psk() else { return };
    if let Some(client) = remote.psks.iter().find(|entry| entry.value.secret.ct_eq(&psk.value)) {
        let problem = Problem::error(format!("the key of the site {} is a key of clients, too", site.name.value))
            .at(psk.spot, "the site's")
            .at(client.spot, "the clients'")
            .help("whoever knows it could pretend to be the other gateway: give the site a key of its own");
        source.problems.report(problem);
    }
    let any_client = remote.psks.iter().find(|e| matches!(e.value.selector, crate::config::PskSelector::Any));
    let anywhere = site.peer.as_ref().is_some_and(|peer| peer.value == Peer::Any);
    if let (Some(client), true, None, true) = (any_client, anywhere, &site.peer_id, site.proof.peer_has_psk()) {
        let title = format!("the site {} cannot be told from clients with a pre-shared key", site.name.value);
        let problem = Problem::error(title)
            .at(site.name.spot, "may come from anywhere and call itself anything")
            .at(client.spot, "the clients' key")
            .help("add peer_id = \"NAME\", and make the peer call itself so");
        source.problems.report(problem);
    }
}

/// Whether two sites collide.
fn two_sites(source: &Source<'_>, first: &RawSite, second: &RawSite) {
    same_networks(source, first, second);
    if same_peer(first, second) {
        let problem = Problem::error(format!("{} and {} cannot be told apart", first.name.value, second.name.value))
            .at(second.name.spot, "same peer and same identities")
            .at(first.name.spot, "first");
        source.problems.report(problem.help(
            "give each peer a `peer_id`; several tunnels to one peer are children of one site ([[site.NAME.child]])",
        ));
    }
    if let (Some(a), Some(b)) = (first.proof.psk(), second.proof.psk())
        && a.value.ct_eq(&b.value)
    {
        let problem = Problem::warning(format!("{} and {} have the same key", first.name.value, second.name.value))
            .at(b.spot, "")
            .at(a.spot, "first")
            .help("each of the two peers can pretend to be the other; give each site a key of its own");
        source.problems.report(problem);
    }
    if first.mode() == Mode::Interface && second.mode() == Mode::Interface && first.device() == second.device() {
        let spot = |site: &RawSite| site.device.as_ref().map_or(site.name.spot, |device| device.spot);
        let problem = Problem::error(format!("two sites have the device \"{}\"", first.device()))
            .at(spot(second), "second")
            .at(spot(first), "first")
            .help("give each its own:  interface = \"NAME\"");
        source.problems.report(problem);
    }
}

fn same_networks(source: &Source<'_>, first: &RawSite, second: &RawSite) {
    let shared = |site: &RawSite| site.mode() == Mode::Tunnel;
    if !shared(first) || !shared(second) {
        return;
    }
    for later in second.remotes() {
        let network: IpNet = later.value.network;
        let Some(earlier) = first.remotes().find(|earlier| earlier.value.network == network) else { continue };
        let problem = Problem::error(format!("{network} is behind {} and {}", first.name.value, second.name.value))
            .at(later.spot, "second")
            .at(earlier.spot, "first")
            .help("a packet can go one way only: remove it from one of them, or use mode = \"interface\" and routes");
        source.problems.report(problem);
    }
}

/// Whether a request of one peer could be taken for one of the other.
fn same_peer(first: &RawSite, second: &RawSite) -> bool {
    let identity = |id: &Option<crate::config::problem::Located<String>>| {
        id.as_ref().and_then(|id| names::check_identity(&id.value).ok())
    };
    let peer = |site: &RawSite| site.peer.as_ref().map(|peer| peer.value.clone());
    peer(first).is_some()
        && peer(first) == peer(second)
        && identity(&first.peer_id) == identity(&second.peer_id)
        && identity(&first.id) == identity(&second.id)
        && first.local_address.as_ref().map(|a| a.value) == second.local_address.as_ref().map(|a| a.value)
}
