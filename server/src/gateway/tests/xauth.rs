//! "Cisco IPsec": IKEv1 with XAUTH and Mode Config.

use cygnet_ike::testing::v1::{V1ClientConfig, V1End, V1Task};
use cygnet_ike::wire::v1::num::ConfigAttr;
use cygnet_l2tp::testing::{Flavor, LacConfig};
use cygnet_ppp::testing::Profile;

use super::world::{Device, HOME, SERVER, World};
use super::*;

fn with_xauth() -> World {
    World::new(Site::new(&format!(
        "protocols = [\"xauth\"]\npsk = \"{KEY}\"\npool = \"10.83.20.0/24\"\ndns = \"10.83.0.53\"\n[users]\n\
         alice = {{ password = \"correct horse\", devices = 1 }}"
    )))
}

fn phone<'a>(password: &'a str, from: &'a str) -> Device<'a> {
    Device {
        ike: V1ClientConfig::xauth(KEY.as_bytes(), "alice", password, HOME, SERVER),
        lac: LacConfig::new(Flavor::Android),
        profile: Profile::android(),
        user: "alice",
        password,
        from,
    }
}

#[test]
fn a_phone_logs_in_renews_both_phases_and_leaves_nothing_behind() {
    let mut world = with_xauth();
    let phone = world.start(phone("correct horse", "198.51.100.7"), false);
    world.run_for(Duration::from_secs(5));
    assert!(world.dialers[phone].ike.is_up(), "{:?} {:?}", world.dialers[phone].end(), world.site.headlines("alice"));
    let before = world.site.gateway.status(world.site.now).sessions;
    let [session] = before.as_slice() else { panic!("one session") };
    assert_eq!((session.user.as_str(), session.via.as_str()), ("alice", "xauth"));
    assert_eq!(session.inside, world.site.routed);
    let told = world.dialers[phone].ike.setting(ConfigAttr(1)).expect("an address");
    let IpAddr::V4(inside) = session.inside[0] else { panic!("IPv4") };
    assert!(format!("{told:?}").contains(&format!("{:?}", inside.octets())), "{told:?}");

    world.task(phone, V1Task::RekeyChild);
    world.task(phone, V1Task::RekeyIsakmp);
    world.run_for(Duration::from_secs(100));
    let after = world.site.gateway.status(world.site.now).sessions;
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, &after[0].inside), (session.id, &session.inside));
    assert_eq!((world.children.len(), world.links.len()), (1, 0));

    world.task(phone, V1Task::Close);
    assert!(world.site.users().is_empty() && world.site.routed.is_empty() && world.children.is_empty());
}

#[test]
fn a_wrong_password_is_told_to_client_and_operator() {
    let mut world = with_xauth();
    let guesser = world.start(phone("wrong", "198.51.100.7"), false);
    world.run_for(Duration::from_secs(5));
    assert!(matches!(world.dialers[guesser].end(), Some(V1End::XAuthFailed | V1End::Deleted)));
    assert!(world.site.headlines("alice")[0].contains("wrong password"), "{:?}", world.site.headlines("alice"));
    assert!(world.site.users().is_empty() && world.site.routed.is_empty() && world.children.is_empty());
}

#[test]
fn the_limit_of_devices_holds_for_xauth_too() {
    let mut world = with_xauth();
    let first = world.start(phone("correct horse", "198.51.100.7"), false);
    world.run_for(Duration::from_secs(5));
    let second = world.start(phone("correct horse", "198.51.100.8"), false);
    world.run_for(Duration::from_secs(5));
    assert!(world.dialers[first].ike.is_up() && !world.dialers[second].ike.is_up());
    assert!(world.site.headlines("alice")[0].contains("1 of 1 devices"), "{:?}", world.site.headlines("alice"));
}
