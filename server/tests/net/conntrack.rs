//! Connections of clients that have left: nobody gets their answers.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use cygnet_server::net::forwarding::Families;
use cygnet_server::net::link::TunSettings;
use cygnet_server::net::{HostNetwork, HostSettings};

use crate::firewall::rules;
use crate::traffic::{
    ALICE, ALICE_6, BOB, GATEWAY, OUTSIDE, OUTSIDE_6, PATIENCE, SILENCE, WAN, World, sender_seen, target, udp,
};

fn alice() -> Vec<IpAddr> {
    [ALICE, ALICE_6].map(|a| a.parse().unwrap()).to_vec()
}

fn bob() -> Vec<IpAddr> {
    vec![BOB.parse().unwrap()]
}

/// Admits Alice and Bob, translates their addresses, and runs a test.
fn run(world: &World, test: impl AsyncFnOnce(&HostNetwork) + Send) {
    let addresses = [GATEWAY, "fd00:20::1"].map(|a| a.parse().unwrap()).to_vec();
    let settings = HostSettings {
        tun: TunSettings { addresses, mtu: 1300 },
        families: Families { v4: true, v6: true },
        rules: rules(),
    };
    world.gateway.block_on(async || {
        let (network, _task) = HostNetwork::start(settings).await.unwrap();
        network.admit([alice(), bob()].concat(), None).await.unwrap();
        test(&network).await;
        network.close().await;
    });
}

/// A client's conversation with the outside host by the gateway's address.
struct Flow {
    client: UdpSocket,
    outside: UdpSocket,
    /// The client as the outside host sees it.
    seen: SocketAddr,
}

impl Flow {
    fn begin(client: UdpSocket, outside: UdpSocket) -> Self {
        let seen = sender_seen(&client, &outside, PATIENCE).unwrap();
        assert_ne!(seen, target(&client), "not translated");
        Self { client, outside, seen }
    }

    fn of_alice(world: &World) -> [Self; 2] {
        [(ALICE, OUTSIDE), (ALICE_6, OUTSIDE_6)]
            .map(|(client, outside)| Self::begin(udp(&world.alice, client, 0), udp(&world.outside, outside, 0)))
    }

    fn of_bob(world: &World) -> Self {
        Self::begin(udp(&world.bob, BOB, 0), udp(&world.outside, OUTSIDE, 0))
    }

    /// Whether what the outside host sends now comes to whoever has the client's address.
    fn is_answered(&self, patience: Duration) -> bool {
        self.outside.send_to(b"answer", self.seen).unwrap();
        self.client.set_read_timeout(Some(patience)).unwrap();
        self.client.recv_from(&mut [0; 16]).is_ok()
    }
}

fn tracked(world: &World) -> u32 {
    world.gateway.read_sysctl("net/netfilter/nf_conntrack_count").parse().unwrap()
}

#[test]
fn the_next_client_with_an_address_gets_no_answers_of_the_former_one() {
    let world = World::new();
    run(&world, async |network| {
        let (former, other) = (Flow::of_alice(&world), Flow::of_bob(&world));
        assert!(former.iter().chain([&other]).all(|flow| flow.is_answered(PATIENCE)));
        network.expel(alice()).await.unwrap();
        network.admit(alice(), None).await.unwrap();
        for flow in &former {
            assert!(!flow.is_answered(SILENCE), "{} still leads to {}", flow.seen, target(&flow.client));
        }
        assert!(other.is_answered(PATIENCE), "Bob has not left");
        let next = Flow::of_alice(&world);
        assert!(next.iter().all(|flow| flow.is_answered(PATIENCE)));
        assert!(!network.repair().await.unwrap());
        assert!(next.iter().all(|flow| flow.is_answered(PATIENCE)), "these are not the former client's");
    });
}

#[test]
fn an_address_that_changes_hands_in_one_step_loses_its_connections() {
    let world = World::new();
    run(&world, async |network| {
        let (former, other) = (Flow::of_alice(&world), Flow::of_bob(&world));
        let (gone, come) = tokio::join!(network.expel(alice()), network.admit(alice(), None));
        gone.and(come).unwrap();
        assert!(former.iter().all(|flow| !flow.is_answered(SILENCE)));
        assert!(other.is_answered(PATIENCE));
    });
}

#[test]
fn connections_live_on_when_a_session_takes_over_the_address_of_another() {
    let world = World::new();
    run(&world, async |network| {
        let flows = Flow::of_alice(&world);
        network.expel(bob()).await.unwrap();
        network.admit([alice(), bob()].concat(), None).await.unwrap();
        assert!(flows.iter().all(|flow| flow.is_answered(PATIENCE)));
    });
}

#[test]
fn connections_of_clients_that_left_are_forgotten_with_the_next_repair() {
    let world = World::new();
    run(&world, async |network| {
        let [flow, _] = Flow::of_alice(&world);
        let mapped = udp(&world.gateway, WAN, flow.seen.port());
        network.expel(alice()).await.unwrap();
        assert!(sender_seen(&flow.outside, &mapped, SILENCE).is_none(), "still the client's");
        assert!(!network.repair().await.unwrap());
        assert!(sender_seen(&flow.outside, &mapped, PATIENCE).is_some(), "the gateway's own");
    });
}

#[test]
fn thousands_of_connections_go_and_one_of_another_client_stays() {
    let world = World::new();
    run(&world, async |network| {
        let other = Flow::of_bob(&world);
        let client = udp(&world.alice, ALICE, 0);
        for port in 20_000..23_000 {
            client.send_to(b"hello", (OUTSIDE, port)).unwrap();
        }
        assert!(tracked(&world) > 3000, "{} are tracked", tracked(&world));
        network.expel(alice()).await.unwrap();
        network.admit(alice(), None).await.unwrap();
        assert!(tracked(&world) < 50, "{} are tracked", tracked(&world));
        assert!(other.is_answered(PATIENCE));
    });
}
