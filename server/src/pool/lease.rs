//! The lease table: both address families of all sessions.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::family::{Choice, Family, Span};
use super::gateway_address;

/// Who asks for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseKey {
    /// The authenticated identity: a user name, or an IKE identity where there are no users. It gets its former
    /// address back.
    pub owner: String,
    /// The session that holds the lease until [`LeaseTable::release`].
    pub session: u64,
}

/// What a client asks for, per family: `None` for no address, `Some(None)` for any, `Some(Some(a))` for `a` if possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseRequest {
    /// IPv4 (INTERNAL_IP4_ADDRESS, RFC 7296 section 3.15.1).
    pub v4: Option<Option<Ipv4Addr>>,
    /// IPv6 (INTERNAL_IP6_ADDRESS).
    pub v6: Option<Option<Ipv6Addr>>,
}

/// What a session holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The IPv4 address, if one was asked for and there is an IPv4 pool.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address, likewise.
    pub v6: Option<Ipv6Addr>,
}

impl Lease {
    /// Both addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// Why there is no lease. Nothing has changed then.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every address is taken.
    #[error(
        "all {capacity} addresses of {} are leased; add a network to `pool` or shorten how long idle sessions live",
        list(pools)
    )]
    Exhausted {
        /// The pools of the family that ran out.
        pools: Vec<IpNet>,
        /// How many addresses they have for clients without a fixed one.
        capacity: u128,
    },
    /// The owner's fixed address is still held by an earlier session.
    #[error("the fixed address {address} is still held by session {session}")]
    FixedInUse {
        /// The address.
        address: IpAddr,
        /// Its holder: closing that session frees the address.
        session: u64,
    },
    /// The client asked for addresses of families without a pool only.
    #[error("the client asked only for {asked} addresses, but no {asked} pool is configured; add one to `pool`")]
    NoPool {
        /// `IPv4` or `IPv6`.
        asked: &'static str,
    },
    /// The session has a lease already.
    #[error("session {0} already holds a lease")]
    SessionHasLease(u64),
}

/// Why pools cannot be used as configured.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolConfigError {
    /// Two networks share addresses.
    #[error("the pools {0} and {1} overlap")]
    Overlap(IpNet, IpNet),
    /// The network has no address for a client.
    #[error("the pool {0} has no address for a client; use a larger network")]
    TooSmall(IpNet),
    /// The network is a whole address family.
    #[error("the pool {0} is the whole address space")]
    TooLarge(IpNet),
    /// A fixed address belongs to two owners.
    #[error("the address {address} is fixed for both {first} and {second}")]
    FixedTwice {
        /// The address.
        address: IpAddr,
        /// One owner.
        first: String,
        /// The other owner.
        second: String,
    },
    /// A fixed address cannot be given to a client.
    #[error("the address {address}, fixed for {owner}, is {problem}")]
    FixedUnusable {
        /// The address.
        address: IpAddr,
        /// Its owner.
        owner: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Fill level of the pools of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    /// Live leases, fixed ones included.
    pub leased: usize,
    /// Live leases that count against `capacity`.
    pub leased_dynamic: usize,
    /// Addresses for clients without a fixed one.
    pub capacity: u128,
}

/// Fixed addresses: which owner may hold which. An owner may have one per family.
pub type FixedAddresses = Vec<(String, IpAddr)>;

#[derive(Debug)]
struct Held {
    owner: String,
    lease: Lease,
}

/// All leases of the gateway.
#[derive(Debug)]
pub struct LeaseTable {
    pools: Vec<IpNet>,
    fixed: HashMap<String, Lease>,
    v4: Family,
    v6: Family,
    sessions: HashMap<u64, Held>,
}

