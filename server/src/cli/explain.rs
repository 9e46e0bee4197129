//! `cygnet explain`: what went wrong lately, in words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::console::Console;
use super::status::address;
use super::{Global, Outcome, block_on, wall_clock};
use crate::control::model::{ExplainFilter, SiteState, SiteStatus, Status};
use crate::explain::{moment, render};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A user, a site, an IKE identity, or an address with or without port; everybody if left out.
    #[arg(value_name = "USER|SITE|ADDRESS")]
    who: Option<String>,
    /// How many entries at most.
    #[arg(long, short = 'n', default_value_t = 10)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let filter = ExplainFilter { who: args.who.clone(), limit: Some(args.limit) };
    let entries = block_on(global.client().explain(&filter))??;
    if args.json {
        console.json(&entries)?;
        return Ok(Outcome::Done);
    }
    let status = block_on(global.client().status())?.ok();
    let site = args.who.as_ref().and_then(|who| status.as_ref()?.sites.iter().find(|site| site.is_about(who)));
    if entries.is_empty() {
        console.line(site.map_or_else(|| nothing_known(args.who.as_deref()), quiet_site))?;
        if let Some(text) = status.as_ref().filter(|_| site.is_none()).and_then(clear_l2tp) {
            console.line(text)?;
        }
        return Ok(Outcome::Done);
    }
    let (now, zone) = (wall_clock(), TimeZone::system());
    let present = site.filter(|site| args.who.as_ref() == Some(&site.name)).and_then(|site| present(site, now, &zone));
    if let Some(text) = present {
        console.line(text + "\nbefore that:")?;
    }
    console.print(&render(&entries, now, &zone))?;
    Ok(Outcome::Done)
}

/// Where a site stands, if that is not what its last problem says.
fn present(site: &SiteStatus, now: Timestamp, zone: &TimeZone) -> Option<String> {
    let name = &site.name;
    match site.state {
        SiteState::Up if site.carries() => {
            let since = site.since.map(|since| format!(" since {}", moment(since, now, zone))).unwrap_or_default();
            let missing: Vec<&str> =
                site.children.iter().filter(|child| !child.up).map(|child| child.name.as_str()).collect();
            let missing = if missing.is_empty() { String::new() } else { format!(", without {}", missing.join(", ")) };
            Some(format!("{name} is up{since} with {}{missing}", address(site)))
        }
        SiteState::Stopped => Some(stopped(name)),
        _ => None,
    }
}

fn stopped(name: &str) -> String {
    format!("{name} was closed by `cygnet down`; `cygnet up {name}` opens it again")
}

/// L2TP outside of IPsec is dropped before anybody looks who sends it.
fn clear_l2tp(status: &Status) -> Option<String> {
    let count = status.counters.iter().find(|counter| counter.name == "filter/clear_l2tp")?.value;
    (count > 0).then(|| {
        format!(
            "but {count} datagrams of L2TP outside of IPsec were dropped (UDP 1701): a client that sends them has no IPsec; \
             choose \"L2TP/IPsec with pre-shared key\" in its settings"
        )
    })
}

/// Nothing was refused and no session has ended: what else is known about a site.
fn quiet_site(site: &SiteStatus) -> String {
    let name = &site.name;
    match (site.state, &site.last_error) {
        (SiteState::Up, _) => format!("{name} is up, and nothing has gone wrong since the gateway started"),
        (SiteState::Stopped, _) => stopped(name),
        (_, Some(error)) => format!("{name} is not up: {error}"),
        (SiteState::Connecting, None) => format!("{name} is just being called; ask again in a moment"),
        (SiteState::Waiting | SiteState::Down, None) if site.peer == "any" => format!(
            "{name} is not up: its peer may be anywhere, so the peer has to begin\n\
             if it says that it tried, its packets did not arrive: check UDP 500 and 4500"
        ),
        (SiteState::Waiting | SiteState::Down, None) => format!(
            "{name} is not up, and nothing was tried yet: it waits for a packet that wants to go there, or for the peer\n\
             `cygnet up {name}` tries now; if the peer says that it tried, its packets did not arrive: check UDP 500 and 4500"
        ),
    }
}

fn nothing_known(who: Option<&str>) -> String {
    match who {
        None => "nobody was refused and no session has ended since the gateway started".to_owned(),
        Some(who) => format!(
            "nothing is known about {who}: no packet was refused and no session has ended since the gateway started\n\
             if they tried, their packets did not arrive: check port forwards and firewalls for UDP 500 and 4500"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::model::SiteChildStatus;

    fn site(state: SiteState, up: bool) -> SiteStatus {
        let child = SiteChildStatus {
            name: "lan".into(),
            up,
            local: vec!["10.1.0.0/16".into()],
            remote: vec!["10.2.0.0/16".into()],
            cipher: String::new(),
            rekey_seconds: None,
        };
        SiteStatus {
            name: "berlin".into(),
            state,
            peer: "any".into(),
            address: Some("198.51.100.7:4500".parse().unwrap()),
            nat: false,
            identity: String::new(),
            initiator: false,
            session: None,
            since: Some("2026-11-21T08:48:00Z".parse().unwrap()),
            ike_rekey_seconds: None,
            idle_seconds: None,
            children: vec![child],
            bytes_in: 0,
            bytes_out: 0,
            packets_in: 0,
            packets_out: 0,
            attempts: 0,
            retry_seconds: None,
            last_error: None,
        }
    }

    #[test]
    fn the_present_comes_before_the_past() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let told = |state, up| present(&site(state, up), now, &TimeZone::UTC);
        assert_eq!(told(SiteState::Up, true).unwrap(), "berlin is up since 08:48:00 with 198.51.100.7:4500");
        assert!(told(SiteState::Stopped, false).unwrap().contains("closed by `cygnet down`"));
        assert_eq!(told(SiteState::Up, false), None, "no child is up");
        assert_eq!(told(SiteState::Down, false), None);
    }

    #[test]
    fn a_peer_that_may_be_anywhere_has_to_begin() {
        let text = quiet_site(&site(SiteState::Waiting, false));
        assert!(text.contains("the peer has to begin") && !text.contains("cygnet up"), "{text}");
    }
}
