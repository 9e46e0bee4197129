use super::*;
use crate::auth::AuthFailure;

const MAGIC: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];

/// Idea 49, first half.
#[test]
fn answers_an_echo_of_full_size_with_what_the_client_takes() {
    for (mru, replied) in [(1400_u16, 1400_usize), (1500, 1500), (576, 576)] {
        let mut gateway =
            Gateway::opened_with(LinkConfig::new("gateway", 1400), &[&[1, 4][..], &mru.to_be_bytes()].concat());
        gateway.sent();
        let data = [&MAGIC[..], &[0x55; 1492]].concat();
        gateway.receive_lcp(Code::ECHO_REQUEST, &data);
        let sent = gateway.only();
        assert_eq!(sent.information.len(), replied);
        let (code, identifier, data) = sent.parts();
        assert_eq!((code, identifier), (Code::ECHO_REPLY, 9));
        assert_ne!(data[..4], MAGIC, "our magic number, not theirs");
        assert!(data[4..].iter().all(|octet| *octet == 0x55));
    }
}

/// Idea 49, second half.
#[test]
fn ends_after_four_lost_echoes_thirty_seconds_apart() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    bring_ipv4_up(&mut gateway);
    for n in 1..=4 {
        gateway.pass(30 * SECOND);
        assert_eq!(gateway.only().packet().code, Code::ECHO_REQUEST, "echo {n}");
    }
    assert!(gateway.down().is_none());
    gateway.pass(30 * SECOND);
    assert!(gateway.sent().iter().any(|sent| sent.packet().code == Code::TERMINATE_REQUEST));
    gateway.pass(3 * SECOND);
    assert_eq!(gateway.down(), Some(CloseReason::PeerDead { lost_echoes: 4 }));
}

/// IPCP is up, so that only echoes are left to be sent; IPv6 is refused by the client.
fn bring_ipv4_up(gateway: &mut Gateway) {
    gateway.receive_lcp(Code::PROTOCOL_REJECT, &[0x80, 0x57, 1, 1, 0, 4]);
    let address = [3, 6, 10, 20, 0, 7];
    let ack = Packet { code: Code::CONFIGURE_ACK, identifier: 1, data: &[3, 6, 10, 20, 0, 1] }.emit();
    gateway.receive(Protocol::IPCP, &ack);
    gateway.receive(Protocol::IPCP, &Packet { code: Code::CONFIGURE_REQUEST, identifier: 1, data: &address }.emit());
    assert!(gateway.link.info().ipv4);
    gateway.sent();
}

#[test]
fn any_frame_or_note_puts_the_next_echo_off() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    bring_ipv4_up(&mut gateway);
    for n in 0..20 {
        gateway.pass(29 * SECOND);
        assert_eq!(gateway.sent(), [], "{n}");
        if n % 2 == 0 {
            gateway.link.note_inbound(gateway.now);
        } else {
            gateway.receive(Protocol::IPV4, &[0x45]);
        }
    }
}

#[test]
fn answers_ten_echoes_and_goodbyes_per_second() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    for _ in 0..100 {
        gateway.receive_lcp(Code::ECHO_REQUEST, &MAGIC);
    }
    assert_eq!(gateway.sent().len(), 10);
    gateway.pass(SECOND - SECOND / 100);
    gateway.sent();
    gateway.receive_lcp(Code::ECHO_REQUEST, &MAGIC);
    assert_eq!(gateway.sent(), []);
    gateway.pass(SECOND / 50);
    gateway.sent();
    gateway.receive_lcp(Code::ECHO_REQUEST, &MAGIC);
    assert_eq!(gateway.only().packet().code, Code::ECHO_REPLY);
}

#[test]
fn answers_no_echo_before_lcp_is_open_or_without_a_magic_number() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    gateway.receive_lcp(Code::ECHO_REQUEST, &MAGIC);
    assert_eq!(gateway.sent(), []);
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.receive_lcp(Code::ECHO_REQUEST, &MAGIC[..3]);
    gateway.receive_lcp(Code::DISCARD_REQUEST, &MAGIC);
    gateway.receive_lcp(Code::ECHO_REPLY, &MAGIC);
    assert_eq!(gateway.sent(), []);
}

#[test]
fn acks_a_goodbye_and_ends_a_second_later() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.receive_lcp(Code::TERMINATE_REQUEST, b"user request");
    assert_eq!(gateway.only().parts(), (Code::TERMINATE_ACK, 9, &[][..]));
    assert_eq!(gateway.link.info().phase, Phase::Terminate);
    gateway.receive_lcp(Code::TERMINATE_REQUEST, b"user request");
    assert_eq!(gateway.only().parts(), (Code::TERMINATE_ACK, 9, &[][..]));
    gateway.pass(SECOND);
    assert_eq!(gateway.down(), Some(CloseReason::PeerTerminated));
    gateway.receive_lcp(Code::TERMINATE_REQUEST, b"user request");
    assert_eq!(gateway.sent(), []);
}

