//! The addresses of one family: free, remembered, held.
//!
//! Addresses are numbers here (`u128`), so one implementation serves IPv4 and IPv6. Nothing is enumerated: an
//! address that was never used is found by a cursor, so a /64 costs as much memory as it has clients.
//!
//! Order of choice: the owner's former address, then one that was never used, then the one that is free for longest.

use std::collections::{BTreeMap, HashMap, HashSet};

/// How many free addresses of a family keep their last owner. Beyond it the one free for longest is forgotten.
///
/// Cost: about 150 bytes each. It bounds what a large IPv6 pool can collect over months.
const REMEMBERED_MAX: usize = 65_536;

/// An inclusive range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Span {
    fn contains(self, address: u128) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Number of addresses, capped at the largest `u128`.
    fn size(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }
}

/// A free address for somebody. Nothing has changed until [`Family::hold`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) address: u128,
    /// Where the next search begins.
    cursor: Option<u128>,
}

/// A free address that somebody held before.
#[derive(Debug)]
struct Former {
    freed: u64,
    owner: String,
}

/// All pools of one address family.
#[derive(Debug)]
pub(super) struct Family {
    spans: Vec<Span>,
    /// Never given to anybody who isn't entitled: the gateway's addresses.
    reserved: HashSet<u128>,
    /// Fixed addresses and the one owner who may hold each.
    fixed: HashMap<u128, String>,
    /// Held addresses and their session.
    held: HashMap<u128, u64>,
    /// How many of `held` count against `capacity`.
    held_dynamic: usize,
    /// How many addresses can be leased at the same time to owners without a fixed one.
    capacity: u128,
    former: HashMap<u128, Former>,
    /// Keys of `former` in the order in which they became free.
    by_age: BTreeMap<u64, u128>,
    /// Keys of `former` per owner, the latest last.
    by_owner: HashMap<String, Vec<u128>>,
    next_age: u64,
    cursor: Option<u128>,
}

impl Family {
    pub(super) fn new(spans: Vec<Span>, reserved: HashSet<u128>, fixed: HashMap<u128, String>) -> Self {
        let cursor = spans.first().map(|s| s.first);
        let all = spans.iter().fold(0u128, |sum, s| sum.saturating_add(s.size()));
        let barred: HashSet<u128> =
            reserved.iter().chain(fixed.keys()).copied().filter(|&a| spans.iter().any(|s| s.contains(a))).collect();
        Self {
            capacity: all.saturating_sub(barred.len() as u128),
            spans,
            reserved,
            fixed,
            held: HashMap::new(),
            held_dynamic: 0,
            former: HashMap::new(),
            by_age: BTreeMap::new(),
            by_owner: HashMap::new(),
            next_age: 0,
            cursor,
        }
    }

