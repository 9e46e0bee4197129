//! What the gateway wants done, carried out.
//!
//! What takes long (the packet filter, name servers) runs beside the loop and comes back as a wake-up.

use std::net::IpAddr;
use std::sync::Arc;

use cygnet_ike::{ChildMode, ChildSa, EspSpi, Path, SessionId, Transmit};

use super::event_loop::{Admission, EventLoop, Resolved};
use super::host::{self, Hosts};
use super::lookup;
use crate::config::SiteMode;
use crate::dataplane::{DataPlane, Device, Owner, SaPair};
use crate::gateway::Effect;

impl EventLoop {
    /// Carries out effects in order until there is none.
    pub(super) fn perform(&mut self) {
        let addresses = self.gateway.take_list_addresses();
        if !addresses.is_empty() {
            self.crl.learn(addresses);
        }
        while let Some(effect) = self.gateway.poll_effect() {
            match effect {
                Effect::Send(Transmit { path, payload }) => {
                    if let Err(error) = self.ike.send(path, &payload) {
                        tracing::debug!(peer = %path.peer, "cannot send: {error}");
                    }
                }
                Effect::Admit { session, addresses, mtu } => self.admit(session, addresses, mtu),
                Effect::Expel { addresses } => self.expel(addresses),
                Effect::Install { session, child, replaces, site } => self.install(session, &child, replaces, site),
                Effect::Remove { inbound_spi } => self.plane.remove(inbound_spi),
                Effect::SendL2tp { inbound_spi, port, datagram } => {
                    if let Err(error) = self.plane.send_l2tp(inbound_spi, port, &datagram) {
                        tracing::debug!(spi = %inbound_spi, "cannot send: {error}");
                    }
                }
                Effect::Link { inbound_spi, link } => self.plane.link(inbound_spi, link),
                Effect::Move { inbound_spi, path, udp_encap } => {
                    let udp_encap = udp_encap.unwrap_or_else(|| self.plane.is_in_udp(inbound_spi));
                    self.plane.move_peer(inbound_spi, path, udp_encap);
                    self.look_at_path(inbound_spi);
                }
                Effect::Resolve { site, name } => self.resolve(site, name),
                Effect::LocalAddress { site, peer } => {
                    let settings = self.settings.sites.iter().find(|known| *known.name == *site);
                    let outcome = match settings.and_then(|site| site.local_address) {
                        Some(own) => lookup::own_address(own),
                        None => lookup::local_address(peer, &self.listen),
                    };
                    self.gateway.local_address(self.now(), &site, outcome);
                }
                Effect::Traps(traps) => self.plane.set_traps(traps),
            }
        }
    }

    /// The host is prepared beside the loop; the outcome comes back as [`Wake::Admission`].
    fn admit(&self, session: SessionId, addresses: Vec<IpAddr>, mtu: Option<u16>) {
        let (host, done) = (self.host.clone(), self.admitted.clone());
        tokio::spawn(async move {
            let outcome = host.admit(addresses, mtu).await.map_err(|error| error.to_string());
            // Nobody listens any more when the gateway has stopped.
            let _ = done.send(Admission { session, outcome }).await;
        });
    }

    fn expel(&mut self, addresses: Vec<IpAddr>) {
        self.forget_paths_to(&addresses);
        let host = self.host.clone();
        tokio::spawn(async move {
            if let Err(error) = host.expel(addresses).await {
                tracing::error!("{error}");
            }
        });
    }

    fn resolve(&self, site: Arc<str>, name: String) {
        let done = self.resolver.clone();
        tokio::spawn(async move {
            let outcome = lookup::addresses(&name).await;
            // As above.
            let _ = done.send(Resolved { site, name, outcome }).await;
        });
    }

    fn install(&mut self, session: SessionId, child: &ChildSa, replaces: Option<EspSpi>, site: Option<Arc<str>>) {
        let cuts = child.mode == ChildMode::L2tp
            && self.settings.remote.as_ref().is_some_and(|remote| remote.legacy.sha256_96);
        if let Some(site) = site.as_deref().filter(|_| child.mode == ChildMode::Transport) {
            self.lead_to_host(site, child.path);
        }
        let owner = site.clone().map_or(Owner::Clients, Owner::Site);
        let device = site.filter(|site| self.has_device(site)).map_or(Device::Shared, Device::Site);
        let pair = SaPair::from_child(child, self.replay_window());
        let pair = if cuts { pair.map(SaPair::with_truncated_sha256) } else { pair };
        if let Err(error) = pair.and_then(|pair| self.plane.install(pair.of(owner).on(device), replaces)) {
            tracing::error!(session = session.0, spi = %child.inbound_spi, "cannot install an SA pair: {error}");
            self.gateway.install_failed(self.now(), session);
            return;
        }
        self.look_at_path(child.inbound_spi);
    }

    /// In transport mode the traffic is that of the peer itself, wherever it is.
    fn lead_to_host(&mut self, site: &str, path: Path) {
        let Some(configured) = self.settings.sites.iter().find(|known| known.name == site) else { return };
        let configured = configured.peer.clone();
        let hosts = Hosts { configured, local: Some(path.local.ip()), peer: path.peer.ip() };
        if self.transports.insert(site.to_owned(), hosts.clone()) == Some(hosts) {
            return;
        }
        self.claim();
        self.follow_rules("lead packets into a tunnel in transport mode");
    }

    /// Tells the packet path whose traffic is whose.
    pub(super) fn claim(&mut self) {
        self.plane.set_claims(host::claims(&self.settings, &self.transports));
    }

    fn has_device(&self, site: &str) -> bool {
        let found = self.settings.sites.iter().find(|known| known.name == *site);
        found.is_some_and(|site| matches!(site.mode, SiteMode::Interface { .. }))
    }
}
