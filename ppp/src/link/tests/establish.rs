use super::*;
use crate::event::WantedAuth;

/// MRU 1400, magic number, PFC, ACFC and callback: the first request of Windows.
const WINDOWS: &[u8] = &[1, 4, 5, 0x78, 5, 6, 0x12, 0x34, 0x56, 0x78, 7, 2, 8, 2, 13, 3, 6];

fn request(identifier: u8, options: &[u8]) -> Vec<u8> {
    Packet { code: Code::CONFIGURE_REQUEST, identifier, data: options }.emit()
}

#[test]
fn asks_at_once_for_mru_authentication_and_magic_number() {
    let sent = Gateway::plain().only();
    assert_eq!(sent.protocol, Protocol::LCP);
    let (code, identifier, options) = sent.parts();
    assert_eq!((code, identifier), (Code::CONFIGURE_REQUEST, 1));
    assert_eq!(options[..11], [1, 4, 0x05, 0x78, 3, 5, 0xc2, 0x23, 0x81, 5, 6]);
    assert_eq!(options.len(), 15);
}

#[test]
fn offers_an_mru_in_range_whatever_the_path_says() {
    for (configured, offered) in [(0, 576_u16), (1280, 1280), (9000, 1500)] {
        let sent = Gateway::new(LinkConfig::new("gateway", configured)).only();
        assert_eq!(sent.packet().data[2..4], offered.to_be_bytes());
    }
}

/// Idea 41.
#[test]
fn rejects_exactly_the_callback_of_windows_and_acks_the_next_request() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    gateway.receive(Protocol::LCP, &request(0, WINDOWS));
    let sent = gateway.sent();
    assert_eq!(sent[0].packet().code, Code::CONFIGURE_REQUEST, "ours again, since Windows has lost the first");
    assert_eq!(sent[1].parts(), (Code::CONFIGURE_REJECT, 0, &[13, 3, 6][..]));

    gateway.receive(Protocol::LCP, &request(1, &WINDOWS[..14]));
    assert_eq!(gateway.only().parts(), (Code::CONFIGURE_ACK, 1, &WINDOWS[..14]));

    for (identifier, text) in [(2, &b"MSRASV5.20"[..]), (3, b"MSRAS-0-PC"), (4, &[0xab; 16])] {
        let data = [&[0x12, 0x34, 0x56, 0x78], text].concat();
        gateway.receive(Protocol::LCP, &Packet { code: Code::IDENTIFICATION, identifier, data: &data }.emit());
    }
    gateway.receive_lcp(Code::TIME_REMAINING, &[0; 8]);
    assert_eq!(gateway.sent(), []);
    let info = gateway.link.info();
    assert_eq!((info.peer_mru, info.short_protocol, info.omit_address_control), (1400, true, true));
}

/// Idea 41: the whole list of section 5.1.
#[test]
fn rejects_all_options_that_no_client_needs_at_once_and_in_order() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    let refused = [
        &[4, 8, 0xc0, 0x25, 0, 0, 0, 9][..], // quality reports
        &[9, 2],                             // FCS alternatives
        &[13, 3, 6],                         // callback
        &[17, 4, 6, 0x4e],                   // MRRU
        &[18, 2],                            // short sequence numbers
        &[19, 5, 3, 1, 2],                   // endpoint discriminator
        &[200, 3, 7],                        // unknown
    ]
    .concat();
    gateway.receive(Protocol::LCP, &request(5, &[&WINDOWS[..14], &refused].concat()));
    assert_eq!(gateway.sent()[1].parts(), (Code::CONFIGURE_REJECT, 5, &refused[..]));
}

/// Idea 42.
#[test]
fn repeats_a_lost_first_request_when_the_client_speaks_for_the_first_time() {
    let mut gateway = Gateway::plain();
    let lost = gateway.only();
    gateway.pass(SECOND / 2);
    gateway.receive(Protocol::LCP, &request(1, &[7, 2]));
    let sent = gateway.sent();
    assert_eq!(sent[0], lost, "the same request with the same identifier");
    assert_eq!(sent[1].packet().code, Code::CONFIGURE_ACK);
    assert_eq!(sent.len(), 2);
    gateway.receive(Protocol::LCP, &request(2, &[8, 2]));
    assert_eq!(gateway.only().packet().code, Code::CONFIGURE_ACK, "only once");
}

