//! The running process: opens what the gateway needs from the machine, carries out its effects, and closes in order.
//!
//! One tokio thread owns the [`Gateway`](crate::gateway::Gateway); packet workers are threads of their own and never wait for it. Start order:
//! workers with sockets and TUN, then addresses, routes, rules and forwarding, then the control socket, then `ready`.
//! A start that fails leaves nothing behind. Stop order: DELETE to every client, routes, rules, guards of sites' networks, workers.
//!
//! Does not: decide anything about clients (see [`crate::gateway`]), or read configuration (see [`crate::cli`]).

mod commands;
mod effects;
mod event_loop;
mod fixed;
mod host;
mod lookup;
mod meter;
pub(crate) mod mtu;
mod paths;

use std::sync::Arc;

use anyhow::Context;

use crate::config::Settings;
use event_loop::EventLoop;

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// If something that the gateway needs is missing; the text says what and how to get it.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_name("control").build()?;
    runtime.block_on(async {
        let mut event_loop = EventLoop::start(Arc::new(settings)).await?;
        let served = event_loop.run().await;
        event_loop.stop().await.context("not everything could be taken back at the end")?;
        served
    })
}