impl LeaseTable {
    /// Makes an empty table of `pools`.
    ///
    /// Never leased are: IPv4 network and broadcast address, the IPv6 subnet-router anycast address (RFC 4291
    /// section 2.6.1), and [`gateway_address`] of each pool. Addresses in `fixed` go to their owner only.
    ///
    /// # Errors
    /// If pools overlap or are too small or large, or if a fixed address has two owners, lies outside the pools, or
    /// is one of those that are never leased.
    pub fn new(pools: &[IpNet], fixed: &FixedAddresses) -> Result<Self, PoolConfigError> {
        check_pools(pools)?;
        check_fixed(pools, fixed)?;
        let mut of_owner: HashMap<String, Lease> = HashMap::new();
        for (owner, address) in fixed {
            let lease = of_owner.entry(owner.clone()).or_default();
            match address {
                IpAddr::V4(a) => lease.v4 = Some(*a),
                IpAddr::V6(a) => lease.v6 = Some(*a),
            }
        }
        let (v4, v6) = (family(pools, fixed, is_v4), family(pools, fixed, is_v6));
        Ok(Self { pools: pools.to_vec(), fixed: of_owner, v4, v6, sessions: HashMap::new() })
    }

    /// Changes pools and fixed addresses under live leases. A lease whose address is no longer in a pool lives on
    /// until it is released; [`LeaseTable::stray_sessions`] lists them.
    ///
    /// # Errors
    /// As [`LeaseTable::new`]; the table is unchanged then.
    pub fn reconfigure(&mut self, pools: &[IpNet], fixed: &FixedAddresses) -> Result<(), PoolConfigError> {
        self.become_like(Self::new(pools, fixed)?);
        Ok(())
    }

    /// As [`LeaseTable::reconfigure`]: pools and fixed addresses are those of an empty table from now on.
    pub fn become_like(&mut self, mut new: Self) {
        std::mem::swap(self, &mut new);
        self.v4.adopt(new.v4);
        self.v6.adopt(new.v6);
        self.sessions = new.sessions;
    }

    /// Leases what `want` asks for and the pools can give.
    ///
    /// A fixed address wins over a requested one, a requested one over the owner's former one. A family without a
    /// pool is left out of the lease as long as the other family can be served.
    ///
    /// # Errors
    /// See [`PoolError`]; nothing is held then.
    pub fn lease(&mut self, key: &LeaseKey, want: LeaseRequest) -> Result<Lease, PoolError> {
        if self.sessions.contains_key(&key.session) {
            return Err(PoolError::SessionHasLease(key.session));
        }
        let fixed = self.fixed.get(&key.owner).copied().unwrap_or_default();
        let v4 = match want.v4 {
            Some(asked) => choose(&self.v4, key, fixed.v4.map(from_v4), asked.map(from_v4)),
            None => Ok(None),
        };
        let v4 = v4.map_err(|refused| self.error(refused, |n| IpAddr::V4(to_v4(n)), is_v4))?;
        let v6 = match want.v6 {
            Some(asked) => choose(&self.v6, key, fixed.v6.map(u128::from), asked.map(u128::from)),
            None => Ok(None),
        };
        let v6 = v6.map_err(|refused| self.error(refused, |n| IpAddr::V6(n.into()), is_v6))?;
        if v4.is_none() && v6.is_none() {
            return Err(PoolError::NoPool { asked: if want.v4.is_some() { "IPv4" } else { "IPv6" } });
        }
        Ok(self.hold(key, v4, v6))
    }

    /// Ends the lease of a session and returns it, `None` if there was none.
    ///
    /// Take the route and the packet filter elements away first: the addresses are free after this call.
    pub fn release(&mut self, session: u64) -> Option<Lease> {
        let Held { owner, lease } = self.sessions.remove(&session)?;
        if let Some(a) = lease.v4 {
            self.v4.give_back(u32::from(a).into(), &owner);
        }
        if let Some(a) = lease.v6 {
            self.v6.give_back(a.into(), &owner);
        }
        Some(lease)
    }

    /// Gives the lease of one session to another, which must have none; `None` if that cannot be.
    pub fn hand_over(&mut self, from: u64, to: u64) -> Option<Lease> {
        if self.sessions.contains_key(&to) {
            return None;
        }
        let held = self.sessions.remove(&from)?;
        let lease = held.lease;
        if let Some(a) = lease.v4 {
            self.v4.hand_over(u32::from(a).into(), to);
        }
        if let Some(a) = lease.v6 {
            self.v6.hand_over(a.into(), to);
        }
        self.sessions.insert(to, held);
        Some(lease)
    }

