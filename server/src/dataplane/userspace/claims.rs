//! Whose traffic is whose, whether or not there is an SA pair for it: what keeps a pair with wide selectors from carrying what
//! belongs to somebody with narrower ones.
//!
//! A claim is an entry of the SPD (RFC 4301 section 4.4.1) that stays while its pair comes and goes. Among the claims that cover a packet
//! the one with the longest prefix counts, then the one that looks at more than addresses; equal ones share. So a site that stands for
//! the whole internet neither gets the packets for another site or client that is away, nor speaks with their addresses.
//!
//! Only pairs whose selectors touch somebody else's claim are checked ([`Holder`]): for all others this is one flag.
//!
//! Does not: find routes (see [`super::table`]).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use cygnet_esp::selector::{Selector, SelectorSet};
use cygnet_esp::{DropReason, inner};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use super::table::{narrowness, networks_of};
use crate::dataplane::{Claim, Owner};

/// All claims. Readers do not wait.
#[derive(Default)]
pub(super) struct Claims(ArcSwap<Table>);

#[derive(Default)]
struct Table {
    v4: PrefixMap<Ipv4Net, Vec<Entry>>,
    v6: PrefixMap<Ipv6Net, Vec<Entry>>,
    all: Vec<(IpNet, Entry)>,
}

/// A claim to one network.
#[derive(Clone)]
struct Entry {
    owner: Owner,
    rank: Rank,
    selectors: Arc<SelectorSet>,
}

/// How strong a claim is: length of the prefix, and how much it looks at beside addresses.
type Rank = (u8, u8);

/// Who an SA pair is for, and whether that has to be looked at.
#[derive(Default)]
pub(super) struct Holder {
    owner: Owner,
    /// Somebody else claims something that the pair's selectors cover.
    contested: AtomicBool,
    claims: Arc<Claims>,
}

impl Claims {
    /// Replaces them all. The holders have to [reconsider](Holder::reconsider).
    pub(super) fn set(&self, claims: Vec<Claim>) {
        let mut table = Table::default();
        for Claim { owner, selectors } in claims {
            for remote in selectors.remote() {
                let of_one = SelectorSet::new(selectors.local(), [*remote]);
                let narrowness = narrowness(&of_one);
                let of_one = Arc::new(of_one);
                for net in networks_of(remote) {
                    let rank = (net.prefix_len(), narrowness);
                    table.insert(net, Entry { owner: owner.clone(), rank, selectors: of_one.clone() });
                }
            }
        }
        self.0.store(Arc::new(table));
    }

    /// Who has the strongest claim to a packet that leaves: nobody, somebody, or several whose claims are equal.
    pub(super) fn owners_of(&self, packet: &[u8]) -> Vec<Owner> {
        let Ok((_, destination)) = inner::addresses(packet) else { return Vec::new() };
        let (mut owners, mut best) = (Vec::new(), None);
        self.0.load().each(destination, |entry| {
            let of_anybody = !matches!(entry.owner, Owner::AllBut(_));
            if of_anybody && entry.selectors.check_outbound(packet).is_ok() {
                if best < Some(entry.rank) {
                    owners.clear();
                    best = Some(entry.rank);
                }
                owners.push(entry.owner.clone());
            }
        });
        owners
    }
}

impl Entry {
    /// Whether it says something about traffic of `owner`.
    fn concerns(&self, owner: &Owner) -> bool {
        match (&self.owner, owner) {
            (Owner::AllBut(not), Owner::Site(site)) => not == site,
            (Owner::AllBut(_), _) => false,
            (Owner::Clients | Owner::Site(_), _) => true,
        }
    }
}

impl Table {
    fn insert(&mut self, net: IpNet, entry: Entry) {
        let list = match net {
            IpNet::V4(net) => self.v4.entry(net).or_default(),
            IpNet::V6(net) => self.v6.entry(net).or_default(),
        };
        let place = list.partition_point(|other| other.rank <= entry.rank);
        list.insert(place, entry.clone());
        self.all.push((net, entry));
    }

    /// Hands over the entries whose networks contain an address, the strongest last.
    fn each(&self, address: IpAddr, visit: impl FnMut(&Entry)) {
        match address {
            IpAddr::V4(address) => self.v4.cover_values(&address.into()).flatten().for_each(visit),
            IpAddr::V6(address) => self.v6.cover_values(&address.into()).flatten().for_each(visit),
        }
    }

    /// Whether the strongest of the entries for an address that fit is good for a pair, or one of several that are equal. Where nobody
    /// claims anything, selectors alone decide.
    fn is_held(&self, address: IpAddr, fits: impl Fn(&Entry) -> bool, is_good: impl Fn(&Owner) -> bool) -> bool {
        let (mut best, mut held) = (None, true);
        self.each(address, |entry| {
            if fits(entry) {
                let stronger = best < Some(entry.rank);
                best = Some(entry.rank);
                held = is_good(&entry.owner) || held && !stronger;
            }
        });
        held
    }

