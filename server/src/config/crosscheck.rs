//! Checks that look at several keys at once: can anybody log in, do networks overlap, does the certificate fit the name.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::SignedDuration;

use super::certificate::LocatedIdentity;
use super::problem::{Located, Problem};
use super::remote::RawRemote;
use super::source::Source;
use super::users::RawUsers;
use super::{Daemon, EapMethod, Protocol, defaults, legacy};
use crate::pool::gateway_address;

/// Networks in so many homes that a pool inside them will collide with one.
const HOME_NETWORKS: [&str; 3] = ["192.168.0.0/24", "192.168.1.0/24", "192.168.178.0/24"];

/// Looks at `[remote]` and the users together.
pub(super) fn check(source: &Source<'_>, daemon: &Daemon, remote: &RawRemote, users: &RawUsers) {
    name(source, remote);
    logins(source, remote, users);
    certificates(source, remote);
    eap(source, remote, users);
    post_quantum(source, remote);
    pools(source, daemon, remote, users);
    fixed_addresses(source, remote, users);
    pushed(source, remote);
    legacy::check(source, remote, users);
}

fn name(source: &Source<'_>, remote: &RawRemote) {
    if !remote.name_given {
        let problem = Problem::error("[remote] has no `name`")
            .at(remote.spot, "")
            .help("add what users type into their device:  name = \"vpn.example.org\"");
        source.problems.report(problem);
    }
}

fn logins(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    let certificate = remote.cert_given;
    let ikev2 = remote.protocols.contains(&Protocol::Ikev2);
    let by_password = certificate && !users.is_empty();
    let by_certificate = certificate && remote.client_ca.is_some();
    if let (Some(ca), false) = (&remote.client_ca, certificate) {
        let problem = Problem::error("clients cannot log in by certificate while the gateway has none itself")
            .at(ca.spot, "authorities of clients")
            .help("add `cert` and `key` to [remote]");
        source.problems.report(problem);
    }
    if !ikev2 {
        return; // what L2TP and XAuth need is looked at in `legacy`
    }
    if !remote.psk_given && !by_password && !by_certificate {
        let help = if users.is_empty() {
            "add a pre-shared key (psk = \"file:PATH\"), or a certificate (cert, key) with [users] or a client authority (ca)"
        } else {
            "users log in by EAP, for which the gateway needs a certificate: add cert = \"FILE\" and key = \"FILE\" \
             (`cygnet init` makes them)"
        };
        source
            .problems
            .report(Problem::error("nobody can log in").at(remote.spot, "no usable way to log in").help(help));
    } else if let (Some(user), false, 1) = (users.values().next(), certificate, remote.protocols.len()) {
        let problem = Problem::warning("users cannot log in without a certificate of the gateway")
            .at(user.spot, "a user with a password")
            .help("passwords travel by EAP: add `cert` and `key` to [remote], or remove the users");
        source.problems.report(problem);
    }
}

/// What certificates of ours clients will think.
fn certificates(source: &Source<'_>, remote: &RawRemote) {
    let vouched = |name: &str| remote.identities.iter().any(|found| found.facts.vouches_for(name));
    if let (Some(name), Some(found)) = (&remote.name, remote.identities.first())
        && !vouched(&name.value)
    {
        let problem = Problem::error(format!("the certificate does not name \"{}\"", name.value))
            .at(found.spot, format!("names {}", found.facts.names()))
            .at(name.spot, "what users type into their device")
            .help("clients refuse it (Windows: error 13801); issue one whose subjectAltName has this name, or change `name`");
        source.problems.report(problem);
    }
    for found in &remote.identities {
        validity(source, found, "clients refuse it");
        if found.facts.server_auth != Some(true) {
            let problem = Problem::warning("the certificate is not marked for servers")
                .at(found.spot, "extendedKeyUsage without serverAuth")
                .help("Windows and Apple clients refuse it; issue one with extendedKeyUsage = serverAuth");
            source.problems.report(problem);
        }
        if found.facts.is_authority {
            let problem = Problem::warning("the gateway's certificate is an authority")
                .at(found.spot, "")
                .help("several clients refuse that; sign a server certificate with it and use that one");
            source.problems.report(problem);
        }
    }
}

