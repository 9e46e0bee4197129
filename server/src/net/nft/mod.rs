//! The nftables table `inet cygnet`: NAT, MSS clamp, anti-spoofing.
//!
//! [`RuleSet`] is the wish, as text for `nft -f -`; [`Firewall`] makes it so and keeps it so.

mod apply;
mod ruleset;

pub use apply::Firewall;
pub use ruleset::{GatewayServices, Nat, RuleSet, TABLE};
