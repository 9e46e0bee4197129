//! Commands that ask the daemon, against one of cardboard.

use std::thread;

use cygnet_server::control::ControlCommand;
use cygnet_server::control::api;
use cygnet_server::control::model::{
    Failure, Kicked, Pool, Rekeyed, Reloaded, Session, SessionState, SiteChildStatus, SiteState, SiteStatus, Status,
};
use cygnet_server::explain::{Entry, Record};
use tokio::sync::{mpsc, oneshot};

use super::Site;

/// A thread that answers on the control socket of a site until it is dropped.
pub(super) struct Daemon {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    pub(super) fn start(site: &Site) -> Self {
        let socket = site.path("control.sock");
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = api::bind(&socket).unwrap();
                ready.send(()).unwrap();
                let (commands, asked) = mpsc::channel(4);
                tokio::spawn(answer_all(asked));
                let stopped = async {
                    let _ = stopped.await;
                };
                api::serve(listener, commands, stopped).await.unwrap();
            });
        });
        is_ready.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn answer_all(mut asked: mpsc::Receiver<ControlCommand>) {
    while let Some(command) = asked.recv().await {
        match command {
            ControlCommand::Status { reply } => reply.send(status()).unwrap(),
            ControlCommand::Explain { filter, reply } => {
                let known = filter.who.as_deref().is_none_or(|who| who == "203.0.113.8");
                reply.send(if known { vec![entry()] } else { vec![] }).unwrap();
            }
            ControlCommand::Kick { who, reply } => {
                reply
                    .send(Kicked { disconnected: u64::from(who == "alice"), sites: u64::from(who == "berlin") })
                    .unwrap();
            }
            ControlCommand::Up { site: name, child, reply } => reply.send(up(&name, child.as_deref())).unwrap(),
            ControlCommand::Down { site: name, reply } => {
                let stopped = SiteStatus { state: SiteState::Stopped, ..site() };
                let answer = if name == "berlin" { Ok(stopped) } else { Err(no_such_site(&name)) };
                reply.send(answer).unwrap();
            }
            ControlCommand::Rekey { who, ike, reply } => {
                let done =
                    if ike { Rekeyed { ike_sas: 1, child_sas: 0 } } else { Rekeyed { ike_sas: 0, child_sas: 2 } };
                let answer = if who == "berlin" { Ok(done) } else { Err(no_such_site(&who)) };
                reply.send(answer).unwrap();
            }
            ControlCommand::Reload { reply } => {
                let message = "error: unknown key `dsn`".to_owned();
                reply.send(Err(Failure { message })).unwrap();
            }
            ControlCommand::UsersChanged { reply } => {
                reply.send(Ok(Reloaded { disconnected: 2, ..Reloaded::default() })).unwrap();
            }
        }
    }
}

fn status() -> Status {
    let alice = Session {
        id: 1,
        user: "alice".into(),
        identity: "alice".into(),
        via: "ikev2".into(),
        state: SessionState::Established,
        inside: vec!["10.83.20.9".parse().unwrap()],
        from: "203.0.113.8:50112".parse().unwrap(),
        nat: true,
        cipher: "aes-gcm-256".into(),
        since: "2026-11-21T08:48:00Z".parse().unwrap(),
        idle_seconds: Some(4),
        bytes_in: 1_240_000_000,
        bytes_out: 88_000_000,
        packets_in: 10,
        packets_out: 20,
    };
    Status {
        version: "0.1.0".into(),
        started: "2026-11-21T00:00:00Z".parse().unwrap(),
        now: "2026-11-21T12:00:00Z".parse().unwrap(),
        name: "vpn.example.org".into(),
        sessions: vec![alice],
        sites: vec![site()],
        pools: vec![Pool { network: "10.83.20.0/24".parse().unwrap(), total: Some(253), used: 1 }],
        counters: vec![],
    }
}

fn site() -> SiteStatus {
    SiteStatus {
        name: "berlin".into(),
        state: SiteState::Up,
        peer: "gw.example.org".into(),
        address: Some("198.51.100.7:4500".parse().unwrap()),
        nat: true,
        identity: "@berlin".into(),
        initiator: true,
        session: Some(3),
        since: Some("2026-11-21T00:00:00Z".parse().unwrap()),
        ike_rekey_seconds: Some(7200),
        idle_seconds: Some(1),
        children: vec![SiteChildStatus {
            name: "berlin".into(),
            up: true,
            local: vec!["10.1.0.0/16".into()],
            remote: vec!["10.2.0.0/16".into()],
            cipher: "aes-gcm-256".into(),
            rekey_seconds: Some(2820),
        }],
        bytes_in: 4_200_000,
        bytes_out: 1000,
        packets_in: 3,
        packets_out: 4,
        attempts: 0,
        retry_seconds: None,
        last_error: None,
    }
}

