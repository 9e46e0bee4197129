//! The lease table against a slow model: a plain list of addresses, searched from the start each time.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const POOLS: [&str; 3] = ["10.20.0.0/29", "10.30.0.0/30", "fd00:20::/125"];
const FIXED: [(&str, &str); 2] = [("user0", "10.20.0.4"), ("user1", "fd00:20::5")];

/// One address of the model.
struct Place {
    address: IpAddr,
    only: Option<&'static str>,
    holder: Option<u64>,
    former: Option<(u64, String)>,
}

struct Model {
    places: Vec<Place>,
    sessions: BTreeMap<u64, String>,
    clock: u64,
}

impl Model {
    fn new() -> Self {
        let v4 = [2, 3, 4, 5, 6].map(|n| IpAddr::V4(Ipv4Addr::new(10, 20, 0, n)));
        let v4_second = [IpAddr::V4(Ipv4Addr::new(10, 30, 0, 2))];
        let v6 = [2, 3, 4, 5, 6, 7].map(|n| IpAddr::V6(Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, n)));
        let only = |a: IpAddr| FIXED.iter().find(|(_, fixed)| fixed.parse() == Ok(a)).map(|(owner, _)| *owner);
        let places = v4.into_iter().chain(v4_second).chain(v6);
        Self {
            places: places.map(|address| Place { address, only: only(address), holder: None, former: None }).collect(),
            sessions: BTreeMap::new(),
            clock: 0,
        }
    }

    /// The address that `owner` must get, `Err` if none.
    fn choose(&self, owner: &str, v4: bool, asked: Option<IpAddr>) -> Result<usize, ()> {
        let family = || self.places.iter().enumerate().filter(move |(_, p)| p.address.is_ipv4() == v4);
        if let Some((i, place)) = family().find(|(_, p)| p.only == Some(owner)) {
            return if place.holder.is_none() { Ok(i) } else { Err(()) };
        }
        let free = || family().filter(|(_, p)| p.only.is_none() && p.holder.is_none());
        let requested = free().find(|(_, p)| Some(p.address) == asked);
        let age = |p: &Place| p.former.as_ref().map(|f| f.0);
        let sticky =
            free().filter(|(_, p)| p.former.as_ref().is_some_and(|f| f.1 == owner)).max_by_key(|(_, p)| age(p));
        let oldest = || free().min_by_key(|(i, p)| (age(p), *i));
        requested.or(sticky).or_else(oldest).map(|(i, _)| i).ok_or(())
    }

    fn lease(
        &mut self,
        owner: &str,
        session: u64,
        v4: Option<Option<IpAddr>>,
        v6: Option<Option<IpAddr>>,
    ) -> Result<Vec<IpAddr>, ()> {
        let wanted = [(true, v4), (false, v6)];
        let chosen = wanted.into_iter().filter_map(|(is_v4, want)| Some(self.choose(owner, is_v4, want?)));
        let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
        if chosen.is_empty() || self.sessions.contains_key(&session) {
            return Err(());
        }
        self.sessions.insert(session, owner.to_owned());
        let hold = |i| {
            let place: &mut Place = self.places.get_mut(i).unwrap();
            place.holder = Some(session);
            place.address
        };
        Ok(chosen.into_iter().map(hold).collect())
    }

    fn release(&mut self, session: u64) {
        let Some(owner) = self.sessions.remove(&session) else { return };
        for place in self.places.iter_mut().filter(|p| p.holder == Some(session)) {
            place.holder = None;
            place.former = Some((self.clock, owner.clone()));
            self.clock += 1;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lease { owner: u8, session: u64, v4: Option<Option<u8>>, v6: Option<Option<u8>> },
    Release(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let want = || proptest::option::of(proptest::option::of(0u8..10));
    prop_oneof![
        3 => (0u8..6, 0u64..12, want(), want()).prop_map(|(owner, session, v4, v6)| Step::Lease { owner, session, v4, v6 }),
        2 => (0u64..12).prop_map(Step::Release),
    ]
}

fn table() -> LeaseTable {
    let pools = POOLS.map(|p| p.parse().unwrap());
    let fixed = FIXED.map(|(owner, a)| (owner.to_owned(), a.parse().unwrap())).to_vec();
    LeaseTable::new(&pools, &fixed).unwrap()
}

fn check(table: &LeaseTable, model: &Model) {
    let mut seen = HashSet::new();
    for session in 0..12 {
        let leased: HashSet<IpAddr> = table.lease_of(session).iter().flat_map(Lease::addresses).collect();
        let expected = model.places.iter().filter(|p| p.holder == Some(session)).map(|p| p.address);
        assert_eq!(leased, expected.collect());
        assert!(leased.iter().all(|a| seen.insert(*a)), "an address has two sessions");
    }
    let (v4, v6) = table.usage();
    assert_eq!(v4.leased + v6.leased, seen.len(), "an address leaked");
    assert!(model.places.iter().all(|p| table.holder(p.address) == p.holder));
}

proptest! {
    #[test]
    fn agrees_with_a_slow_model(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut table, mut model) = (table(), Model::new());
        for step in steps {
            match step {
                Step::Lease { owner, session, v4, v6 } => {
                    let owner = format!("user{owner}");
                    let v4 = v4.map(|asked| asked.map(|n| Ipv4Addr::new(10, 20, 0, n)));
                    let v6 = v6.map(|asked| asked.map(|n| Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, 0, n.into())));
                    let got = table.lease(&LeaseKey { owner: owner.clone(), session }, LeaseRequest { v4, v6 });
                    let want = model.lease(&owner, session, v4.map(|a| a.map(IpAddr::V4)), v6.map(|a| a.map(IpAddr::V6)));
                    prop_assert_eq!(got.map(|lease| lease.addresses().collect::<Vec<_>>()).map_err(|_| ()), want);
                }
                Step::Release(session) => {
                    table.release(session);
                    model.release(session);
                }
            }
            check(&table, &model);
        }
    }
}
