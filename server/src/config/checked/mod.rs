//! A configuration that holds together: what the rest of the gateway works with.
//!
//! Every value here has passed its check; nothing has to be looked at twice. No type of the file format appears.

mod difference;
mod site;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

pub use cygnet_ppp::auth::Method as PppAuth;
pub use difference::SiteChange;
pub use site::{
    Crl, CrlPolicy, Lifetimes, LocalAuth, Peer, PeerAuth, Selector, Site, SiteChild, SiteMode, SitePpk, Start,
};

use super::Secret;
use crate::auth::nt_hash::NtHash;

/// A whole configuration.
pub struct Settings {
    /// The file this was read from.
    pub path: PathBuf,
    /// The process itself: directories, sockets, threads.
    pub daemon: Daemon,
    /// What to log and how.
    pub logging: Logging,
    /// Access for remote clients; `None` when the file has no `[remote]`.
    pub remote: Option<Remote>,
    /// Tunnels to other gateways, sorted by name.
    pub sites: Vec<Site>,
    /// Users of the file and of the users file together, sorted by name.
    pub users: Vec<User>,
    /// What is allowed but probably not meant, one sentence each, with file and line.
    pub warnings: Vec<String>,
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Where state lives that outlasts the process.
    pub state_dir: PathBuf,
    /// The Unix socket of the control API.
    pub control_socket: PathBuf,
    /// The file that `cygnet user` writes.
    pub users_file: PathBuf,
    /// Name of the TUN device, 15 bytes at most.
    pub interface: String,
    /// Threads of the packet path; `None`: one per core.
    pub workers: Option<usize>,
}

/// What to log and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// A level (`info`) or directives (`info,cygnet_ike=debug`) as `tracing-subscriber` reads them.
    pub filter: String,
    /// The shape of a line.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Access for remote clients: `[remote]`.
pub struct Remote {
    /// What clients may speak; never empty.
    pub protocols: Vec<Protocol>,
    /// What users type into their device: a DNS name or an address.
    pub name: String,
    /// Our IKE identity in text form (see `cygnet_ike::identity`); `name` unless the file says otherwise.
    pub id: String,
    /// Addresses to listen on; empty: all.
    pub listen: Vec<IpAddr>,
    /// Pre-shared keys; at most one per selector.
    pub psks: Vec<PskEntry>,
    /// Our certificates and keys; a client gets the one that it asks for, otherwise the first.
    pub server_identities: Vec<ServerIdentity>,
    /// Authorities whose certificates let a client in, DER; `None`: no login by certificate.
    pub client_ca: Option<Vec<Vec<u8>>>,
    /// Revoked certificates of clients.
    pub crl: Crl,
    /// How IKEv2 clients may log in by EAP, the preferred way first; empty: not at all.
    pub eap: Vec<EapMethod>,
    /// The gateway proves itself inside EAP to clients that ask for it (RFC 5998), with methods that allow it.
    pub eap_only: bool,
    /// Post-quantum pre-shared keys (RFC 8784), one per id.
    pub ppks: Vec<Ppk>,
    /// Refuse clients that do not use one of `ppks`.
    pub ppk_required: bool,
    /// What a new login means for sessions of the same user or identity.
    pub unique: Unique,
    /// How long a client is believed to be who it has proved to be; `None`: as long as the session lasts.
    pub reauthentication: Option<Duration>,
    /// When keys are replaced by us.
    pub lifetimes: Lifetimes,
    /// Whether sessions follow the address changes of IKEv2 clients (RFC 4555).
    pub mobike: bool,
    /// Where client addresses come from; disjoint, never empty.
    pub pools: Vec<IpNet>,
    /// Name servers for clients.
    pub dns: Vec<IpAddr>,
    /// NetBIOS name servers (WINS) for clients of L2TP, two at most.
    pub nbns: Vec<Ipv4Addr>,
    /// Domains to be asked of those name servers only (split DNS).
    pub dns_domains: Vec<String>,
    /// Networks reached through the tunnel; empty: everything.
    pub routes: Vec<IpNet>,
    /// Source translation of what clients send.
    pub nat: Nat,
    /// Which algorithms are acceptable, by name; never empty.
    pub policy: Vec<Policy>,
    /// Which algorithms are acceptable, one by one; replaces `policy` where not empty.
    pub proposals: Proposals,
    /// ESP always inside UDP, also where no NAT was seen; otherwise only behind a NAT.
    pub force_udp_encap: bool,
    /// Whether clients may reach each other.
    pub client_to_client: bool,
    /// RSA signatures with SHA-1 (method 1, RFC 7296 section 3.8) towards clients that know nothing newer.
    pub rsa_sha1: bool,
    /// How long a silent client is left alone before it is asked; `None`: never asked.
    pub liveness: Option<Duration>,
    /// Width of the anti-replay window in packets, a multiple of 64.
    pub replay_window: u32,
    /// MTU of the TUN device in bytes; `None`: from the outgoing interface.
    pub mtu: Option<u16>,
    /// What matters to L2TP, XAuth and their IKEv1 only.
    pub legacy: Legacy,
}

