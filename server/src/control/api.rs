//! The server side: `GET /v1/status`, `GET /v1/explain`, `POST /v1/kick`, `POST /v1/reload`,
//! `POST /v1/users/reload`, `POST /v1/sites/up`, `POST /v1/sites/down`, `POST /v1/rekey`.
//!
//! Errors are JSON, too: `{"message": "..."}` with status 422 for a command that failed and 503 when the gateway is going
//! down. Does not: know anything about sessions; each request is a [`ControlCommand`] and its reply.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::model::{ControlCommand, ExplainFilter, Failure, KickRequest, RekeyRequest, SiteRequest};

/// How long the gateway's task may take for an answer. A reload reads files and runs `nft`; nothing else takes long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a tunnel may take to come up, or a peer to answer a rekey: all retransmissions and a name that does not resolve.
const PATIENCE_WITH_PEERS: Duration = Duration::from_secs(300);
/// Only the owner may talk to the daemon.
const SOCKET_MODE: u32 = 0o600;

/// Opens the control socket at `path`; a socket that a dead process left behind is replaced.
///
/// # Errors
/// `AddrInUse` if another gateway answers there; otherwise whatever the system says.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let text = format!("another gateway is listening on {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// Answers requests until `shutdown` is ready, then finishes those under way.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: UnixListener,
    commands: mpsc::Sender<ControlCommand>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(commands)).with_graceful_shutdown(shutdown).await
}

fn router(commands: mpsc::Sender<ControlCommand>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/explain", get(explain))
        .route("/v1/kick", post(kick))
        .route("/v1/sites/up", post(up))
        .route("/v1/sites/down", post(down))
        .route("/v1/rekey", post(rekey))
        .route("/v1/reload", post(reload))
        .route("/v1/users/reload", post(users_reload))
        .fallback(unknown)
        .with_state(Gateway { commands })
}

/// The way to the task that owns the gateway.
#[derive(Clone)]
struct Gateway {
    commands: mpsc::Sender<ControlCommand>,
}

impl Gateway {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> ControlCommand) -> Result<T, Refusal> {
        self.ask_for(PATIENCE, command).await
    }

    async fn ask_for<T>(
        &self,
        patience: Duration,
        command: impl FnOnce(oneshot::Sender<T>) -> ControlCommand,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.commands.send(command(reply)).await.map_err(|_| Refusal::GoingDown)?;
            answer.await.map_err(|_| Refusal::GoingDown)
        };
        tokio::time::timeout(patience, asked).await.map_err(|_| Refusal::TooSlow)?
    }
}

async fn status(State(gateway): State<Gateway>) -> Response {
    respond(gateway.ask(|reply| ControlCommand::Status { reply }).await)
}

async fn explain(State(gateway): State<Gateway>, Query(filter): Query<ExplainFilter>) -> Response {
    respond(gateway.ask(|reply| ControlCommand::Explain { filter, reply }).await)
}

async fn kick(State(gateway): State<Gateway>, Query(KickRequest { who }): Query<KickRequest>) -> Response {
    respond(gateway.ask(|reply| ControlCommand::Kick { who, reply }).await)
}

async fn up(State(gateway): State<Gateway>, Query(SiteRequest { site, child }): Query<SiteRequest>) -> Response {
    let command = |reply| ControlCommand::Up { site, child, reply };
    respond(flatten(gateway.ask_for(PATIENCE_WITH_PEERS, command).await))
}

async fn down(State(gateway): State<Gateway>, Query(SiteRequest { site, .. }): Query<SiteRequest>) -> Response {
    respond(flatten(gateway.ask_for(PATIENCE_WITH_PEERS, |reply| ControlCommand::Down { site, reply }).await))
}

async fn rekey(State(gateway): State<Gateway>, Query(RekeyRequest { who, ike }): Query<RekeyRequest>) -> Response {
    respond(flatten(gateway.ask_for(PATIENCE_WITH_PEERS, |reply| ControlCommand::Rekey { who, ike, reply }).await))
}

async fn reload(State(gateway): State<Gateway>) -> Response {
    respond(flatten(gateway.ask(|reply| ControlCommand::Reload { reply }).await))
}

async fn users_reload(State(gateway): State<Gateway>) -> Response {
    respond(flatten(gateway.ask(|reply| ControlCommand::UsersChanged { reply }).await))
}

async fn unknown() -> Response {
    let known =
        "/v1/status, /v1/explain, /v1/kick, /v1/sites/up, /v1/sites/down, /v1/rekey, /v1/reload, /v1/users/reload";
    let message = format!("no such request; see {known}");
    (StatusCode::NOT_FOUND, Json(Failure { message })).into_response()
}

/// Why there is no answer.
enum Refusal {
    GoingDown,
    TooSlow,
    Failed(Failure),
}

fn flatten<T>(answer: Result<Result<T, Failure>, Refusal>) -> Result<T, Refusal> {
    answer.and_then(|inner| inner.map_err(Refusal::Failed))
}

fn respond<T: Serialize>(answer: Result<T, Refusal>) -> Response {
    let (status, message) = match answer {
        Ok(value) => return Json(value).into_response(),
        Err(Refusal::Failed(failure)) => (StatusCode::UNPROCESSABLE_ENTITY, failure.message),
        Err(Refusal::GoingDown) => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is going down".to_owned()),
        Err(Refusal::TooSlow) => (StatusCode::GATEWAY_TIMEOUT, "the gateway did not answer in time".to_owned()),
    };
    (status, Json(Failure { message })).into_response()
}
