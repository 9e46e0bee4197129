//! The gateway without I/O: IKE, L2TP, PPP, logins, leases and sessions put together.
//!
//! ```text
//! handle_datagram  handle_l2tp  handle_timeout  admitted  peer_moved        called by the daemon
//!        |              |             |            |          |
//!        v              |             v            v          v
//!   [ ike::Endpoint ] --|-- Event --> login (EAP, XAUTH) ----+--> lease --> Effect::Admit --> grant --> ChildUp
//!        | ChildUp      v                                    |
//!        +-----> [ l2tp::Endpoint ] --> [ ppp::Link ] -- login --> grant --> Effect::Link
//!                                                             all of them: Effect --> poll_effect
//! ```
//!
//! After each call that takes a [`Now`] the daemon drains [`Gateway::poll_effect`] and asks [`Gateway::poll_timeout`]
//! anew. Time, randomness and traffic meters come from outside, so that a whole client session is a unit test.
//!
//! Tunnels to other gateways have a supervisor each, see `sites/`; what several sessions of one client mean for each other is in
//! `uniqueness.rs`.
//!
//! Does not: touch sockets, routes, rules or SAs. It says what should happen to them.

mod accounts;
mod admission;
mod awaited_lists;
mod call;
mod effect;
mod ike_config;
mod l2tp;
mod login;
mod ppp_end;
mod reload;
mod report;
mod revocation;
mod session;
mod sites;
mod timers;
mod uniqueness;

#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use ike_config::ConfigurationError;
pub use reload::Prepared;
pub use session::{Meter, Traffic};
pub use sites::SiteOutcome;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_ike::crypto::random::Random;
use cygnet_ike::{Config, Endpoint, EspSpi, Event, IkeVersion, Path, SessionId, SessionState};
use cygnet_l2tp::SessionKey;
use jiff::Timestamp;

use crate::auth::eap::tls::EapTlsConfig;
use crate::auth::nt_hash::NtHash;
use crate::auth::throttle::FailureThrottle;
use crate::auth::users::UserTable;
use crate::config::Settings;
use crate::explain::Memory;
use crate::pki::crl::Lists;
use crate::pool::LeaseTable;
use awaited_lists::AwaitedLists;
use call::{Call, CallIds};
use l2tp::Channel;
use session::{Login, Session, Via};
use sites::Sites;
use timers::{Timer, Timers};

/// How often the meters are read to learn which clients are alive.
const METER_INTERVAL: Duration = Duration::from_secs(2);

/// What an Ethernet leaves in tunnel mode, octets.
const USUAL_TUNNEL_MTU: u16 = 1390;

/// One moment, read from the daemon's clock once per wake-up.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// For certificates, accounts that expire, and what people read.
    pub wall: Timestamp,
}

/// See the module.
pub struct Gateway {
    settings: Arc<Settings>,
    esp_shards: u8,
    ike: Endpoint,
    l2tp: cygnet_l2tp::Endpoint,
    random: Box<dyn Random + Send>,
    meter: Box<dyn Meter>,
    users: UserTable,
    /// What the IKE endpoint was told.
    ike_config: Arc<Config>,
    /// Revoked certificates, DER.
    revocation_lists: Lists,
    /// `None`: nobody logs in by EAP-TLS.
    eap_tls: Option<Arc<EapTlsConfig>>,
    throttle: FailureThrottle,
    leases: LeaseTable,
    logins: BTreeMap<SessionId, Login>,
    awaited_lists: AwaitedLists,
    /// Accounts that have passed XAUTH and are about to ask for an address.
    proven: BTreeMap<SessionId, String>,
    sessions: BTreeMap<SessionId, Session>,
    /// IKE session of an SA pair.
    owners: BTreeMap<EspSpi, SessionId>,
    /// L2TP clients by their IKE session.
    channels: BTreeMap<SessionId, Channel>,
    calls: BTreeMap<SessionKey, Call>,
    call_ids: CallIds,
    sites: Sites,
    /// Calls that may have something to say.
    stirred: BTreeSet<SessionKey>,
    timers: Timers,
    /// IKE sessions that have to answer our DELETE.
    farewells: BTreeSet<SessionId>,
    memory: Memory,
    refused: BTreeMap<&'static str, u64>,
    effects: VecDeque<Effect>,
    started: Timestamp,
    next_metering: Instant,
    /// Largest IP packet that fits the path in tunnel mode with the costliest suite, octets.
    tunnel_mtu: u16,
}