    /// Whether somebody else may have a stronger claim to some of what the selectors cover.
    fn is_contested(&self, owner: &Owner, selectors: &SelectorSet) -> bool {
        let of_remote = |net: IpNet| {
            let own = self.all.iter().filter(|(claimed, entry)| {
                entry.owner == *owner
                    && claimed.contains(&net)
                    && covers_all(entry.selectors.local(), selectors.local())
            });
            let own: Option<Rank> = own.filter(|(_, entry)| entry.rank.1 == 0).map(|(_, entry)| entry.rank).max();
            let mut others = self.all.iter().filter(|(_, entry)| entry.owner != *owner && entry.concerns(owner));
            others.any(|(claimed, entry)| {
                let inside = net.contains(claimed) && *claimed != net;
                inside || claimed.contains(&net) && own.is_none_or(|own| own < entry.rank)
            })
        };
        selectors.remote().iter().flat_map(networks_of).any(of_remote)
    }
}

/// Whether each range of `inner` is a part of one of `outer`.
fn covers_all(outer: &[Selector], inner: &[Selector]) -> bool {
    let covers = |outer: &Selector, inner: &Selector| {
        outer.start.is_ipv4() == inner.start.is_ipv4() && outer.start <= inner.start && inner.end <= outer.end
    };
    inner.iter().all(|inner| outer.iter().any(|outer| covers(outer, inner)))
}

impl Holder {
    /// Of a pair that belongs to `owner`. Not contested until it has [reconsidered](Holder::reconsider).
    pub(super) fn new(owner: Owner, claims: Arc<Claims>) -> Self {
        Self { owner, contested: AtomicBool::new(false), claims }
    }

    /// The claims are others, or the pair is new: looks whether they matter to a pair with these selectors. Those of a client are the
    /// addresses that we have given it, whatever the pools are by now.
    pub(super) fn reconsider(&self, selectors: &SelectorSet) {
        let contested = self.owner != Owner::Clients && self.claims.0.load().is_contested(&self.owner, selectors);
        self.contested.store(contested, Relaxed);
    }

    /// Whether a packet that leaves is the pair's.
    pub(super) fn may_send(&self, packet: &[u8]) -> bool {
        !self.contested.load(Relaxed) || self.holds_outbound(packet, |owner| *owner == self.owner)
    }

    /// The same for a packet from the site's own device: routes have decided, but for an address of a client that is away, which has
    /// none.
    pub(super) fn may_send_from_device(&self, packet: &[u8]) -> bool {
        !self.contested.load(Relaxed) || self.holds_outbound(packet, |owner| *owner != Owner::Clients)
    }

    /// Whether the peer may send a packet, whose source somebody else may have the stronger claim to.
    ///
    /// # Errors
    /// [`DropReason::Selector`] if not, [`DropReason::Inner`] if it is no packet.
    pub(super) fn check_inbound(&self, packet: &[u8]) -> Result<(), DropReason> {
        if !self.contested.load(Relaxed) {
            return Ok(());
        }
        let (source, _) = inner::addresses(packet)?;
        let fits = |entry: &Entry| entry.concerns(&self.owner) && entry.selectors.check_inbound(packet).is_ok();
        let held = self.claims.0.load().is_held(source, fits, |owner| *owner == self.owner);
        if held { Ok(()) } else { Err(DropReason::Selector) }
    }

