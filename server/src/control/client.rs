//! The client side of the control API, for the commands of `cygnet`.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::model::{ExplainFilter, Failure, Kicked, Rekeyed, Reloaded, SiteStatus, Status};
use crate::explain::Entry;

/// Largest answer that is read, bytes: a status of 100,000 sessions has about 40 MB.
const ANSWER_MAX: usize = 64 << 20;

/// A gateway on this machine, by its control socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a gateway could not be asked or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("cygnet is not running (nobody answers on {})\nstart it with `systemctl start cygnet` or `cygnet run`", .0.display())]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error("no permission to talk to cygnet on {}\nrun this command as root", .0.display())]
    Denied(PathBuf),
    /// The connection broke.
    #[error("the connection to cygnet broke: {0}")]
    Broken(String),
    /// The gateway said no.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl Client {
    /// The gateway whose control socket is `socket`; nothing is opened yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Who is connected.
    ///
    /// # Errors
    /// See [`ClientError`]; likewise below.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.request(Method::GET, "/v1/status").await
    }

    /// Why somebody could not connect, newest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn explain(&self, filter: &ExplainFilter) -> Result<Vec<Entry>, ClientError> {
        let who = filter.who.as_ref().map(|who| format!("who={}", percent_encode(who)));
        let limit = filter.limit.map(|limit| format!("limit={limit}"));
        let query: Vec<String> = who.into_iter().chain(limit).collect();
        self.request(Method::GET, &format!("/v1/explain?{}", query.join("&"))).await
    }

    /// Ends the sessions of a user, identity or address.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn kick(&self, who: &str) -> Result<Kicked, ClientError> {
        self.request(Method::POST, &format!("/v1/kick?who={}", percent_encode(who))).await
    }

    /// Brings a site up, or one of its children, and waits until it is.
    ///
    /// # Errors
    /// See [`ClientError`]; `Refused` with the reason if the attempt fails.
    pub async fn up(&self, site: &str, child: Option<&str>) -> Result<SiteStatus, ClientError> {
        let child = child.map(|child| format!("&child={}", percent_encode(child))).unwrap_or_default();
        self.request(Method::POST, &format!("/v1/sites/up?site={}{child}", percent_encode(site))).await
    }

    /// Closes a site's tunnel.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn down(&self, site: &str) -> Result<SiteStatus, ClientError> {
        self.request(Method::POST, &format!("/v1/sites/down?site={}", percent_encode(site))).await
    }

    /// Begins to renew the keys of a site, user, identity or address.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rekey(&self, who: &str, ike: bool) -> Result<Rekeyed, ClientError> {
        self.request(Method::POST, &format!("/v1/rekey?who={}&ike={ike}", percent_encode(who))).await
    }

    /// Has the configuration read again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.request(Method::POST, "/v1/reload").await
    }

    /// Has the users file read again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn users_changed(&self) -> Result<Reloaded, ClientError> {
        self.request(Method::POST, "/v1/users/reload").await
    }

    async fn request<T: DeserializeOwned>(&self, method: Method, target: &str) -> Result<T, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(hyper::header::HOST, "cygnet")
            .body(Empty::<Bytes>::new())
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(broken)?.to_bytes();
        connection.abort();
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(broken);
        }
        let failure = serde_json::from_slice::<Failure>(&body);
        Err(ClientError::Refused(failure.unwrap_or_else(|_| Failure { message: format!("the gateway said {status}") })))
    }

    fn unreachable(&self, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(self.socket.clone()),
            io::ErrorKind::PermissionDenied => ClientError::Denied(self.socket.clone()),
            _ => broken(error),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

/// RFC 3986 section 2.1: everything but unreserved characters.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn encodes_what_a_query_cannot_hold() {
        assert_eq!(percent_encode("alice@[fd00::1]:500 ü"), "alice%40%5Bfd00%3A%3A1%5D%3A500%20%C3%BC");
        assert_eq!(percent_encode("a-b.c_d~e"), "a-b.c_d~e");
    }
}
