//! Networks of a site, each of which may be limited to a protocol and its ports: `10.1.0.0/16 tcp/443`.

use std::fmt;

use ipnet::IpNet;

use crate::config::checked::Selector;
use crate::config::fields;
use crate::config::nearest::nearest;
use crate::config::problem;
use crate::config::reader::{Section, Value};

/// A selector and where it was written.
pub(super) type Located = problem::Located<Selector>;

/// Most networks that a list may have: traffic selector payloads count in one octet (RFC 7296 section 3.13), and a request
/// has to stay small.
const LIST_MAX: usize = 64;
/// Protocols by name.
const PROTOCOLS: [(&str, u8); 9] = [
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("icmp6", 58),
    ("icmpv6", 58),
    ("ospf", 89),
    ("l2tp", 115),
    ("sctp", 132),
];
/// Stands for the outer address in transport mode, where networks have no meaning.
const OUTER: &str = "0.0.0.0/0";
const HELP: &str = "write a network, and behind it, if wanted, protocol and port: \"10.1.0.0/16\", \"10.1.0.0/16 tcp/443\", \
                    \"10.1.0.1 udp/1000-2000\", \"10.1.0.1 icmp/8\"";

/// Selectors as written.
#[derive(Clone)]
pub(super) struct List {
    /// Those that make sense.
    pub(super) selectors: Vec<Located>,
    /// Whether there are any, right or wrong.
    pub(super) is_named: bool,
}

/// The list at `key`; `None` if there is no such key.
pub(super) fn read_list(section: &Section<'_>, key: &'static str, transport: bool) -> Option<List> {
    let items = section.value(key)?.items();
    if let Some(extra) = items.get(LIST_MAX) {
        extra.error::<()>(format!("`{key}` has more than {LIST_MAX} networks"), "", Some("use larger networks".into()));
    }
    let selectors = items.iter().filter_map(|item| read(item, transport)).collect();
    Some(List { selectors, is_named: !items.is_empty() })
}

fn read(value: &Value<'_>, transport: bool) -> Option<Located> {
    let text = value.text()?;
    let mut words = text.value.split_whitespace();
    let (network, limit) = match (words.next(), words.next(), words.next()) {
        (Some(limit), None, None) if transport && limit.parse::<IpNet>().is_err() => (None, Some(limit)),
        (Some(network), limit, None) => (Some(network), limit),
        _ => return value.error(format!("\"{}\" is not a network", text.value), "", Some(HELP.into())),
    };
    let network = match network {
        Some(_) if transport => {
            let help = "a tunnel in transport mode carries what the two gateways send to each other: leave the networks out, \
                        or write a protocol such as \"tcp/443\" only";
            return value.error("there are no networks in transport mode", "", Some(help.into()));
        }
        Some(network) => fields::network_text(value, network, Some(HELP))?,
        None => OUTER.parse().ok()?,
    };
    let whole = Selector::all_of(network);
    let limited = limit.map_or(Ok(whole), |limit| parse_limit(whole, limit));
    match limited {
        Ok(selector) => Some(Located { value: selector, spot: text.spot }),
        Err(wrong) => value.error(wrong, "", Some(HELP.into())),
    }
}

/// `tcp`, `tcp/443`, `udp/1000-2000`, `icmp/8`, `icmp/8/0`, `47`.
fn parse_limit(whole: Selector, limit: &str) -> Result<Selector, String> {
    let (name, detail) = limit.split_once('/').map_or((limit, None), |(name, detail)| (name, Some(detail)));
    let protocol = protocol(name)?;
    let limited = Selector { protocol, ..whole };
    let Some(detail) = detail else { return Ok(limited) };
    let ports = match protocol {
        1 | 58 => icmp(detail),
        6 | 17 | 132 => ports(detail),
        _ => return Err(format!("the protocol {name} has no ports")),
    };
    let (first_port, last_port) = ports.ok_or_else(|| match protocol {
        1 | 58 => format!("\"{detail}\" is not an ICMP type (0 to 255), or type and code such as 3/4"),
        _ => format!("\"{detail}\" is not a port (0 to 65535), or a range such as 1000-2000"),
    })?;
    Ok(Selector { first_port, last_port, ..limited })
}