    fn holds_outbound(&self, packet: &[u8], is_good: impl Fn(&Owner) -> bool) -> bool {
        let Ok((_, destination)) = inner::addresses(packet) else { return false };
        let fits = |entry: &Entry| entry.concerns(&self.owner) && entry.selectors.check_outbound(packet).is_ok();
        self.claims.0.load().is_held(destination, fits, is_good)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{range, route};
    use super::super::testing::Segment;
    use super::*;
    use cygnet_esp::selector::Ports;

    fn site(name: &str) -> Owner {
        Owner::Site(name.into())
    }

    fn claim(owner: Owner, local: &str, remote: Selector) -> Claim {
        let local: IpNet = local.parse().unwrap();
        let local = Selector::addresses(local.network(), local.broadcast());
        Claim { owner, selectors: SelectorSet::new([local], [remote]) }
    }

    fn to(owner: Owner, net: &str) -> Claim {
        Claim::to_networks(owner, [net.parse().unwrap()])
    }

    /// A site for everything, two inside of it, one of them for one port only, clients, and what is not behind the first.
    fn claims() -> Arc<Claims> {
        let claims = Arc::<Claims>::default();
        let web = Selector { protocol: 6, ports: Ports::Range(443, 443), ..range("10.2.0.0", "10.2.255.255") };
        claims.set(vec![
            to(site("hq"), "0.0.0.0/0"),
            claim(site("berlin"), "10.1.0.0/16", range("10.2.0.0", "10.2.255.255")),
            claim(site("web"), "10.1.0.0/16", web),
            to(Owner::Clients, "10.3.0.0/24"),
            to(Owner::AllBut("hq".into()), "10.1.0.0/16"),
            to(Owner::AllBut("berlin".into()), "10.9.0.0/16"),
        ]);
        claims
    }

    fn packet(source: &str, destination: &str, port: u16) -> Vec<u8> {
        let mut packet = Segment { ports: [port, port], ..Segment::tcp(b"") }.emit();
        for (at, address) in [(12, source), (16, destination)] {
            let IpAddr::V4(address) = address.parse().unwrap() else { panic!("IPv4") };
            packet[at..at + 4].copy_from_slice(&address.octets());
        }
        packet
    }

    fn holder(owner: Owner, selectors: &SelectorSet) -> Holder {
        let holder = Holder::new(owner, claims());
        holder.reconsider(selectors);
        holder
    }

    fn of(remote: Selector) -> SelectorSet {
        SelectorSet::new([wide()], [remote])
    }

    fn wide() -> Selector {
        range("0.0.0.0", "255.255.255.255")
    }

    #[test]
    fn the_longest_prefix_names_the_owner_and_a_port_the_narrower_of_two() {
        let claims = claims();
        let owners = |destination, port| claims.owners_of(&packet("10.1.0.1", destination, port));
        assert_eq!(owners("10.2.3.4", 80), [site("berlin")]);
        assert_eq!(owners("10.2.3.4", 443), [site("web")]);
        assert_eq!(owners("10.3.0.9", 80), [Owner::Clients]);
        assert_eq!(owners("10.1.0.9", 80), [site("hq")], "what is not a site's is nobody's");
        assert_eq!(claims.owners_of(&packet("10.7.0.1", "10.2.3.4", 80)), [site("hq")], "not from berlin's other end");
        assert_eq!(claims.owners_of(&[0x45; 3]), []);
    }

    #[test]
    fn equal_claims_are_shared() {
        let claims = Arc::<Claims>::default();
        claims.set(vec![to(site("a"), "10.2.0.0/16"), to(site("b"), "10.2.0.0/16"), to(site("c"), "10.0.0.0/8")]);
        let sent = packet("10.1.0.1", "10.2.0.1", 80);
        assert_eq!(claims.owners_of(&sent), [site("a"), site("b")]);
        let may_send = |name: &str| {
            let holder = Holder::new(site(name), claims.clone());
            holder.reconsider(&of(wide()));
            holder.may_send(&sent)
        };
        assert_eq!(["a", "b", "c"].map(may_send), [true, true, false]);
    }

    #[test]
    fn a_wide_pair_carries_nothing_that_others_claim() {
        let hq = holder(site("hq"), &of(wide()));
        let send = |destination| hq.may_send(&packet("10.1.0.1", destination, 80));
        assert_eq!(
            ["10.8.0.1", "10.2.0.1", "10.3.0.7", "10.1.0.9", "10.9.0.1"].map(send),
            [true, false, false, false, true]
        );
        let by_device = |destination| hq.may_send_from_device(&packet("10.1.0.1", destination, 80));
        assert_eq!(["10.8.0.1", "10.2.0.1", "10.3.0.7"].map(by_device), [true, true, false]);
        let receive = |source| hq.check_inbound(&packet(source, "10.1.0.1", 80)).is_ok();
        assert_eq!(["10.8.0.1", "10.2.0.1", "10.3.0.7", "10.1.0.9"].map(receive), [true, false, false, false]);
        assert_eq!(hq.check_inbound(&[0x45; 3]), Err(DropReason::Inner));
    }

    #[test]
    fn only_pairs_that_touch_a_stronger_claim_are_contested() {
        let contested = |owner: Owner, remote| holder(owner, &of(remote)).contested.load(Relaxed);
        assert!(contested(site("hq"), wide()));
        assert!(contested(site("hq"), range("10.2.0.7", "10.2.0.7")), "inside of another's");
        assert!(!contested(site("hq"), range("10.8.0.0", "10.8.255.255")));
        assert!(!contested(Owner::Clients, range("10.3.0.7", "10.3.0.7")));
        assert!(!contested(Owner::Clients, range("10.4.0.7", "10.4.0.7")), "of a pool that was");
        let of_berlin = SelectorSet::new([range("10.1.0.0", "10.1.255.255")], [range("10.2.0.0", "10.2.0.255")]);
        assert!(holder(site("berlin"), &of_berlin).contested.load(Relaxed), "one port is another's");
        assert!(!holder(site("berlin"), &SelectorSet::new([], [])).contested.load(Relaxed));
    }

    #[test]
    fn without_claims_selectors_decide() {
        let pair = route(1, &[wide()]);
        let sent = packet("10.1.0.1", "10.2.0.1", 80);
        pair.holder.reconsider(&pair.selectors);
        assert!(pair.holder.may_send(&sent) && pair.holder.check_inbound(&sent).is_ok());
    }
}
