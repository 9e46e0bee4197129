//! What `cygnet init` is going to write: answers from flags, questions and the machine.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::Args;
use crate::auth::nt_hash::NtHash;
use crate::cli::{Usage, password, terminal};
use crate::config;

/// A network that hardly any home or office uses.
const POOL: &str = "10.83.20.0/24";
/// Where the machine's own name servers stand; the first file that has one counts.
const RESOLV_CONF: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];

/// What clients may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Protocol {
    /// L2TP/IPsec: name, password and shared secret; nothing to install.
    L2tp,
    /// IKEv2: name, password and a certificate to install.
    Ikev2,
    /// IKEv1 with XAuth ("Cisco IPsec"): name, password and shared secret.
    Xauth,
}

impl Protocol {
    /// Its name in the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::L2tp => "l2tp",
            Self::Ikev2 => "ikev2",
            Self::Xauth => "xauth",
        }
    }

    /// Whether its clients know a key that all of them share.
    fn needs_psk(self) -> bool {
        self != Self::Ikev2
    }
}

/// Everything that has to be decided.
pub(super) struct Plan {
    pub(super) name: String,
    /// Sorted, never empty.
    pub(super) protocols: Vec<Protocol>,
    pub(super) pools: Vec<IpNet>,
    pub(super) dns: Vec<IpAddr>,
    pub(super) user: Option<FirstUser>,
    pub(super) psk: Option<Zeroizing<String>>,
}

/// The first user.
pub(super) struct FirstUser {
    pub(super) name: String,
    password: Zeroizing<String>,
    /// Whether nobody knows the password yet.
    generated: bool,
}

impl Plan {
    /// Decides by `args`; asks for the rest if there is somebody to ask.
    pub(super) fn make(args: &Args) -> anyhow::Result<Self> {
        let ask = !args.yes && terminal::is_interactive();
        let name = match &args.name {
            Some(name) => name.clone(),
            None if ask => terminal::ask("Name or address of this gateway, as users will type it", None)?,
            None => return Err(Usage("--name is missing: the name or address that users will type".into()).into()),
        };
        config::check_server_name(&name).map_err(Usage)?;
        let pools = match args.pool.as_slice() {
            [] if ask => vec![terminal::ask("Addresses for clients", Some(POOL))?.parse()?],
            [] => vec![POOL.parse()?],
            pools => pools.to_vec(),
        };
        let dns = match args.dns.as_slice() {
            [] => own_name_server().into_iter().collect(),
            dns => dns.to_vec(),
        };
        let user = match &args.user {
            Some(user) => Some(user.clone()),
            None if ask => Some(terminal::ask("First user (nothing for none)", None)?).filter(|name| !name.is_empty()),
            None => None,
        };
        let user = user.map(|name| FirstUser::make(name, args.password_stdin)).transpose()?;
        let protocols = protocols(&args.protocol, user.is_some(), ask)?;
        let psk = args.psk
            || protocols.iter().any(|protocol| protocol.needs_psk())
            || (ask && terminal::confirm("Also a pre-shared key, for devices without user?")?);
        if user.is_none() && !psk {
            return Err(Usage("nobody could log in: give --user NAME, --psk, or both".into()).into());
        }
        let psk = if psk { Some(password::generate_psk()?) } else { None };
        Ok(Self { name, protocols, pools, dns, user, psk })
    }

    /// The configuration file.
    pub(super) fn config_text(&self) -> String {
        let list = |items: &[String]| items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ");
        let pools: Vec<String> = self.pools.iter().map(|p| p.trunc().to_string()).collect();
        let dns: Vec<String> = self.dns.iter().map(ToString::to_string).collect();
        let mut text = String::from(
            "# Written by `cygnet init`. What else there is: docs/configuration.md; `cygnet check` after every change.\n\n[remote]\n",
        );
        let mut line = |setting: String, comment: &str| {
            let comment = if comment.is_empty() { String::new() } else { format!("# {comment}") };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", format!("{setting:<40}{comment}").trim_end());
        };
        let protocols: Vec<String> = self.protocols.iter().map(|protocol| protocol.name().to_owned()).collect();
        line(format!("protocols = [{}]", list(&protocols)), "");
        line(format!("name = \"{}\"", self.name), "what users type into their device");
        line("cert = \"pki/server.pem\"".into(), "");
        line("key = \"pki/server-key.pem\"".into(), "");
        if self.psk.is_some() {
            line("psk = \"file:psk\"".into(), "");
        }
        line(format!("pool = [{}]", list(&pools)), "addresses for clients");
        if !self.dns.is_empty() {
            line(format!("dns = [{}]", list(&dns)), "name servers for clients");
        }
        line("nat = true".into(), "clients appear with this machine's address");
        text
    }
}

