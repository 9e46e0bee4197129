//! What a reload cannot change, since it is made once, when the process starts: sockets, threads, the TUN and its MTU, the log.
//!
//! It is put back into new settings, so that nothing works with what is not there, and told.

use std::net::IpAddr;

use crate::config::{Daemon, Logging, Settings};
use crate::net::HostSettings;

/// See the module.
pub(super) struct Fixed {
    daemon: Daemon,
    logging: Logging,
    /// As the file had it.
    listen: Vec<IpAddr>,
    sockets: Sockets,
    mtu: u32,
}

/// The sockets that settings need.
pub(super) struct Sockets {
    /// Addresses to be bound to; empty: all.
    pub(super) listen: Vec<IpAddr>,
    /// For IP protocol 50.
    pub(super) raw_esp: bool,
}

impl Fixed {
    /// Of a process that starts with these settings, and a TUN of this MTU.
    pub(super) fn of(settings: &Settings, mtu: u32) -> Self {
        Self {
            daemon: settings.daemon.clone(),
            logging: settings.logging.clone(),
            listen: listen(settings),
            sockets: Sockets::of(settings),
            mtu,
        }
    }

    /// Puts what is fixed back into new settings. Gives back what would be different after a restart, a sentence each.
    pub(super) fn keep(&self, settings: &mut Settings) -> Vec<String> {
        let mut told = Vec::new();
        let mut note = |changed: bool, what: &str| {
            if changed {
                told.push(format!("{what} changed: restart the gateway to use it"));
            }
        };
        note(settings.daemon != self.daemon, "[daemon]");
        note(settings.logging != self.logging, "[log]");
        note(listen(settings) != self.listen, "listen");
        settings.daemon.clone_from(&self.daemon);
        settings.logging.clone_from(&self.logging);
        let deaf = settings.sites.iter().filter(|site| site.local_address.is_some_and(|own| !self.listens_at(own)));
        told.extend(deaf.map(|site| format!("site {}: restart the gateway to listen at its local_address", site.name)));
        if Sockets::of(settings).raw_esp && !self.sockets.raw_esp {
            told.push(
                "ESP without UDP is wanted: restart the gateway to use it; force_udp_encap stays on until then"
                    .to_owned(),
            );
            settings.sites.iter_mut().for_each(|site| site.force_udp_encap = true);
            settings.remote.iter_mut().for_each(|remote| remote.force_udp_encap = true);
        }
        told
    }

    /// The same for the TUN.
    pub(super) fn keep_mtu(&self, host: &mut HostSettings) -> Option<String> {
        let wanted = std::mem::replace(&mut host.tun.mtu, self.mtu);
        let told = || format!("the tunnel's MTU stays {}: restart the gateway to make it {wanted}", self.mtu);
        (wanted != self.mtu).then(told)
    }

    fn listens_at(&self, address: IpAddr) -> bool {
        self.sockets.listen.is_empty() || self.sockets.listen.contains(&address)
    }
}

impl Sockets {
    pub(super) fn of(settings: &Settings) -> Self {
        let mut listen = listen(settings);
        if !listen.is_empty() {
            listen.extend(settings.sites.iter().filter_map(|site| site.local_address));
            listen.sort_unstable();
            listen.dedup();
        }
        // `force_udp_encap` of clients is about IKEv2; with IKEv1 the client has the last word.
        let remote = settings.remote.as_ref();
        let clients_use_ip = remote.is_none_or(|remote| !remote.force_udp_encap || remote.speaks_ikev1());
        Self { listen, raw_esp: clients_use_ip || settings.sites.iter().any(|site| !site.force_udp_encap) }
    }
}

