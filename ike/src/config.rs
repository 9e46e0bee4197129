//! What an endpoint is told in advance.
//!
//! Does not: read files; the server makes these values.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::credential::{Authorities, Credential};
use crate::identity::Identity;
use crate::ppk::PpkTable;
use crate::proposal::Policy;
use crate::psk::PskTable;
use crate::site::Site;
use crate::v1::V1Config;

/// Configuration of an [`Endpoint`](crate::Endpoint). A clone shares keys, certificates and authorities.
#[derive(Clone)]
pub struct Config {
    /// Who we are, unless a client asks for another name that our certificate has.
    pub identity: Identity,
    /// Acceptable algorithms.
    pub policy: Policy,
    /// Pre-shared keys of clients.
    pub psks: PskTable,
    /// Our certificates with their keys; needed for clients that log in by EAP or certificate. Which one a client is shown
    /// depends on the name that it asks for, the authorities that it knows, and the signatures that it can verify; of equals
    /// the first.
    pub credentials: Vec<Arc<Credential>>,
    /// Authorities for client certificates; `None`: no login by certificate.
    pub client_authorities: Option<Arc<Authorities>>,
    /// Postquantum preshared keys of clients, RFC 8784.
    pub ppks: PpkTable,
    /// Whether clients get in with a postquantum preshared key only.
    pub ppk_required: bool,
    /// Whether clients may log in by EAP.
    pub eap: bool,
    /// Whether a client that asks for it is spared our certificate, where the EAP method proves who we are (RFC 5998).
    pub eap_only: bool,
    /// Other gateways that we have tunnels with.
    pub sites: Vec<Arc<Site>>,
    /// Whether a client may have an IKE SA without Child SA (RFC 6023).
    pub childless: bool,
    /// Whether clients may move by MOBIKE (RFC 4555).
    pub mobike: bool,
    /// Where else we can be reached; told to peers that may move, so that they can change to another of our addresses, of
    /// another family, say (RFC 4555 section 3.4).
    pub addresses: Vec<IpAddr>,
    /// Clients have to log in again after this long (RFC 4478); `None`: never.
    pub reauthentication: Option<Duration>,
    /// Whether RSA signatures with SHA-1 (method 1) are made for and accepted from clients that know nothing newer.
    pub rsa_sha1: bool,
    /// Always put ESP into UDP, also where no NAT was detected.
    pub force_udp_encap: bool,
    /// Whether several clients share an identity, so that INITIAL_CONTACT of one says nothing about the others.
    pub shared_identities: bool,
    /// IKEv1 for L2TP and XAUTH clients; `None`: its messages are counted and dropped.
    pub ikev1: Option<V1Config>,
    /// Shard of the IKE SAs: first byte of our IKE SPIs minus 1.
    pub ike_shard: u8,
    /// Number of shards of the packet path, 1 to 255: the first byte of an inbound ESP SPI is 1 + shard.
    pub esp_shards: u8,
    /// Bounds.
    pub limits: Limits,
    /// Durations.
    pub timing: Timing,
}

impl Config {
    /// Whether there is any way for remote clients to log in by IKEv2.
    #[must_use]
    pub(crate) fn admits_clients(&self) -> bool {
        self.eap || self.client_authorities.is_some() || !self.psks.is_empty()
    }