/// Idea 42: if both were lost, the next comes a second later.
#[test]
fn sends_its_request_again_after_a_second_and_later_after_three() {
    let mut gateway = Gateway::plain();
    let first = gateway.only();
    let mut times = Vec::new();
    for tenth in 1..=100 {
        gateway.pass(SECOND / 10);
        let sent = gateway.sent();
        assert!(sent.iter().all(|sent| *sent == first));
        times.extend(sent.iter().map(|_| tenth));
    }
    assert_eq!(times, [10, 20, 30, 60, 90]);
}

#[test]
fn does_not_repeat_a_request_that_was_answered() {
    let mut gateway = Gateway::plain();
    let sent = gateway.only();
    gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_ACK, ..sent.packet() }.emit());
    gateway.receive(Protocol::LCP, &request(1, &[]));
    let sent = gateway.sent();
    assert_eq!(sent[0].parts(), (Code::CONFIGURE_ACK, 1, &[][..]));
    assert_eq!(sent[1].protocol, Protocol::CHAP);
    assert_eq!(sent.len(), 2);
}

/// Both sides' requests cross: ours was repeated, so there are two Acks to it.
#[test]
fn a_second_ack_of_the_same_request_changes_nothing() {
    let mut gateway = Gateway::plain();
    let ours = gateway.only();
    let ack = Packet { code: Code::CONFIGURE_ACK, ..ours.packet() }.emit();
    gateway.receive(Protocol::LCP, &request(1, &[]));
    gateway.receive(Protocol::LCP, &ack);
    assert_eq!(gateway.link.info().phase, Phase::Authenticate);
    gateway.sent();
    gateway.receive(Protocol::LCP, &ack);
    assert_eq!(gateway.sent(), []);
    assert_eq!(gateway.link.info().phase, Phase::Authenticate);
}

/// Idea 43.
#[test]
fn acks_the_empty_request_of_macos() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    gateway.receive(Protocol::LCP, &request(1, &[13, 3, 6]));
    gateway.sent();
    gateway.receive(Protocol::LCP, &[1, 2, 0, 4]);
    assert_eq!(gateway.only().information, [2, 2, 0, 4]);
    assert_eq!(gateway.link.info().peer_mru, 1500);
}

/// Idea 44, first half.
#[test]
fn follows_a_client_from_another_method_to_ms_chap_v2() {
    for first in [Method::Eap, Method::ChapMd5, Method::Pap] {
        let mut config = LinkConfig::new("gateway", 1400);
        config.auth = vec![first, Method::MsChapV2];
        let mut gateway = Gateway::new(config);
        let identifier = gateway.only().packet().identifier;
        let nak = Packet { code: Code::CONFIGURE_NAK, identifier, data: &[3, 5, 0xc2, 0x23, 0x81] }.emit();
        gateway.receive(Protocol::LCP, &nak);
        let sent = gateway.only();
        let (code, second, options) = sent.parts();
        assert_eq!(code, Code::CONFIGURE_REQUEST);
        assert_ne!(second, identifier, "it is another request");
        assert_eq!(options[4..9], [3, 5, 0xc2, 0x23, 0x81], "{first}");
        gateway.receive(Protocol::LCP, &nak);
        assert_eq!(gateway.sent(), [], "a late duplicate");
    }
}

/// Idea 44, second half.
#[test]
fn rejects_the_wish_that_the_gateway_authenticate_itself() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    gateway.receive(Protocol::LCP, &request(1, &[3, 4, 0xc0, 0x23, 7, 2]));
    assert_eq!(gateway.sent()[1].parts(), (Code::CONFIGURE_REJECT, 1, &[3, 4, 0xc0, 0x23][..]));
}

