//! What peers say beside the matter: status notifications, vendor IDs, unknown payloads.

use cygnet_ike::testing::Task;
use cygnet_ike::wire::num::{ExchangeType, NotifyType};
use cygnet_ike::wire::v2::{Notify, Payload, VendorId};
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

/// What real clients send, and what nobody knows.
fn chatter() -> Vec<(NotifyType, Vec<u8>)> {
    [
        (NotifyType::REDIRECT_SUPPORTED, &[][..]),
        (NotifyType::NON_FIRST_FRAGMENTS_ALSO, &[]),
        (NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED, &[]),
        (NotifyType::NO_ADDITIONAL_ADDRESSES, &[]),
        (NotifyType::ADDITIONAL_IP4_ADDRESS, &[192, 0, 2, 99]),
        (NotifyType::ADDITIONAL_IP4_ADDRESS, b"of no use"),
        (NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED, &[]),
        (NotifyType::MULTIPLE_AUTH_SUPPORTED, &[]),
        (NotifyType::SET_WINDOW_SIZE, &[0, 0, 0, 1]),
        (NotifyType::HTTP_CERT_LOOKUP_SUPPORTED, &[]),
        (NotifyType::IPCOMP_SUPPORTED, &[0, 0, 2]),
        (NotifyType::ERX_SUPPORTED, &[]),
        (NotifyType::USE_AGGFRAG, &[]),
        (NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, &[]),
        (NotifyType::SUPPORTED_AUTH_METHODS, &[0, 0, 0, 0]),
        (NotifyType(40_000), b"nobody knows"),
        (NotifyType(65_535), &[0; 300]),
    ]
    .map(|(kind, data)| (kind, data.to_vec()))
    .to_vec()
}

#[test]
fn status_that_does_not_concern_us_is_passed_over_in_every_exchange() {
    let mut config = client();
    config.status = chatter();
    config.vendor_ids = vec![b"strongSwan".to_vec(), Vec::new(), vec![0], vec![7; 255], b"strongSwan".to_vec()];
    let mut pair = login(server(), config);
    assert_up(&pair, 0);
    let chatter = chatter();
    let mut payloads: Vec<Payload<'_>> =
        chatter.iter().map(|(kind, data)| Payload::Notify(Notify::new(*kind, data))).collect();
    payloads.push(Payload::VendorId(VendorId(b"somebody")));
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &payloads);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].raw_answer(), None);
    assert!(pair.clients[0].raw_notifies.is_empty());
    for task in [Task::RekeyChild, Task::RekeyIke, Task::Probe] {
        run(&mut pair, 0, task);
        assert_up(&pair, 0);
    }
    assert_eq!(refusals(&pair), [] as [&RefusalReason; 0]);
}

#[test]
fn an_error_from_out_of_the_blue_does_no_harm() {
    for kind in
        [NotifyType::INVALID_SPI, NotifyType::NO_PROPOSAL_CHOSEN, NotifyType::TEMPORARY_FAILURE, NotifyType(8192)]
    {
        let mut pair = connected();
        let now = pair.now;
        pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &[Payload::Notify(Notify::new(kind, &[]))]);
        pair.settle(LIMIT);
        assert_eq!(pair.clients[0].raw_answer(), None);
        assert_up(&pair, 0);
    }
}

#[test]
fn a_client_that_does_not_believe_us_ends_the_session_and_the_operator_learns_why() {
    let mut pair = connected();
    let now = pair.now;
    let distrust = Payload::Notify(Notify::new(NotifyType::AUTHENTICATION_FAILED, &[]));
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &[distrust]);
    pair.settle(LIMIT);
    assert_eq!(refusals(&pair), [&RefusalReason::Distrusted]);
    assert_eq!(closed(&pair), [CloseReason::Failed]);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}