/// Whether a certificate of ours is valid now and for some time; `consequence` says what happens otherwise.
pub(super) fn validity(source: &Source<'_>, found: &LocatedIdentity, consequence: &str) {
    let (facts, spot, now) = (&found.facts, found.spot, source.surroundings.now);
    let day = |t: jiff::Timestamp| t.strftime("%Y-%m-%d %H:%M UTC").to_string();
    if facts.not_after <= now {
        let title = format!("the certificate expired on {}", day(facts.not_after));
        source.problems.report(Problem::error(title).at(spot, consequence).help("renew it"));
    } else if facts.not_after < now + SignedDuration::from_hours(24 * defaults::CERTIFICATE_WARNING_DAYS) {
        let title = format!("the certificate expires on {}", day(facts.not_after));
        source.problems.report(Problem::warning(title).at(spot, "").help("renew it now and `cygnet reload`"));
    }
    if facts.not_before > now {
        let title = format!("the certificate is not valid before {}", day(facts.not_before));
        source.problems.report(Problem::error(title).at(spot, "").help("check the clock of this machine"));
    }
}

/// Whether each EAP method that is named can work.
fn eap(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    let named = remote.eap.named.iter().flatten();
    for method in named {
        let problem = match method.value {
            EapMethod::Tls if remote.client_ca.is_none() => {
                Problem::error("EAP-TLS needs to know whose certificates count")
                    .help("add ca = \"FILE\", the authority that signs client certificates")
            }
            EapMethod::MsChapV2 if users.is_empty() => {
                Problem::warning("nobody can log in by EAP-MSCHAPv2: there are no users")
                    .help("`cygnet user add NAME` makes one")
            }
            _ => continue,
        };
        source.problems.report(problem.at(method.spot, ""));
    }
    let tls = remote.eap_methods(!users.is_empty()).contains(&EapMethod::Tls);
    if let (Some(spot), false) = (remote.eap_only, tls) {
        let problem = Problem::error("`eap_only` needs EAP-TLS").at(spot, "the gateway proves itself inside EAP only");
        source.problems.report(problem.help(
            "with passwords a client would tell them to anybody (RFC 5998 section 3): add `ca` and eap = [\"tls\"], or remove the key",
        ));
    }
}

fn post_quantum(source: &Source<'_>, remote: &RawRemote) {
    if let (Some(spot), true) = (remote.ppk_required, remote.ppks.is_empty()) {
        let problem =
            Problem::error("post-quantum keys are required, but there is none").at(spot, "nobody could log in");
        source.problems.report(problem.help("add a table [ppk] with  NAME = \"file:PATH\", or remove `ppk_required`"));
    }
}

fn pools(source: &Source<'_>, daemon: &Daemon, remote: &RawRemote, users: &RawUsers) {
    if !remote.pool_given {
        let problem = Problem::error("[remote] has no `pool`")
            .at(remote.spot, "clients need an address")
            .help("add a network that nothing else uses:  pool = \"10.20.0.0/24\"");
        source.problems.report(problem);
    }
    for (n, pool) in remote.pools.iter().enumerate() {
        let earlier = remote.pools.iter().take(n);
        for first in earlier.filter(|first| overlap(&first.value, &pool.value)) {
            let problem = Problem::error(format!("the pools {} and {} overlap", first.value, pool.value))
                .at(pool.spot, "second pool")
                .at(first.spot, "first pool")
                .help("keep the larger one");
            source.problems.report(problem);
        }
        pool_alone(source, pool);
        pool_and_machine(source, daemon, pool);
        pool_and_routes(source, remote, pool);
    }
    pool_and_users(source, remote, users);
}

fn pool_alone(source: &Source<'_>, pool: &Located<IpNet>) {
    if gateway_address(pool.value).is_none() {
        let least = if pool.value.addr().is_ipv4() { "/30" } else { "/126" };
        let problem = Problem::error(format!("the pool {} is too small", pool.value))
            .at(pool.spot, "one address is the gateway's own")
            .help(format!("{least} is the smallest that leaves an address for a client"));
        source.problems.report(problem);
    }
    let unusable = |a: IpAddr| a.is_multicast() || a.is_loopback() || a.is_unspecified();
    if unusable(pool.value.network()) {
        source
            .problems
            .report(Problem::error(format!("clients cannot have addresses of {}", pool.value)).at(pool.spot, ""));
    }
    let home = HOME_NETWORKS.iter().filter_map(|n| n.parse().ok()).find(|home| overlap(home, &pool.value));
    if let Some(home) = home {
        let problem = Problem::warning(format!("the pool {} overlaps {home}, the network of many homes", pool.value))
            .at(pool.spot, "")
            .help("clients at home in it reach the wrong hosts; take something rare such as 10.83.20.0/24");
        source.problems.report(problem);
    }
}