    /// A configuration that nobody can log in to yet.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            policy: Policy::default(),
            psks: PskTable::default(),
            credentials: Vec::new(),
            client_authorities: None,
            ppks: PpkTable::default(),
            ppk_required: false,
            eap: false,
            eap_only: false,
            sites: Vec::new(),
            childless: true,
            mobike: true,
            addresses: Vec::new(),
            reauthentication: None,
            rsa_sha1: true,
            force_udp_encap: false,
            shared_identities: false,
            ikev1: None,
            ike_shard: 0,
            esp_shards: 1,
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// Bounds of what peers can make us keep or do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From this many half-open IKE SAs on, a COOKIE is demanded from everybody (RFC 7296 section 2.6).
    pub cookie_threshold: usize,
    /// From this many half-open IKE SAs of one address (IPv4) or /64 (IPv6) on, a COOKIE is demanded from it.
    pub cookie_threshold_per_source: usize,
    /// At most this many half-open IKE SAs; more are dropped silently.
    pub half_open: usize,
    /// At most this many IKE SAs in all.
    pub sessions: usize,
    /// At most this many Child SAs of one session.
    pub children: usize,
    /// At most this many CREATE_CHILD_SA requests of one session a second.
    pub create_child_per_second: u32,
    /// At most this many IKE_AUTH messages of one login.
    pub eap_rounds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cookie_threshold: 1000,
            cookie_threshold_per_source: 64,
            half_open: 65_536,
            sessions: 100_000,
            children: 8,
            create_child_per_second: 10,
            eap_rounds: 50,
        }
    }
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A client has this long to begin IKE_AUTH.
    pub half_open: Duration,
    /// A client has this long to finish IKE_AUTH, a user typing a password included.
    pub authentication: Duration,
    /// IKE_AUTH is left unanswered for this long if the revocation list of a certificate, which is demanded, is missing or too
    /// old, and can be had by HTTP: see [`Authorities::take_list_addresses`](crate::Authorities::take_list_addresses) and
    /// [`Endpoint::lists_changed`](crate::Endpoint::lists_changed). Zero where nobody fetches lists.
    pub revocation_list: Duration,
    /// An established IKE SA without Child SA is deleted after this long.
    pub childless: Duration,
    /// A client that is silent for this long is asked whether it lives; `None`: never.
    pub liveness: Option<Duration>,
    /// An own request is sent again after this long, then after twice as long, and so on.
    pub retransmit: Duration,
    /// An own request is sent this many times in all before the peer counts as dead.
    pub transmissions: u32,
    /// A Child SA or IKE SA that was replaced by rekeying is removed after this long if the client does not delete it.
    pub replaced: Duration,
    /// How long a Child SA is used; `None`: until the client replaces it.
    pub child_lifetime: Option<Lifetime>,
    /// How long an IKE SA is used; `None`: until the client replaces it.
    pub ike_lifetime: Option<Lifetime>,
    /// A rekey that the client could not do at the moment is tried again after this long.
    pub rekey_retry: Duration,
    /// The cookie secret lives this long; the one before it is still accepted.
    pub cookie_secret: Duration,
    /// DELETE is sent this many times when the gateway closes a session.
    pub delete_transmissions: u32,
}

/// The limits of an SA's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// We replace it after this long, or up to an eighth earlier.
    pub soft: Duration,
    /// It ends after this long if it could not be replaced.
    pub hard: Duration,
    /// Octets that may go through a Child SA in one direction. The packet path counts, asks for another one early enough,
    /// and stops here.
    pub bytes: Option<u64>,
    /// The same in packets.
    pub packets: Option<u64>,
}

impl Lifetime {
    /// Limits of time only.
    #[must_use]
    pub const fn new(soft: Duration, hard: Duration) -> Self {
        Self { soft, hard, bytes: None, packets: None }
    }

    const fn hours(soft: u64, hard: u64) -> Self {
        Self::new(Duration::from_secs(soft * 3600), Duration::from_secs(hard * 3600))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            half_open: Duration::from_secs(30),
            authentication: Duration::from_secs(60),
            revocation_list: Duration::ZERO,
            childless: Duration::from_secs(30),
            liveness: Some(Duration::from_secs(30)),
            retransmit: Duration::from_secs(2),
            transmissions: 5,
            replaced: Duration::from_secs(120),
            child_lifetime: Some(Lifetime::hours(8, 9)),
            ike_lifetime: Some(Lifetime::hours(24, 27)),
            rekey_retry: Duration::from_secs(10),
            cookie_secret: Duration::from_secs(90),
            delete_transmissions: 3,
        }
    }
}
