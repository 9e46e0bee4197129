//! `cygnet status`: who is connected, in one table.

use std::time::Duration;

use comfy_table::{Table, presets};

use super::console::Console;
use super::{Global, Outcome, block_on, units};
use crate::control::model::{Session, SessionState, Status};

/// Clears the screen and goes to its upper left corner.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only this user, IKE identity, or address (inside or outside).
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
    } else if status.sessions.is_empty() {
        console.line(nobody(args.name.as_deref(), status))?;
    } else {
        console.print(&table(status, !args.no_header))?;
    }
    Ok(if args.name.is_some() && status.sessions.is_empty() { Outcome::Failed } else { Outcome::Done })
}

fn nobody(name: Option<&str>, status: &Status) -> String {
    match name {
        Some(name) => format!("{name} is not connected; `cygnet explain {name}` says what happened last"),
        None => format!("nobody is connected (up {})", units::duration(uptime(status))),
    }
}

fn table(status: &Status, header: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if header {
        table.set_header(["USER", "VIA", "INSIDE", "FROM", "CIPHER", "SINCE", "IN", "OUT", "IDLE"]);
    }
    for session in &status.sessions {
        table.add_row(row(session, status));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt() + "\n";
    if header {
        text += &format!("\n{}\n", footer(status));
    }
    text
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
    let pool = |p: &crate::control::model::Pool| {
        let total = p.total.map(|total| format!(" of {total}")).unwrap_or_default();
        format!(", {}{total} in {} used", p.used, p.network)
    };
    let pools: String = status.pools.iter().map(pool).collect();
    format!("{sessions}{pools}; up {}. IN comes from the client.", units::duration(uptime(status)))
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

2 sessions, 1 of 253 in 10.20.0.0/24 used; up 12h00m. IN comes from the client.
";
        assert_eq!(table(&status(), true), expected);
        assert_eq!(table(&status(), false).lines().count(), 2);
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
