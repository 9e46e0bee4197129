//! Somebody on the way who sees our first message and answers it before the real peer can.

use std::time::Duration;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::wire::IkeSpi;
use cygnet_ike::wire::header::{Flags, Header, Version};
use cygnet_ike::wire::num::{ExchangeType, GroupId, NotifyType};
use cygnet_ike::wire::v2::{MessageBuilder, Notify, Payload};

use super::network::Parcel;
use super::world::World;

/// An answer to IKE_SA_INIT that nobody gave.
fn forged(spi: IkeSpi, kind: NotifyType, data: &[u8]) -> Vec<u8> {
    let header = Header {
        initiator_spi: spi,
        responder_spi: None,
        next_payload: None,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags { initiator: false, version: false, response: true },
        message_id: 0,
    };
    let mut message = MessageBuilder::new(&header);
    message.push(&Payload::Notify(Notify::new(kind, data)));
    message.finish().expect("short")
}

/// The SPI in the first message on the way.
fn seen_spi(world: &World) -> IkeSpi {
    let spi = world.network.on_the_way().find_map(|(_, parcel)| match parcel {
        Parcel::Ike(_, message) => message.first_chunk::<8>().copied(),
        Parcel::Esp(..) => None,
    });
    IkeSpi(spi.expect("IKE_SA_INIT is on the way"))
}

/// What a stranger may say.
fn lies() -> Vec<(NotifyType, Vec<u8>)> {
    let group = |id: GroupId| (NotifyType::INVALID_KE_PAYLOAD, id.0.to_be_bytes().to_vec());
    vec![
        (NotifyType::NO_PROPOSAL_CHOSEN, vec![]),
        (NotifyType::AUTHENTICATION_FAILED, vec![]),
        (NotifyType::INVALID_SYNTAX, vec![]),
        (NotifyType::INVALID_MAJOR_VERSION, vec![2]),
        (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![33]),
        (NotifyType::COOKIE, vec![1; 32]),
        (NotifyType::COOKIE, vec![]),
        (NotifyType::COOKIE, vec![1; 65]),
        group(GroupId::ECP_256),
        group(GroupId::ECP_384),
        group(GroupId::MODP_1024),
        group(GroupId::CURVE25519),
        (NotifyType::INVALID_KE_PAYLOAD, vec![1]),
        (NotifyType(40_000), vec![7; 7]),
    ]
}

#[test]
fn each_lie_alone_and_all_together_do_not_stop_an_attempt() {
    let each = lies().into_iter().map(|lie| vec![lie]);
    for (seed, lies) in each.chain([lies(), lies().into_iter().rev().collect()]).enumerate() {
        let mut world = World::new(LinkQuality::PERFECT, seed as u64);
        world.initiate(0);
        let (spi, path) = (seen_spi(&world), world.path(0, 500));
        for (kind, data) in &lies {
            world.network.forge(world.now, 0, path, forged(spi, *kind, data));
        }
        world.connect();
        world.assert_one(1);
        assert!(world.gateways[0].refusals.is_empty(), "{lies:?}");
        world.assert_empty();
    }
}

#[test]
fn a_flood_of_cookies_groups_and_errors_does_not_stop_an_attempt() {
    for seed in 0..50 {
        let mut world = World::new(LinkQuality::PERFECT, seed);
        world.initiate(0);
        let (spi, path) = (seen_spi(&world), world.path(0, 500));
        for round in 0..200_u32 {
            let cookie = [&round.to_be_bytes()[..], &[9; 12]].concat();
            world.network.forge(world.now, 0, path, forged(spi, NotifyType::COOKIE, &cookie));
            let groups = [GroupId::ECP_256, GroupId::ECP_384, GroupId::ECP_521, GroupId::CURVE25519];
            let group = groups[(round % 4) as usize].0.to_be_bytes();
            world.network.forge(world.now, 0, path, forged(spi, NotifyType::INVALID_KE_PAYLOAD, &group));
            world.network.forge(world.now, 0, path, forged(spi, NotifyType::NO_PROPOSAL_CHOSEN, &[]));
            world.advance(Duration::from_micros(50));
        }
        let sent = world.gateways[0].endpoint.counters().sent;
        assert!(sent < 20, "{sent} messages: a stranger cannot make us send many");
        world.connect();
        world.assert_one(1);
        world.assert_empty();
    }
}

#[test]
fn answers_from_elsewhere_or_for_other_spis_are_not_even_read() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    world.initiate(0);
    let (spi, path) = (seen_spi(&world), world.path(0, 500));
    let before = world.gateways[0].endpoint.fingerprint();
    let elsewhere = cygnet_ike::Path { peer: "203.0.113.99:500".parse().expect("an address"), ..path };
    let lie = forged(spi, NotifyType::NO_PROPOSAL_CHOSEN, &[]);
    world.ask(0, |endpoint, now| {
        let wall = cygnet_ike::UnixTime::from_secs(1_800_000_000);
        endpoint.handle_datagram(now, wall, elsewhere, &lie);
        endpoint.handle_datagram(now, wall, path, &forged(IkeSpi([1; 8]), NotifyType::NO_PROPOSAL_CHOSEN, &[]));
        endpoint.handle_datagram(now, wall, path, &lie[..lie.len() - 1]);
    });
    assert_eq!(world.gateways[0].endpoint.fingerprint(), before);
    world.connect();
    world.assert_empty();
}