/// A protocol that clients may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IKEv2, RFC 7296.
    Ikev2,
    /// L2TP over IPsec, RFC 3193, with IKEv1.
    L2tp,
    /// IKEv1 with XAuth and Mode Config, "Cisco IPsec".
    Xauth,
}

/// What matters to L2TP, XAuth and their IKEv1 only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// How L2TP clients may prove who they are, the preferred one first; never empty.
    pub ppp_auth: Vec<PppAuth>,
    /// Highest number of L2TP tunnels per IPsec peer.
    pub l2tp_tunnels: u16,
    /// Highest number of L2TP sessions per tunnel.
    pub l2tp_sessions: u16,
    /// IKEv1 aggressive mode, for XAuth clients with a group name.
    pub aggressive: bool,
    /// Which vendor ids IKEv1 answers carry.
    pub vendor_ids: VendorIds,
    /// L2TP clients cut HMAC-SHA2-256 to 96 bits where RFC 4868 says 128.
    pub sha256_96: bool,
}

/// Which vendor ids IKEv1 answers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorIds {
    /// Those without which something does not work.
    Needed,
    /// Only those without which no client gets in.
    None,
}

/// Who may use a pre-shared key, and the key.
pub struct PskEntry {
    /// Who; the most specific entry that matches a client counts.
    pub selector: PskSelector,
    /// The key.
    pub secret: Secret,
}

/// Whom a pre-shared key is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PskSelector {
    /// Everybody.
    Any,
    /// Clients whose packets come from here; one address is a network of full length.
    Network(IpNet),
    /// Clients that call themselves so, in text form (see `cygnet_ike::identity`).
    Identity(String),
}

/// Our certificate and key.
pub struct ServerIdentity {
    /// Our certificate first, then intermediates; DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key of the first certificate, without a password; PEM.
    pub key: Secret,
}

/// How IKEv2 clients may log in by EAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EapMethod {
    /// User name and password (EAP-MSCHAPv2).
    MsChapV2,
    /// A client certificate inside TLS (RFC 5216, RFC 9190).
    Tls,
}

/// A post-quantum pre-shared key (RFC 8784).
pub struct Ppk {
    /// By what name clients call it.
    pub id: String,
    /// The key.
    pub secret: Secret,
}

/// What a new login means for sessions of the same user or identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// The new session replaces the older ones.
    Replace,
    /// Both live, within the user's number of devices; INITIAL_CONTACT (RFC 7296 section 2.4) replaces what it must.
    Keep,
    /// Both live; not even INITIAL_CONTACT ends one.
    Never,
}

