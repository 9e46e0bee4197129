//! Whatever happens in whatever order: no attempt while one is under way, none while the site is down, no busy loop, and in the
//! end a tunnel.

use super::*;

/// xorshift64 (Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % sides
    }
}

const REASONS: [CloseReason; 5] = [
    CloseReason::PeerDeleted,
    CloseReason::PeerDead,
    CloseReason::Replaced,
    CloseReason::NoChildSa,
    CloseReason::Expired,
];

/// One thing that can happen.
fn happen(bench: &mut Bench, seed: u64, dice: &mut Dice) {
    let up: Vec<SessionId> =
        bench.supervisor.tunnels.iter().filter(|(_, t)| t.is_established()).map(|(&id, _)| id).collect();
    let some = |dice: &mut Dice| up.get(usize::try_from(dice.roll(up.len().max(1) as u64)).unwrap()).copied();
    match dice.roll(12) {
        0 => bench.demand(),
        1 => {
            if let Some(id) = some(dice) {
                let reason = REASONS[usize::try_from(dice.roll(5)).unwrap()];
                bench.supervisor.closed(bench.now, id, reason);
            }
        }
        2 => {
            if let Some(id) = some(dice) {
                bench.supervisor.reauthentication_due(bench.now, id);
            }
        }
        3 if bench.supervisor.admits().is_ok() => {
            bench.peer_comes(u128::from(dice.roll(10)));
        }
        4 => {
            bench.kernel = Some(if dice.roll(2) == 0 { OURS } else { "192.0.2.77" });
            bench.supervisor.addresses_changed(bench.now);
        }
        5 if dice.roll(4) == 0 => {
            bench.supervisor.down(bench.now);
        }
        6 => drop(bench.supervisor.up(bench.now, None)),
        7 => {
            if let Some(id) = some(dice) {
                let spi = bench.supervisor.tunnels[&id].pairs.first().map(|pair| pair.inbound_spi);
                spi.into_iter().for_each(|spi| bench.supervisor.child_down(bench.now, id, spi, Traffic::default()));
            }
        }
        8 | 9 => {
            if let Some(id) = bench.supervisor.trying() {
                bench.succeed_with(id);
            }
        }
        10 if bench.supervisor.trying().is_some() => {
            let id = bench.supervisor.trying().unwrap();
            bench.supervisor.closed(bench.now, id, CloseReason::Failed);
        }
        _ => {
            bench.heard.extend(up.iter().map(|&id| (id, bench.now.instant)));
            let seconds = dice.roll(2000) as f64 / 100.0;
            step(bench, seed, seconds);
        }
    }
}

/// Lets time pass with a name server that answers, and checks what comes of it.
fn step(bench: &mut Bench, seed: u64, seconds: f64) {
    for action in bench.pass(seconds) {
        match action {
            Action::Resolve(_) => bench.supervisor.resolved(bench.now, Ok(vec![address(PEER)])),
            Action::Close(id, reason) => bench.supervisor.closed(bench.now, id, reason),
            Action::Initiate(_) => assert!(!bench.supervisor.is_stopped(), "seed {seed}"),
            _ => {}
        }
    }
}

#[test]
fn every_site_that_wants_a_tunnel_gets_one_in_the_end() {
    for seed in 1..=3000 {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let peer = if dice.roll(2) == 0 { name() } else { Peer::Address(address(PEER)) };
        let start = if dice.roll(3) == 0 { Start::Demand } else { Start::Always };
        let children: &[&str] = if dice.roll(2) == 0 { &["a"] } else { &["a", "b"] };
        let mut bench = Bench::with_children(peer, start, children);
        for _ in 0..60 {
            happen(&mut bench, seed, &mut dice);
            let tunnels = bench.supervisor.tunnels.values();
            let trying = tunnels.filter(|t| t.role == Role::Initiator && t.stage == Stage::Connecting).count();
            assert!(trying <= 1, "seed {seed}");
        }
        let _ = bench.supervisor.up(bench.now, None);
        for _ in 0..400 {
            step(&mut bench, seed, 1.0);
            if let Some(id) = bench.supervisor.trying() {
                bench.succeed_with(id);
            }
            let up: Vec<SessionId> = bench.supervisor.tunnels.keys().copied().collect();
            bench.heard.extend(up.iter().map(|&id| (id, bench.now.instant)));
        }
        assert!(bench.supervisor.is_up(), "seed {seed}");
        let ours = |t: &&Tunnel| t.is_established() && t.role == Role::Initiator;
        assert!(
            bench.supervisor.tunnels.values().filter(ours).count() <= 1,
            "seed {seed}: at most one that we have begun"
        );
    }
}
