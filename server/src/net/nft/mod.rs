//! The nftables table `inet cygnet`: address translation, MSS clamp, anti-spoofing, access to the gateway.
//!
//! [`RuleSet`] is the wish, as text for `nft -f -`; [`Firewall`] makes it so and keeps it so. Other tables are neither
//! read nor changed; a packet passes only if they let it pass too.
//!
//! The program nft runs as a child process: a few milliseconds for any number of changes, so changes come in batches.

mod apply;
mod counters;
mod process;
mod ruleset;

pub use apply::Firewall;
pub use counters::Drops;
pub use ruleset::{GatewayServices, MssClamp, Nat, RuleSet, TABLE, TRANSLATED_PORTS};