#[test]
fn a_client_that_gives_up_before_agreement_is_gone() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    gateway.receive_lcp(Code::TERMINATE_REQUEST, &[]);
    assert_eq!(gateway.only().packet().code, Code::TERMINATE_ACK);
    assert_eq!(gateway.down(), Some(CloseReason::PeerTerminated));
}

#[test]
fn says_goodbye_twice_and_ends_without_an_answer() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.link.close(gateway.now, CloseReason::Shutdown);
    gateway.link.close(gateway.now, CloseReason::Administrative);
    let sent = gateway.only();
    assert_eq!(sent.packet().code, Code::TERMINATE_REQUEST);
    gateway.pass(SECOND);
    assert_eq!(gateway.only().packet().code, Code::TERMINATE_REQUEST);
    assert_eq!(gateway.down(), None);
    gateway.pass(SECOND);
    assert_eq!(gateway.down(), Some(CloseReason::Shutdown), "the first reason counts");
    assert_eq!(gateway.link.poll_timeout(), None);
    assert_eq!(gateway.sent(), []);
}

#[test]
fn ends_without_any_answer_to_its_requests() {
    let mut gateway = Gateway::plain();
    gateway.pass(23 * SECOND);
    assert_eq!(gateway.sent().len(), 10);
    assert_eq!(gateway.down(), None);
    gateway.pass(SECOND);
    assert_eq!(gateway.down(), Some(CloseReason::NoAnswer(Protocol::LCP)));
}

#[test]
fn ends_a_login_that_takes_longer_than_thirty_seconds() {
    let mut gateway = Gateway::logged_in();
    gateway.pass(29 * SECOND);
    assert_eq!(gateway.sent(), []);
    gateway.pass(SECOND);
    assert!(gateway.sent().iter().any(|sent| sent.packet().code == Code::TERMINATE_REQUEST));
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::LoginTimeout));
}

#[test]
fn a_rejected_login_is_told_before_the_goodbye() {
    let mut gateway = Gateway::opened();
    let challenge = gateway.sent().pop().expect("a challenge");
    let mut client = Client::new(Method::MsChapV2, "anna", "wrong");
    gateway.receive(Protocol::CHAP, &client.handle(&challenge.information).expect("a response"));
    assert!(matches!(gateway.events()[..], [Event::Credentials(_)]));
    gateway.link.verdict(gateway.now, Verdict::Rejected);
    let sent = gateway.sent();
    assert_eq!(sent[0].protocol, Protocol::CHAP);
    assert_eq!(sent[0].packet().code, Code(4), "CHAP Failure");
    assert_eq!(sent[1].packet().code, Code::TERMINATE_REQUEST);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::AuthenticationFailed(AuthFailure::Rejected)));
}

#[test]
fn a_denied_client_is_sent_away() {
    let mut gateway = Gateway::logged_in();
    gateway.link.deny(gateway.now, CloseReason::NoAddress);
    assert_eq!(gateway.only().packet().code, Code::TERMINATE_REQUEST);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::NoAddress));
}

#[test]
fn a_client_that_begins_anew_proves_itself_again_and_keeps_its_grant() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    bring_ipv4_up(&mut gateway);
    gateway.events();
    gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_REQUEST, identifier: 40, data: &[] }.emit());
    assert!(matches!(gateway.events()[..], [Event::NetworkDown { .. }]));
    assert_eq!(gateway.link.info().phase, Phase::Establish);
    let request = gateway.last_request(Protocol::LCP);
    gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_ACK, ..request.packet() }.emit());
    gateway.log_in_again();
    assert!(gateway.events().is_empty(), "no second Authenticated");
    assert_eq!(gateway.link.info().phase, Phase::Network);
    bring_ipv4_up(&mut gateway);
}

impl Gateway {
    /// As `log_in`, when the grant is there already: requests of the network phase follow the success.
    fn log_in_again(&mut self) {
        let challenge = self.sent().pop().expect("a challenge");
        let mut client = Client::new(Method::MsChapV2, Pair::ACCOUNT.user, Pair::ACCOUNT.password);
        self.receive(Protocol::CHAP, &client.handle(&challenge.information).expect("a response"));
        let Some(Event::Credentials(credentials)) = self.link.poll_event() else { panic!("credentials") };
        let Proof::Right(proof) = credentials.prove(&Verifier::of_password(Pair::ACCOUNT.password)) else {
            panic!("the password is right")
        };
        self.link.verdict(self.now, Verdict::Accepted { user: Pair::ACCOUNT.user.to_owned(), proof });
        let protocols: Vec<_> = self.sent().iter().map(|sent| sent.protocol).collect();
        assert_eq!(protocols, [Protocol::CHAP, Protocol::IPCP, Protocol::IPV6CP]);
    }
}
