//! Rules that choose a routing table, for routes that would catch the gateway's own packets or everybody's.
//!
//! A route to a network that the peer itself is in, or to everywhere, must not be followed by the packets that carry the tunnel. So
//! such routes lie in tables of their own, which everything looks into but what bears our mark ([`MARK`]):
//!
//! ```text
//! not fwmark MARK lookup BEFORE_MAIN          a network, or the peer itself: wins over what the machine has
//! lookup main suppress_prefixlength 0         all that the machine knows, but its default route
//! not fwmark MARK lookup AFTER_MAIN           everywhere
//! ```
//!
//! The rules are there only while such routes are, and bear our protocol number, so that leftovers of a crash are found.

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::IpVersion;

use super::NetError;
use super::link::Netlink;
use super::routes::ROUTE_PROTOCOL;

pub use crate::io::udp::MARK;

/// Table of routes that win over the machine's own.
pub const BEFORE_MAIN: u32 = 17_241;
/// Table of routes to everywhere.
pub const AFTER_MAIN: u32 = 17_242;

/// Priorities of the rules: before that of the main table, 32766.
const PRIORITIES: [u32; 3] = [17_241, 17_242, 17_243];

/// Which tables have routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) before_main: bool,
    pub(super) after_main: bool,
}

/// One rule, without the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    priority: u32,
    table: u32,
    /// Everything but our mark looks there; otherwise everything does, and default routes do not count.
    spares_us: bool,
}

impl Tables {
    fn rules(self) -> Vec<Rule> {
        let [before, main, after] = PRIORITIES;
        let own = |priority, table| Rule { priority, table, spares_us: true };
        let mut rules = Vec::new();
        if self.before_main {
            rules.push(own(before, BEFORE_MAIN));
        }
        if self.after_main {
            rules.push(Rule { priority: main, table: RouteHeader::RT_TABLE_MAIN.into(), spares_us: false });
            rules.push(own(after, AFTER_MAIN));
        }
        rules
    }
}

/// Makes the rules of a family those that `tables` need. Returns how many were added or removed.
pub(super) async fn repair(netlink: &Netlink, ipv6: bool, tables: Tables) -> Result<usize, NetError> {
    let mut missing = tables.rules();
    let mut changed = 0;
    for message in ours(netlink, ipv6).await? {
        let wanted = missing.iter().position(|rule| rule.matches(&message));
        match wanted {
            Some(index) => drop(missing.swap_remove(index)),
            None => {
                let deleted = netlink.handle.rule().del(message).execute().await;
                deleted.map_err(|error| NetError::netlink("remove a routing rule", &error))?;
                changed += 1;
            }
        }
    }
    for rule in missing {
        let mut request = netlink.handle.rule().add();
        *request.message_mut() = rule.message(ipv6);
        request.execute().await.map_err(|error| NetError::netlink("add a routing rule", &error))?;
        changed += 1;
    }
    Ok(changed)
}

async fn ours(netlink: &Netlink, ipv6: bool) -> Result<Vec<RuleMessage>, NetError> {
    let version = if ipv6 { IpVersion::V6 } else { IpVersion::V4 };
    let all: Vec<RuleMessage> = match netlink.handle.rule().get(version).execute().try_collect().await {
        Ok(all) => all,
        // A kernel without IPv6, or without rules: then none of them is there.
        Err(rtnetlink::Error::NetlinkError(error)) if error.to_io().raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Vec::new()
        }
        Err(error) => return Err(NetError::netlink("list the routing rules", &error)),
    };
    let mark = RuleAttribute::Protocol(RouteProtocol::Other(ROUTE_PROTOCOL));
    Ok(all.into_iter().filter(|rule| rule.attributes.contains(&mark)).collect())
}

impl Rule {
    fn message(self, ipv6: bool) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::Table(self.table),
            RuleAttribute::Protocol(RouteProtocol::Other(ROUTE_PROTOCOL)),
        ];
        if self.spares_us {
            message.header.flags = RuleFlags::Invert;
            message.attributes.push(RuleAttribute::FwMark(MARK));
        } else {
            message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
        }
        message
    }

    fn matches(self, message: &RuleMessage) -> bool {
        let has = |attribute| message.attributes.contains(&attribute);
        has(RuleAttribute::Priority(self.priority))
            && has(RuleAttribute::Table(self.table))
            && message.header.flags.contains(RuleFlags::Invert) == self.spares_us
            && (has(RuleAttribute::FwMark(MARK)) || !self.spares_us)
            && (has(RuleAttribute::SuppressPrefixLen(0)) || self.spares_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_there_only_for_tables_with_routes() {
        let of = |before_main, after_main| Tables { before_main, after_main }.rules().len();
        assert_eq!([of(false, false), of(true, false), of(false, true), of(true, true)], [0, 1, 2, 3]);
    }

    #[test]
    fn a_rule_knows_itself_and_no_other() {
        let rules = Tables { before_main: true, after_main: true }.rules();
        for (n, rule) in rules.iter().enumerate() {
            for (m, other) in rules.iter().enumerate() {
                assert_eq!(rule.matches(&other.message(false)), n == m, "{rule:?} {other:?}");
            }
        }
    }
}