fn protocol(name: &str) -> Result<u8, String> {
    let known = PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| name.parse().ok().filter(|&number| number != 0)).ok_or_else(|| {
        match nearest(name, PROTOCOLS.map(|(known, _)| known)) {
            Some(meant) => format!("unknown protocol \"{name}\" (did you mean \"{meant}\"?)"),
            None => format!("unknown protocol \"{name}\" (a name such as tcp, or a number from 1 to 255)"),
        }
    })
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Type in the upper octet, code in the lower one (RFC 7296 section 3.13.1); without a code all codes.
fn icmp(text: &str) -> Option<(u16, u16)> {
    let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
    let kind: u8 = kind.parse().ok()?;
    let (first, last): (u8, u8) = match code {
        Some(code) => code.parse().ok().map(|code| (code, code))?,
        None => (0, u8::MAX),
    };
    Some((u16::from_be_bytes([kind, first]), u16::from_be_bytes([kind, last])))
}

impl Selector {
    /// The limit as it is written behind a network, `tcp/443`; `None` if everything is meant.
    #[must_use]
    pub fn limit(&self) -> Option<String> {
        let known = PROTOCOLS.iter().find(|(_, number)| *number == self.protocol);
        let name = known.map_or_else(|| self.protocol.to_string(), |(name, _)| (*name).to_owned());
        let ([kind, code], [_, last]) = (self.first_port.to_be_bytes(), self.last_port.to_be_bytes());
        Some(match (self.protocol, self.first_port, self.last_port) {
            (0, ..) => return None,
            (_, 0, u16::MAX) => name,
            (1 | 58, ..) if code == last => format!("{name}/{kind}/{code}"),
            (1 | 58, ..) => format!("{name}/{kind}"),
            (_, first, last) if first == last => format!("{name}/{first}"),
            (_, first, last) => format!("{name}/{first}-{last}"),
        })
    }
}

/// As `[site.NAME]` reads it: `10.1.0.0/16`, `10.1.0.1 icmp/8`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let net = &self.network;
        match net.prefix_len() == net.max_prefix_len() {
            true => write!(f, "{}", net.addr())?,
            false => write!(f, "{net}")?,
        }
        self.limit().map_or(Ok(()), |limit| write!(f, " {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limit: &str) -> Result<(u8, u16, u16), String> {
        let selector = parse_limit(Selector::all_of("10.0.0.0/8".parse().unwrap()), limit)?;
        Ok((selector.protocol, selector.first_port, selector.last_port))
    }

    #[test]
    fn limits_are_protocols_ports_and_icmp_types() {
        assert_eq!(limited("tcp"), Ok((6, 0, 65535)));
        assert_eq!(limited("tcp/443"), Ok((6, 443, 443)));
        assert_eq!(limited("udp/1000-2000"), Ok((17, 1000, 2000)));
        assert_eq!(limited("icmp/8"), Ok((1, 0x0800, 0x08ff)));
        assert_eq!(limited("icmpv6/1/4"), Ok((58, 0x0104, 0x0104)));
        assert_eq!(limited("47"), Ok((47, 0, 65535)));
        assert_eq!(limited("ospf"), Ok((89, 0, 65535)));
    }

    #[test]
    fn a_limit_is_shown_as_it_is_written() {
        for limit in ["tcp", "tcp/443", "udp/1000-2000", "icmp/8", "icmp/3/4", "icmp6/1", "47", "ospf", "sctp/5"] {
            let selector = parse_limit(Selector::all_of("10.0.0.1/32".parse().unwrap()), limit).unwrap();
            let expected = if limit == "47" { "gre" } else { limit };
            assert_eq!(selector.to_string(), format!("10.0.0.1 {expected}"));
        }
        assert_eq!(Selector::all_of("fd00::/64".parse().unwrap()).to_string(), "fd00::/64");
    }

    #[test]
    fn what_is_no_limit_says_why() {
        for (limit, part) in [
            ("tpc/80", "did you mean \"tcp\"?"),
            ("banana", "a number from 1 to 255"),
            ("0", "unknown protocol"),
            ("tcp/70000", "0 to 65535"),
            ("tcp/20-10", "or a range"),
            ("tcp/", "is not a port"),
            ("icmp/256", "not an ICMP type"),
            ("icmp/3/x", "not an ICMP type"),
            ("gre/5", "has no ports"),
        ] {
            let error = limited(limit).unwrap_err();
            assert!(error.contains(part), "{limit}: {error}");
        }
    }
}
