//! The table as text. Pure.
//!
//! What each chain is for stands as a comment in the text itself, where the administrator reads it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use ipnet::IpNet;

use super::counters::{COUNTERS, counter_definition};
use crate::net::SiteNetwork;
use crate::net::link::InterfaceName;
use crate::net::policy::MARK;

/// Name of our table, family inet.
pub const TABLE: &str = "cygnet";

/// Source ports that translated packets may get.
///
/// None that the gateway serves itself (500, 4500, 1701) nor another well-known one: a client that may choose its
/// translated port could shadow a service and catch others' packets (CVE-2021-3773).
pub const TRANSLATED_PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

/// IKE and ESP that the gateway receives.
const OWN_IN: [&str; 2] = ["udp dport { 500, 4500 } fib daddr type local", "meta l4proto esp fib daddr type local"];

/// IKE and ESP that the gateway sends.
const OWN_OUT: [&str; 2] = ["udp sport { 500, 4500 }", "meta l4proto esp"];

/// How clients' packets leave the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nat {
    /// With the address of the interface by which they leave. Of IPv6, only unique local addresses (RFC 4193) are
    /// translated: global ones have a way back.
    #[default]
    Masquerade,
    /// With their own address: others need a route to the pools, see [`RuleSet::static_route_hint`].
    None,
}

/// Upper bound for the MSS of forwarded TCP connections, both directions. An MSS is only ever lowered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MssClamp {
    /// What the routes of both directions can carry: the TUN's MTU or less.
    #[default]
    PathMtu,
    /// For inner packets of this many bytes.
    Mtu(u16),
}

/// What clients may reach on the gateway itself, besides ICMP echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayServices {
    /// UDP ports.
    pub udp: Vec<u16>,
    /// TCP ports.
    pub tcp: Vec<u16>,
}

impl Default for GatewayServices {
    /// DNS only.
    fn default() -> Self {
        Self { udp: vec![53], tcp: vec![53] }
    }
}

/// What the table should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// Name of the TUN.
    pub tun: InterfaceName,
    /// All pools.
    pub pools: Vec<IpNet>,
    /// Sites, reached through the TUN too unless they have devices of their own.
    pub sites: Vec<SiteNetwork>,
    /// Translation of clients' addresses.
    pub nat: Nat,
    /// Whether clients may talk to each other.
    pub client_to_client: bool,
    /// Whether other hosts may open connections to clients; answers always pass.
    pub inbound: bool,
    /// See [`GatewayServices`].
    pub services: GatewayServices,
    /// See [`MssClamp`].
    pub mss: MssClamp,
    /// L2TP is served: what comes to its port outside of IPsec gets no answer, not even that of the kernel (RFC 3193).
    pub l2tp: bool,
}