impl Gateway {
    /// A gateway without sessions. Each of `randoms` seeds nonces, SPIs, ids and challenges and must be unpredictable.
    ///
    /// # Errors
    /// If the configuration names a certificate, key, identity or algorithm that cannot be used.
    pub fn new(
        settings: Arc<Settings>,
        randoms: [Box<dyn Random + Send>; 3],
        meter: Box<dyn Meter>,
        esp_shards: u8,
        now: Now,
    ) -> Result<Self, ConfigurationError> {
        let [mut random, endpoint_random, l2tp_random] = randoms;
        let mut dummy = [0; 16];
        random.fill(&mut dummy);
        let sites = Sites::new(now, &settings, &mut *random)?;
        let ike_config = Arc::new(ike_config::build(&settings, sites.engines(), esp_shards)?);
        let eap_tls = accounts::eap_tls(&settings, ike_config.client_authorities.as_ref());
        let mut this = Self {
            ike: Endpoint::new(Arc::clone(&ike_config), endpoint_random),
            l2tp: cygnet_l2tp::Endpoint::new(
                Arc::new(ike_config::l2tp(&settings)),
                Box::new(ike_config::L2tpRandom(l2tp_random)),
            ),
            users: accounts::user_table(&settings, NtHash::from_bytes(dummy))?,
            ike_config,
            revocation_lists: Lists::default(),
            eap_tls,
            leases: accounts::lease_table(&settings)?,
            settings,
            esp_shards,
            random,
            meter,
            throttle: FailureThrottle::new(),
            logins: BTreeMap::new(),
            awaited_lists: AwaitedLists::default(),
            proven: BTreeMap::new(),
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            channels: BTreeMap::new(),
            calls: BTreeMap::new(),
            call_ids: CallIds::new(),
            sites,
            stirred: BTreeSet::new(),
            timers: Timers::default(),
            farewells: BTreeSet::new(),
            memory: Memory::default(),
            refused: BTreeMap::new(),
            effects: VecDeque::new(),
            started: now.wall,
            next_metering: now.instant,
            tunnel_mtu: USUAL_TUNNEL_MTU,
        };
        this.apply_revocation();
        this.settle(now);
        Ok(this)
    }

    /// Says what the TUN device takes, octets: links derive their MRU from it.
    pub fn set_tunnel_mtu(&mut self, mtu: u16) {
        self.tunnel_mtu = mtu;
    }

    /// Takes an IKE message, without the non-ESP marker.
    pub fn handle_datagram(&mut self, now: Now, path: Path, message: &[u8]) {
        self.ike.handle_datagram(now.instant, now.unix(), path, message);
        self.settle(now);
    }

    /// The first packets of this SA all failed their integrity check.
    pub fn all_forged(&mut self, now: Now, inbound_spi: EspSpi) {
        let Some(&session) = self.owners.get(&inbound_spi) else { return };
        self.report_all_forged(now, session, inbound_spi);
    }

