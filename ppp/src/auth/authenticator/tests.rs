//! Whole logins of every method, over links that lose packets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::auth::testing::Client;
use crate::auth::{Proof, Verifier};

const SEED: AuthSeed = AuthSeed { challenge: *b"[]|}{?/><,`!2&&(", unused_challenge: [0xab; 16], identifier: 0xff };

#[expect(clippy::disallowed_methods, reason = "an arbitrary beginning of virtual time")]
fn start() -> Instant {
    Instant::now()
}

/// A gateway with one account, and a client, joined by a link that may lose packets.
struct Pair {
    gateway: Authenticator,
    client: Client,
    now: Instant,
    events: Vec<AuthEvent>,
    sent: Vec<Vec<u8>>,
}

impl Pair {
    fn new(method: Method, password: &str) -> Self {
        let now = start();
        let gateway = Authenticator::new(method, SEED, "vpn.example.org", &EapConfig::default(), now);
        Self { gateway, client: Client::new(method, "User", password), now, events: Vec::new(), sent: Vec::new() }
    }

    /// Exchanges packets until both are silent; `lost` says which ones do not arrive.
    fn drive(&mut self, mut lost: impl FnMut() -> bool) {
        let mut to_gateway: VecDeque<_> = self.client.start().into_iter().collect();
        loop {
            if let Some(packet) = to_gateway.pop_front() {
                if !lost() {
                    self.gateway.handle(self.now, &packet);
                    self.judge();
                }
            } else if let Some(packet) = self.gateway.poll_transmit() {
                self.sent.push(packet.clone());
                if !lost() {
                    to_gateway.extend(self.client.handle(&packet));
                }
            } else {
                break;
            }
        }
        self.judge();
    }

    fn judge(&mut self) {
        while let Some(event) = self.gateway.poll_event() {
            let AuthEvent::Credentials(credentials) = event else {
                self.events.push(event);
                continue;
            };
            let verdict = match credentials.prove(&Verifier::of_password("clientPass")) {
                Proof::Right(proof) => Verdict::Accepted { user: "user".to_owned(), proof },
                Proof::Wrong | Proof::NeedsClearPassword => Verdict::Rejected,
            };
            self.gateway.verdict(self.now, verdict);
        }
    }

    fn advance(&mut self) -> bool {
        let Some(due) = self.gateway.poll_timeout() else { return false };
        self.now = due;
        self.gateway.handle_timeout(due);
        true
    }

    fn end(&mut self) -> AuthEvent {
        assert_eq!(self.events.len(), 1, "{:?}", self.events);
        self.events.pop().unwrap()
    }
}

#[test]
fn every_method_lets_in_who_knows_the_password() {
    for method in Method::ALL {
        let mut pair = Pair::new(method, "clientPass");
        pair.drive(|| false);
        assert!(matches!(pair.end(), AuthEvent::Authenticated { user } if user == "user"), "{method}");
        assert_eq!(pair.client.outcome(), Some(true), "{method}");
        assert_eq!(pair.gateway.poll_timeout(), None, "{method}");
    }
}

#[test]
fn every_method_refuses_a_wrong_password_and_says_so() {
    for method in Method::ALL {
        let mut pair = Pair::new(method, "wrong");
        pair.drive(|| false);
        assert!(matches!(pair.end(), AuthEvent::Failed(AuthFailure::Rejected)), "{method}");
        assert_eq!(pair.client.outcome(), Some(false), "{method}");
        assert_eq!(pair.gateway.poll_timeout(), None, "{method}");
    }
}

#[test]
fn a_lost_last_packet_is_sent_again_when_the_client_repeats_its_answer() {
    for method in Method::ALL {
        let mut pair = Pair::new(method, "clientPass");
        let mut answer = pair.client.start();
        while pair.events.is_empty() {
            if let Some(packet) = pair.gateway.poll_transmit() {
                answer = pair.client.handle(&packet);
            }
            pair.gateway.handle(pair.now, answer.as_ref().unwrap());
            pair.judge();
        }
        let lost = pair.gateway.poll_transmit().unwrap();
        pair.gateway.handle(pair.now + Duration::from_secs(3600), answer.as_ref().unwrap());
        assert_eq!(pair.gateway.poll_transmit(), Some(lost), "{method}");
        assert!(pair.gateway.poll_event().is_none(), "{method}: the outcome is told once");
    }
}

#[test]
fn a_request_is_repeated_soon_and_then_every_three_seconds_until_the_client_is_given_up() {
    for method in [Method::MsChapV2, Method::ChapMd5, Method::Eap] {
        let mut pair = Pair::new(method, "clientPass");
        let begin = pair.now;
        let mut times = Vec::new();
        loop {
            while let Some(packet) = pair.gateway.poll_transmit() {
                times.push((pair.now - begin).as_secs());
                pair.sent.push(packet);
            }
            if !pair.advance() {
                break;
            }
        }
        assert_eq!(times, [0, 1, 2, 3, 6, 9, 12, 15, 18, 21], "{method}");
        assert!(pair.sent.iter().all(|packet| *packet == pair.sent[0]), "unchanged, so that any answer fits");
        pair.judge();
        assert!(matches!(pair.end(), AuthEvent::Failed(AuthFailure::NoAnswer(m)) if m == method));
        assert_eq!((pair.now - begin).as_secs(), 24);
    }
}