impl RuleSet {
    /// The transaction that replaces our table by this rule set, with these inner addresses admitted.
    #[must_use]
    pub fn render<'a>(&self, leases: impl IntoIterator<Item = &'a IpAddr>) -> String {
        let mut text = Text::default();
        text.line("# Made by cygnet: changes by hand are undone.");
        text.line(&format!("add table inet {TABLE}"));
        text.line(&format!("delete table inet {TABLE}"));
        text.open(&format!("table inet {TABLE}"));
        for (name, comment) in COUNTERS {
            text.line(&counter_definition(name, comment));
        }
        self.sets(&mut text, &leases.into_iter().copied().collect::<Vec<_>>());
        self.own_traffic(&mut text);
        self.arriving(&mut text);
        self.forwarded(&mut text);
        self.reaching_gateway(&mut text);
        self.sent_by_gateway(&mut text);
        self.translation(&mut text);
        text.close();
        text.0
    }

    /// The route that others need when clients keep their addresses; `None` when they don't need one.
    ///
    /// `gateway` is the gateway's address in the network of those others.
    #[must_use]
    pub fn static_route_hint(&self, gateway: IpAddr) -> Option<String> {
        let routed = self.pools.iter().filter(|p| !self.translates(p) && p.addr().is_ipv4() == gateway.is_ipv4());
        let routes: Vec<String> = routed.map(|p| format!("{} via {gateway}", p.trunc())).collect();
        if routes.is_empty() {
            return None;
        }
        let routes = routes.join(", ");
        Some(format!(
            "clients keep their addresses, so the router of that network needs a route back: {routes} (Linux: ip route add ...; \
             in a cloud: a route to this machine, and its source/destination check off)"
        ))
    }

    /// The gateway's TUN and those of sites.
    pub fn tunnels(&self) -> impl Iterator<Item = &InterfaceName> {
        std::iter::once(&self.tun).chain(self.sites.iter().filter_map(|site| site.device.as_ref()))
    }

    /// Whether the gateway's own packets take other routes than all others, see [`crate::net::policy`].
    #[must_use]
    pub fn marks_own_packets(&self) -> bool {
        self.sites.iter().any(SiteNetwork::has_routes_around_main)
    }

    /// The tunnels as a right-hand side.
    fn tunnel_names(&self) -> String {
        let names: Vec<String> = self.tunnels().map(|name| format!("\"{name}\"")).collect();
        if let [one] = &names[..] { one.clone() } else { format!("{{ {} }}", names.join(", ")) }
    }

    /// All interfaces that nothing leaves by unencrypted.
    fn safe_names(&self) -> String {
        let names: Vec<String> = self.tunnels().map(|name| format!("\"{name}\"")).collect();
        format!("{{ \"lo\", {} }}", names.join(", "))
    }

    fn translates(&self, pool: &IpNet) -> bool {
        let has_no_way_back = match pool {
            IpNet::V4(_) => true,
            IpNet::V6(net) => net.network().is_unique_local(),
        };
        self.nat == Nat::Masquerade && has_no_way_back
    }

    fn sets(&self, text: &mut Text, leases: &[IpAddr]) {
        let translated: Vec<IpNet> = self.pools.iter().filter(|p| self.translates(p)).copied().collect();
        // A site may stand for the whole internet: that much cannot be barred from other interfaces.
        let behind = |own: bool| {
            let sites = self.sites.iter().filter(move |site| site.device.is_some() == own);
            sites.flat_map(|site| &site.remote).copied()
        };
        let sites: Vec<IpNet> = behind(false).collect();
        let others: Vec<IpNet> = behind(true).collect();
        let inside = self.pools.iter().chain(&sites).chain(&others).filter(|net| net.prefix_len() > 0);
        let inside: Vec<IpNet> = inside.copied().collect();
        let (pools, sites) = (&self.pools, &sites);
        let nets = [("pools", pools), ("sites", sites), ("inside", &inside), ("translated", &translated)];
        for (name, nets) in nets {
            for family in Family::BOTH {
                let of_family = nets.iter().filter(|n| family.has(n.addr())).map(|n| n.trunc().to_string());
                text.set(name, family, true, &of_family.collect::<Vec<_>>());
            }
        }
        for family in Family::BOTH {
            let of_family = leases.iter().filter(|a| family.has(**a)).map(ToString::to_string);
            text.set("leases", family, false, &of_family.collect::<Vec<_>>());
        }
    }

    /// IKE and ESP of the gateway itself stay out of connection tracking: no entry made by a client's translated
    /// connection can catch them, and no flood can fill the table.
    fn own_traffic(&self, text: &mut Text) {
        text.open("chain own_in");
        text.line("type filter hook prerouting priority raw; policy accept;");
        // For the source check: these have their way back around the tunnels.
        let mark = if self.marks_own_packets() { format!("meta mark set {MARK:#x} ") } else { String::new() };
        OWN_IN.iter().for_each(|own| text.line(&format!("{own} {mark}notrack")));
        text.close();
        text.open("chain own_out");
        text.line("type filter hook output priority raw; policy accept;");
        OWN_OUT.iter().for_each(|own| text.line(&format!("{own} notrack")));
        text.close();
    }

    /// Who may send with which source. Before translation back, so an answer to a translated connection still bears the
    /// gateway's address here, and a packet to a pool address is one that was sent to it as such.
    fn arriving(&self, text: &mut Text) {
        let tun = &self.tun;
        text.open("chain arriving");
        text.line("type filter hook prerouting priority mangle; policy accept;");
        text.line(&format!("iifname \"{tun}\" jump from_tunnel"));
        for (number, site) in self.sites.iter().enumerate() {
            if let Some(device) = &site.device {
                text.line(&format!("iifname \"{device}\" jump from_site_{number}"));
            }
        }
        text.line(&format!("iifname != {} jump from_elsewhere", self.safe_names()));
        text.close();
        text.open("chain from_tunnel");
        for family in Family::BOTH {
            let ip = family.keyword();
            text.line(&format!("{ip} saddr @leases{family} return"));
            text.line(&format!("{ip} saddr @pools{family} counter name spoofed_inside drop"));
            text.line(&format!("{ip} saddr @sites{family} return"));
        }
        text.line("counter name spoofed_inside drop");
        text.close();
        for (number, site) in self.sites.iter().enumerate().filter(|(_, site)| site.device.is_some()) {
            from_site(text, number, site);
        }
        text.open("chain from_elsewhere");
        OWN_IN.iter().for_each(|own| text.line(&format!("{own} return")));
        for family in Family::BOTH {
            let ip = family.keyword();
            text.line(&format!("{ip} saddr @inside{family} counter name spoofed_outside drop"));
            text.line(&format!(
                "{ip} daddr @pools{family} fib saddr . iif oif missing counter name spoofed_outside drop"
            ));
        }
        text.close();
    }

    fn forwarded(&self, text: &mut Text) {
        let (tun, tunnels) = (&self.tun, self.tunnel_names());
        text.open("chain clamp");
        text.line("type filter hook forward priority mangle; policy accept;");
        for direction in ["iifname", "oifname"] {
            for family in Family::BOTH {
                let size = self.mss.size(family);
                let protocol = family.netfilter_protocol();
                text.line(&format!(
                    "{direction} {tunnels} meta nfproto {protocol} tcp flags syn / syn,rst tcp option maxseg size set {size}"
                ));
            }
        }
        text.close();
        text.open("chain forwarded");
        text.line("type filter hook forward priority filter; policy accept;");
        self.never_in_the_clear(text);
        text.line(&format!("oifname \"{tun}\" jump to_tunnel"));
        text.close();
        text.open("chain to_tunnel");
        for family in Family::BOTH {
            let ip = family.keyword();
            if !self.client_to_client {
                let clients = format!("iifname \"{tun}\" {ip} saddr @pools{family} {ip} daddr @pools{family}");
                text.line(&format!("{clients} counter name client_to_client drop"));
            }
            if !self.inbound {
                let others = format!("{ip} saddr != @pools{family} {ip} daddr @pools{family}");
                text.line(&format!("{others} ct state {{ new, invalid, untracked }} counter name inbound drop"));
            }
        }
        text.close();
    }

    fn reaching_gateway(&self, text: &mut Text) {
        text.open("chain reaching_gateway");
        text.line("type filter hook input priority filter; policy accept;");
        for family in Family::BOTH {
            let clients = format!("{} saddr @pools{family}", family.keyword());
            text.line(&format!("iifname \"{}\" {clients} jump clients_to_gateway", self.tun));
        }
        if self.l2tp {
            text.line("udp dport 1701 fib daddr type local counter name clear_l2tp drop");
        }
        text.close();
        text.open("chain clients_to_gateway");
        text.line("ct state { established, related } accept");
        text.line("icmp type echo-request accept");
        text.line("icmpv6 type echo-request accept");
        for (protocol, ports) in [("udp", &self.services.udp), ("tcp", &self.services.tcp)] {
            if !ports.is_empty() {
                let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                text.line(&format!("{protocol} dport {{ {ports} }} accept"));
            }
        }
        text.line("counter name gateway_access drop");
        text.close();
    }

    /// The gateway's own packets to a client that has just left.
    fn sent_by_gateway(&self, text: &mut Text) {
        text.open("chain sent_by_gateway");
        text.line("type filter hook output priority filter; policy accept;");
        OWN_OUT.iter().for_each(|own| text.line(&format!("{own} return")));
        // To the kernel, clients behind one TUN are neighbours that might as well talk directly. They cannot.
        text.line(&format!("oifname \"{}\" icmp type redirect drop", self.tun));
        self.never_in_the_clear(text);
        text.close();
    }

    /// A packet for a client or site whose route is gone would follow the default route, unencrypted.
    fn never_in_the_clear(&self, text: &mut Text) {
        for family in Family::BOTH {
            let elsewhere = format!("oifname != {}", self.safe_names());
            let ip = family.keyword();
            text.line(&format!("{elsewhere} {ip} daddr @inside{family} counter name unrouted drop"));
        }
    }

    fn translation(&self, text: &mut Text) {
        let (first, last) = (TRANSLATED_PORTS.start(), TRANSLATED_PORTS.end());
        text.open("chain translation");
        text.line("type nat hook postrouting priority srcnat; policy accept;");
        self.sites.iter().for_each(|site| self.translation_for(site, text));
        for family in Family::BOTH {
            let clients = format!("oifname != {} {} saddr @translated{family}", self.tunnel_names(), family.keyword());
            text.line(&format!("{clients} meta l4proto {{ tcp, udp }} masquerade to :{first}-{last}"));
            text.line(&format!("{clients} masquerade"));
        }
        text.close();
    }

    /// What our side sends to a site that should see one address of ours only.
    fn translation_for(&self, site: &SiteNetwork, text: &mut Text) {
        let (first, last) = (TRANSLATED_PORTS.start(), TRANSLATED_PORTS.end());
        let device = site.device.as_ref().unwrap_or(&self.tun);
        for family in Family::BOTH {
            let address = site.nat.iter().find(|address| family.has(**address));
            let (Some(address), Some(remote)) = (address, remote_of(site, family)) else { continue };
            let ip = family.keyword();
            let packets = format!("oifname \"{device}\" {ip} saddr != {address} {ip} daddr {remote}");
            let ports = match family {
                Family::V4 => format!("{address}:{first}-{last}"),
                Family::V6 => format!("[{address}]:{first}-{last}"),
            };
            text.line(&format!("{packets} meta l4proto {{ tcp, udp }} snat {ip} to {ports}"));
            text.line(&format!("{packets} snat {ip} to {address}"));
        }
    }
}