    /// The lease of a session.
    #[must_use]
    pub fn lease_of(&self, session: u64) -> Option<Lease> {
        self.sessions.get(&session).map(|held| held.lease)
    }

    /// The session that holds an address.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<u64> {
        match address {
            IpAddr::V4(a) => self.v4.holder(u32::from(a).into()),
            IpAddr::V6(a) => self.v6.holder(a.into()),
        }
    }

    /// Sessions with an address that is in no pool, after [`LeaseTable::reconfigure`]; sorted.
    #[must_use]
    pub fn stray_sessions(&self) -> Vec<u64> {
        let in_pool = |address: IpAddr| self.pools.iter().any(|p| p.contains(&address));
        let is_stray = |held: &Held| !held.lease.addresses().all(in_pool);
        let mut stray: Vec<u64> = self.sessions.iter().filter(|(_, h)| is_stray(h)).map(|(&s, _)| s).collect();
        stray.sort_unstable();
        stray
    }

    /// Fill level of the IPv4 and of the IPv6 pools.
    #[must_use]
    pub fn usage(&self) -> (PoolUsage, PoolUsage) {
        let of = |f: &Family| PoolUsage { leased: f.held(), leased_dynamic: f.held_dynamic(), capacity: f.capacity() };
        (of(&self.v4), of(&self.v6))
    }

    fn hold(&mut self, key: &LeaseKey, v4: Option<Choice>, v6: Option<Choice>) -> Lease {
        if let Some(choice) = v4 {
            self.v4.hold(choice, key.session);
        }
        if let Some(choice) = v6 {
            self.v6.hold(choice, key.session);
        }
        let lease = Lease { v4: v4.map(|c| to_v4(c.address)), v6: v6.map(|c| c.address.into()) };
        self.sessions.insert(key.session, Held { owner: key.owner.clone(), lease });
        lease
    }

    fn error(&self, refused: Refused, to_address: impl Fn(u128) -> IpAddr, of: fn(&IpNet) -> bool) -> PoolError {
        match refused {
            Refused::FixedInUse { address, session } => PoolError::FixedInUse { address: to_address(address), session },
            Refused::Exhausted { capacity } => {
                PoolError::Exhausted { pools: self.pools.iter().filter(|p| of(p)).copied().collect(), capacity }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Refused {
    FixedInUse { address: u128, session: u64 },
    Exhausted { capacity: u128 },
}

/// `Ok(None)`: the family has no pool.
fn choose(
    family: &Family,
    key: &LeaseKey,
    fixed: Option<u128>,
    asked: Option<u128>,
) -> Result<Option<Choice>, Refused> {
    if let Some(address) = fixed {
        let choice = family.choose(address, &key.owner);
        return match family.holder(address) {
            Some(session) => Err(Refused::FixedInUse { address, session }),
            None => Ok(choice),
        };
    }
    if !family.has_pool() {
        return Ok(None);
    }
    let requested = asked.and_then(|address| family.choose(address, &key.owner));
    let choice = requested.or_else(|| family.choose_any(&key.owner));
    choice.map(Some).ok_or_else(|| Refused::Exhausted { capacity: family.capacity() })
}

fn from_v4(address: Ipv4Addr) -> u128 {
    u32::from(address).into()
}

fn to_v4(number: u128) -> Ipv4Addr {
    u32::try_from(number).expect("IPv4 pools hold 32-bit numbers").into()
}

fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}

fn family(pools: &[IpNet], fixed: &FixedAddresses, of: fn(&IpNet) -> bool) -> Family {
    let pools = pools.iter().filter(|p| of(p));
    let reserved: HashSet<u128> = pools.clone().filter_map(|p| gateway_address(*p)).map(number).collect();
    let fixed = fixed.iter().filter(|(_, a)| of(&IpNet::from(*a))).map(|(owner, a)| (number(*a), owner.clone()));
    Family::new(pools.map(|p| span(*p)).collect(), reserved, fixed.collect())
}

/// The addresses of a pool that a host may have.
fn span(pool: IpNet) -> Span {
    match pool {
        IpNet::V4(net) => {
            let (first, last) = (u128::from(u32::from(net.network())), u128::from(u32::from(net.broadcast())));
            if net.prefix_len() <= 30 { Span { first: first + 1, last: last - 1 } } else { Span { first, last } }
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            if net.prefix_len() <= 126 { Span { first: first + 1, last } } else { Span { first, last } }
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u32::from(a).into(),
        IpAddr::V6(a) => a.into(),
    }
}

fn check_pools(pools: &[IpNet]) -> Result<(), PoolConfigError> {
    for (i, pool) in pools.iter().enumerate() {
        if pool.prefix_len() == 0 {
            return Err(PoolConfigError::TooLarge(*pool));
        }
        let Span { first, last } = span(*pool);
        if first == last && gateway_address(*pool).is_some() {
            return Err(PoolConfigError::TooSmall(*pool));
        }
        let same_or_inside = |other: &&IpNet| other.contains(pool) || pool.contains(*other);
        if let Some(other) = pools.iter().take(i).find(same_or_inside) {
            return Err(PoolConfigError::Overlap(*other, *pool));
        }
    }
    Ok(())
}

fn check_fixed(pools: &[IpNet], fixed: &FixedAddresses) -> Result<(), PoolConfigError> {
    let mut owners: HashMap<IpAddr, &str> = HashMap::new();
    for (owner, address) in fixed {
        if let Some(first) = owners.insert(*address, owner) {
            let (first, second) = (first.to_owned(), owner.clone());
            return Err(PoolConfigError::FixedTwice { address: *address, first, second });
        }
        if let Some(problem) = fixed_problem(pools, *address) {
            return Err(PoolConfigError::FixedUnusable { address: *address, owner: owner.clone(), problem });
        }
    }
    Ok(())
}

fn fixed_problem(pools: &[IpNet], address: IpAddr) -> Option<&'static str> {
    let Some(pool) = pools.iter().find(|p| p.contains(&address)) else { return Some("outside every pool") };
    let Span { first, last } = span(*pool);
    if gateway_address(*pool) == Some(address) {
        return Some("the gateway's own");
    }
    (!(first..=last).contains(&number(address))).then_some("a network or broadcast address")
}

fn list(pools: &[IpNet]) -> String {
    pools.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_goes_from_one_session_to_the_next_and_is_freed_once() {
        let mut table = table(&["10.83.20.0/24", "fd00:20::/64"], &[]);
        let lease = table.lease(&LeaseKey { owner: "alice".into(), session: 1 }, ANY).unwrap();
        assert_eq!(table.hand_over(1, 2), Some(lease));
        assert_eq!((table.hand_over(1, 3), table.release(1), table.lease_of(1)), (None, None, None));
        for address in lease.addresses() {
            assert_eq!(table.holder(address), Some(2));
        }
        table.lease(&LeaseKey { owner: "bob".into(), session: 4 }, ANY).unwrap();
        assert_eq!(table.hand_over(2, 4), None, "it has a lease already");
        assert_eq!(table.usage().0.leased, 2);
        assert_eq!(table.release(2), Some(lease));
        assert!(lease.addresses().all(|address| table.holder(address).is_none()));
        assert_eq!(table.lease(&LeaseKey { owner: "alice".into(), session: 5 }, ANY), Ok(lease), "its owner's still");
    }

    const ANY: LeaseRequest = LeaseRequest { v4: Some(None), v6: Some(None) };

    fn table(pools: &[&str], fixed: &[(&str, &str)]) -> LeaseTable {
        try_table(pools, fixed).unwrap()
    }

    fn try_table(pools: &[&str], fixed: &[(&str, &str)]) -> Result<LeaseTable, PoolConfigError> {
        LeaseTable::new(&nets(pools), &owners(fixed))
    }

    fn nets(pools: &[&str]) -> Vec<IpNet> {
        pools.iter().map(|p| p.parse().unwrap()).collect()
    }

    fn owners(fixed: &[(&str, &str)]) -> FixedAddresses {
        fixed.iter().map(|(owner, a)| ((*owner).to_owned(), a.parse().unwrap())).collect()
    }

    fn key(owner: &str, session: u64) -> LeaseKey {
        LeaseKey { owner: owner.to_owned(), session }
    }

    fn v4(table: &mut LeaseTable, owner: &str, session: u64) -> Option<String> {
        table.lease(&key(owner, session), ANY).ok()?.v4.map(|a| a.to_string())
    }

    fn asking(address: &str) -> LeaseRequest {
        LeaseRequest { v4: Some(Some(address.parse().unwrap())), v6: None }
    }

    #[test]
    fn a_slash_24_serves_253_clients_and_says_when_it_is_full() {
        let mut table = table(&["10.20.0.0/24"], &[]);
        for session in 0..253 {
            let expected = format!("10.20.0.{}", session + 2);
            assert_eq!(v4(&mut table, &format!("user{session}"), session).as_deref(), Some(expected.as_str()));
        }
        let error = table.lease(&key("late", 999), ANY).unwrap_err();
        assert!(error.to_string().starts_with("all 253 addresses of 10.20.0.0/24 are leased"), "{error}");
        assert_eq!(table.usage().0, PoolUsage { leased: 253, leased_dynamic: 253, capacity: 253 });
    }

    #[test]
    fn a_returning_client_gets_its_address_back() {
        let mut table = table(&["10.20.0.0/24"], &[]);
        assert_eq!(v4(&mut table, "alice", 1).as_deref(), Some("10.20.0.2"));
        table.release(1);
        assert_eq!(v4(&mut table, "bob", 2).as_deref(), Some("10.20.0.3"));
        assert_eq!(v4(&mut table, "alice", 3).as_deref(), Some("10.20.0.2"));
        assert_eq!(v4(&mut table, "alice", 4).as_deref(), Some("10.20.0.4"));
    }

    #[test]
    fn the_address_that_is_free_for_longest_goes_first() {
        let mut table = table(&["10.20.0.0/29"], &[]);
        for session in 0..5 {
            v4(&mut table, &format!("user{session}"), session);
        }
        table.release(3);
        table.release(1);
        assert_eq!(v4(&mut table, "new", 10).as_deref(), Some("10.20.0.5"));
        assert_eq!(v4(&mut table, "newer", 11).as_deref(), Some("10.20.0.3"));
        assert_eq!(v4(&mut table, "late", 12), None);
    }

    #[test]
    fn a_requested_address_is_given_if_it_is_free_and_ours() {
        let mut table = table(&["10.20.0.0/24"], &[("eve", "10.20.0.9")]);
        let mut ask =
            |session, address| table.lease(&key("alice", session), asking(address)).unwrap().v4.unwrap().to_string();
        assert_eq!(ask(1, "10.20.0.77"), "10.20.0.77");
        for (session, refused) in
            [(2, "10.20.0.77"), (3, "10.20.0.1"), (4, "10.20.0.9"), (5, "10.20.0.0"), (6, "8.8.8.8")]
        {
            assert_ne!(ask(session, refused), refused);
        }
    }

    #[test]
    fn a_fixed_address_belongs_to_its_owner_alone() {
        let mut table = table(&["10.20.0.0/29", "fd00::/64"], &[("alice", "10.20.0.4")]);
        assert_eq!(table.usage().0.capacity, 4);
        for session in 0..4 {
            assert_ne!(v4(&mut table, &format!("user{session}"), session).as_deref(), Some("10.20.0.4"));
        }
        assert_eq!(v4(&mut table, "late", 5), None);
        assert_eq!(v4(&mut table, "alice", 6).as_deref(), Some("10.20.0.4"));
        let again = table.lease(&key("alice", 7), ANY).unwrap_err();
        assert_eq!(again, PoolError::FixedInUse { address: "10.20.0.4".parse().unwrap(), session: 6 });
        table.release(6);
        assert_eq!(v4(&mut table, "alice", 7).as_deref(), Some("10.20.0.4"));
    }

    #[test]
    fn a_large_ipv6_pool_costs_nothing() {
        let mut table = table(&["fd00:20::/64"], &[]);
        let lease = table.lease(&key("alice", 1), ANY).unwrap();
        assert_eq!(lease, Lease { v4: None, v6: Some("fd00:20::2".parse().unwrap()) });
        let far = LeaseRequest { v4: None, v6: Some(Some("fd00:20::ffff:ffff:ffff:ffff".parse().unwrap())) };
        assert_eq!(table.lease(&key("bob", 2), far).unwrap().v6, far.v6.unwrap());
        assert_eq!(table.usage().1.capacity, (1 << 64) - 2);
    }

    #[test]
    fn nothing_is_held_after_a_refusal() {
        let mut table = table(&["10.20.0.0/29", "fd00::/126"], &[]);
        for session in 0..2 {
            table.lease(&key("v6", session), LeaseRequest { v4: None, v6: Some(None) }).unwrap();
        }
        assert!(matches!(table.lease(&key("alice", 5), ANY), Err(PoolError::Exhausted { .. })));
        assert_eq!(table.usage().0.leased, 0);
        assert_eq!(table.lease_of(5), None);
        table.lease(&key("alice", 5), LeaseRequest { v4: Some(None), v6: None }).unwrap();
        assert_eq!(table.lease_of(5).unwrap().v4, Some("10.20.0.2".parse().unwrap()), "the refusal used an address up");
    }

    #[test]
    fn a_family_without_a_pool_is_left_out() {
        let mut table = table(&["10.20.0.0/24"], &[]);
        assert_eq!(table.lease(&key("alice", 1), ANY).unwrap().v6, None);
        let only_v6 = LeaseRequest { v4: None, v6: Some(None) };
        assert_eq!(table.lease(&key("alice", 2), only_v6), Err(PoolError::NoPool { asked: "IPv6" }));
        assert_eq!(table.lease(&key("alice", 1), ANY), Err(PoolError::SessionHasLease(1)));
    }

    #[test]
    fn new_pools_keep_live_leases_and_name_the_stray_ones() {
        let mut table = table(&["10.20.0.0/24"], &[]);
        v4(&mut table, "alice", 1);
        v4(&mut table, "bob", 2);
        table.release(2);
        table.reconfigure(&nets(&["10.20.0.0/24", "10.30.0.0/24"]), &owners(&[])).unwrap();
        assert_eq!(v4(&mut table, "bob", 3).as_deref(), Some("10.20.0.3"));
        assert_eq!(v4(&mut table, "carol", 4).as_deref(), Some("10.20.0.4"));
        table.reconfigure(&nets(&["10.30.0.0/24"]), &owners(&[])).unwrap();
        assert_eq!(table.stray_sessions(), [1, 3, 4]);
        assert_eq!(v4(&mut table, "dave", 5).as_deref(), Some("10.30.0.2"));
        table.release(1);
        table.reconfigure(&nets(&["10.20.0.0/24"]), &owners(&[("alice", "10.20.0.3")])).unwrap();
        assert!(matches!(table.lease(&key("alice", 6), ANY), Err(PoolError::FixedInUse { session: 3, .. })));
        assert_eq!(v4(&mut table, "erin", 7).as_deref(), Some("10.20.0.2"));
    }

    #[test]
    fn pools_that_cannot_work_are_refused() {
        let text = |pools: &[&str], fixed: &[(&str, &str)]| try_table(pools, fixed).unwrap_err().to_string();
        assert_eq!(text(&["10.0.0.0/8", "10.20.0.0/24"], &[]), "the pools 10.0.0.0/8 and 10.20.0.0/24 overlap");
        assert_eq!(text(&["::/0"], &[]), "the pool ::/0 is the whole address space");
        let twice = [("alice", "10.20.0.9"), ("bob", "10.20.0.9")];
        assert_eq!(text(&["10.20.0.0/24"], &twice), "the address 10.20.0.9 is fixed for both alice and bob");
        for (address, problem) in [
            ("10.21.0.9", "outside every pool"),
            ("10.20.0.1", "the gateway's own"),
            ("10.20.0.255", "a network or broadcast address"),
        ] {
            let error = text(&["10.20.0.0/24"], &[("alice", address)]);
            assert_eq!(error, format!("the address {address}, fixed for alice, is {problem}"));
        }
        assert!(try_table(&["10.20.0.0/30", "10.20.0.9/32", "10.30.0.0/31"], &[]).is_ok());
    }
}
