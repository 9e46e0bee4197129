//! The EAP server against a client made of the same RFC functions, one test per way a login can go.

use crate::auth::mschapv2::{Challenges, nt_response};
use crate::auth::nt_hash::NtHash;
use crate::auth::{Credentials, Proof, Verifier};
use proptest::prelude::*;

use super::*;

const SEED: AuthSeed = AuthSeed { challenge: *b"[]|}{?/><,`!2&&(", unused_challenge: [0xab; 16], identifier: 255 };
const PEER_CHALLENGE: [u8; 16] = *b"!@#$%^&*()_+:3|~";

/// The only account is `User` with the password of RFC 2759.
fn judge(credentials: &Credentials) -> Verdict {
    let known = credentials.user().rsplit('\\').next().is_some_and(|name| name.eq_ignore_ascii_case("user"));
    match credentials.prove(&Verifier::of_password("clientPass")) {
        Proof::Right(proof) if known => Verdict::Accepted { user: "User".to_owned(), proof },
        _ => Verdict::Rejected,
    }
}

/// A client: remembers the last request.
struct Client {
    server: EapServer,
    request: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let server = EapServer::new(SEED, "vpn.example.org", &EapConfig::default());
        let request = server.start();
        Self { server, request }
    }

    /// A client that has got its challenge.
    fn challenged() -> Self {
        let mut client = Self::new();
        client.expect_request(EapType::IDENTITY, b"User");
        client
    }

    fn identifier(&self) -> u8 {
        self.request[1]
    }

    fn mschap_request(&self) -> MsChapRequest<'_> {
        let Ok(Packet::Request { method: EapType::MSCHAPV2, data, .. }) = Packet::parse(&self.request) else {
            panic!("not an EAP-MSCHAPv2 request: {:?}", self.request);
        };
        MsChapRequest::parse(data).unwrap()
    }

    fn send(&mut self, method: EapType, data: &[u8]) -> EapOutcome {
        let packet = Packet::Response { identifier: self.identifier(), method, data };
        match self.server.handle(&packet.emit().unwrap()) {
            EapOutcome::Credentials(credentials) => self.server.verdict(judge(&credentials)),
            outcome => outcome,
        }
    }

    fn expect_request(&mut self, method: EapType, data: &[u8]) {
        match self.send(method, data) {
            EapOutcome::Request(request) => self.request = request,
            _ => panic!("no further request"),
        }
    }

    fn answer(&self, name: &str, hashed: &str, password: &str) -> Vec<u8> {
        let MsChapRequest::Challenge { id, challenge, .. } = self.mschap_request() else { panic!("no challenge") };
        let challenges = Challenges { authenticator: &challenge, peer: &PEER_CHALLENGE, user_name: hashed.as_bytes() };
        let nt_response = nt_response(&NtHash::of_password(password), &challenges);
        let mut data = Vec::new();
        MsChapResponse::Response { id, peer_challenge: PEER_CHALLENGE, nt_response, name: name.as_bytes() }
            .emit(&mut data);
        data
    }

    fn login(name: &str, hashed: &str, password: &str) -> (Self, EapOutcome) {
        let mut client = Self::challenged();
        let answer = client.answer(name, hashed, password);
        let outcome = client.send(EapType::MSCHAPV2, &answer);
        (client, outcome)
    }
}

fn rejected(outcome: EapOutcome) -> Vec<u8> {
    let EapOutcome::Rejected { message, reason: None } = outcome else { panic!("not rejected") };
    message
}

fn failed(outcome: EapOutcome) -> (Vec<u8>, Option<AuthFailure>) {
    let EapOutcome::Failure { message, reason } = outcome else { panic!("not failed") };
    (message, reason)
}

#[test]
fn the_first_request_asks_for_the_identity() {
    assert_eq!(Client::new().request, [1, 255, 0, 5, 1]);
}

#[test]
fn the_challenge_names_the_server() {
    let client = Client::challenged();
    assert_eq!(client.identifier(), 0, "the identifier wraps");
    let expected = MsChapRequest::Challenge { id: 0, challenge: SEED.challenge, name: b"vpn.example.org" };
    assert_eq!(client.mschap_request(), expected);
    assert_eq!(client.server.claimed_name(), Some("User"));
}

