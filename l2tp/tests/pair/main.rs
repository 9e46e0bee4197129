//! Clients and a gateway on a virtual clock.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod bytes;
mod clients;
mod limits;
mod lossy;
mod refusals;
mod tunnel_life;
