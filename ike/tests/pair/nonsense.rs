//! Authentic requests that make no sense: each gets the answer of the RFC.

use cygnet_ike::wire::num::{ExchangeType, NotifyType, PayloadType};
use cygnet_ike::wire::v2::{Delete, Nonce, Notify, Payload, Unknown};
use cygnet_ike::wire::{EspSpi, num::ProtocolId};
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

#[test]
fn an_unknown_critical_payload_is_named_and_the_session_stays() {
    let mut pair = connected();
    for exchange in [ExchangeType::INFORMATIONAL, ExchangeType::CREATE_CHILD_SA] {
        let unknown = Payload::Unknown(Unknown { kind: PayloadType(200), critical: true, body: b"x" });
        let now = pair.now;
        pair.clients[0].send_raw(now, exchange, &[unknown]);
        pair.settle(LIMIT);
        assert_eq!(pair.clients[0].raw_answer(), Some(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD));
    }
    let expected = RefusalReason::UnsupportedCritical(PayloadType(200));
    assert_eq!(refusals(&pair), [&expected, &expected]);
    assert_up(&pair, 0);
}

#[test]
fn an_unknown_payload_that_is_not_critical_is_passed_over() {
    let mut pair = connected();
    let unknown = Payload::Unknown(Unknown { kind: PayloadType(200), critical: false, body: b"x" });
    let status = Payload::Notify(Notify::new(NotifyType(40_000), b"status"));
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &[unknown, status]);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].raw_answer(), None);
    assert_eq!(refusals(&pair), [] as [&RefusalReason; 0]);
    assert_up(&pair, 0);
}

#[test]
fn a_syntax_error_ends_the_session_with_an_answer() {
    let cases: [(ExchangeType, Vec<Payload<'_>>); 4] = [
        (ExchangeType::INFORMATIONAL, vec![Payload::Nonce(Nonce(b"short"))]),
        (ExchangeType::CREATE_CHILD_SA, vec![]),
        (ExchangeType::CREATE_CHILD_SA, vec![Payload::Nonce(Nonce(&[1; 32]))]),
        (ExchangeType::CREATE_CHILD_SA, vec![Payload::Nonce(Nonce(&[1; 32])), Payload::Nonce(Nonce(&[2; 32]))]),
    ];
    for (exchange, payloads) in cases {
        let mut pair = connected();
        let now = pair.now;
        pair.clients[0].send_raw(now, exchange, &payloads);
        pair.settle(LIMIT);
        assert_eq!(pair.clients[0].raw_answer(), Some(NotifyType::INVALID_SYNTAX));
        assert_eq!(closed(&pair), [CloseReason::Failed]);
        assert_eq!(refusals(&pair).len(), 1);
        assert_empty(&mut pair);
    }
}

#[test]
fn a_delete_of_what_does_not_exist_is_answered_and_has_no_effect() {
    let mut pair = connected();
    let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![EspSpi(7), EspSpi(8)] };
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &[Payload::Delete(delete)]);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].raw_answer(), None);
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 1);
}

#[test]
fn ike_auth_after_the_login_is_met_with_silence() {
    let mut pair = connected();
    let before = pair.server.counters().unexpected;
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::IKE_AUTH, &[]);
    pair.settle(LIMIT);
    assert!(pair.server.counters().unexpected > before);
    assert_eq!(pair.children.len(), 1);
    assert_eq!(pair.server.counters().sessions, 1);
}
