//! The store against a small HTTP server on loopback, and its state alone.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cygnet_ike::UnixTime;
use rustls_pki_types::UnixTime as PkiTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::http::{FetchError, LIST_MAX, fetch};
use super::store::{Fetched, State};
use super::*;
use crate::io::clock::Clock;
use crate::pki::testing::{issue_with_list, revocation_list};
use crate::pki::{Issued, KeyKind, make_ca};

const DAY: Duration = Duration::from_secs(86_400);
const SHORT: Duration = Duration::from_millis(300);

/// A server that gives the same answer to everybody, and what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer`: status line and headers, without the empty line; then the body.
    async fn start(head: &'static str, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/lists/ca.crl", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                note.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                if head.is_empty() {
                    tokio::time::sleep(DAY).await; // says nothing
                }
                let head = format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        Self { address, asked }
    }

    async fn of_list(list: Vec<u8>) -> Self {
        Self::start("HTTP/1.1 200 OK", list).await
    }
}

fn clock() -> Clock {
    Clock::start()
}

fn now() -> PkiTime {
    PkiTime::since_unix_epoch(Duration::from_secs(u64::try_from(clock().wall().as_second()).unwrap()))
}

fn ike_now() -> UnixTime {
    UnixTime::from_secs(now().as_secs())
}

fn earlier(time: Duration) -> PkiTime {
    PkiTime::since_unix_epoch(Duration::from_secs(now().as_secs()) - time)
}

fn ca(name: &str) -> Issued {
    make_ca(name, KeyKind::EcdsaP256, now()).unwrap()
}

fn der(issued: &Issued) -> Vec<u8> {
    cygnet_ike::cert::pem::certificates(issued.certificate_pem.as_bytes()).unwrap().remove(0)
}

fn list(ca: &Issued, issued: PkiTime) -> Vec<u8> {
    revocation_list(ca, &[], issued, 7 * DAY)
}

fn pem(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN X509 CRL-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
            let digit = |n: usize| char::from(alphabet[(bits >> (18 - 6 * n)) as usize & 63]);
            let digits: String = (0..4).map(|n| if n <= group.len() { digit(n) } else { '=' }).collect();
            write!(text, "{digits}").unwrap();
        }
        text.push('\n');
    }
    text + "-----END X509 CRL-----\n"
}

fn wanted(ca: &Issued) -> Wanted {
    Wanted { authorities: vec![der(ca)], ..Wanted::default() }
}

/// Waits until the store has published `count` lists.
async fn published(store: &CrlStore, count: usize) -> Lists {
    let mut lists = store.lists();
    let done = tokio::time::timeout(Duration::from_secs(10), lists.wait_for(|lists| lists.len() == count)).await;
    Arc::clone(&done.expect("in time").expect("the store lives"))
}

