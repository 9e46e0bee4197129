//! Client and server of the control API against a gateway of cardboard.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::api;
use super::client::{Client, ClientError};
use super::model::{
    ControlCommand, ExplainFilter, Failure, Kicked, Rekeyed, Reloaded, SiteChildStatus, SiteState, SiteStatus, Status,
};
use crate::explain::{Entry, Record};

struct Daemon {
    directory: tempfile::TempDir,
    stop: tokio::sync::oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Daemon {
    /// Starts a server whose commands `answer` answers.
    fn start(answer: impl Fn(ControlCommand) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = api::bind(&directory.path().join("control.sock")).unwrap();
        let (commands, mut asked) = mpsc::channel(4);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let server = tokio::spawn(api::serve(listener, commands, async {
            let _ = stopped.await;
        }));
        tokio::spawn(async move {
            while let Some(command) = asked.recv().await {
                answer(command);
            }
        });
        Self { directory, stop, server }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(&self.socket())
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".into(),
        started: "2026-11-21T00:00:00Z".parse().unwrap(),
        now: "2026-11-21T12:00:00Z".parse().unwrap(),
        name: "vpn.example.org".into(),
        sessions: vec![],
        sites: vec![site()],
        pools: vec![],
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
        ike_rekey_seconds: Some(3),
        idle_seconds: None,
        children: vec![SiteChildStatus {
            name: "berlin".into(),
            up: true,
            local: vec!["10.1.0.0/16".into()],
            remote: vec!["10.2.0.0/16".into()],
            cipher: "aes-gcm-256".into(),
            rekey_seconds: Some(2),
        }],
        bytes_in: 1,
        bytes_out: 2,
        packets_in: 3,
        packets_out: 4,
        attempts: 0,
        retry_seconds: None,
        last_error: None,
    }
}

fn entry(filter: &ExplainFilter) -> Entry {
    let record = Record {
        when: "2026-11-21T12:00:00Z".parse().unwrap(),
        peer: "192.0.2.1:500".parse().unwrap(),
        called: false,
        user: filter.who.clone(),
        exchange: "IKE_AUTH".into(),
        headline: format!("refused: {:?}", filter.limit),
        details: vec!["a".into()],
        fix: Some("b".into()),
    };
    Entry { record, times: 7 }
}

fn answer(command: ControlCommand) {
    let reloaded = Reloaded { changes: vec!["user alice added".into()], ..Reloaded::default() };
    match command {
        ControlCommand::Status { reply } => reply.send(status()).unwrap(),
        ControlCommand::Explain { filter, reply } => reply.send(vec![entry(&filter)]).unwrap(),
        ControlCommand::Kick { who, reply } => reply.send(Kicked { disconnected: who.len() as u64, sites: 1 }).unwrap(),
        ControlCommand::Up { site: asked, child, reply } => {
            let known = asked == "ber lin" && child.as_deref() == Some("a&b");
            reply.send(if known { Ok(site()) } else { Err(Failure { message: "no answer".into() }) }).unwrap();
        }
        ControlCommand::Down { site: asked, reply } => {
            let stopped = SiteStatus { name: asked, state: SiteState::Stopped, ..site() };
            reply.send(Ok(stopped)).unwrap();
        }
        ControlCommand::Rekey { who, ike, reply } => {
            let sas = who.len() as u64;
            let done =
                if ike { Rekeyed { ike_sas: sas, child_sas: 0 } } else { Rekeyed { ike_sas: 0, child_sas: sas } };
            reply.send(Ok(done)).unwrap();
        }
        ControlCommand::Reload { reply } => reply.send(Err(Failure { message: "line 3\nis wrong".into() })).unwrap(),
        ControlCommand::UsersChanged { reply } => reply.send(Ok(reloaded)).unwrap(),
    }
}

#[tokio::test]
async fn every_request_gets_its_answer() {
    let daemon = Daemon::start(answer);
    let client = daemon.client();
    assert_eq!(client.status().await.unwrap(), status());
    let filter = ExplainFilter { who: Some("al ice@&=ü".into()), limit: Some(3) };
    assert_eq!(client.explain(&filter).await.unwrap(), [entry(&filter)]);
    let everybody = ExplainFilter::default();
    assert_eq!(client.explain(&everybody).await.unwrap(), [entry(&everybody)]);
    assert_eq!(client.kick("al ice@&=").await.unwrap(), Kicked { disconnected: 9, sites: 1 });
    assert_eq!(client.up("ber lin", Some("a&b")).await.unwrap(), site());
    assert_eq!(client.up("ber lin", None).await.unwrap_err().to_string(), "no answer");
    assert_eq!(
        client.down("x&y").await.unwrap(),
        SiteStatus { name: "x&y".into(), state: SiteState::Stopped, ..site() }
    );
    assert_eq!(client.rekey("a b", true).await.unwrap(), Rekeyed { ike_sas: 3, child_sas: 0 });
    assert_eq!(client.rekey("a b", false).await.unwrap(), Rekeyed { ike_sas: 0, child_sas: 3 });
    assert_eq!(client.users_changed().await.unwrap().changes, ["user alice added"]);
    let ClientError::Refused(failure) = client.reload().await.unwrap_err() else { panic!("a refusal") };
    assert_eq!(failure.message, "line 3\nis wrong");
}

#[tokio::test]
async fn a_gateway_that_goes_down_says_so() {
    let daemon = Daemon::start(drop);
    let ClientError::Refused(failure) = daemon.client().status().await.unwrap_err() else { panic!("a refusal") };
    assert_eq!(failure.message, "the gateway is going down");
    daemon.stop.send(()).unwrap();
    daemon.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_but_the_owner_may_ask() {
    let daemon = Daemon::start(answer);
    assert_eq!(std::fs::metadata(daemon.socket()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let daemon = Daemon::start(answer);
    let error = api::bind(&daemon.socket()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("another gateway is listening"), "{error}");
    let Daemon { directory, stop, server } = daemon;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    let socket = directory.path().join("control.sock");
    assert!(matches!(Client::new(&socket).status().await, Err(ClientError::NotRunning(path)) if path == socket));
    assert!(socket.exists());
    drop(api::bind(&socket).unwrap());
}

#[tokio::test]
async fn without_a_socket_nothing_is_running() {
    let client = Client::new(std::path::Path::new("/nonexistent/control.sock"));
    let error = client.status().await.unwrap_err();
    assert!(error.to_string().starts_with("cygnet is not running"), "{error}");
}
