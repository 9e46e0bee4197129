//! Answers to those who ask over the control socket, and new settings.

use std::sync::Arc;

use cygnet_esp::DropReason;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

use super::event_loop::{EventLoop, tell_service_manager};
use super::host;
use crate::config::{self, Settings, Surroundings};
use crate::control::ControlCommand;
use crate::control::model::{Counter, Failure, Reloaded, SiteStatus, Status};
use crate::dataplane::{DataPlane, SiteDevice};
use crate::gateway::SiteOutcome;
use crate::net::HostSettings;
use crate::net::host::Turn;
use crate::net::nft::Drops;
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
            ControlCommand::Status { reply } => self.tell_status(reply),
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

    /// The packet filter is asked beside the loop.
    fn tell_status(&self, reply: oneshot::Sender<Status>) {
        let (mut status, host) = (self.status(), self.host.clone());
        tokio::spawn(async move {
            if let Ok(drops) = host.drops().await {
                status.counters.extend(of_filter(&drops));
            }
            status.counters.sort_by(|a, b| a.name.cmp(&b.name));
            // As above.
            let _ = reply.send(status);
        });
    }

    /// Without the packet filter.
    fn status(&self) -> Status {
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
        status.counters.extend(path.into_iter().map(|(name, value)| Counter { name: name.to_owned(), value }));
        let dropped = |&reason: &DropReason| (format!("drops/{}", reason.name()), esp.dropped(reason));
        status.counters.extend(DropReason::ALL.iter().map(dropped).map(|(name, value)| Counter { name, value }));
        status
    }

    pub(super) async fn reload_on_signal(&mut self) {
        if let Err(failure) = self.reload().await {
            tracing::error!("the configuration stays as it was: {failure}");
        }
    }

    /// Reads the configuration again. A mistake in it changes nothing, nor does anything that the machine refuses.
    async fn reload(&mut self) -> Result<Reloaded, Failure> {
        tell_service_manager(&[NotifyState::Reloading]);
        let outcome = self.apply_new_settings().await;
        tell_service_manager(&[NotifyState::Ready]);
        outcome.map_err(|error| Failure { message: format!("{error:#}") })
    }

    /// First what can fail: whether the settings can be used, then the machine, which can go back. Then what cannot.
    async fn apply_new_settings(&mut self) -> anyhow::Result<Reloaded> {
        let mut settings = config::load(&self.settings.path, &Surroundings::of_this_machine(self.clock.wall()))?;
        let mut needs_restart = self.fixed.keep(&mut settings);
        let settings = Arc::new(settings);
        let (turn, mut wanted) = (self.host.turn(), host::settings(&settings, &self.transports).await?);
        needs_restart.extend(self.fixed.keep_mtu(&mut wanted));
        let prepared = self.gateway.prepare(self.now(), Arc::clone(&settings))?;
        self.change_machine(turn, &settings, wanted).await?;
        let reloaded = Reloaded { needs_restart, ..self.gateway.reload(self.now(), prepared) };
        self.crl.reconfigure(Wanted::of(&settings));
        self.settings = settings;
        self.claim();
        self.perform();
        if let Err(error) = self.plane.set_devices(&host::devices(&self.settings)) {
            tracing::error!("cannot close the devices of former sites: {error}");
        }
        self.tell_static_routes().await;
        for change in reloaded.changes.iter().chain(&reloaded.needs_restart) {
            tracing::info!("reload: {change}");
        }
        Ok(reloaded)
    }

    /// Devices of new sites, addresses, rules and routes. Devices of former sites stay open. If something fails, all is as before.
    async fn change_machine(&mut self, turn: Turn, settings: &Settings, wanted: HostSettings) -> anyhow::Result<()> {
        let (before, after) = (host::devices(&self.settings), host::devices(settings));
        let opened = self.plane.set_devices(&both(&before, &after)).map_err(anyhow::Error::from);
        let changed = match opened {
            Ok(()) => self.host.reconfigure(turn, wanted).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        if changed.is_err()
            && let Err(error) = self.plane.set_devices(&before)
        {
            tracing::error!("a site has lost its device: {error}");
        }
        changed
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

/// The new devices, and those of before that are in nobody's way.
fn both(before: &[SiteDevice], after: &[SiteDevice]) -> Vec<SiteDevice> {
    let stays = |old: &&SiteDevice| after.iter().all(|new| new.interface != old.interface && new.site != old.site);
    after.iter().chain(before.iter().filter(stays)).cloned().collect()
}

fn of_filter(drops: &Drops) -> impl Iterator<Item = Counter> {
    let counters = [
        ("spoofed_inside", drops.spoofed_inside),
        ("spoofed_outside", drops.spoofed_outside),
        ("client_to_client", drops.client_to_client),
        ("inbound", drops.inbound),
        ("gateway_access", drops.gateway_access),
        ("unrouted", drops.unrouted),
        ("clear_l2tp", drops.clear_l2tp),
    ];
    counters.into_iter().map(|(name, value)| Counter { name: format!("filter/{name}"), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_before_stay_open_until_the_new_ones_work() {
        let device =
            |(site, interface): (&str, &str)| SiteDevice { site: site.into(), interface: interface.to_owned() };
        let devices = |all: &[(&str, &str)]| all.iter().copied().map(device).collect::<Vec<_>>();
        let both = |before: &[(&str, &str)], after: &[(&str, &str)]| super::both(&devices(before), &devices(after));
        assert_eq!(both(&[("a", "tun1")], &[("b", "tun2")]), devices(&[("b", "tun2"), ("a", "tun1")]));
        assert_eq!(both(&[("a", "tun1")], &[("a", "tun1")]), devices(&[("a", "tun1")]));
        assert_eq!(both(&[("a", "tun1")], &[("b", "tun1")]), devices(&[("b", "tun1")]), "one interface, one site");
        assert_eq!(both(&[("a", "tun1")], &[("a", "tun2")]), devices(&[("a", "tun2")]), "one site, one interface");
    }
}