/// Who may send from a site's own device: the site, and nobody else whom we know.
fn from_site(text: &mut Text, number: usize, site: &SiteNetwork) {
    text.open(&format!("chain from_site_{number}"));
    for family in Family::BOTH {
        let ip = family.keyword();
        text.line(&format!("{ip} saddr @pools{family} counter name spoofed_inside drop"));
        if let Some(remote) = remote_of(site, family) {
            text.line(&format!("{ip} saddr {remote} return"));
        }
        text.line(&format!("{ip} saddr @inside{family} counter name spoofed_inside drop"));
    }
    text.close();
}

/// A site's networks as a right-hand side; `None` without any.
fn remote_of(site: &SiteNetwork, family: Family) -> Option<String> {
    let nets: BTreeSet<IpNet> = site.remote.iter().filter(|net| family.has(net.addr())).map(IpNet::trunc).collect();
    // The sets of nft do not take overlapping elements, and ranges say all that those inside of them say.
    let all = IpNet::aggregate(&nets.into_iter().collect());
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| format!("{{ {} }}", all.join(", ")))
}

impl MssClamp {
    /// The value for nft: TCP header 20 bytes, IPv4 header 20, IPv6 header 40.
    fn size(self, family: Family) -> String {
        let headers = match family {
            Family::V4 => 40,
            Family::V6 => 60,
        };
        match self {
            Self::PathMtu => "rt mtu".to_owned(),
            Self::Mtu(mtu) => mtu.saturating_sub(headers).max(1).to_string(),
        }
    }
}

