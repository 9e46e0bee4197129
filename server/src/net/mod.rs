//! The gateway's place in the host's network: TUN addresses, routes, forwarding, packet filter and NAT.
//!
//! Everything set here is marked as ours (route protocol number, own nftables table), is rebuilt after a crash and taken
//! away on exit. Nobody else's routes and tables are touched. [`host`] runs it all; the other modules do one thing each.

mod conntrack;
pub mod error;
pub mod forwarding;
pub mod host;
pub mod link;
pub mod nft;
pub mod policy;
pub mod routes;
mod site;
mod tally;
pub mod watch;

pub use error::NetError;
pub use host::{HostNetwork, HostSettings};
pub use site::SiteNetwork;
