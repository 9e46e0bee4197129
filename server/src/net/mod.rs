//! The gateway's place in the host's network: TUN addresses, routes, forwarding, packet filter and NAT.
//!
//! Everything set here is marked as ours (route protocol number, own nftables table), is rebuilt after a crash and taken
//! away on exit. Nobody else's routes and tables are touched.

pub mod error;
pub mod forwarding;
pub mod link;
pub mod nft;
pub mod routes;

pub use error::NetError;
