//! CHAP and MS-CHAPv2, from RFC vectors to hostile packets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::auth::mschapv2::{Challenges, nt_response};
use crate::auth::nt_hash::NtHash;
use crate::auth::{Proof, Verifier, chap_md5};

const SEED: AuthSeed = AuthSeed { challenge: *b"[]|}{?/><,`!2&&(", unused_challenge: [0xab; 16], identifier: 0x21 };
const PEER_CHALLENGE: [u8; 16] = *b"!@#$%^&*()_+:3|~";

fn server(algorithm: Algorithm) -> Server {
    Server::new(algorithm, SEED, "vpn.example.org")
}

/// A Response of MS-CHAPv2; `hashed` is the part of the name that counts.
fn ms_response(name: &[u8], hashed: &[u8], password: &str) -> Vec<u8> {
    let challenges = Challenges { authenticator: &SEED.challenge, peer: &PEER_CHALLENGE, user_name: hashed };
    let nt_response = nt_response(&NtHash::of_password(password), &challenges);
    let value = MsResponse { peer_challenge: PEER_CHALLENGE, nt_response }.emit();
    Exchange { is_challenge: false, identifier: 0x21, value: &value, name }.emit().unwrap()
}

/// Judges by a password alone.
fn judge(server: &mut Server, packet: &[u8], password: &str) -> Step {
    let Step::Credentials(credentials) = server.handle(packet) else { panic!("not asked") };
    match credentials.prove(&Verifier::of_password(password)) {
        Proof::Right(proof) => server.verdict(Verdict::Accepted { user: credentials.user().to_owned(), proof }),
        Proof::Wrong | Proof::NeedsClearPassword => server.verdict(Verdict::Rejected),
    }
}

#[test]
fn the_challenge_has_sixteen_bytes_and_our_name() {
    let expected = [&[1, 0x21, 0, 36, 16][..], &SEED.challenge, b"vpn.example.org"].concat();
    assert_eq!(server(Algorithm::MsChapV2).challenge(), expected);
    assert_eq!(server(Algorithm::Md5).challenge(), expected);
}

#[test]
fn the_exchange_of_rfc_2759_ends_with_its_success_message() {
    let mut server = server(Algorithm::MsChapV2);
    let response = ms_response(b"User", b"User", "clientPass");
    assert_eq!(response[..5], [2, 0x21, 0, 58, 49]);
    let Step::Accepted { packet, user } = judge(&mut server, &response, "clientPass") else { panic!("refused") };
    assert_eq!(user, "User");
    let message = b"S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome";
    assert_eq!(packet, [&[3, 0x21, 0, 56][..], message].concat());
}

/// Test idea 45.
#[test]
fn mschapv2_takes_domains_utf_8_and_the_longest_password() {
    let longest = "p".repeat(255);
    for (name, hashed, password) in [
        ("CORP\\User", "User", "clientPass"),
        ("corp.example\\User", "User", "clientPass"),
        ("jürgen.müller", "jürgen.müller", "Paßwort€"),
        ("CORP\\jürgen", "jürgen", "Paßwort€"),
        ("User", "User", longest.as_str()),
    ] {
        let response = ms_response(name.as_bytes(), hashed.as_bytes(), password);
        let step = judge(&mut server(Algorithm::MsChapV2), &response, password);
        let Step::Accepted { packet, user } = step else { panic!("{name} refused") };
        assert_eq!(user, name);
        let (true, message) = parse_outcome(&packet).unwrap() else { panic!("{name} failed") };
        let message = std::str::from_utf8(message).unwrap();
        let (proof, text) = message.split_once(' ').unwrap();
        let digits = proof.strip_prefix("S=").unwrap();
        assert!(
            digits.len() == 40 && digits.chars().all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c)),
            "{proof}"
        );
        assert_eq!(text, "M=Welcome");
    }
}

/// Test idea 45.
#[test]
fn a_wrong_password_gets_error_691_without_a_retry() {
    let response = ms_response(b"User", b"User", "wrong");
    let step = judge(&mut server(Algorithm::MsChapV2), &response, "clientPass");
    let Step::Refused { packet, reason } = step else { panic!("accepted") };
    assert_eq!(reason, AuthFailure::Rejected);
    let message = b"E=691 R=0 C=ABABABABABABABABABABABABABABABAB V=3 M=Authentication failed";
    assert_eq!(parse_outcome(&packet), Some((false, &message[..])));
    assert_eq!(packet[..2], [4, 0x21]);
}