    pub(super) fn has_pool(&self) -> bool {
        !self.spans.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn held_dynamic(&self) -> usize {
        self.held_dynamic
    }

    pub(super) fn capacity(&self) -> u128 {
        self.capacity
    }

    pub(super) fn holder(&self, address: u128) -> Option<u64> {
        self.held.get(&address).copied()
    }

    /// A certain address, if `owner` may have it: one that is fixed for `owner`, or a free one of a pool.
    pub(super) fn choose(&self, address: u128, owner: &str) -> Option<Choice> {
        let entitled = match self.fixed.get(&address) {
            Some(only) => only == owner,
            None => self.is_dynamic(address),
        };
        (entitled && !self.held.contains_key(&address)).then_some(Choice { address, cursor: None })
    }

    /// Whichever address suits `owner` best.
    pub(super) fn choose_any(&self, owner: &str) -> Option<Choice> {
        let known = |address| Choice { address, cursor: None };
        let former = self.former_of(owner).map(known);
        former.or_else(|| self.fresh()).or_else(|| self.free_for_longest().map(known))
    }

    /// Gives an address that was just chosen to `session`.
    pub(super) fn hold(&mut self, choice: Choice, session: u64) {
        self.forget(choice.address);
        self.held_dynamic += usize::from(self.is_dynamic(choice.address));
        self.held.insert(choice.address, session);
        self.cursor = choice.cursor.or(self.cursor);
    }

    /// Gives an address that is held to another session.
    pub(super) fn hand_over(&mut self, address: u128, session: u64) {
        if let Some(holder) = self.held.get_mut(&address) {
            *holder = session;
        }
    }

    /// Frees an address; `owner` gets it again when possible.
    pub(super) fn give_back(&mut self, address: u128, owner: &str) {
        if self.held.remove(&address).is_none() || !self.is_dynamic(address) {
            return;
        }
        self.held_dynamic -= 1;
        let freed = self.next_age;
        self.next_age += 1;
        self.former.insert(address, Former { freed, owner: owner.to_owned() });
        self.by_age.insert(freed, address);
        self.by_owner.entry(owner.to_owned()).or_default().push(address);
        if self.former.len() > REMEMBERED_MAX
            && let Some(oldest) = self.free_for_longest()
        {
            self.forget(oldest);
        }
    }

    /// Carries the leases and memories of `old` over to these pools. An address that left the pools stays with its
    /// session until that ends.
    pub(super) fn adopt(&mut self, old: Self) {
        self.next_age = old.next_age;
        for (freed, address) in old.by_age {
            if let Some(former) = old.former.get(&address)
                && self.is_dynamic(address)
            {
                self.former.insert(address, Former { freed, owner: former.owner.clone() });
                self.by_age.insert(freed, address);
                self.by_owner.entry(former.owner.clone()).or_default().push(address);
            }
        }
        self.held_dynamic = old.held.keys().filter(|&&a| self.is_dynamic(a)).count();
        self.held = old.held;
    }

    fn contains(&self, address: u128) -> bool {
        self.spans.iter().any(|s| s.contains(address))
    }

    fn is_barred(&self, address: u128) -> bool {
        self.reserved.contains(&address) || self.fixed.contains_key(&address)
    }

    /// Anybody may hold it.
    fn is_dynamic(&self, address: u128) -> bool {
        self.contains(address) && !self.is_barred(address)
    }

    fn forget(&mut self, address: u128) {
        let Some(former) = self.former.remove(&address) else { return };
        self.by_age.remove(&former.freed);
        if let Some(addresses) = self.by_owner.get_mut(&former.owner) {
            addresses.retain(|&a| a != address);
            if addresses.is_empty() {
                self.by_owner.remove(&former.owner);
            }
        }
    }

    fn former_of(&self, owner: &str) -> Option<u128> {
        self.by_owner.get(owner).and_then(|addresses| addresses.last().copied())
    }

    fn free_for_longest(&self) -> Option<u128> {
        self.by_age.first_key_value().map(|(_, &address)| address)
    }

    /// The next address that nobody holds, remembers or is barred from, searched from the cursor and around.
    ///
    /// Bounded: it passes at most as many addresses as there are held, remembered and barred ones.
    fn fresh(&self) -> Option<Choice> {
        if self.capacity <= (self.held_dynamic + self.former.len()) as u128 {
            return None;
        }
        let start = self.cursor?;
        let mut address = start;
        loop {
            let next = self.successor(address);
            if !self.held.contains_key(&address) && !self.former.contains_key(&address) && !self.is_barred(address) {
                return Some(Choice { address, cursor: Some(next) });
            }
            if next == start {
                return None;
            }
            address = next;
        }
    }

    /// The address after `address` in the pools' order; after the last one the first.
    fn successor(&self, address: u128) -> u128 {
        let at = self.spans.iter().position(|s| s.contains(address)).unwrap_or(0);
        match self.spans.get(at) {
            Some(span) if address < span.last => address + 1,
            _ => self.spans.get(at + 1).or(self.spans.first()).map_or(address, |s| s.first),
        }
    }
}