#[test]
fn tries_the_next_method_when_the_wanted_one_is_not_allowed() {
    let mut config = LinkConfig::new("gateway", 1400);
    config.auth = vec![Method::MsChapV2, Method::Eap];
    let mut gateway = Gateway::new(config);
    let identifier = gateway.only().packet().identifier;
    let nak = |identifier| Packet { code: Code::CONFIGURE_NAK, identifier, data: &[3, 4, 0xc0, 0x23] }.emit();
    gateway.receive(Protocol::LCP, &nak(identifier));
    let sent = gateway.only();
    assert_eq!(sent.packet().data[4..8], [3, 4, 0xc2, 0x27]);
    gateway.receive(Protocol::LCP, &nak(sent.packet().identifier));
    let wanted = Some(WantedAuth { protocol: Protocol::PAP, algorithm: None });
    let allowed = vec![Method::MsChapV2, Method::Eap];
    assert_eq!(gateway.down(), Some(CloseReason::AuthProtocolRefused { allowed, wanted }));
    assert_eq!(gateway.link.poll_timeout(), None);
}

#[test]
fn ends_when_a_client_refuses_to_authenticate_at_all() {
    let mut gateway = Gateway::plain();
    let identifier = gateway.only().packet().identifier;
    let reject = Packet { code: Code::CONFIGURE_REJECT, identifier, data: &[3, 5, 0xc2, 0x23, 0x81] }.emit();
    gateway.receive(Protocol::LCP, &reject);
    let allowed = vec![Method::MsChapV2];
    assert_eq!(gateway.down(), Some(CloseReason::AuthProtocolRefused { allowed, wanted: None }));
}

#[test]
fn ends_at_once_without_a_method() {
    let mut config = LinkConfig::new("gateway", 1400);
    config.auth.clear();
    let mut gateway = Gateway::new(config);
    assert_eq!(gateway.sent(), []);
    assert!(matches!(gateway.down(), Some(CloseReason::AuthProtocolRefused { .. })));
    assert_eq!(gateway.link.poll_timeout(), None);
}

#[test]
fn lives_without_mru_and_magic_number_if_the_client_rejects_them() {
    let mut gateway = Gateway::plain();
    let sent = gateway.only();
    let (_, identifier, options) = sent.parts();
    let rejected = [&options[..4], &options[9..]].concat();
    gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_REJECT, identifier, data: &rejected }.emit());
    assert_eq!(gateway.only().packet().data, [3, 5, 0xc2, 0x23, 0x81]);
    assert_eq!(gateway.link.info().local_mru, 1500);
}

#[test]
fn ignores_a_reject_of_what_it_never_asked_for() {
    let mut gateway = Gateway::plain();
    let identifier = gateway.only().packet().identifier;
    gateway
        .receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_REJECT, identifier, data: &[3, 4, 0xc0, 0x23] }.emit());
    gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_ACK, identifier, data: &[7, 2] }.emit());
    assert_eq!(gateway.sent(), []);
    assert_eq!(gateway.link.info().phase, Phase::Establish);
}

#[test]
fn takes_a_smaller_mru_from_a_nak_and_no_absurd_one() {
    for (wanted, then) in [(1300_u16, 1300_u16), (1500, 1500), (100, 1400), (4091, 1400)] {
        let mut gateway = Gateway::plain();
        let identifier = gateway.only().packet().identifier;
        let data = [&[1, 4][..], &wanted.to_be_bytes()].concat();
        gateway.receive(Protocol::LCP, &Packet { code: Code::CONFIGURE_NAK, identifier, data: &data }.emit());
        assert_eq!(gateway.only().packet().data[2..4], then.to_be_bytes(), "{wanted}");
    }
}

#[test]
fn naks_an_mru_out_of_range_and_rejects_it_from_a_client_that_insists() {
    for (asked, told) in [(575_u16, 576_u16), (0, 576), (1501, 1500), (4091, 1500)] {
        let mut gateway = Gateway::plain();
        gateway.receive(Protocol::LCP, &request(1, &[]));
        gateway.sent();
        let [high, low] = asked.to_be_bytes();
        for identifier in 2..7 {
            gateway.receive(Protocol::LCP, &request(identifier, &[1, 4, high, low]));
            let [high, low] = told.to_be_bytes();
            assert_eq!(gateway.only().parts(), (Code::CONFIGURE_NAK, identifier, &[1, 4, high, low][..]));
        }
        gateway.receive(Protocol::LCP, &request(7, &[1, 4, high, low]));
        assert_eq!(gateway.only().parts(), (Code::CONFIGURE_REJECT, 7, &[1, 4, high, low][..]));
    }
    for fine in [576_u16, 1270, 1500] {
        let mut gateway = Gateway::plain();
        gateway.receive(Protocol::LCP, &request(1, &[&[1, 4][..], &fine.to_be_bytes()].concat()));
        assert_eq!(gateway.link.info().peer_mru, fine);
    }
}