fn pool_and_machine(source: &Source<'_>, daemon: &Daemon, pool: &Located<IpNet>) {
    let networks = source.surroundings.networks.iter().filter(|(interface, _)| *interface != daemon.interface);
    for (interface, network) in networks.filter(|(_, network)| overlap(network, &pool.value)) {
        let problem = Problem::warning(format!("the pool {} overlaps {network} at {interface}", pool.value))
            .at(pool.spot, "")
            .help(
                "hosts there and clients may not reach each other; take a network that this machine does not know yet",
            );
        source.problems.report(problem);
    }
}

fn pool_and_routes(source: &Source<'_>, remote: &RawRemote, pool: &Located<IpNet>) {
    for route in remote.routes.iter().filter(|route| pool.value.contains(&route.value)) {
        let problem = Problem::error(format!("the route {} lies in the pool {}", route.value, pool.value))
            .at(route.spot, "these are addresses of clients")
            .at(pool.spot, "the pool")
            .help(
                "`routes` lists networks behind the gateway; for traffic between clients use client_to_client = true",
            );
        source.problems.report(problem);
    }
}

fn pool_and_users(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    let addresses: u64 = remote.pools.iter().filter(|p| p.value.addr().is_ipv4()).map(|p| usable(&p.value)).sum();
    let users = u64::try_from(users.len()).unwrap_or(u64::MAX);
    if let (Some(pool), true) = (remote.pools.iter().find(|p| p.value.addr().is_ipv4()), users > addresses) {
        let problem = Problem::warning(format!("there are {users} users but only {addresses} addresses"))
            .at(pool.spot, "")
            .help("not all of them can be connected at the same time; take a larger pool");
        source.problems.report(problem);
    }
}

/// Addresses of an IPv4 pool that clients can get: without network, gateway and broadcast address.
fn usable(pool: &IpNet) -> u64 {
    let bits = u32::from(pool.max_prefix_len() - pool.prefix_len());
    1u64.checked_shl(bits).unwrap_or(u64::MAX).saturating_sub(3)
}

fn fixed_addresses(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    let mut seen: Vec<(&str, &Located<IpAddr>)> = Vec::new();
    for user in users.values().map(|u| &u.value) {
        for address in &user.addresses {
            if let Some((other, first)) = seen.iter().find(|(_, a)| a.value == address.value) {
                let problem = Problem::error(format!("{other} and {} have the same address", user.user.name))
                    .at(address.spot, "again here")
                    .at(first.spot, "first here")
                    .help("give each user an address of their own");
                source.problems.report(problem);
            }
            seen.push((&user.user.name, address));
            fixed_address_in_pool(source, remote, address);
        }
    }
}

fn fixed_address_in_pool(source: &Source<'_>, remote: &RawRemote, address: &Located<IpAddr>) {
    let ip = address.value;
    let Some(pool) = remote.pools.iter().find(|pool| pool.value.contains(&ip)) else {
        let pools: Vec<String> = remote.pools.iter().map(|p| p.value.to_string()).collect();
        let problem = Problem::error(format!("{ip} is in no pool")).at(address.spot, "");
        return source.problems.report(problem.help(format!("take an address of {}", pools.join(" or "))));
    };
    let reserved = if gateway_address(pool.value) == Some(ip) {
        Some("the gateway's own address")
    } else if ip == pool.value.network() {
        Some("the address of the network")
    } else if ip.is_ipv4() && ip == pool.value.broadcast() {
        Some("the broadcast address")
    } else {
        None
    };
    if let Some(what) = reserved {
        let problem = Problem::error(format!("{ip} is {what} in {}", pool.value)).at(address.spot, "");
        source.problems.report(problem.help("take another address of the pool"));
    }
}

fn pushed(source: &Source<'_>, remote: &RawRemote) {
    if let (Some(domain), true) = (remote.dns_domains.first(), remote.dns.is_empty()) {
        let problem = Problem::warning("`dns_domains` has no effect without `dns`").at(domain.spot, "");
        source.problems.report(problem.help("add dns = [\"ADDRESS\"], the name server for these domains"));
    }
    let has = |v4: bool| remote.pools.iter().any(|p| p.value.addr().is_ipv4() == v4);
    for route in &remote.routes {
        let v4 = route.value.addr().is_ipv4();
        if !has(v4) && !remote.pools.is_empty() {
            let family = if v4 { "IPv4" } else { "IPv6" };
            let problem = Problem::warning(format!("no client can use the route {}", route.value)).at(route.spot, "");
            source.problems.report(problem.help(format!("there is no {family} pool; add one or remove the route")));
        }
    }
}

/// Whether one network holds the other.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