    /// Does what is due. Calling it earlier than [`Gateway::poll_timeout`] says does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.instant >= self.next_metering {
            self.next_metering = now.instant + METER_INTERVAL;
            self.note_living(now);
        }
        self.site_timeouts(now);
        self.ike.handle_timeout(now.instant, now.unix());
        self.l2tp.handle_timeout(now.instant);
        while let Some(timer) = self.timers.pop(now.instant) {
            match timer {
                Timer::Call(key) => self.call_timeout(now, key),
                Timer::Idle(id) => self.idle_timeout(now, id),
                Timer::List(asker) => self.judge_again(now, asker),
            }
        }
        self.settle(now);
    }

    /// An SA pair has sent so much that its keys should be renewed.
    pub fn soft_limit(&mut self, now: Now, inbound_spi: EspSpi) {
        if let Some(&session) = self.owners.get(&inbound_spi) {
            self.ike.rekey_child(now.instant, session, inbound_spi);
            self.settle(now);
        }
    }

    /// The data plane saw an authentic packet of this SA from another address: RFC 7296 section 2.23.
    pub fn peer_moved(&mut self, now: Now, inbound_spi: EspSpi, path: Path) {
        if let Some(&session) = self.owners.get(&inbound_spi)
            && self.follows(session)
        {
            if self.ike.peer_moved(now.instant, session, path) {
                self.moved(session, path, None);
            }
            self.settle(now);
        }
    }

    /// Ends every session: L2TP tunnels first, then DELETE to every peer. See [`Gateway::has_said_goodbye`].
    pub fn shut_down(&mut self, now: Now) {
        let established = self.ike.snapshot().into_iter().filter(|info| info.state == SessionState::Established);
        self.farewells = established.map(|info| info.session).collect();
        self.sites.stop(now);
        self.l2tp.close_all(now.instant);
        self.settle(now);
        self.ike.close_all(now.instant);
        self.settle(now);
    }

    /// Whether every client has answered the DELETE of [`Gateway::shut_down`] or was given up.
    #[must_use]
    pub fn has_said_goodbye(&self) -> bool {
        self.sessions.is_empty() && self.farewells.iter().all(|&id| self.ike.session(id).is_none())
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Gateway::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let carries = !self.sessions.is_empty() || self.sites.has_tunnels();
        let metering = carries.then_some(self.next_metering);
        let engines = self.ike.poll_timeout().into_iter().chain(self.l2tp.poll_timeout());
        engines.chain(self.timers.next()).chain(self.sites.poll_timeout()).chain(metering).min()
    }

    /// Tells the engines which clients were heard on the data path, so that they do not ask them for a sign of life.
    fn note_living(&mut self, now: Now) {
        self.note_living_sites(now);
        for (&id, session) in &mut self.sessions {
            let heard = session.children.iter().filter_map(|c| self.meter.last_heard(c.inbound_spi)).max();
            if heard <= session.last_heard {
                continue;
            }
            session.last_heard = heard;
            let heard = heard.unwrap_or(now.instant).min(now.instant);
            let Via::L2tp(key) = session.via else {
                self.ike.note_inbound(heard, id);
                continue;
            };
            self.ike.note_inbound(heard, SessionId(key.channel.0));
            self.l2tp.note_inbound(heard, key.channel);
            if let Some(call) = self.calls.get_mut(&key) {
                call.note_inbound(heard);
                self.stirred.insert(key);
            }
        }
    }

    /// Turns all that the engines have to say into effects. What L2TP says goes out before IKE may take its SA pair away.
    fn settle(&mut self, now: Now) {
        loop {
            self.drive_sites(now);
            if let Some(key) = self.stirred.pop_first() {
                self.drive_call(now, key);
            } else if let Some(event) = self.l2tp.poll_event() {
                self.handle_l2tp_event(now, event);
            } else {
                self.flush_l2tp();
                let Some(event) = self.ike.poll_event() else { break };
                self.handle_event(now, event);
            }
        }
        while let Some(transmit) = self.ike.poll_transmit() {
            self.effects.push_back(Effect::Send(transmit));
        }
    }

    fn handle_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Eap { session, response: None, idi: _, path } => self.begin_login(now, session, path),
            Event::Eap { session, response: Some(response), .. } => self.continue_login(now, session, &response),
            Event::XAuth { session, user, password, path, identity: _ } => {
                self.xauth_login(now, session, user, &password, path);
            }
            Event::Authenticated { session, request } => match request.site.clone() {
                Some(site) => self.admit_site(now, session, &site, &request),
                None => self.admit(now, session, &request),
            },
            Event::ChildUp { session, child, replaces } => self.child_up(now, session, child, replaces),
            Event::ChildDown { session, inbound_spi } => self.child_down(now, session, inbound_spi),
            Event::ChildFailed { session, child } => self.site_child_failed(now, session, &child),
            Event::Moved { session, path, udp_encap } => self.moved(session, path, Some(udp_encap)),
            Event::Established { session, info } if info.version == IkeVersion::V1 => {
                self.phase1_up(now, session, &info);
                self.report_established(session);
            }
            Event::Established { session, info } if info.site.is_some() => self.site_established(now, session, &info),
            Event::Established { session, .. } => {
                self.report_established(session);
                self.end_replaced(now, session);
            }
            Event::ReauthenticationDue { session, within } => self.site_reauthentication_due(now, session, within),
            Event::Closed { session, reason } => self.closed(now, session, reason),
            Event::Refused(refusal) => {
                self.report_refusal(now, &refusal);
                self.site_refused(now, &refusal);
            }
        }
    }
}

impl Now {
    fn unix(self) -> cygnet_ike::UnixTime {
        cygnet_ike::UnixTime::from_secs(self.seconds())
    }

    fn wall_clock(self) -> rustls_pki_types::UnixTime {
        rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.seconds()))
    }

    fn seconds(self) -> u64 {
        u64::try_from(self.wall.as_second()).unwrap_or(0)
    }
}