/// The part of a transaction that changes the sets of admitted addresses.
pub(super) fn element_commands(verb: &str, addresses: &BTreeSet<IpAddr>) -> String {
    let mut commands = String::new();
    for family in Family::BOTH {
        let of_family: Vec<String> = addresses.iter().filter(|a| family.has(**a)).map(ToString::to_string).collect();
        if !of_family.is_empty() {
            let elements = of_family.join(", ");
            writeln!(commands, "{verb} element inet {TABLE} leases{family} {{ {elements} }}")
                .expect("a String takes any text");
        }
    }
    commands
}

#[derive(Clone, Copy)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }

    fn keyword(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    fn netfilter_protocol(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// As it ends our sets' names.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "4",
            Self::V6 => "6",
        })
    }
}

/// Lines with indentation.
#[derive(Default)]
struct Text(String, usize);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.extend(std::iter::repeat_n('\t', self.1));
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn open(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.1 += 1;
    }

    fn close(&mut self) {
        self.1 -= 1;
        self.line("}");
    }

    fn set(&mut self, name: &str, family: Family, intervals: bool, elements: &[String]) {
        let flags = if intervals { " flags interval; auto-merge;" } else { "" };
        let elements =
            if elements.is_empty() { String::new() } else { format!(" elements = {{ {} }};", elements.join(", ")) };
        let protocol = family.netfilter_protocol();
        self.line(&format!("set {name}{family} {{ type {protocol}_addr;{flags}{elements} }}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)));

    fn rules() -> RuleSet {
        RuleSet {
            tun: InterfaceName::new("cygnet0").unwrap(),
            pools: ["10.20.0.0/24", "fd00:20::/64"].map(|p| p.parse().unwrap()).to_vec(),
            sites: vec![SiteNetwork::new("berlin", PEER, ["10.2.0.0/16".parse().unwrap()])],
            nat: Nat::Masquerade,
            client_to_client: false,
            inbound: false,
            services: GatewayServices::default(),
            mss: MssClamp::PathMtu,
            l2tp: false,
        }
    }

    fn render(rules: &RuleSet) -> String {
        rules.render(&["10.20.0.2".parse().unwrap(), "fd00:20::2".parse().unwrap()])
    }

    #[test]
    fn the_port_of_l2tp_is_silent_only_where_l2tp_is_served() {
        let silent = "udp dport 1701 fib daddr type local counter name clear_l2tp drop";
        assert!(render(&RuleSet { l2tp: true, ..rules() }).contains(silent));
        assert!(!render(&rules()).contains("1701"));
    }

    #[test]
    fn replaces_the_table_in_one_transaction() {
        let text = render(&rules());
        let commands: Vec<&str> = text.lines().filter(|l| !l.starts_with(['\t', '#', '}'])).collect();
        assert_eq!(commands, ["add table inet cygnet", "delete table inet cygnet", "table inet cygnet {"]);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn sets_hold_pools_sites_and_leases_by_family() {
        let text = render(&rules());
        for line in [
            "set pools4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.20.0.0/24 }; }",
            "set pools6 { type ipv6_addr; flags interval; auto-merge; elements = { fd00:20::/64 }; }",
            "set sites4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.2.0.0/16 }; }",
            "set sites6 { type ipv6_addr; flags interval; auto-merge; }",
            "set inside4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.20.0.0/24, 10.2.0.0/16 }; }",
            "set leases4 { type ipv4_addr; elements = { 10.20.0.2 }; }",
            "set leases6 { type ipv6_addr; elements = { fd00:20::2 }; }",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_site_that_is_the_internet_bars_nothing() {
        let everything =
            RuleSet { sites: vec![SiteNetwork::new("all", PEER, ["0.0.0.0/0".parse().unwrap()])], ..rules() };
        let text = render(&everything);
        assert!(text.contains("set sites4 { type ipv4_addr; flags interval; auto-merge; elements = { 0.0.0.0/0 }; }"));
        assert!(
            text.contains("set inside4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.20.0.0/24 }; }")
        );
    }

    #[test]
    fn a_site_with_a_device_of_its_own_is_a_tunnel_like_the_gateways() {
        let device = Some(InterfaceName::new("cg-rome").unwrap());
        let rome = SiteNetwork { device, ..SiteNetwork::new("rome", PEER, ["10.3.0.0/16".parse().unwrap()]) };
        let text = render(&RuleSet { sites: vec![rules().sites[0].clone(), rome], ..rules() });
        for line in [
            "iifname \"cg-rome\" jump from_site_1",
            "iifname != { \"lo\", \"cygnet0\", \"cg-rome\" } jump from_elsewhere",
            "oifname != { \"lo\", \"cygnet0\", \"cg-rome\" } ip daddr @inside4 counter name unrouted drop",
            "oifname { \"cygnet0\", \"cg-rome\" } meta nfproto ipv4 tcp flags syn",
            "oifname != { \"cygnet0\", \"cg-rome\" } ip saddr @translated4 masquerade",
            "ip saddr { 10.3.0.0/16 } return",
            "set sites4 { type ipv4_addr; flags interval; auto-merge; elements = { 10.2.0.0/16 }; }",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.contains("10.20.0.0/24, 10.2.0.0/16, 10.3.0.0/16"), "all of them are inside\n{text}");
    }

    #[test]
    fn a_site_sees_one_address_if_asked_for() {
        let nat = ["10.1.0.1", "fd00:1::1"].map(|a| a.parse().unwrap()).to_vec();
        let remote = ["10.2.0.0/16", "10.2.3.0/24", "fd00:2::/64"].map(|net| net.parse().unwrap());
        let site = SiteNetwork { nat, ..SiteNetwork::new("berlin", PEER, remote) };
        let text = render(&RuleSet { sites: vec![site], ..rules() });
        for line in [
            "oifname \"cygnet0\" ip saddr != 10.1.0.1 ip daddr { 10.2.0.0/16 } meta l4proto { tcp, udp } snat ip to 10.1.0.1:10000-65535",
            "oifname \"cygnet0\" ip saddr != 10.1.0.1 ip daddr { 10.2.0.0/16 } snat ip to 10.1.0.1",
            "oifname \"cygnet0\" ip6 saddr != fd00:1::1 ip6 daddr { fd00:2::/64 } meta l4proto { tcp, udp } snat ip6 to [fd00:1::1]:10000-65535",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!render(&rules()).contains("snat ip"));
    }

    #[test]
    fn our_packets_are_marked_only_where_routes_go_around_them() {
        let mark = "meta mark set 0x4359 notrack";
        assert!(!render(&rules()).contains(mark));
        let beside = SiteNetwork::new("berlin", PEER, ["198.51.100.0/24".parse().unwrap()]);
        let anywhere = SiteNetwork::new("berlin", None, ["10.2.0.0/16".parse().unwrap()]);
        for site in [beside, anywhere] {
            assert!(render(&RuleSet { sites: vec![site], ..rules() }).contains(mark));
        }
    }

    #[test]
    fn only_pools_without_a_way_back_are_translated() {
        let global = RuleSet { pools: vec!["2001:db8:20::/64".parse().unwrap()], ..rules() };
        assert!(render(&global).contains("set translated6 { type ipv6_addr; flags interval; auto-merge; }"));
        let routed = RuleSet { nat: Nat::None, ..rules() };
        assert!(render(&routed).contains("set translated4 { type ipv4_addr; flags interval; auto-merge; }"));
        assert!(render(&rules()).contains("set translated4 { type ipv4_addr; flags interval; auto-merge; elements"));
    }

    #[test]
    fn translated_ports_spare_the_gateways_own() {
        assert!([500, 4500, 1701].iter().all(|port| !TRANSLATED_PORTS.contains(port)));
        assert!(render(&rules()).contains("meta l4proto { tcp, udp } masquerade to :10000-65535"));
    }

    #[test]
    fn switches_open_what_is_closed_by_default() {
        let (closed, open) = (rules(), RuleSet { client_to_client: true, inbound: true, ..rules() });
        for counter in ["counter name client_to_client drop", "counter name inbound drop"] {
            assert!(render(&closed).contains(counter));
            assert!(!render(&open).contains(counter));
        }
    }

    #[test]
    fn gateway_services_list_their_ports() {
        let services = GatewayServices { udp: vec![53, 123], tcp: vec![] };
        let text = render(&RuleSet { services, ..rules() });
        assert!(text.contains("udp dport { 53, 123 } accept"));
        assert!(!text.contains("tcp dport"));
    }

    #[test]
    fn a_fixed_clamp_leaves_room_for_headers() {
        let text = render(&RuleSet { mss: MssClamp::Mtu(1400), ..rules() });
        assert!(text.contains("meta nfproto ipv4 tcp flags syn / syn,rst tcp option maxseg size set 1360"));
        assert!(text.contains("meta nfproto ipv6 tcp flags syn / syn,rst tcp option maxseg size set 1340"));
    }

    #[test]
    fn names_the_route_that_others_need() {
        let gateway = "192.168.7.2".parse().unwrap();
        assert_eq!(rules().static_route_hint(gateway), None);
        let hint = RuleSet { nat: Nat::None, ..rules() }.static_route_hint(gateway).unwrap();
        assert!(hint.contains("10.20.0.0/24 via 192.168.7.2"), "{hint}");
        assert!(!hint.contains("fd00"), "{hint}");
    }

    #[test]
    fn elements_change_in_one_command_per_family() {
        let addresses = ["10.20.0.2", "fd00::2", "10.20.0.3"].map(|a| a.parse().unwrap()).into();
        assert_eq!(
            element_commands("add", &addresses),
            "add element inet cygnet leases4 { 10.20.0.2, 10.20.0.3 }\nadd element inet cygnet leases6 { fd00::2 }\n"
        );
        assert_eq!(element_commands("delete", &BTreeSet::new()), "");
    }
}