fn no_such_site(name: &str) -> Failure {
    Failure { message: format!("there is no site {name}") }
}

fn up(name: &str, child: Option<&str>) -> Result<SiteStatus, Failure> {
    match (name, child) {
        ("berlin", None | Some("berlin")) => Ok(site()),
        ("berlin", Some(child)) => Err(Failure { message: format!("berlin has no child {child}") }),
        _ => Err(no_such_site(name)),
    }
}

fn entry() -> Entry {
    let record = Record {
        when: "2020-11-21T12:04:31Z".parse().unwrap(),
        peer: "203.0.113.8:500".parse().unwrap(),
        called: false,
        user: None,
        exchange: "IKE_SA_INIT".into(),
        headline: "refused: no common algorithms".into(),
        details: vec!["client offered  aes256-sha1-modp1024".into()],
        fix: Some("allow it with  policy = \"legacy-windows-ikev2\"".into()),
    };
    Entry { record, times: 2 }
}

#[test]
fn status_is_a_table_or_json() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let table = site.run(&["status"]).ok().out;
    assert!(
        table.starts_with(
            "USER   VIA    INSIDE      FROM                   CIPHER       SINCE  IN    OUT  IDLE\nalice  ikev2"
        ),
        "{table}"
    );
    assert!(table.contains("1 session, 1 of 253 in 10.83.20.0/24 used, 1 of 1 site up; up 12h00m."), "{table}");
    let bare = site.run(&["status", "Alice", "--no-header"]).ok().out;
    assert_eq!(bare.lines().count(), 1, "{bare}");
    let json = site.run(&["status", "--json"]).ok().json();
    let session = &json["sessions"][0];
    assert_eq!((session["user"].as_str(), session["state"].as_str()), (Some("alice"), Some("ESTABLISHED")));
    assert_eq!(
        (session["bytes_in"].as_u64(), session["since"].as_str()),
        (Some(1_240_000_000), Some("2026-11-21T08:48:00Z"))
    );
    let run = site.run(&["status", "bob"]);
    assert!(run.code == Some(1) && run.out.contains("bob is not connected"), "{run:?}");
    drop(daemon);
}

#[test]
fn explain_is_text_or_json() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let text = site.run(&["explain", "203.0.113.8"]).ok().out;
    assert!(
        text.contains(" IKE_SA_INIT from 203.0.113.8:500 refused: no common algorithms (2 times)\n  client offered"),
        "{text}"
    );
    assert!(text.ends_with("\n  allow it with  policy = \"legacy-windows-ikev2\"\n"), "{text}");
    let json = site.run(&["explain", "--json"]).ok().json();
    assert_eq!((json[0]["times"].as_u64(), json[0]["exchange"].as_str()), (Some(2), Some("IKE_SA_INIT")));
    let nothing = site.run(&["explain", "carol"]).ok().out;
    assert!(nothing.contains("nothing is known about carol") && nothing.contains("UDP 500 and 4500"), "{nothing}");
    drop(daemon);
}

#[test]
fn kick_says_whether_anybody_was_there() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    assert_eq!(site.run(&["kick", "alice"]).ok().out, "alice is disconnected\n");
    assert_eq!(site.run(&["kick", "alice", "--json"]).ok().json()["disconnected"], 1);
    let berlin = "the tunnel of berlin is closed; it may come back at once; `cygnet down berlin` keeps a site down\n";
    assert_eq!(site.run(&["kick", "berlin"]).ok().out, berlin);
    let run = site.run(&["kick", "bob"]);
    assert!(run.code == Some(1) && run.out == "bob is not connected\n", "{run:?}");
    drop(daemon);
}

#[test]
fn reload_tells_what_is_wrong() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let run = site.run(&["reload"]);
    assert!(run.code == Some(1) && run.err == "error: unknown key `dsn`\n", "{run:?}");
    drop(daemon);
}

#[test]
fn a_change_of_users_reaches_the_daemon() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let json = site.run(&["user", "add", "alice", "--generate", "--json"]).ok().json();
    assert_eq!(json["live"], true);
    let run = site.run(&["user", "del", "alice"]).ok();
    assert_eq!((run.out.as_str(), run.err.as_str()), ("alice removed\ndisconnected: 2\n", ""));
    drop(daemon);
}

#[test]
fn without_a_daemon_every_command_says_how_to_start_it() {
    let site = Site::configured();
    for verb in ["status", "explain", "reload"] {
        let run = site.run(&[verb]);
        assert!(run.code == Some(1) && run.err.contains("cygnet is not running (nobody answers on"), "{run:?}");
    }
}