/// Source translation of what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Clients appear with their own addresses; somebody has to route these back.
    Off,
    /// Clients appear with the address of the interface that a packet leaves by.
    Masquerade,
}

/// A named set of acceptable algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Policy {
    /// What current clients can do at their best.
    Modern,
    /// What unmodified current clients do, except weak Diffie-Hellman.
    Compatible,
    /// Also MODP-1024, which Windows proposes for IKEv2 unless told otherwise.
    LegacyWindowsIkev2,
    /// Also MODP-1024 for Android 10 and older.
    LegacyAndroid,
}

/// Explicit algorithm lists in the notation `aes256gcm16-prfsha384-ecp384`, checked for syntax.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposals {
    /// For IKE SAs, best first; empty: by policy.
    pub ike: Vec<String>,
    /// For ESP, best first; empty: by policy.
    pub esp: Vec<String>,
}

/// How clients can prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAuthentication {
    /// By pre-shared key.
    pub psk: bool,
    /// By certificate.
    pub certificate: bool,
    /// By user name and password (EAP-MSCHAPv2).
    pub password: bool,
    /// By certificate inside EAP (EAP-TLS).
    pub eap_tls: bool,
    /// By user name and password, after a pre-shared key or certificate, through L2TP or XAuth.
    pub legacy_password: bool,
}

/// Somebody with a password.
pub struct User {
    /// The name as it is typed into the device.
    pub name: String,
    /// Proof of the password.
    pub nt_hash: NtHash,
    /// The password itself, UTF-8, where the file has it; CHAP-MD5 needs it.
    pub password: Option<Secret>,
    /// Always this IPv4 address; inside a pool, given to one user only.
    pub ipv4: Option<Ipv4Addr>,
    /// Always this IPv6 address; inside a pool, given to one user only.
    pub ipv6: Option<Ipv6Addr>,
    /// From this moment on they cannot log in any more.
    pub expires: Option<Timestamp>,
    /// How many sessions at the same time; `None`: any number.
    pub devices: Option<u32>,
    /// Whether they are locked out for now.
    pub disabled: bool,
}

impl Policy {
    /// All of them, in the order in which they are told to people.
    pub const ALL: [Self; 4] = [Self::Modern, Self::Compatible, Self::LegacyWindowsIkev2, Self::LegacyAndroid];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Compatible => "compatible",
            Self::LegacyWindowsIkev2 => "legacy-windows-ikev2",
            Self::LegacyAndroid => "legacy-android",
        }
    }
}

impl Settings {
    /// How clients can prove who they are with this configuration.
    #[must_use]
    pub fn client_authentication(&self) -> ClientAuthentication {
        let Some(remote) = &self.remote else { return ClientAuthentication::default() };
        let ikev2 = remote.speaks(Protocol::Ikev2);
        let (psk, users) = (!remote.psks.is_empty(), !self.users.is_empty());
        let own = !remote.server_identities.is_empty();
        let is_own_key = |entry: &PskEntry| matches!(entry.selector, PskSelector::Identity(_));
        // A key that all users of L2TP know does not let anybody in by itself.
        let counts = if remote.speaks_ikev1() { remote.psks.iter().any(is_own_key) } else { psk };
        let certificate = own && remote.client_ca.is_some();
        ClientAuthentication {
            psk: ikev2 && counts,
            certificate: ikev2 && certificate,
            password: ikev2 && own && users && remote.eap.contains(&EapMethod::MsChapV2),
            eap_tls: ikev2 && certificate && remote.eap.contains(&EapMethod::Tls),
            legacy_password: remote.speaks_ikev1() && (psk || certificate) && users,
        }
    }
}

impl Remote {
    /// Whether clients may speak `protocol`.
    #[must_use]
    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Whether some protocol needs IKEv1.
    #[must_use]
    pub fn speaks_ikev1(&self) -> bool {
        self.speaks(Protocol::L2tp) || self.speaks(Protocol::Xauth)
    }
}
