//! One GET over plain HTTP/1.1, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest list, octets. One of a hundred thousand certificates has about 4 MB.
pub(super) const LIST_MAX: usize = 4 << 20;
/// The port of an address without one.
const PORT: u16 = 80;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address is not one of HTTP")]
    Address,
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    #[error("no connection: {0}")]
    Connection(std::io::Error),
    #[error("the answer cannot be read: {0}")]
    Protocol(hyper::Error),
    #[error("the answer is a redirect to {0}, which is not followed")]
    Redirect(String),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {} MiB", LIST_MAX >> 20)]
    TooLong,
    #[error("the answer broke off")]
    BrokenOff,
}

/// What is at `uri`; all has to be there within `patience`.
pub(super) async fn fetch(uri: &str, patience: Duration) -> Result<Bytes, FetchError> {
    timeout(patience, get(uri)).await.unwrap_or(Err(FetchError::Silence(patience)))
}

async fn get(uri: &str) -> Result<Bytes, FetchError> {
    let uri: Uri = uri.parse().map_err(|_| FetchError::Address)?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or(FetchError::Address)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(PORT);
    let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connection)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Protocol)?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    // Credentials in the address are left out.
    let shown_host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let request = Request::builder()
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, shown_host)
        .header(header::ACCEPT, "application/pkix-crl, */*")
        .header(header::USER_AGENT, concat!("cygnet/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Address)?;
    let response = sender.send_request(request).await.map_err(FetchError::Protocol)?;
    let status = response.status();
    if status.is_redirection() {
        let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        return Err(FetchError::Redirect(target.unwrap_or("nowhere").chars().take(200).collect()));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let body = Limited::new(response.into_body(), LIST_MAX).collect().await;
    drop(connection);
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong),
        Err(_) => Err(FetchError::BrokenOff),
    }
}

/// Ends the connection's task, also when the time is over.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
