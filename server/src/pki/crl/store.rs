//! The store: a task that fetches what is due, and publishes all lists whenever one of them changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::UnixTime;
use cygnet_ike::cert::{Certificate, RevocationList};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::cache::Cache;
use super::plan::{Plan, Validity};
use super::{file, http};
use crate::config::{LocalAuth, PeerAuth, ServerIdentity, Settings};
use crate::io::clock::Clock;

/// All lists, DER.
pub type Lists = Arc<[Vec<u8>]>;

/// How often files are looked at, and the longest sleep: the wall clock may be set while the task sleeps.
const INTERVAL: Duration = Duration::from_secs(60);
/// For one fetch: name, connection, answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An address that no certificate has told for so long is forgotten at the next start, seconds.
const FORGOTTEN_AFTER: u64 = 90 * 86_400;
/// How exact that is, seconds.
const DAY: u64 = 86_400;
/// Messages that may wait for the task.
const QUEUE: usize = 64;

/// What lists the configuration wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `crl_files`.
    pub files: Vec<PathBuf>,
    /// Certificates of the authorities that peers may come from, DER: their lists are kept with their signature only.
    pub authorities: Vec<Vec<u8>>,
    /// Our own certificates and those that issued them, DER: they name the places of their authorities' lists.
    pub own: Vec<Vec<u8>>,
}

impl Wanted {
    /// What remote clients and sites need.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let mut wanted = Self::default();
        let chain = |identity: &ServerIdentity| identity.chain.clone();
        if let Some(remote) = &settings.remote {
            wanted.files.extend(remote.crl.files.iter().cloned());
            wanted.authorities.extend(remote.client_ca.iter().flatten().cloned());
            wanted.own.extend(remote.server_identities.iter().flat_map(chain));
        }
        for site in &settings.sites {
            wanted.files.extend(site.crl.files.iter().cloned());
            if let PeerAuth::Certificate(authorities) = &site.peer_auth {
                wanted.authorities.extend(authorities.iter().cloned());
            }
            if let LocalAuth::Certificate(identity) = &site.local_auth {
                wanted.own.extend(chain(identity));
            }
        }
        for part in [&mut wanted.authorities, &mut wanted.own] {
            part.sort();
            part.dedup();
        }
        wanted.files.sort();
        wanted.files.dedup();
        wanted
    }

    /// Where lists of these authorities, or of those below them, can be had. Our own certificate tells it only if peers come
    /// from the same authority: nobody asks us about lists for ourselves.
    pub(super) fn uris(&self) -> Vec<String> {
        let read = |der: &Vec<u8>| Certificate::from_der(der).ok();
        let authorities: Vec<Certificate> = self.authorities.iter().filter_map(read).collect();
        let is_theirs = |own: &Certificate| authorities.iter().any(|authority| own.issuer() == authority.subject());
        let own = self.own.iter().filter_map(read).filter(is_theirs);
        authorities.iter().cloned().chain(own).flat_map(|certificate| certificate.crl_uris().to_vec()).collect()
    }
}

enum Command {
    Reconfigure(Wanted),
    Learn(Vec<String>),
}

/// See the [module](super). The task ends with this value.
pub struct CrlStore {
    commands: mpsc::Sender<Command>,
    lists: watch::Receiver<Lists>,
    task: JoinHandle<()>,
}

impl CrlStore {
    /// Reads files and what was kept in `folder`, and begins to fetch. What there is now is published at once.
    #[must_use]
    pub fn start(folder: &Path, wanted: Wanted, clock: Clock) -> Self {
        let mut state = State::new(folder);
        state.restore(wall(clock));
        state.reconfigure(wanted, wall(clock));
        let (commands, receiver) = mpsc::channel(QUEUE);
        let (publisher, lists) = watch::channel(state.lists());
        let task = tokio::spawn(run(state, receiver, publisher, clock));
        Self { commands, lists, task }
    }

    /// All lists that there are. The receiver wakes up when one of them changes.
    #[must_use]
    pub fn lists(&self) -> watch::Receiver<Lists> {
        self.lists.clone()
    }