#[test]
fn the_same_response_again_gets_the_same_outcome_and_another_one_nothing() {
    for password in ["clientPass", "wrong"] {
        let mut server = server(Algorithm::MsChapV2);
        let response = ms_response(b"User", b"User", password);
        let (Step::Accepted { packet, .. } | Step::Refused { packet, .. }) =
            judge(&mut server, &response, "clientPass")
        else {
            panic!("no outcome")
        };
        assert!(matches!(server.handle(&response), Step::Repeat(again) if again == packet));
        let guess = ms_response(b"User", b"User", "clientPas");
        assert!(matches!(server.handle(&guess), Step::Ignore), "a challenge is used once");
        assert!(matches!(server.verdict(Verdict::Rejected), Step::Ignore));
    }
}

#[test]
fn nothing_is_judged_twice_while_the_verdict_is_open() {
    let mut server = server(Algorithm::MsChapV2);
    let response = ms_response(b"User", b"User", "clientPass");
    assert!(matches!(server.handle(&response), Step::Credentials(_)));
    assert!(matches!(server.handle(&response), Step::Ignore));
}

#[test]
fn chap_md5_follows_rfc_1994() {
    let mut server = server(Algorithm::Md5);
    let value = chap_md5(0x21, b"secret", &SEED.challenge);
    let response = Exchange { is_challenge: false, identifier: 0x21, value: &value, name: b"alice" }.emit().unwrap();
    let Step::Accepted { packet, user } = judge(&mut server, &response, "secret") else { panic!("refused") };
    assert_eq!((packet, user.as_str()), ([&[3, 0x21, 0, 11][..], b"Welcome"].concat(), "alice"));
    let refused = judge(&mut super::Server::new(Algorithm::Md5, SEED, "vpn"), &response, "Secret");
    assert!(matches!(refused, Step::Refused { packet, .. } if packet[0] == 4));
}

#[test]
fn values_of_another_size_identifier_or_direction_are_ignored() {
    let good = ms_response(b"User", b"User", "clientPass");
    let mut other = Vec::new();
    for length in [0, 16, 48, 50, 255] {
        let value = vec![1; length];
        other.push(Exchange { is_challenge: false, identifier: 0x21, value: &value, name: b"User" }.emit().unwrap());
    }
    for (position, byte) in [(0, 1), (0, 3), (1, 0x22), (4, 48), (4, 50)] {
        let mut changed = good.clone();
        changed[position] = byte;
        other.push(changed);
    }
    other.push(ms_response(&[b'a'; 254], b"a", "clientPass"));
    for packet in other {
        assert!(matches!(server(Algorithm::MsChapV2).handle(&packet), Step::Ignore), "{packet:02x?}");
    }
    let value = [0; 49];
    let long = Exchange { is_challenge: false, identifier: 0x21, value: &value, name: b"User" }.emit().unwrap();
    assert!(matches!(server(Algorithm::Md5).handle(&long), Step::Ignore));
}

#[test]
fn every_truncation_of_a_response_is_ignored_and_padding_is_not_read() {
    let good = ms_response(b"User", b"User", "clientPass");
    for n in 0..good.len() {
        assert!(Exchange::parse(&good[..n]).is_err(), "{n} bytes");
    }
    let padded = [&good[..], &[0; 3]].concat();
    assert!(
        matches!(judge(&mut server(Algorithm::MsChapV2), &padded, "clientPass"), Step::Accepted { user, .. } if user == "User")
    );
}

#[test]
fn mschapv2_is_not_accepted_without_our_own_proof() {
    let mut server = server(Algorithm::MsChapV2);
    server.handle(&ms_response(b"User", b"User", "clientPass"));
    let step = server.verdict(Verdict::Accepted { user: "User".to_owned(), proof: None });
    assert!(matches!(step, Step::Refused { .. }));
}

proptest! {
    #[test]
    fn exchanges_round_trip(is_challenge: bool, identifier: u8, value in proptest::collection::vec(any::<u8>(), 0..256), name in proptest::collection::vec(any::<u8>(), 0..254)) {
        let exchange = Exchange { is_challenge, identifier, value: &value, name: &name };
        let bytes = exchange.emit().unwrap();
        prop_assert_eq!(Exchange::parse(&bytes), Ok(exchange));
    }

    #[test]
    fn no_stranger_gets_in_or_breaks_it(packets: Vec<Vec<u8>>, md5: bool) {
        let mut server = server(if md5 { Algorithm::Md5 } else { Algorithm::MsChapV2 });
        for packet in packets {
            if let Step::Credentials(credentials) = server.handle(&packet) {
                prop_assert!(matches!(credentials.prove(&Verifier::of_password("clientPass")), Proof::Wrong));
                server.verdict(Verdict::Rejected);
            }
        }
    }
}
