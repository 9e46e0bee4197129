//! Rules that choose a routing table, for routes that would catch the gateway's own packets.
//!
//! A route to a network that the peer itself is in, or to everywhere, must not be followed by the packets that carry the tunnel. So
//! such routes lie in tables of their own, one for each prefix length, which everything looks into but what bears our mark
//! ([`MARK`]). What the main table knows better, by a longer prefix, still counts:
//!
//! ```text
//! lookup main suppress_prefixlength 24        all that has a longer prefix, such as a neighbour's
//! not fwmark MARK lookup 17324                networks of 24 bits
//! lookup main suppress_prefixlength 0         all that the machine knows, but its default route
//! not fwmark MARK lookup 17300                everywhere
//! ```
//!
//! The rules are there only while such routes are, and bear our protocol number, so that leftovers of a crash are found.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::IpVersion;

use super::NetError;
use super::link::Netlink;
use super::routes::ROUTE_PROTOCOL;

pub use crate::io::udp::MARK;

/// Table of routes with prefixes of no bits; those of longer ones follow.
const FIRST_TABLE: u32 = 17_300;

/// Priority of the rules for the longest prefixes: before that of the main table, 32766.
const FIRST_PRIORITY: u32 = 17_300;

/// The table of routes with prefixes of so many bits.
pub(super) fn table(prefix_len: u8) -> u32 {
    FIRST_TABLE + u32::from(prefix_len)
}

/// Whether a table is one of ours.
pub(super) fn is_ours(table: u32) -> bool {
    (FIRST_TABLE..=FIRST_TABLE + 128).contains(&table)
}

/// One rule, without the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    priority: u32,
    looks: Looks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// Into the main table, for longer prefixes than this.
    IntoMain(u8),
    /// Into a table of ours, unless it bears our mark.
    IntoOurs(u8),
}

/// The rules for routes with prefixes of these lengths.
fn rules(ipv6: bool, prefix_lens: &BTreeSet<u8>) -> Vec<Rule> {
    let longest = if ipv6 { 128 } else { 32 };
    let of_len = |&len: &u8| {
        let priority = FIRST_PRIORITY + 2 * (128 - u32::from(len));
        let main = (len < longest).then_some(Rule { priority, looks: Looks::IntoMain(len) });
        main.into_iter().chain([Rule { priority: priority + 1, looks: Looks::IntoOurs(len) }])
    };
    prefix_lens.iter().flat_map(of_len).collect()
}

/// Makes the rules of a family those that routes with prefixes of these lengths need. Returns how many were added or removed.
pub(super) async fn repair(netlink: &Netlink, ipv6: bool, prefix_lens: &BTreeSet<u8>) -> Result<usize, NetError> {
    let mut missing = rules(ipv6, prefix_lens);
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
        message.attributes =
            vec![RuleAttribute::Priority(self.priority), RuleAttribute::Protocol(RouteProtocol::Other(ROUTE_PROTOCOL))];
        message.attributes.extend(self.looks.attributes());
        if matches!(self.looks, Looks::IntoOurs(_)) {
            message.header.flags = RuleFlags::Invert;
        }
        message
    }

    fn matches(self, message: &RuleMessage) -> bool {
        let inverted = message.header.flags.contains(RuleFlags::Invert);
        message.attributes.contains(&RuleAttribute::Priority(self.priority))
            && inverted == matches!(self.looks, Looks::IntoOurs(_))
            && self.looks.attributes().iter().all(|attribute| message.attributes.contains(attribute))
    }
}

impl Looks {
    fn attributes(self) -> [RuleAttribute; 2] {
        match self {
            Self::IntoMain(len) => {
                let main = RuleAttribute::Table(RouteHeader::RT_TABLE_MAIN.into());
                [main, RuleAttribute::SuppressPrefixLen(len.into())]
            }
            Self::IntoOurs(len) => [RuleAttribute::Table(table(len)), RuleAttribute::FwMark(MARK)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_prefixes_come_first_and_hosts_need_no_look_into_the_main_table() {
        let mut all = rules(false, &[0, 24, 32].into());
        all.sort_by_key(|rule| rule.priority);
        let looks: Vec<Looks> = all.iter().map(|rule| rule.looks).collect();
        let [main, ours] = [Looks::IntoMain, Looks::IntoOurs];
        assert_eq!(looks, [ours(32), main(24), ours(24), main(0), ours(0)]);
        assert!(all.iter().all(|rule| rule.priority < 32_766));
        assert_eq!(rules(true, &[32, 128].into()).len(), 3);
        assert!(rules(false, &BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_rule_knows_itself_and_no_other() {
        let rules = rules(true, &[0, 48, 64, 128].into());
        for (n, rule) in rules.iter().enumerate() {
            for (m, other) in rules.iter().enumerate() {
                assert_eq!(rule.matches(&other.message(true)), n == m, "{rule:?} {other:?}");
            }
        }
    }
}