#[test]
fn the_exchange_of_rfc_2759_succeeds_with_the_keys_of_rfc_3079() {
    let (mut client, outcome) = Client::login("User", "User", "clientPass");
    let EapOutcome::Request(request) = outcome else { panic!("rejected") };
    client.request = request;
    let message = b"S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome";
    assert_eq!(client.mschap_request(), MsChapRequest::Success { id: 0, message });
    let EapOutcome::Success { message, msk, user, method } = client.send(EapType::MSCHAPV2, &[3]) else {
        panic!("failed")
    };
    assert_eq!(method, EapMethod::MsChapV2);
    assert!(!method.is_mutual() && EapMethod::Tls.is_mutual());
    assert_eq!(message, [3, 1, 0, 4]);
    assert_eq!(user, "User");
    let (receive, rest) = msk.expose().split_at(16);
    let (send, zeros) = rest.split_at(16);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    assert_eq!(hex(receive), "D5F0E9521E3EA9589645E86051C82226");
    assert_eq!(hex(send), "8B7CDC149B993A1BA118CB153F56DCCB");
    assert_eq!(zeros, [0; 32]);
}

#[test]
fn case_and_domain_of_the_name_do_not_matter_but_are_hashed_as_typed() {
    for (name, hashed) in [("USER", "USER"), (r"CORP\user", "user"), (r"corp.example\User", "User")] {
        let (mut client, outcome) = Client::login(name, hashed, "clientPass");
        let EapOutcome::Request(request) = outcome else { panic!("{name} rejected") };
        client.request = request;
        assert!(matches!(client.send(EapType::MSCHAPV2, &[3]), EapOutcome::Success { user, .. } if user == "User"));
    }
}

#[test]
fn the_user_is_the_one_whose_password_was_proven_not_the_claimed_one() {
    let mut client = Client::new();
    client.expect_request(EapType::IDENTITY, b"admin");
    let answer = client.answer("User", "User", "clientPass");
    client.expect_request(EapType::MSCHAPV2, &answer);
    assert!(matches!(client.send(EapType::MSCHAPV2, &[3]), EapOutcome::Success { user, .. } if user == "User"));
}

#[test]
fn the_name_whose_password_is_checked_replaces_the_claimed_one() {
    let mut client = Client::new();
    client.expect_request(EapType::IDENTITY, b"");
    assert_eq!(client.server.claimed_name(), Some(""));
    let answer = client.answer(r"CORP\User", "User", "guess");
    let packet = Packet::Response { identifier: client.identifier(), method: EapType::MSCHAPV2, data: &answer };
    let EapOutcome::Credentials(credentials) = client.server.handle(&packet.emit().unwrap()) else {
        panic!("not asked")
    };
    assert_eq!(credentials.user(), r"CORP\User");
    assert_eq!(client.server.claimed_name(), Some(r"CORP\User"));
}

#[test]
fn a_verdict_that_nobody_asked_for_ends_the_login() {
    let mut client = Client::challenged();
    let verdict = Verdict::Accepted { user: "User".to_owned(), proof: None };
    assert!(matches!(failed(client.server.verdict(verdict)).1, Some(AuthFailure::Malformed(_))));
}

#[test]
fn nobody_is_accepted_without_the_proof_for_the_client() {
    let mut client = Client::challenged();
    let answer = client.answer("User", "User", "clientPass");
    let packet = Packet::Response { identifier: client.identifier(), method: EapType::MSCHAPV2, data: &answer };
    assert!(matches!(client.server.handle(&packet.emit().unwrap()), EapOutcome::Credentials(_)));
    rejected(client.server.verdict(Verdict::Accepted { user: "User".to_owned(), proof: None }));
}

#[test]
fn a_wrong_password_gets_a_failure_request_and_then_eap_failure() {
    let (mut client, outcome) = Client::login("User", "User", "wrong");
    client.request = rejected(outcome);
    let message = b"E=691 R=0 C=ABABABABABABABABABABABABABABABAB V=3 M=Authentication failed";
    assert_eq!(client.mschap_request(), MsChapRequest::Failure { id: 0, message });
    assert_eq!(failed(client.send(EapType::MSCHAPV2, &[4])), (vec![4, 1, 0, 4], None));
}

#[test]
fn nobody_is_let_in_after_a_failure_request() {
    let (mut client, outcome) = Client::login("User", "User", "wrong");
    client.request = rejected(outcome);
    assert_eq!(failed(client.send(EapType::MSCHAPV2, &[3])).1, None);
    assert!(matches!(failed(client.send(EapType::MSCHAPV2, &[3])).1, Some(AuthFailure::Malformed(_))));
}