    /// The configuration was read again.
    pub fn reconfigure(&self, wanted: Wanted) {
        self.tell(Command::Reconfigure(wanted));
    }

    /// Verified certificates name these addresses. Unless they are known, they are asked soon.
    pub fn learn(&self, uris: Vec<String>) {
        self.tell(Command::Learn(uris));
    }

    /// If the queue is full the next login tells the same again.
    fn tell(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::debug!("the store of revocation lists is busy");
        }
    }
}

impl Drop for CrlStore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came of one address.
pub(super) struct Fetched {
    pub(super) uri: String,
    pub(super) outcome: Result<bytes::Bytes, http::FetchError>,
}

async fn run(mut state: State, mut commands: mpsc::Receiver<Command>, publisher: watch::Sender<Lists>, clock: Clock) {
    let mut fetches = JoinSet::new();
    loop {
        for uri in state.begin(wall(clock)) {
            fetches.spawn(async move {
                let outcome = http::fetch(&uri, PATIENCE).await;
                Fetched { uri, outcome }
            });
        }
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Reconfigure(wanted)) => state.reconfigure(wanted, wall(clock)),
                Some(Command::Learn(uris)) => state.learn(&uris, wall(clock)),
                None => return,
            },
            Some(Ok(fetched)) = fetches.join_next() => state.finish(fetched, wall(clock)),
            () = tokio::time::sleep(state.sleep(wall(clock))) => state.read_files(),
        }
        let lists = state.lists();
        publisher.send_if_modified(|published| {
            let is_new = *published != lists;
            *published = lists;
            is_new
        });
    }
}

/// Everything but time and network.
pub(super) struct State {
    wanted: Wanted,
    authorities: Vec<Certificate>,
    plan: Plan,
    cache: Cache,
    /// Addresses that certificates have told, and when, seconds since 1970.
    told: BTreeMap<String, u64>,
    /// Addresses that are being asked.
    asked: Vec<String>,
    /// By address.
    fetched: BTreeMap<String, Vec<u8>>,
    from_files: BTreeMap<PathBuf, Vec<Vec<u8>>>,
    /// Files that could not be read the last time: each is told once.
    broken: Vec<PathBuf>,
}

impl State {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            wanted: Wanted::default(),
            authorities: Vec::new(),
            plan: Plan::default(),
            cache: Cache::new(folder),
            told: BTreeMap::new(),
            asked: Vec::new(),
            fetched: BTreeMap::new(),
            from_files: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    /// What was known before a restart.
    pub(super) fn restore(&mut self, now: UnixTime) {
        let mut told = self.cache.addresses();
        told.retain(|_, at| now.0.as_secs().saturating_sub(*at) < FORGOTTEN_AFTER);
        for uri in told.keys() {
            self.enter(uri, now);
        }
        self.told = told;
    }

    pub(super) fn reconfigure(&mut self, wanted: Wanted, now: UnixTime) {
        self.authorities = wanted.authorities.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let uris = wanted.uris();
        self.from_files.retain(|path, _| wanted.files.contains(path));
        self.broken.clear();
        self.wanted = wanted;
        self.read_files();
        for uri in &uris {
            self.enter(uri, now);
        }
        // With other authorities other lists may be acceptable.
        let kept = std::mem::take(&mut self.fetched);
        for (uri, der) in kept {
            if self.acceptable(&uri, &der).is_ok() {
                self.fetched.insert(uri, der);
            } else {
                self.plan.hurry(&uri, now);
            }
        }
    }

    /// Verified certificates of peers have told these addresses.
    pub(super) fn learn(&mut self, uris: &[String], now: UnixTime) {
        let today = now.0.as_secs();
        let mut is_news = false;
        for uri in uris {
            self.enter(uri, now);
            let is_known = self.told.get(uri).is_some_and(|&at| today.saturating_sub(at) < DAY);
            if !is_known && self.plan.knows(uri) {
                self.told.insert(uri.clone(), today);
                is_news = true;
            }
        }
        if is_news && let Err(error) = self.cache.keep_addresses(&self.told) {
            tracing::warn!("addresses of revocation lists cannot be kept over a restart: {error}");
        }
    }