#[test]
fn a_client_that_sends_no_pap_request_is_given_up() {
    let mut pair = Pair::new(Method::Pap, "clientPass");
    while pair.advance() {}
    assert_eq!(pair.gateway.poll_transmit(), None);
    pair.judge();
    assert!(matches!(pair.end(), AuthEvent::Failed(AuthFailure::NoAnswer(Method::Pap))));
    let late = pair.client.start().unwrap();
    pair.gateway.handle(pair.now, &late);
    assert!(pair.gateway.poll_event().is_none() && pair.gateway.poll_transmit().is_none());
}

#[test]
fn a_client_that_does_not_answer_an_eap_failure_request_gets_eap_failure_after_three_seconds() {
    let mut pair = Pair::new(Method::Eap, "wrong");
    pair.client.silent_on_failure = true;
    pair.drive(|| false);
    assert!(pair.events.is_empty(), "it may still answer");
    let waiting = pair.now;
    assert!(pair.advance());
    assert_eq!(pair.now - waiting, Duration::from_secs(3));
    pair.drive(|| false);
    assert!(matches!(pair.end(), AuthEvent::Failed(AuthFailure::Rejected)));
    assert_eq!(pair.client.outcome(), Some(false));
    assert!(!pair.advance());
}

#[test]
fn eap_on_a_link_ignores_duplicates_strays_and_padding() {
    let mut pair = Pair::new(Method::Eap, "clientPass");
    let identity = pair.gateway.poll_transmit().unwrap();
    let mut answer = pair.client.handle(&identity).unwrap();
    answer.extend([0; 4]);
    for stray in [&[][..], &[1, 0xff, 0, 5, 1], &[2, 0xfe, 0, 5, 1], &[2, 0xff, 0, 9, 1], &[4, 0xff, 0, 4]] {
        pair.gateway.handle(pair.now, stray);
        assert!(pair.gateway.poll_transmit().is_none() && pair.gateway.poll_event().is_none(), "{stray:02x?}");
    }
    pair.gateway.handle(pair.now, &answer);
    let challenge = pair.gateway.poll_transmit().unwrap();
    pair.gateway.handle(pair.now, &answer);
    assert_eq!(pair.gateway.poll_transmit(), None, "a duplicate");
    let response = pair.client.handle(&challenge).unwrap();
    pair.gateway.handle(pair.now, &response);
    pair.gateway.handle(pair.now, &response);
    pair.judge();
    pair.drive(|| false);
    assert!(matches!(pair.end(), AuthEvent::Authenticated { .. }));
}

#[test]
fn a_client_that_wants_another_eap_method_is_told_apart() {
    let mut pair = Pair::new(Method::Eap, "clientPass");
    let identity = pair.gateway.poll_transmit().unwrap();
    let answer = pair.client.handle(&identity).unwrap();
    pair.gateway.handle(pair.now, &answer);
    pair.gateway.handle(pair.now, &[2, 0, 0, 6, 3, 13]);
    pair.judge();
    let AuthEvent::Failed(reason) = pair.end() else { panic!("let in") };
    assert!(reason.to_string().contains("wants EAP-TLS"), "{reason}");
}

proptest! {
    #[test]
    fn a_login_survives_loss_and_tells_one_outcome(losses: Vec<bool>, method in 0_usize..4, right: bool) {
        let mut pair = Pair::new(Method::ALL[method], if right { "clientPass" } else { "wrong" });
        let mut losses = losses.into_iter();
        for _ in 0..40 {
            pair.drive(|| losses.next().unwrap_or(false));
            if pair.client.outcome().is_some() {
                break;
            }
            pair.advance();
        }
        prop_assert!(pair.events.len() <= 1);
        if let Some(event) = pair.events.pop() {
            let expected = if right { "Authenticated" } else { "Rejected" };
            let told = format!("{event:?}");
            prop_assert!(told.contains(expected) || told.contains("NoAnswer"), "{}", told);
        }
    }

    #[test]
    fn one_packet_in_is_one_packet_out_at_most(packets: Vec<Vec<u8>>, method in 0_usize..4) {
        let mut pair = Pair::new(Method::ALL[method], "clientPass");
        while pair.gateway.poll_transmit().is_some() {}
        for packet in packets {
            pair.gateway.handle(pair.now, &packet);
            pair.judge();
            let sent = std::iter::from_fn(|| pair.gateway.poll_transmit()).count();
            prop_assert!(sent <= 1);
        }
        let let_in = pair.events.iter().any(|event| matches!(event, AuthEvent::Authenticated { .. }));
        prop_assert!(!let_in);
    }
}