fn listen(settings: &Settings) -> Vec<IpAddr> {
    settings.remote.as_ref().map(|remote| remote.listen.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Surroundings;
    use crate::net::link::{InterfaceName, TunSettings};

    const REMOTE: &str =
        "[remote]\nname = \"192.0.2.1\"\npool = \"10.83.20.0/24\"\npsk = \"a key that is long enough\"\n";

    fn load(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cygnet.toml");
        std::fs::write(&path, text).unwrap();
        // As is demanded of files with secrets.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let surroundings = Surroundings::of_this_machine(jiff::Timestamp::now());
        crate::config::load(&path, &surroundings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn site(more: &str) -> String {
        let networks = "local = [\"10.1.0.0/16\"]\nremote = [\"10.2.0.0/16\"]\n";
        format!(
            "[site.b]\npeer = \"198.51.100.7\"\npsk = \"a key that is long enough for anybody\"\n{networks}{more}\n"
        )
    }

    #[test]
    fn what_cannot_change_stays_and_is_told_each_time() {
        let daemon = |name: &str| format!("[daemon]\ninterface = \"{name}\"\n{REMOTE}");
        let fixed = Fixed::of(&load(&daemon("vpn0")), 1390);
        assert!(fixed.keep(&mut load(&daemon("vpn0"))).is_empty());
        for _ in 0..2 {
            let mut other = load(&format!("[log]\nlevel = \"debug\"\n{}", daemon("vpn1")));
            let told = fixed.keep(&mut other);
            assert!(
                told.len() == 2 && told[0].starts_with("[daemon] changed") && told[1].starts_with("[log]"),
                "{told:?}"
            );
            assert_eq!((other.daemon, other.logging), (fixed.daemon.clone(), fixed.logging.clone()));
        }
    }

    #[test]
    fn an_address_without_socket_is_told() {
        let all = Fixed::of(&load(REMOTE), 1390);
        let pinned = format!("{REMOTE}{}", site("local_address = \"127.0.0.1\""));
        assert!(all.keep(&mut load(&pinned)).is_empty(), "it listens everywhere");
        let listens = REMOTE.replace("[remote]", "[remote]\nlisten = [\"127.0.0.2\"]");
        let one = Fixed::of(&load(&listens), 1390);
        let told = one.keep(&mut load(&format!("{listens}{}", site("local_address = \"127.0.0.1\""))));
        assert!(told.len() == 1 && told[0].starts_with("site b: restart"), "{told:?}");
        assert!(one.keep(&mut load(&format!("{listens}{}", site("local_address = \"127.0.0.2\"")))).is_empty());
        assert!(one.keep(&mut load(REMOTE))[0].starts_with("listen changed"));
    }

    #[test]
    fn without_raw_sockets_esp_stays_in_udp() {
        let remote = format!("{REMOTE}force_udp_encap = true\n");
        let fixed = Fixed::of(&load(&remote), 1390);
        let mut settings = load(&format!("{remote}{}", site("")));
        let told = fixed.keep(&mut settings);
        assert!(told.len() == 1 && told[0].contains("ESP without UDP"), "{told:?}");
        assert!(settings.sites[0].force_udp_encap);
        let raw = Fixed::of(&load(&format!("{remote}{}", site(""))), 1390);
        let mut settings = load(&format!("{remote}{}", site("")));
        assert!(raw.keep(&mut settings).is_empty() && !settings.sites[0].force_udp_encap);
    }

    #[test]
    fn the_mtu_of_the_tun_stays() {
        let fixed = Fixed::of(&load(REMOTE), 1390);
        let rules = crate::net::nft::RuleSet {
            tun: InterfaceName::new("cygnet0").unwrap(),
            pools: Vec::new(),
            sites: Vec::new(),
            nat: crate::net::nft::Nat::None,
            client_to_client: false,
            inbound: false,
            services: crate::net::nft::GatewayServices::default(),
            mss: crate::net::nft::MssClamp::PathMtu,
            l2tp: false,
        };
        let tun = TunSettings { addresses: Vec::new(), mtu: 1300 };
        let mut host = HostSettings { tun, families: crate::net::forwarding::Families::default(), rules };
        assert!(fixed.keep_mtu(&mut host).unwrap().contains("make it 1300"));
        assert_eq!((host.tun.mtu, fixed.keep_mtu(&mut host)), (1390, None));
    }
}