    fn enter(&mut self, uri: &str, now: UnixTime) {
        if self.plan.learn(uri, now)
            && let Some(kept) = self.cache.load(uri)
            && let Ok(list) = self.acceptable(uri, &kept)
        {
            self.plan.restored(uri, validity(&list), now);
            self.fetched.insert(uri.to_owned(), list.der().to_vec());
        }
    }

    /// A file that cannot be read any more leaves its last lists in force.
    pub(super) fn read_files(&mut self) {
        for path in &self.wanted.files {
            match file::read(path) {
                Ok(lists) => {
                    self.broken.retain(|broken| broken != path);
                    self.from_files.insert(path.clone(), lists);
                }
                Err(error) => {
                    if !self.broken.contains(path) {
                        tracing::warn!("a revocation list is not used: {error}");
                        self.broken.push(path.clone());
                    }
                }
            }
        }
    }

    /// The addresses to ask now; each is asked once at a time.
    pub(super) fn begin(&mut self, now: UnixTime) -> Vec<String> {
        let mut due = self.plan.due(now);
        due.retain(|uri| !self.asked.contains(uri));
        self.asked.extend(due.iter().cloned());
        due
    }

    pub(super) fn finish(&mut self, Fetched { uri, outcome }: Fetched, now: UnixTime) {
        self.asked.retain(|asked| *asked != uri);
        let list = outcome.map_err(|error| error.to_string()).and_then(|body| {
            let der = file::lists(&body).into_iter().next().ok_or("the answer is not a revocation list")?;
            self.acceptable(&uri, &der)
        });
        match list {
            Ok(list) => {
                tracing::debug!(uri, issuer = list.issuer_text(), "revocation list fetched");
                self.plan.fetched(&uri, validity(&list), now);
                if let Err(error) = self.cache.keep(&uri, list.der()) {
                    tracing::warn!("a revocation list cannot be kept over a restart: {error}");
                }
                self.fetched.insert(uri, list.der().to_vec());
            }
            Err(reason) => match self.plan.failed(&uri, now) {
                1 => tracing::warn!(uri, "a revocation list cannot be fetched: {reason}"),
                _ => tracing::debug!(uri, "a revocation list cannot be fetched: {reason}"),
            },
        }
    }

    /// A list that may be kept for an address: readable, genuine as far as its authority is known, and not older than what
    /// there is.
    fn acceptable(&self, uri: &str, der: &[u8]) -> Result<RevocationList, String> {
        let list = RevocationList::from_der(der).map_err(|error| error.to_string())?;
        let issuer = list.issuer_text();
        let mut named = self.authorities.iter().filter(|authority| authority.subject_text() == issuer).peekable();
        if named.peek().is_some() && !named.any(|authority| list.is_signed_by(authority)) {
            return Err(format!("it has no valid signature of {issuer}"));
        }
        let known = self.fetched.get(uri).and_then(|der| RevocationList::from_der(der).ok());
        match known {
            Some(known) if known.this_update() > list.this_update() => {
                Err(format!("it is from {}, older than the one of {}", list.this_update(), known.this_update()))
            }
            _ => Ok(list),
        }
    }

    fn sleep(&self, now: UnixTime) -> Duration {
        // What is being asked is due, but not to be waited for.
        let next = self.plan.next().filter(|_| self.asked.is_empty());
        next.map_or(INTERVAL, |next| next.0.saturating_sub(now.0)).clamp(Duration::from_millis(100), INTERVAL)
    }

    pub(super) fn lists(&self) -> Lists {
        let mut all: Vec<Vec<u8>> = self.from_files.values().flatten().chain(self.fetched.values()).cloned().collect();
        all.sort();
        all.dedup();
        all.into()
    }
}

fn validity(list: &RevocationList) -> Validity {
    Validity { this_update: list.this_update(), next_update: list.next_update() }
}

fn wall(clock: Clock) -> UnixTime {
    UnixTime(Duration::from_millis(u64::try_from(clock.wall().as_millisecond()).unwrap_or(0)))
}
