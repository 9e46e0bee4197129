//! The lease table: both address families of all sessions.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::family::{Family, Span};
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
        let mut new = Self::new(pools, fixed)?;
        std::mem::swap(self, &mut new);
        self.v4.adopt(new.v4);
        self.v6.adopt(new.v6);
        self.sessions = new.sessions;
        Ok(())
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
            Some(asked) => self.lease_v4(key, fixed.v4, asked)?,
            None => None,
        };
        let v6 = match want.v6.map(|asked| self.lease_v6(key, fixed.v6, asked)).transpose() {
            Ok(v6) => v6.flatten(),
            Err(error) => {
                if let Some(address) = v4 {
                    self.v4.give_back(u32::from(address).into(), &key.owner);
                }
                return Err(error);
            }
        };
        if v4.is_none() && v6.is_none() {
            return Err(PoolError::NoPool { asked: if want.v4.is_some() { "IPv4" } else { "IPv6" } });
        }
        let lease = Lease { v4, v6 };
        self.sessions.insert(key.session, Held { owner: key.owner.clone(), lease });
        Ok(lease)
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

    fn lease_v4(
        &mut self,
        key: &LeaseKey,
        fixed: Option<Ipv4Addr>,
        asked: Option<Ipv4Addr>,
    ) -> Result<Option<Ipv4Addr>, PoolError> {
        let number = |a: Ipv4Addr| u128::from(u32::from(a));
        let got = lease_in(&mut self.v4, key, fixed.map(number), asked.map(number));
        let to_address = |n: u128| Ipv4Addr::from(u32::try_from(n).expect("IPv4 pools hold 32-bit numbers"));
        got.map(|n| n.map(to_address)).map_err(|refused| self.error(refused, |n| IpAddr::V4(to_address(n)), is_v4))
    }

    fn lease_v6(
        &mut self,
        key: &LeaseKey,
        fixed: Option<Ipv6Addr>,
        asked: Option<Ipv6Addr>,
    ) -> Result<Option<Ipv6Addr>, PoolError> {
        let got = lease_in(&mut self.v6, key, fixed.map(u128::from), asked.map(u128::from));
        got.map(|n| n.map(Ipv6Addr::from))
            .map_err(|refused| self.error(refused, |n| IpAddr::V6(Ipv6Addr::from(n)), is_v6))
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

enum Refused {
    FixedInUse { address: u128, session: u64 },
    Exhausted { capacity: u128 },
}

fn lease_in(
    family: &mut Family,
    key: &LeaseKey,
    fixed: Option<u128>,
    asked: Option<u128>,
) -> Result<Option<u128>, Refused> {
    if let Some(address) = fixed {
        if let Some(session) = family.holder(address) {
            return Err(Refused::FixedInUse { address, session });
        }
        return Ok(family.take(address, &key.owner, key.session).then_some(address));
    }
    if !family.has_pool() {
        return Ok(None);
    }
    if let Some(address) = asked
        && family.take(address, &key.owner, key.session)
    {
        return Ok(Some(address));
    }
    let any = family.take_any(&key.owner, key.session);
    any.map(Some).ok_or_else(|| Refused::Exhausted { capacity: family.capacity() })
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
