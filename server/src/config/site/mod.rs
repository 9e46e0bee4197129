//! `[site.NAME]`: from text to types, key by key. What depends on several keys or sites is checked in `check.rs`.

mod check;
mod proof;
mod selector;

use std::net::IpAddr;

use ipnet::IpNet;

pub(super) use check::check;

use super::certificate::LocatedIdentity;
use super::checked::{Crl, Lifetimes, Peer, PeerAuth, Policy, Proposals, Selector, SitePpk, Start};
use super::problem::{Located, Problem, Spot};
use super::reader::{Section, Value};
use super::source::Source;
use super::{Site, SiteChild, SiteMode, defaults, fields, keys, names};
use proof::RawProof;
use selector::Located as LocatedSelector;

/// One site as far as each key can be judged alone.
pub(super) struct RawSite {
    name: Located<String>,
    peer: Option<Located<Peer>>,
    local_address: Option<Located<IpAddr>>,
    id: Option<Located<String>>,
    peer_id: Option<Located<String>>,
    proof: RawProof,
    ppk: Option<SitePpk>,
    start: Option<Located<Start>>,
    mode: Option<Located<Mode>>,
    device: Option<Located<String>>,
    routes: Option<Located<bool>>,
    nat: RawNat,
    policy: Vec<Policy>,
    proposals: Proposals,
    lifetimes: Lifetimes,
    liveness: Option<std::time::Duration>,
    reauthentication: Option<std::time::Duration>,
    mobike: bool,
    force_udp_encap: bool,
    crl: Crl,
    mtu: Option<u16>,
    children: Vec<RawChild>,
}

/// `mode` without the name of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Tunnel,
    Interface,
    Transport,
}

/// `nat` as written.
enum RawNat {
    Off,
    /// `true`: to the first address of `local`.
    First(Spot),
    To(Vec<Located<IpAddr>>),
}

struct RawChild {
    name: Located<String>,
    local: Vec<LocatedSelector>,
    remote: Vec<LocatedSelector>,
    /// Whether the file names its networks, be they right or wrong.
    names_local: bool,
    names_remote: bool,
}

/// Reads the table `[site]`, which has a table per site.
pub(super) fn read(source: &Source<'_>, table: &Value<'_>) -> Vec<RawSite> {
    if table.is_list() {
        let help = "write [site.NAME] with a name of your choice, once for each site";
        table.error::<()>("[[site]] is a list, but a site has a name", "", Some(help.into()));
        return Vec::new();
    }
    let mut sites: Vec<RawSite> = Vec::new();
    for (name, value) in table.entries() {
        let Some(name) = site_name(source, &name, &value) else { continue };
        let Some(section) = value.section(&keys::SITE) else { continue };
        let lower = name.value.to_lowercase();
        if let Some(first) = sites.iter().find(|site| site.name.value.to_lowercase() == lower) {
            let problem = Problem::error(format!("the site \"{}\" exists twice", name.value))
                .at(name.spot, "second")
                .at(first.name.spot, "first")
                .help("rename one of them; capital letters make no difference");
            source.problems.report(problem);
        }
        sites.push(read_one(source, name, &section));
    }
    sites.sort_by(|a, b| a.name.value.cmp(&b.name.value));
    sites
}

fn site_name(source: &Source<'_>, name: &Located<&str>, value: &Value<'_>) -> Option<Located<String>> {
    if !value.is_table() {
        let problem = Problem::error(format!("`{}` stands in [site], which is a table of sites", name.value));
        source
            .problems
            .report(problem.at(name.spot, "").help("write [site.NAME] above it, with a name of your choice"));
        return None;
    }
    if let Err(reason) = names::check_label(name.value) {
        let problem = Problem::error(format!("a site cannot be called \"{}\": {reason}", name.value));
        source.problems.report(problem.at(name.spot, "").help("take letters, digits, - and _"));
        return None;
    }
    Some(Located { value: name.value.to_owned(), spot: name.spot })
}

