//! Every default and every limit of the configuration.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Lifetimes, PppAuth};

/// Where the configuration is looked for.
pub const CONFIG_FILE: &str = "/etc/cygnet/cygnet.toml";
/// Where the control socket is.
pub const CONTROL_SOCKET: &str = "/run/cygnet/control.sock";
/// Where state lives that outlasts the process.
pub(super) const STATE_DIR: &str = "/var/lib/cygnet";
/// Users added by command; next to the configuration.
pub(super) const USERS_FILE: &str = "users.toml";
/// Name of the TUN device.
pub(super) const INTERFACE: &str = "cygnet0";
/// What is logged.
pub(super) const LOG_FILTER: &str = "info";

/// How long a silent client is left alone before it is asked.
///
/// 30 s: with four tries a vanished client is noticed within 90 s, and a phone is not woken more often than by its own
/// keepalives (RFC 3948 section 4: 20 s).
pub(super) const LIVENESS: Duration = Duration::from_secs(30);

/// When we rekey SAs of clients: rarely, since most clients do it themselves, after an hour.
pub(super) const CLIENT_LIFETIMES: Lifetimes = Lifetimes {
    child: Some(Duration::from_secs(8 * 3600)),
    ike: Some(Duration::from_secs(24 * 3600)),
    bytes: None,
    packets: None,
};
/// When we rekey SAs of sites, as most gateways do.
pub(super) const SITE_LIFETIMES: Lifetimes = Lifetimes {
    child: Some(Duration::from_secs(3600)),
    ike: Some(Duration::from_secs(4 * 3600)),
    bytes: None,
    packets: None,
};

/// What the age of an SA at its rekey may be. Seconds are for tests.
pub(super) const LIFETIME_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
/// How often both sides may be asked to prove again who they are. Seconds are for tests.
pub(super) const REAUTH_RANGE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(30 * 86_400);
/// Octets after which a child SA is rekeyed: not more often than once per 100 packets, not after more than AES-GCM allows.
pub(super) const REKEY_BYTES_RANGE: RangeInclusive<u64> = 100_000..=100_000_000_000_000_000;
/// Packets after which a child SA is rekeyed: below 2^32 since not every peer has extended sequence numbers.
pub(super) const REKEY_PACKETS_RANGE: RangeInclusive<u64> = 100..=4_000_000_000;
/// Name of a site or a child, bytes.
pub(super) const LABEL_MAX: usize = 32;
/// Id of a post-quantum key, bytes.
pub(super) const PPK_ID_MAX: usize = 128;
/// A post-quantum key below this many bytes has fewer than 256 bits, whatever it is made of.
pub(super) const PPK_GOOD_LENGTH: usize = 32;

/// Width of the anti-replay window, packets (RFC 4303 section 3.4.3 asks for 32 at least).
///
/// 1024: several workers may each hold back a batch of 64 packets of one SA.
pub(super) const REPLAY_WINDOW: u32 = 1024;
/// What the window may be; always a multiple of [`REPLAY_WINDOW_STEP`].
pub(super) const REPLAY_WINDOW_RANGE: RangeInclusive<u32> = 64..=4096;
/// The window is kept in words of so many bits.
pub(super) const REPLAY_WINDOW_STEP: u32 = 64;

/// MTU of the TUN, bytes. The lower end is what IPv6 asks of any link (RFC 8200 section 5).
pub(super) const MTU_RANGE: RangeInclusive<u16> = 1280..=9000;
/// Threads of the packet path: the first byte of an SPI names its worker.
pub(super) const WORKERS_RANGE: RangeInclusive<u8> = 1..=64;
/// Sessions of one user at the same time.
pub(super) const DEVICES_RANGE: RangeInclusive<u32> = 1..=10_000;

/// How L2TP clients may prove who they are: every stock client has the first.
pub(super) const PPP_AUTH: [PppAuth; 2] = [PppAuth::MsChapV2, PppAuth::Eap];
/// L2TP tunnels of one IPsec peer, and sessions of one tunnel: stock clients use one of each.
pub(super) const L2TP_LIMIT: u16 = 1;
/// What both limits may be.
pub(super) const L2TP_LIMIT_RANGE: RangeInclusive<u16> = 1..=64;
/// NetBIOS name servers: IPCP has room for two (RFC 1877 section 1).
pub(super) const NBNS_MAX: usize = 2;

/// A pre-shared key below this many characters can be guessed offline by somebody who plays the gateway.
pub(super) const PSK_GOOD_LENGTH: usize = 20;
/// A certificate that ends within so many days deserves a warning.
pub(super) const CERTIFICATE_WARNING_DAYS: i64 = 21;
/// Name of a network interface, bytes (`IFNAMSIZ` less the final zero).
pub(super) const INTERFACE_NAME_MAX: usize = 15;
/// A configuration or certificate file above this size is a mistake, bytes.
pub(super) const FILE_MAX: u64 = 4 << 20;