#[test]
fn ends_when_options_go_round_in_circles() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    for identifier in 0..10 {
        gateway.receive(Protocol::LCP, &request(identifier, &[13, 3, 6]));
        assert_eq!(gateway.down(), None);
    }
    gateway.receive(Protocol::LCP, &request(10, &[13, 3, 6]));
    assert_eq!(gateway.down(), Some(CloseReason::NotConverging(Protocol::LCP)));
}

#[test]
fn notices_a_looped_link() {
    let mut gateway = Gateway::plain();
    let mut rounds = 0;
    while gateway.link.info().phase != Phase::Dead {
        let frames: Vec<_> = std::iter::from_fn(|| gateway.link.poll_transmit()).collect();
        assert!(!frames.is_empty(), "it went quiet");
        frames.iter().for_each(|frame| gateway.link.handle_frame(gateway.now, frame));
        rounds += 1;
    }
    assert_eq!(gateway.down(), Some(CloseReason::Looped));
    assert!(rounds < 20, "{rounds} rounds");
}

#[test]
fn rejects_an_unknown_code_with_as_much_as_fits() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    let packet = Packet { code: Code(77), identifier: 3, data: &[5; 1400] }.emit();
    gateway.receive(Protocol::LCP, &packet);
    let sent = gateway.only();
    let (code, _, data) = sent.parts();
    assert_eq!(code, Code::CODE_REJECT);
    assert_eq!(data, &packet[..572]);
}

#[test]
fn lives_with_a_code_reject_of_echoes_and_not_of_configuration() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.receive_lcp(Code::CODE_REJECT, &[9, 1, 0, 8, 0, 0, 0, 0]);
    assert_eq!(gateway.link.info().phase, Phase::Authenticate);
    gateway.receive_lcp(Code::CODE_REJECT, &[1, 1, 0, 4]);
    assert_eq!(gateway.only().packet().code, Code::TERMINATE_REQUEST);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::ProtocolRejected(Protocol::LCP)));
}

#[test]
fn drops_frames_of_later_phases_and_of_methods_that_are_not_in_use() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    let later =
        [Protocol::CHAP, Protocol::PAP, Protocol::EAP, Protocol::IPCP, Protocol::IPV6CP, Protocol::CCP, Protocol::IPV4];
    for protocol in later {
        gateway.receive(protocol, &[1, 1, 0, 4]);
    }
    assert_eq!(gateway.sent(), []);

    let mut gateway = Gateway::opened();
    gateway.sent();
    for protocol in later.into_iter().filter(|protocol| *protocol != Protocol::CHAP) {
        gateway.receive(protocol, &[1, 1, 0, 4]);
    }
    assert_eq!(gateway.sent(), []);
    assert!(gateway.events().is_empty());
}

#[test]
fn ignores_what_is_not_a_frame_and_never_answers_it() {
    let mut gateway = Gateway::plain();
    gateway.sent();
    let timeout = gateway.link.poll_timeout();
    for frame in [
        &[][..],
        &[0xff],
        &[0xff, 3],
        &[0xff, 3, 0xc0],
        &[0xff, 3, 0xc0, 0x21],
        &[0xc0, 0x21, 1, 1, 0, 3],
        &[0xc0, 0x21, 1, 1, 0, 9],
    ] {
        gateway.link.handle_frame(gateway.now, frame);
    }
    gateway.receive(Protocol::LCP, &request(1, &[7, 1]));
    gateway.receive(Protocol::LCP, &request(1, &[7, 2, 7, 2]));
    assert_eq!(gateway.sent(), []);
    assert_eq!(gateway.link.poll_timeout(), timeout);
}

#[test]
fn ends_when_the_client_rejects_the_protocol_of_its_login() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.receive_lcp(Code::PROTOCOL_REJECT, &[0xc2, 0x23, 1, 1]);
    assert_eq!(gateway.only().packet().code, Code::TERMINATE_REQUEST);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::ProtocolRejected(Protocol::CHAP)));
}