fn read_one(source: &Source<'_>, name: Located<String>, section: &Section<'_>) -> RawSite {
    let identity = |key| section.value(key).and_then(|value| fields::identity_text(&value));
    let mode = section.value("mode").and_then(|value| mode(&value));
    let transport = mode.as_ref().is_some_and(|mode| mode.value == Mode::Transport);
    let flag = |key, default| fields::flag(section, key, default);
    RawSite {
        peer: peer(source, section),
        local_address: section.value("local_address").and_then(|value| value.parse("an IP address")),
        id: identity("id"),
        peer_id: identity("peer_id"),
        proof: proof::read(source, section),
        ppk: section.value("ppk").and_then(|value| ppk(source, &value)),
        start: section.value("start").and_then(|value| start(&value)),
        device: section.value("interface").and_then(|value| device(&value)),
        routes: section.value("routes").and_then(|v| Some(Located { value: v.boolean()?, spot: v.spot })),
        nat: nat(section),
        policy: fields::policies(section),
        proposals: fields::proposals(section),
        lifetimes: lifetimes(section),
        liveness: fields::liveness(section),
        reauthentication: fields::span(section, "reauth", &defaults::REAUTH_RANGE, None),
        mobike: flag("mobike", true),
        force_udp_encap: flag("force_udp_encap", false),
        crl: fields::crl(source, section),
        mtu: section.value("mtu").and_then(|v| v.integer(defaults::MTU_RANGE, "bytes")),
        children: children(source, &name, section, transport),
        mode,
        name,
    }
}

fn peer(source: &Source<'_>, section: &Section<'_>) -> Option<Located<Peer>> {
    let Some(value) = section.value("peer") else {
        let problem = Problem::error(format!("[{}] has no `peer`", section.path()))
            .at(section.spot, "where is the other gateway?")
            .help("add its address or name:  peer = \"198.51.100.7\"  (or \"any\" if its address changes)");
        source.problems.report(problem);
        return None;
    };
    let text = value.text()?;
    let peer = if text.value == "any" {
        Peer::Any
    } else if let Ok(address) = text.value.parse::<IpAddr>() {
        if address.is_unspecified() || address.is_multicast() {
            return value.error(
                format!("no gateway has the address {address}"),
                "",
                Some("write \"any\" for a peer with a changing address".into()),
            );
        }
        Peer::Address(address)
    } else if names::is_dns_name(text.value) {
        Peer::Name(text.value.to_owned())
    } else {
        let title = format!("\"{}\" is neither an address nor a name", text.value);
        return value.error(title, "", Some("write such as \"198.51.100.7\", \"gw.example.org\" or \"any\"".into()));
    };
    Some(Located { value: peer, spot: text.spot })
}

fn start(value: &Value<'_>) -> Option<Located<Start>> {
    let known = [("always", Start::Always), ("demand", Start::Demand), ("passive", Start::Passive)];
    Some(Located { value: fields::word(value, "start", &known)?, spot: value.spot })
}

fn mode(value: &Value<'_>) -> Option<Located<Mode>> {
    let known = [("tunnel", Mode::Tunnel), ("interface", Mode::Interface), ("transport", Mode::Transport)];
    Some(Located { value: fields::word(value, "mode", &known)?, spot: value.spot })
}

fn device(value: &Value<'_>) -> Option<Located<String>> {
    let text = value.text()?;
    match names::check_interface(text.value) {
        Ok(()) => Some(Located { value: text.value.to_owned(), spot: text.spot }),
        Err(reason) => value.error(
            format!("an interface cannot be called \"{}\": {reason}", text.value),
            "",
            Some("take at most 15 letters, digits, -, _ and .".into()),
        ),
    }
}

fn nat(section: &Section<'_>) -> RawNat {
    let Some(value) = section.value("nat") else { return RawNat::Off };
    if value.is_boolean() {
        return if value.boolean() == Some(true) { RawNat::First(value.spot) } else { RawNat::Off };
    }
    RawNat::To(fields::parsed_list(section, "nat", "true, false or an IP address"))
}

fn lifetimes(section: &Section<'_>) -> Lifetimes {
    Lifetimes {
        bytes: section.value("rekey_bytes").and_then(|v| v.size(defaults::REKEY_BYTES_RANGE)),
        packets: section.value("rekey_packets").and_then(|v| v.integer(defaults::REKEY_PACKETS_RANGE, "packets")),
        ..fields::lifetimes(section, defaults::SITE_LIFETIMES)
    }
}

