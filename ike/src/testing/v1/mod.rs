//! IKEv1 for tests: an initiator with the habits of each stock client, and a server with such clients and a network
//! between them.

mod client;
mod config;
mod fragments;
mod informational;
mod isakmp;
mod keys;
mod main_mode;
mod offer;
mod pair;
mod quick_mode;
pub mod stock;
mod story;
mod transaction;

pub use client::{Observed, V1Child, V1Client, V1End, V1Task};
pub use config::{V1ClientConfig, V1Id, V1Login, XAuthUser};
pub use fragments::cut;
pub use offer::{Dialect, EspTransform, IsakmpTransform, isakmp_offer};
pub use pair::{V1_SERVER, V1Pair, V1Seen};
pub use story::play;