#[tokio::test]
async fn a_learned_list_is_fetched_published_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca("Test CA");
    let fresh = list(&ca, now());
    let server = Server::of_list(fresh.clone()).await;
    let store = CrlStore::start(folder.path(), wanted(&ca), clock());
    assert!(store.lists().borrow().is_empty());
    store.learn(vec![server.address.clone(), "https://elsewhere.example/".to_owned()]);
    assert_eq!(*published(&store, 1).await, *std::slice::from_ref(&fresh));
    store.learn(vec![server.address.clone()]);
    drop(store);
    let asked = server.asked.lock().unwrap().clone();
    let [request] = asked.as_slice() else { panic!("asked {} times", asked.len()) };
    assert!(request.starts_with("GET /lists/ca.crl HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&server.address[7..server.address.len() - "/lists/ca.crl".len()]), "{request}");

    // Nobody needs to answer.
    let store = CrlStore::start(folder.path(), wanted(&ca), clock());
    assert_eq!(**store.lists().borrow(), [fresh], "at once, without asking");
    // Of another authority of the same name it is a forgery.
    store.reconfigure(Wanted { authorities: vec![der(&self::ca("Test CA"))], ..Wanted::default() });
    published(&store, 0).await;
}

#[tokio::test]
async fn answers_that_are_no_list_are_told_apart() {
    let moved = Server::start("HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/", Vec::new()).await;
    let result = fetch(&moved.address, DAY).await;
    assert!(matches!(result, Err(FetchError::Redirect(to)) if to == "http://elsewhere.example/"));
    let missing = Server::start("HTTP/1.1 404 Not Found", b"no".to_vec()).await;
    assert!(matches!(fetch(&missing.address, DAY).await, Err(FetchError::Status(status)) if status == 404));
    let long = Server::start("HTTP/1.1 200 OK", vec![0; LIST_MAX + 1]).await;
    assert!(matches!(fetch(&long.address, DAY).await, Err(FetchError::TooLong)));
    let silent = Server::start("", Vec::new()).await;
    assert!(matches!(fetch(&silent.address, SHORT).await, Err(FetchError::Silence(_))));
    let strange = Server::start("SSH-2.0-OpenSSH_9.9", Vec::new()).await;
    assert!(matches!(fetch(&strange.address, DAY).await, Err(FetchError::Protocol(_))));
    assert!(matches!(fetch("http://127.0.0.1:1/", DAY).await, Err(FetchError::Connection(_))));
    for address in ["https://127.0.0.1/", "/etc/passwd", "http://", "http://exa mple/"] {
        assert!(matches!(fetch(address, DAY).await, Err(FetchError::Address)), "{address}");
    }
    let longest = Server::start("HTTP/1.1 200 OK", vec![0; LIST_MAX]).await;
    assert_eq!(fetch(&longest.address, DAY).await.unwrap().len(), LIST_MAX);
}

const URI: &str = "http://crl.example.org/ca.crl";

fn state(folder: &Path, ca: &Issued) -> State {
    let mut state = State::new(folder);
    state.reconfigure(wanted(ca), ike_now());
    state.learn(&[URI.to_owned()], ike_now());
    assert_eq!(state.begin(ike_now()), [URI]);
    assert!(state.begin(ike_now()).is_empty(), "asked twice at a time");
    state
}

fn finish(state: &mut State, body: &[u8]) {
    let outcome = Ok(Bytes::copy_from_slice(body));
    state.finish(Fetched { uri: URI.to_owned(), outcome }, ike_now());
}

#[test]
fn only_genuine_lists_that_are_not_older_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca("Test CA");
    let mut state = state(folder.path(), &ca);
    let middle = list(&ca, earlier(DAY));
    finish(&mut state, &middle);
    assert_eq!(*state.lists(), *std::slice::from_ref(&middle));

    let forged = list(&self::ca("Test CA"), now());
    let older = list(&ca, earlier(2 * DAY));
    for refused in [forged.as_slice(), &older, b"<html>", b"", &middle[..100]] {
        finish(&mut state, refused);
        assert_eq!(*state.lists(), *std::slice::from_ref(&middle));
    }
    let newer = list(&ca, now());
    finish(&mut state, pem(&newer).as_bytes());
    assert_eq!(*state.lists(), [newer], "PEM, although it should be DER");

    // Of an authority below ours, which nobody knows before a client shows its certificate.
    let other = list(&self::ca("Issuing CA"), now());
    finish(&mut state, &other);
    assert_eq!(*state.lists(), [other]);
}

#[test]
fn addresses_are_known_after_a_restart_until_nobody_tells_them_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca("Test CA");
    drop(state(folder.path(), &ca));
    let days = |days: u32| UnixTime(ike_now().0 + days * DAY);
    for (now, known) in [(days(0), 1), (days(89), 1), (days(91), 0)] {
        let mut state = State::new(folder.path());
        state.restore(now);
        assert_eq!(state.begin(now).len(), known, "{now}");
    }
}

#[test]
fn a_failure_leaves_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let ca = ca("Test CA");
    let mut state = state(folder.path(), &ca);
    let list = list(&ca, now());
    finish(&mut state, &list);
    state.finish(Fetched { uri: URI.to_owned(), outcome: Err(FetchError::BrokenOff) }, ike_now());
    assert_eq!(*state.lists(), [list]);
}

#[test]
fn files_are_read_again_and_broken_ones_leave_the_last_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.crl"), folder.path().join("two.pem"));
    let lists: Vec<Vec<u8>> = ["A", "B", "C"].map(|name| list(&ca(name), now())).into();
    std::fs::write(&one, &lists[0]).unwrap();
    std::fs::write(&two, pem(&lists[1]) + &pem(&lists[2])).unwrap();
    let mut state = State::new(folder.path());
    let files = vec![one.clone(), two.clone(), folder.path().join("missing")];
    state.reconfigure(Wanted { files: files.clone(), ..Wanted::default() }, ike_now());
    let mut expected = lists.clone();
    expected.sort();
    assert_eq!(*state.lists(), expected);

    std::fs::write(&two, "broken").unwrap();
    std::fs::write(&one, &lists[2]).unwrap();
    state.read_files();
    expected.retain(|list| *list != lists[0]);
    assert_eq!(*state.lists(), expected);

    state.reconfigure(Wanted { files: files[..1].to_vec(), ..Wanted::default() }, ike_now());
    assert_eq!(*state.lists(), [lists[2].clone()]);
}

#[test]
fn places_are_named_by_our_certificates_of_the_same_authority_only() {
    let (ca, other) = (ca("Test CA"), ca("Other CA"));
    let ours = der(&issue_with_list(&ca, "vpn.example.org", URI, now()));
    let public = der(&issue_with_list(&other, "vpn.example.org", "http://public.example/", now()));
    let wanted = Wanted { own: vec![ours, public], ..wanted(&ca) };
    assert_eq!(wanted.uris(), [URI]);
}