fn ppk(source: &Source<'_>, value: &Value<'_>) -> Option<SitePpk> {
    let section = value.section(&keys::SITE_PPK)?;
    let missing = |key: &str| {
        let problem = Problem::error(format!("`{}` has no `{key}`", section.path())).at(section.spot, "");
        source.problems.report(problem.help("write  ppk = { id = \"NAME\", secret = \"file:PATH\" }"));
    };
    let (id, secret) = (section.value("id"), section.value("secret"));
    if id.is_none() {
        missing("id");
    }
    if secret.is_none() {
        missing("secret");
    }
    let id = fields::ppk_id(&id?)?;
    let secret = fields::ppk_secret(source, &secret?)?;
    let required = fields::flag(&section, "required", false);
    Some(SitePpk { id, secret, required })
}

/// The children: those of `[[site.NAME.child]]`, otherwise one with the site's own networks.
fn children(source: &Source<'_>, name: &Located<String>, section: &Section<'_>, transport: bool) -> Vec<RawChild> {
    let selectors = |section: &Section<'_>, key| selector::read_list(section, key, transport);
    let (local, remote) = (selectors(section, "local"), selectors(section, "remote"));
    let Some(value) = section.value("child") else {
        return vec![RawChild::new(name.clone(), local, remote)];
    };
    let mut children: Vec<RawChild> = Vec::new();
    let mut unused = vec!["local", "remote"];
    if value.items().is_empty() {
        let help = format!("write [[{}.child]] for each, or remove the key", section.path());
        value.error::<()>(format!("`{}` is empty", value.path()), "", Some(help));
    }
    for item in value.items() {
        let Some(section) = item.section(&keys::SITE_CHILD) else { continue };
        let Some(name) = child_name(source, &section) else { continue };
        if let Some(first) = children.iter().find(|child| child.name.value == name.value) {
            let problem = Problem::error(format!("two children are called \"{}\"", name.value))
                .at(name.spot, "second")
                .at(first.name.spot, "first");
            source.problems.report(problem.help("rename one of them"));
        }
        let own = |key, common: &Option<selector::List>| selectors(&section, key).or_else(|| common.clone());
        let (own_local, own_remote) = (own("local", &local), own("remote", &remote));
        unused.retain(|key| section.value(key).is_some());
        children.push(RawChild::new(name, own_local, own_remote));
    }
    for key in unused.into_iter().filter(|_| !children.is_empty()) {
        let Some(value) = section.value(key) else { continue };
        let problem = Problem::warning(format!("`{key}` of the site has no effect: each child has its own"));
        let help = format!("remove it, or add a child without `{key}`, which takes it over");
        source.problems.report(problem.at(value.key_spot, "").help(help));
    }
    children
}

fn child_name(source: &Source<'_>, section: &Section<'_>) -> Option<Located<String>> {
    let Some(value) = section.value("name") else {
        let problem = Problem::error("a child has no `name`").at(section.spot, "");
        source.problems.report(problem.help("add name = \"NAME\"; status and commands call it so"));
        return None;
    };
    let text = value.text()?;
    match names::check_label(text.value) {
        Ok(()) => Some(Located { value: text.value.to_owned(), spot: text.spot }),
        Err(reason) => value.error(format!("a child cannot be called \"{}\": {reason}", text.value), "", None),
    }
}

/// The site, if nothing of it was wrong.
pub(super) fn checked(raw: RawSite) -> Option<Site> {
    let start = raw.start_or_default();
    let mode = raw.site_mode();
    let nat = raw.nat_addresses();
    let everything = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse().ok()).map(Selector::all_of);
    let default: &[Selector] = if raw.mode() == Mode::Interface { &everything.collect::<Vec<_>>() } else { &[] };
    let peer = raw.peer?.value;
    let peer_id = raw.peer_id.map(|id| id.value);
    let (identity, local_auth, peer_auth) = raw.proof.into_parts()?;
    let name_as_identity = match (&peer, &peer_auth) {
        (Peer::Name(name), PeerAuth::Certificate(_)) => Some(name.clone()),
        _ => None,
    };
    let routes = raw.routes.map_or_else(|| default_routes(&mode, &raw.children), |routes| routes.value);
    Some(Site {
        name: raw.name.value,
        peer_id: peer_id.or(name_as_identity),
        peer,
        local_address: raw.local_address.map(|a| a.value),
        id: raw.id.map(|id| id.value).or(identity),
        local_auth,
        peer_auth,
        ppk: raw.ppk,
        start,
        routes,
        mode,
        nat,
        policy: raw.policy,
        proposals: raw.proposals,
        lifetimes: raw.lifetimes,
        liveness: raw.liveness,
        reauthentication: raw.reauthentication,
        mobike: raw.mobike,
        force_udp_encap: raw.force_udp_encap,
        crl: raw.crl,
        mtu: raw.mtu,
        children: raw.children.into_iter().map(|child| checked_child(child, default)).collect(),
    })
}