#[test]
fn an_unknown_user_sees_what_a_wrong_password_sees() {
    let wrong = rejected(Client::login("User", "User", "wrong").1);
    assert_eq!(rejected(Client::login("nobody", "nobody", "clientPass").1), wrong);
}

#[test]
fn a_client_that_wants_another_method_is_told_apart() {
    let mut client = Client::challenged();
    let (message, reason) = failed(client.send(EapType::NAK, &[13, 21]));
    assert_eq!(message, [4, 0, 0, 4]);
    let reason = reason.unwrap();
    assert_eq!(
        reason.to_string(),
        "the client refuses EAP-MSCHAPv2 and wants EAP-TLS or EAP-TTLS; choose user name and password in its settings, or add \"tls\" to `eap` and give the gateway `ca`"
    );
}

#[test]
fn a_client_that_refuses_our_proof_fails() {
    for answer in [&[4][..], &[], &[3, 0]] {
        let (mut client, outcome) = Client::login("User", "User", "clientPass");
        let EapOutcome::Request(request) = outcome else { panic!("rejected") };
        client.request = request;
        let reason = failed(client.send(EapType::MSCHAPV2, answer)).1;
        assert_eq!(reason, Some(AuthFailure::Aborted { user: "User".into() }));
    }
}

#[test]
fn an_answer_to_another_request_fails() {
    let mut client = Client::challenged();
    let answer = client.answer("User", "User", "clientPass");
    client.request[1] ^= 1;
    let reason = failed(client.send(EapType::MSCHAPV2, &answer)).1;
    assert_eq!(reason, Some(AuthFailure::Malformed("EAP identifier")));

    let mut client = Client::challenged();
    let mut answer = client.answer("User", "User", "clientPass");
    answer[1] ^= 1;
    let reason = failed(client.send(EapType::MSCHAPV2, &answer)).1;
    assert_eq!(reason, Some(AuthFailure::Malformed("answer to the EAP-MSCHAPv2 challenge")));
}

#[test]
fn steps_cannot_be_skipped() {
    for data in [&[3][..], &[4]] {
        let reason = failed(Client::challenged().send(EapType::MSCHAPV2, data)).1;
        assert_eq!(reason, Some(AuthFailure::Malformed("answer to the EAP-MSCHAPv2 challenge")));
    }
    let reason = failed(Client::new().send(EapType::MSCHAPV2, &[3])).1;
    assert_eq!(reason, Some(AuthFailure::Malformed("answer to Request/Identity")));
    let reason = failed(Client::challenged().send(EapType(13), &[0])).1;
    assert_eq!(reason, Some(AuthFailure::Malformed("EAP method")));
    for code in [1, 3, 4] {
        let mut client = Client::challenged();
        let packet = if code == 1 { vec![1, 0, 0, 5, 1] } else { vec![code, 0, 0, 4] };
        let outcome = client.server.handle(&packet);
        assert_eq!(failed(outcome).1, Some(AuthFailure::Malformed("EAP code")));
    }
}

#[test]
fn no_truncated_or_changed_answer_succeeds() {
    let answer = Client::challenged().answer("User", "User", "clientPass");
    for n in 0..answer.len() {
        let outcome = Client::challenged().send(EapType::MSCHAPV2, &answer[..n]);
        assert!(matches!(outcome, EapOutcome::Failure { .. }), "{n} bytes");
    }
    let ignored = |n: usize| (21..29).contains(&n) || n == 53; // the reserved field and the flags
    for n in (0..answer.len()).filter(|&n| !ignored(n)) {
        let mut changed = answer.clone();
        changed[n] ^= 0x40;
        let outcome = Client::challenged().send(EapType::MSCHAPV2, &changed);
        assert!(!matches!(outcome, EapOutcome::Request(_)), "byte {n}");
    }
}

proptest! {
    #[test]
    fn no_stranger_gets_in_or_breaks_it(answers: Vec<(u8, Vec<u8>)>) {
        let mut client = Client::new();
        for (method, data) in answers {
            let method = EapType(if method % 2 == 0 { 26 } else { method % 4 });
            match client.send(method, &data) {
                EapOutcome::Request(request) | EapOutcome::Rejected { message: request, .. } => client.request = request,
                EapOutcome::Failure { .. } | EapOutcome::Credentials(_) => {}
                EapOutcome::Success { .. } => prop_assert!(false, "success"),
            }
        }
    }
}
