//! `cygnet status`: clients in one table, sites in another.

use std::time::Duration;

use comfy_table::{Table, presets};

use super::console::Console;
use super::{Global, Outcome, block_on, units};
use crate::control::model::{Session, SessionState, SiteChildStatus, SiteState, SiteStatus, Status};

/// Clears the screen and goes to its upper left corner.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only this user, site, IKE identity, or address (inside or outside).
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Repeat every SECONDS.
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    /// Leave out the line with the names of the columns and the summary.
    #[arg(long)]
    no_header: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let client = global.client();
    block_on(async {
        loop {
            let mut status = client.status().await?;
            if let Some(name) = &args.name {
                status.sessions.retain(|session| session.is_about(name));
                status.sites.retain(|site| site.is_about(name));
            }
            let Some(seconds) = args.watch else { return print(args, &status, console) };
            if console.is_terminal && !args.json {
                console.print(CLEAR_SCREEN)?;
            }
            print(args, &status, console)?;
            console.flush()?;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    })?
}

fn print(args: &Args, status: &Status, console: &mut Console) -> anyhow::Result<Outcome> {
    if args.json {
        console.json(status)?;
    } else if status.sessions.is_empty() && status.sites.is_empty() {
        console.line(nobody(args.name.as_deref(), status))?;
    } else {
        console.print(&tables(status, !args.no_header))?;
    }
    let missing = match &args.name {
        None => false,
        Some(_) => status.sessions.is_empty() && !status.sites.iter().any(SiteStatus::carries),
    };
    Ok(if missing { Outcome::Failed } else { Outcome::Done })
}

fn nobody(name: Option<&str>, status: &Status) -> String {
    match name {
        Some(name) => format!("{name} is not connected; `cygnet explain {name}` says what happened last"),
        None => format!("nobody is connected (up {})", units::duration(uptime(status))),
    }
}

/// Clients, sites, and a summary.
fn tables(status: &Status, header: bool) -> String {
    let mut parts = Vec::new();
    if !status.sessions.is_empty() {
        let names = ["USER", "VIA", "INSIDE", "FROM", "CIPHER", "SINCE", "IN", "OUT", "IDLE"];
        parts.push(table(header.then_some(names), status.sessions.iter().map(|session| row(session, status))));
    }
    if !status.sites.is_empty() {
        let names = ["SITE", "STATE", "PEER", "SUBNETS", "CIPHER", "REKEY", "IN", "OUT", "LAST ERROR"];
        parts.push(table(header.then_some(names), status.sites.iter().flat_map(site_rows)));
    }
    if header {
        parts.push(footer(status) + "\n");
    }
    parts.join(if header { "\n" } else { "" })
}