/// The child; where it names no networks, it has those of `default`.
fn checked_child(raw: RawChild, default: &[Selector]) -> SiteChild {
    let values = |list: Vec<LocatedSelector>| match list.is_empty() {
        true => default.to_vec(),
        false => list.into_iter().map(|s| s.value).collect(),
    };
    SiteChild { name: raw.name.value, local: values(raw.local), remote: values(raw.remote) }
}

/// The first address of a network that a host can have; `None` for the network of all addresses.
fn first_host(network: IpNet) -> Option<IpAddr> {
    match network {
        _ if network.prefix_len() == 0 => None,
        IpNet::V4(v4) => v4.hosts().next().map(IpAddr::V4),
        IpNet::V6(v6) if v6.prefix_len() < 127 => Some(IpAddr::V6((v6.network().to_bits() + 1).into())),
        IpNet::V6(v6) => Some(IpAddr::V6(v6.network())),
    }
}

/// A device of its own without named networks is for whoever sets the routes; between two hosts there are none.
fn default_routes(mode: &SiteMode, children: &[RawChild]) -> bool {
    let named =
        |child: &RawChild| !child.remote.is_empty() && child.remote.iter().all(|s| s.value.network.prefix_len() > 0);
    match mode {
        SiteMode::Tunnel => true,
        SiteMode::Interface { .. } => children.iter().all(named),
        SiteMode::Transport => false,
    }
}

impl RawChild {
    fn new(name: Located<String>, local: Option<selector::List>, remote: Option<selector::List>) -> Self {
        let named = |list: &Option<selector::List>| list.as_ref().is_some_and(|list| list.is_named);
        let (names_local, names_remote) = (named(&local), named(&remote));
        let selectors = |list: Option<selector::List>| list.map(|list| list.selectors).unwrap_or_default();
        Self { name, local: selectors(local), remote: selectors(remote), names_local, names_remote }
    }
}

impl RawSite {
    fn start_or_default(&self) -> Start {
        let any = self.peer.as_ref().is_some_and(|peer| peer.value == Peer::Any);
        let default = if any { Start::Passive } else { Start::Always };
        self.start.as_ref().map_or(default, |start| start.value)
    }

    fn mode(&self) -> Mode {
        self.mode.as_ref().map_or(Mode::Tunnel, |mode| mode.value)
    }

    /// The name of the site's device, whether or not it gets one.
    fn device(&self) -> &str {
        self.device.as_ref().map_or(self.name.value.as_str(), |device| device.value.as_str())
    }

    fn site_mode(&self) -> SiteMode {
        match self.mode() {
            Mode::Tunnel => SiteMode::Tunnel,
            Mode::Interface => SiteMode::Interface { device: self.device().to_owned() },
            Mode::Transport => SiteMode::Transport,
        }
    }

    fn nat_addresses(&self) -> Vec<IpAddr> {
        match &self.nat {
            RawNat::Off => Vec::new(),
            RawNat::To(addresses) => addresses.iter().map(|a| a.value).collect(),
            RawNat::First(_) => {
                let of = |v4: bool| self.locals().map(|s| s.value.network).find(|net| net.addr().is_ipv4() == v4);
                [of(true), of(false)].into_iter().flatten().filter_map(first_host).collect()
            }
        }
    }

    fn locals(&self) -> impl Iterator<Item = &LocatedSelector> {
        self.children.iter().flat_map(|child| &child.local)
    }

    fn remotes(&self) -> impl Iterator<Item = &LocatedSelector> {
        self.children.iter().flat_map(|child| &child.remote)
    }

    fn identity(&self) -> Option<&LocatedIdentity> {
        self.proof.identity()
    }
}
