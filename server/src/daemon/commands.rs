//! Answers to those who ask over the control socket, and new settings.

use std::sync::Arc;

use cygnet_esp::DropReason;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

use super::event_loop::{EventLoop, tell_service_manager};
use super::host;
use crate::config::{self, Surroundings};
use crate::control::ControlCommand;
use crate::control::model::{Counter, Failure, Reloaded, SiteStatus, Status};
use crate::dataplane::DataPlane;
use crate::gateway::SiteOutcome;
use crate::pki::crl::Wanted;

/// Somebody who waits for a site to come up.
pub(super) struct Climbing {
    site: String,
    reply: oneshot::Sender<Result<SiteStatus, Failure>>,
}

impl EventLoop {
    pub(super) async fn answer(&mut self, command: ControlCommand) {
        // A requester that has gone away needs no answer.
        match command {
            ControlCommand::Status { reply } => drop(reply.send(self.status().await)),
            ControlCommand::Explain { filter, reply } => drop(reply.send(self.gateway.explain(&filter))),
            ControlCommand::Kick { who, reply } => {
                drop(reply.send(self.gateway.kick(self.now(), &who)));
            }
            ControlCommand::Up { site, child, reply } => {
                match self.gateway.site_up(self.now(), &site, child.as_deref()) {
                    Ok(()) => self.climbing.push(Climbing { site, reply }),
                    Err(message) => drop(reply.send(Err(Failure { message }))),
                }
            }
            ControlCommand::Down { site, reply } => {
                let down = self.gateway.site_down(self.now(), &site).map_err(|message| Failure { message });
                drop(reply.send(down.and_then(|_| self.site_status(&site))));
            }
            ControlCommand::Rekey { who, ike, reply } => {
                let done = self.gateway.rekey(self.now(), &who, ike);
                drop(reply.send(done.map_err(|message| Failure { message })));
            }
            ControlCommand::Reload { reply } | ControlCommand::UsersChanged { reply } => {
                drop(reply.send(self.reload().await));
            }
        }
    }

    async fn status(&self) -> Status {
        let mut status = self.gateway.status(self.now());
        let esp = self.plane.counters();
        let path = [
            ("esp/keepalives", esp.keepalives),
            ("esp/ike_overflow", esp.ike_overflow),
            ("esp/l2tp_overflow", esp.l2tp_overflow),
            ("esp/unusable", esp.unusable),
            ("esp/tun_failures", esp.tun_failures),
            ("esp/send_failures", esp.send_failures),
        ];
        let mut add = |name: String, value| status.counters.push(Counter { name, value });
        path.into_iter().for_each(|(name, value)| add(name.to_owned(), value));
        DropReason::ALL.iter().for_each(|&reason| add(format!("drops/{}", reason.name()), esp.dropped(reason)));
        if let Ok(drops) = self.host.drops().await {
            add("filter/spoofed_inside".to_owned(), drops.spoofed_inside);
            add("filter/spoofed_outside".to_owned(), drops.spoofed_outside);
            add("filter/client_to_client".to_owned(), drops.client_to_client);
            add("filter/inbound".to_owned(), drops.inbound);
            add("filter/gateway_access".to_owned(), drops.gateway_access);
            add("filter/unrouted".to_owned(), drops.unrouted);
            add("filter/clear_l2tp".to_owned(), drops.clear_l2tp);
        }
        status.counters.sort_by(|a, b| a.name.cmp(&b.name));
        status
    }

    pub(super) async fn reload_on_signal(&mut self) {
        if let Err(failure) = self.reload().await {
            tracing::error!("the configuration stays as it was: {failure}");
        }
    }

    /// Reads the configuration again. A mistake in it changes nothing.
    async fn reload(&mut self) -> Result<Reloaded, Failure> {
        tell_service_manager(&[NotifyState::Reloading]);
        let outcome = self.apply_new_settings().await;
        tell_service_manager(&[NotifyState::Ready]);
        outcome.map_err(|error| Failure { message: format!("{error:#}") })
    }

    async fn apply_new_settings(&mut self) -> anyhow::Result<Reloaded> {
        let settings = Arc::new(config::load(&self.settings.path, &Surroundings::of_this_machine(self.clock.wall()))?);
        let rules = host::rules(&settings, &self.transports).await?;
        self.plane.set_devices(&host::devices(&settings))?;
        let reloaded = self.gateway.reload(self.now(), Arc::clone(&settings))?;
        self.host.replace_rules(rules).await?;
        self.crl.reconfigure(Wanted::of(&settings));
        self.settings = settings;
        self.claim();
        self.perform();
        self.tell_static_routes().await;
        for change in reloaded.changes.iter().chain(&reloaded.needs_restart) {
            tracing::info!("reload: {change}");
        }
        Ok(reloaded)
    }

    pub(super) async fn tell_static_routes(&self) {
        let Ok(rules) = host::rules(&self.settings, &self.transports).await else { return };
        match host::static_route_hints(&rules).await {
            Ok(hints) => hints.iter().for_each(|hint| tracing::info!("{hint}")),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Answers those who wait for sites about which there is something to say.
    pub(super) fn answer_climbing(&mut self) {
        while let Some(SiteOutcome { site, result }) = self.gateway.poll_site_outcome() {
            let (told, others) = self.climbing.drain(..).partition(|climbing| *climbing.site == *site);
            self.climbing = others;
            let told: Vec<Climbing> = told;
            let in_part = self.site_status(&site).is_ok_and(|status| status.carries());
            let state = if in_part { "is up only in part" } else { "is not up" };
            for Climbing { site, reply } in told {
                let answer = result.clone().map_err(|reason| Failure {
                    message: format!("{site} {state}: {reason}\n`cygnet explain {site}` says more"),
                });
                // A requester that has gone away needs no answer.
                let _ = reply.send(answer.and_then(|()| self.site_status(&site)));
            }
        }
    }

    fn site_status(&self, name: &str) -> Result<SiteStatus, Failure> {
        let found = self.gateway.status(self.now()).sites.into_iter().find(|site| site.name == name);
        found.ok_or_else(|| Failure { message: format!("there is no site {name}") })
    }
}