impl FirstUser {
    fn make(name: String, password_stdin: bool) -> anyhow::Result<Self> {
        config::check_user_name(&name)
            .map_err(|reason| Usage(format!("a user cannot be called \"{name}\": {reason}")))?;
        let password = if password_stdin {
            terminal::read_secret_line(&mut std::io::stdin().lock())?
        } else {
            password::generate_password()?
        };
        anyhow::ensure!(!password.is_empty(), "the password is empty");
        Ok(Self { name, password, generated: !password_stdin })
    }

    /// The password, if nobody knows it yet.
    pub(super) fn new_password(&self) -> Option<&str> {
        self.generated.then_some(self.password.as_str())
    }

    /// The users file with this user in it.
    pub(super) fn users_file_text(&self) -> Zeroizing<String> {
        let nt_hash = NtHash::of_password(&self.password);
        config::users_file_text(
            &self.name,
            &config::NewUser { nt_hash, addresses: vec![], expires: None, devices: None },
        )
    }
}

/// What clients may speak: as the flags say, otherwise as somebody answers, otherwise what the first user can use.
fn protocols(given: &[Protocol], users: bool, ask: bool) -> anyhow::Result<Vec<Protocol>> {
    let mut protocols = match given {
        [] if users && ask => {
            parse_protocols(&terminal::ask("Protocols for clients: l2tp, ikev2, xauth", Some("l2tp ikev2"))?)?
        }
        [] if users => vec![Protocol::L2tp, Protocol::Ikev2],
        [] => vec![Protocol::Ikev2],
        given => given.to_vec(),
    };
    protocols.sort_unstable();
    protocols.dedup();
    if let Some(protocol) = protocols.iter().find(|protocol| protocol.needs_psk() && !users) {
        let text = format!("{} needs somebody with a password: give --user NAME", protocol.name());
        return Err(Usage(text).into());
    }
    Ok(protocols)
}

fn parse_protocols(text: &str) -> anyhow::Result<Vec<Protocol>> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let parse = |word: &str| {
        <Protocol as clap::ValueEnum>::from_str(word, true)
            .map_err(|_| Usage(format!("\"{word}\" is no protocol; there are l2tp, ikev2 and xauth")).into())
    };
    let protocols = words.map(parse).collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(!protocols.is_empty(), Usage("no protocol given; there are l2tp, ikev2 and xauth".into()));
    Ok(protocols)
}

/// The first name server that this machine uses and that others can reach, too.
fn own_name_server() -> Option<IpAddr> {
    RESOLV_CONF.iter().find_map(|path| name_server(&std::fs::read_to_string(path).ok()?))
}

fn name_server(resolv_conf: &str) -> Option<IpAddr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse::<IpAddr>().ok()).find(reachable_by_clients)
}

/// Neither this machine itself nor something on its link only, such as the resolver of a cloud.
fn reachable_by_clients(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !address.is_loopback() && !link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_name_server_that_is_not_this_machine() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver 169.254.169.253\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n";
        assert_eq!(name_server(text), Some("192.0.2.53".parse().unwrap()));
        assert_eq!(name_server("nameserver ::1\n"), None);
    }

    #[test]
    fn the_configuration_has_what_was_asked_for() {
        let plan = Plan {
            name: "vpn.example.org".into(),
            protocols: vec![Protocol::L2tp, Protocol::Ikev2],
            pools: vec!["10.20.0.5/24".parse().unwrap(), "fd00:20::/64".parse().unwrap()],
            dns: vec!["192.0.2.53".parse().unwrap()],
            user: None,
            psk: Some(Zeroizing::new("x".into())),
        };
        let table: toml::Table = plan.config_text().parse().unwrap();
        assert_eq!(
            table["remote"].to_string(),
            "{ cert = \"pki/server.pem\", dns = [\"192.0.2.53\"], key = \"pki/server-key.pem\", \
             name = \"vpn.example.org\", nat = true, pool = [\"10.20.0.0/24\", \"fd00:20::/64\"], \
             protocols = [\"l2tp\", \"ikev2\"], psk = \"file:psk\" }"
        );
    }

    #[test]
    fn protocols_are_those_that_the_first_user_can_use() {
        use Protocol::{Ikev2, L2tp, Xauth};
        assert_eq!(protocols(&[], true, false).unwrap(), [L2tp, Ikev2]);
        assert_eq!(protocols(&[], false, false).unwrap(), [Ikev2]);
        assert_eq!(protocols(&[Xauth, L2tp, L2tp], true, false).unwrap(), [L2tp, Xauth]);
        assert_eq!(
            protocols(&[L2tp], false, false).unwrap_err().to_string(),
            "l2tp needs somebody with a password: give --user NAME"
        );
        assert_eq!(parse_protocols("ikev2, L2TP").unwrap(), [Ikev2, L2tp]);
        assert!(parse_protocols("pptp").unwrap_err().to_string().contains("\"pptp\" is no protocol"));
        assert!(parse_protocols(" ").is_err());
    }
}