fn table(header: Option<[&str; 9]>, rows: impl Iterator<Item = [String; 9]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(names) = header {
        table.set_header(names);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// One line per child; what belongs to the site stands in the first.
fn site_rows(site: &SiteStatus) -> Vec<[String; 9]> {
    let dash = || "-".to_owned();
    let up = site.carries();
    let several = site.children.len() > 1;
    let row = |(n, child): (usize, &SiteChildStatus)| {
        let networks = if several { format!("{}: {}", child.name, subnets(child)) } else { subnets(child) };
        let cipher = if child.cipher.is_empty() { dash() } else { child.cipher.clone() };
        let rekey = child.rekey_seconds.map_or_else(dash, units::duration);
        let blank = String::new;
        if n > 0 {
            return [blank(), blank(), blank(), networks, cipher, rekey, blank(), blank(), blank()];
        }
        let bytes = |n| if up { units::bytes(n) } else { dash() };
        let error = site.last_error.clone().map_or_else(dash, |text| format!("{text}{}", retry(site)));
        [
            site.name.clone(),
            state(site),
            address(site),
            networks,
            cipher,
            rekey,
            bytes(site.bytes_in),
            bytes(site.bytes_out),
            error,
        ]
    };
    site.children.iter().enumerate().map(row).collect()
}

fn state(site: &SiteStatus) -> String {
    let child_down = site.children.iter().any(|child| !child.up);
    match site.state {
        SiteState::Up if !site.carries() => "no tunnel",
        SiteState::Up if child_down => "partly up",
        SiteState::Up => "up",
        SiteState::Connecting => "connecting",
        SiteState::Waiting => "waiting",
        SiteState::Down => "down",
        SiteState::Stopped => "stopped",
    }
    .to_owned()
}

/// How many attempts have failed, and when the next one begins.
fn retry(site: &SiteStatus) -> String {
    let tries = match site.attempts {
        0 => return String::new(),
        1 => "1 try".to_owned(),
        n => format!("{n} tries"),
    };
    let next = site.retry_seconds.map(|s| format!(", next in {}", units::duration(s))).unwrap_or_default();
    format!(" ({tries}{next})")
}

/// Where the peer is: its address and port once known, otherwise as configured.
pub(super) fn address(site: &SiteStatus) -> String {
    let nat = if site.nat { " nat" } else { "" };
    site.address.map_or_else(|| site.peer.clone(), |address| format!("{address}{nat}"))
}

/// What a child joins: ours, then the peer's.
pub(super) fn subnets(child: &SiteChildStatus) -> String {
    if child.local.is_empty() && child.remote.is_empty() {
        return "the gateways themselves".to_owned();
    }
    format!("{} === {}", child.local.join(" "), child.remote.join(" "))
}

fn row(session: &Session, status: &Status) -> [String; 9] {
    let inside: Vec<String> = session.inside.iter().map(ToString::to_string).collect();
    let nat = if session.nat { " nat" } else { "" };
    let since = match session.state {
        SessionState::Established => units::duration(seconds_between(session.since, status.now)),
        SessionState::Connecting => "connecting".to_owned(),
        SessionState::Closing => "closing".to_owned(),
    };
    [
        session.user.clone(),
        session.via.clone(),
        if inside.is_empty() { "-".to_owned() } else { inside.join(" ") },
        format!("{}{nat}", session.from),
        if session.cipher.is_empty() { "-".to_owned() } else { session.cipher.clone() },
        since,
        units::bytes(session.bytes_in),
        units::bytes(session.bytes_out),
        session.idle_seconds.map_or_else(|| "-".to_owned(), units::duration),
    ]
}

fn footer(status: &Status) -> String {
    let sessions = match status.sessions.len() {
        1 => "1 session".to_owned(),
        n => format!("{n} sessions"),
    };
    let up = status.sites.iter().filter(|site| site.carries()).count();
    let sites = match status.sites.len() {
        0 => String::new(),
        1 => format!(", {up} of 1 site up"),
        n => format!(", {up} of {n} sites up"),
    };
    let pool = |p: &crate::control::model::Pool| {
        let total = p.total.map(|total| format!(" of {total}")).unwrap_or_default();
        format!(", {}{total} in {} used", p.used, p.network)
    };
    let pools: String = status.pools.iter().map(pool).collect();
    format!("{sessions}{pools}{sites}; up {}. IN comes from the other side.", units::duration(uptime(status)))
}

fn uptime(status: &Status) -> u64 {
    seconds_between(status.started, status.now)
}

fn seconds_between(from: jiff::Timestamp, to: jiff::Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::model::Pool;

    fn status() -> Status {
        let alice = Session {
            id: 1,
            user: "alice".into(),
            identity: "alice@example.org".into(),
            via: "ikev2".into(),
            state: SessionState::Established,
            inside: vec!["10.20.0.9".parse().unwrap()],
            from: "203.0.113.8:50112".parse().unwrap(),
            nat: true,
            cipher: "aes-gcm-256".into(),
            since: "2026-11-21T08:48:00Z".parse().unwrap(),
            idle_seconds: Some(4),
            bytes_in: 1_240_000_000,
            bytes_out: 88_000_000,
            packets_in: 1,
            packets_out: 1,
        };
        let bob = Session {
            id: 2,
            user: "bob".into(),
            identity: "bob".into(),
            state: SessionState::Connecting,
            inside: vec![],
            nat: false,
            cipher: String::new(),
            idle_seconds: None,
            bytes_in: 0,
            bytes_out: 0,
            from: "[2001:db8::7]:500".parse().unwrap(),
            ..alice.clone()
        };
        Status {
            version: "0.1.0".into(),
            started: "2026-11-21T00:00:00Z".parse().unwrap(),
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            name: "vpn.example.org".into(),
            sessions: vec![alice, bob],
            sites: vec![],
            pools: vec![Pool { network: "10.20.0.0/24".parse().unwrap(), total: Some(253), used: 1 }],
            counters: vec![],
        }
    }

    #[test]
    fn the_table_shows_everybody_on_one_line() {
        let expected = "\
USER   VIA    INSIDE     FROM                   CIPHER       SINCE       IN    OUT  IDLE
alice  ikev2  10.20.0.9  203.0.113.8:50112 nat  aes-gcm-256  3h12m       1.2G  88M  4s
bob    ikev2  -          [2001:db8::7]:500      -            connecting  0     0    -

2 sessions, 1 of 253 in 10.20.0.0/24 used; up 12h00m. IN comes from the other side.
";
        assert_eq!(tables(&status(), true), expected);
        assert_eq!(tables(&status(), false).lines().count(), 2);
    }

    fn child(name: &str, up: bool, remote: &str) -> SiteChildStatus {
        SiteChildStatus {
            name: name.into(),
            up,
            local: vec!["10.1.0.0/16".into()],
            remote: vec![remote.into()],
            cipher: if up { "aes-gcm-256".into() } else { String::new() },
            rekey_seconds: up.then_some(2820),
        }
    }

    fn berlin() -> SiteStatus {
        SiteStatus {
            name: "berlin".into(),
            state: SiteState::Up,
            peer: "gw.example.org".into(),
            address: Some("198.51.100.7:4500".parse().unwrap()),
            nat: true,
            identity: "berlin.example.org".into(),
            initiator: true,
            session: Some(3),
            since: Some("2026-11-21T08:48:00Z".parse().unwrap()),
            ike_rekey_seconds: Some(7200),
            idle_seconds: Some(1),
            children: vec![child("lan", true, "10.2.0.0/16"), child("voice", false, "10.3.0.0/24 udp/5060")],
            bytes_in: 4_200_000,
            bytes_out: 999,
            packets_in: 3,
            packets_out: 4,
            attempts: 0,
            retry_seconds: None,
            last_error: None,
        }
    }

    fn lyon() -> SiteStatus {
        SiteStatus {
            name: "lyon".into(),
            state: SiteState::Down,
            peer: "203.0.113.77".into(),
            address: None,
            nat: false,
            session: None,
            since: None,
            children: vec![child("lyon", false, "10.9.0.0/16")],
            attempts: 6,
            retry_seconds: Some(25),
            last_error: Some("no answer on UDP 500 and 4500".into()),
            ..berlin()
        }
    }

    #[test]
    fn sites_have_a_table_of_their_own() {
        let status = Status { sessions: vec![], pools: vec![], sites: vec![berlin(), lyon()], ..status() };
        let expected = "\
SITE    STATE      PEER                   SUBNETS                                      CIPHER       REKEY  IN    OUT  LAST ERROR
berlin  partly up  198.51.100.7:4500 nat  lan: 10.1.0.0/16 === 10.2.0.0/16             aes-gcm-256  47m    4.2M  999  -
                                          voice: 10.1.0.0/16 === 10.3.0.0/24 udp/5060  -            -
lyon    down       203.0.113.77           10.1.0.0/16 === 10.9.0.0/16                  -            -      -     -    no answer on UDP 500 and 4500 (6 tries, next in 25s)

0 sessions, 1 of 2 sites up; up 12h00m. IN comes from the other side.
";
        assert_eq!(tables(&status, true), expected);
    }

    #[test]
    fn a_session_without_children_is_no_tunnel() {
        let mut site = berlin();
        site.children.iter_mut().for_each(|child| child.up = false);
        site.last_error = Some("the peer refuses these networks".into());
        let text = tables(&Status { sessions: vec![], pools: vec![], sites: vec![site], ..status() }, true);
        assert!(
            text.contains("no tunnel  198.51.100.7:4500") && text.contains("the peer refuses these networks"),
            "{text}"
        );
        assert!(text.contains("0 of 1 site up") && !text.contains("partly"), "{text}");
    }

    #[test]
    fn finds_a_site_by_name_peer_and_the_networks_behind_it() {
        let site = berlin();
        for who in [
            "berlin",
            "BERLIN",
            "gw.example.org",
            "berlin.example.org",
            "198.51.100.7",
            "198.51.100.7:4500",
            "10.2.3.4",
            "10.3.0.9",
        ] {
            assert!(site.is_about(who), "{who}");
        }
        for who in ["lyon", "10.1.0.1", "198.51.100.8", "198.51.100.7:500"] {
            assert!(!site.is_about(who), "{who}");
        }
        let mut wide = berlin();
        wide.children[0].remote = vec!["0.0.0.0/0 tcp/443".into()];
        assert!(!wide.is_about("203.0.113.9") && wide.is_about("198.51.100.7"), "the whole internet is nobody");
    }

    #[test]
    fn finds_a_session_by_user_identity_and_address() {
        let alice = &status().sessions[0];
        for name in
            ["alice", "ALICE", "CORP\\alice", "alice@example.org", "10.20.0.9", "203.0.113.8", "203.0.113.8:50112"]
        {
            assert!(alice.is_about(name), "{name}");
        }
        for name in ["bob", "10.20.0.8", "alic", "203.0.113.8:1"] {
            assert!(!alice.is_about(name), "{name}");
        }
    }
}
