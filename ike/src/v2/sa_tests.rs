//! Fragments at one IKE SA: other cuts of the same message, mixed with the whole one, too much of it.

use bytes::Bytes;

use super::keys::{IkeKeys, Nonces, SpiPair};
use super::sa::{IkeSa, Incoming, OwnRequest, Purpose, Role};
use crate::crypto::secret::Secret;
use crate::crypto::sk::SkKey;
use crate::crypto::testing::SeededRandom;
use crate::proposal::{IkeSuite, Policy};
use crate::testing::epoch;
use crate::wire::header::{Flags, Header, Version};
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, Fragment, Notify, Payload, fragment_prefix, sealed_prefix};
use crate::wire::{EspSpi, IkeSpi};

const SPIS: SpiPair = SpiPair { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };

/// The peer's side: seals what it likes.
struct Peer {
    key: SkKey,
    random: SeededRandom,
}

fn suite() -> IkeSuite {
    let policy = Policy::default();
    let first = &policy.ike()[0];
    IkeSuite { encr: first.encrs[0], integ: None, prf: first.prfs[0], group: first.groups[0] }
}

fn keys() -> IkeKeys {
    let nonces = Nonces { initiator: &[3; 32], responder: &[4; 32] };
    IkeKeys::initial(&suite(), &Secret::from_slice(&[5; 32]), &nonces, SPIS)
}

/// A responder and its peer.
fn pair() -> (IkeSa, Peer) {
    let sa = IkeSa::new(Role::Responder, SPIS, suite(), keys().sa, true, 0);
    (sa, Peer { key: keys().sa.from_initiator, random: SeededRandom::new(1) })
}

fn header() -> Header {
    Header {
        initiator_spi: SPIS.initiator,
        responder_spi: Some(SPIS.responder),
        next_payload: None,
        version: Version::V2,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags { initiator: true, version: false, response: false },
        message_id: 0,
    }
}

/// Payloads of about so many bytes.
fn chain(octets: usize) -> (PayloadType, Vec<u8>) {
    let filler = vec![7; octets];
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Notify(Notify::new(NotifyType(40_000), &filler)));
    let (first, chain) = chain.finish().expect("not too long");
    (first.expect("a payload"), chain)
}

impl Peer {
    fn whole(&mut self, octets: usize) -> Bytes {
        let (first, chain) = chain(octets);
        let mut message = sealed_prefix(&header(), Some(first), self.key.sealed_len(chain.len())).expect("short");
        self.key.seal(&mut message, &chain, &mut self.random);
        message.into()
    }

    /// The message in `total` fragments.
    fn cut(&mut self, octets: usize, total: u16) -> Vec<Bytes> {
        let (first, chain) = chain(octets);
        let size = chain.len().div_ceil(usize::from(total));
        let seal = |(number, part): (u16, &[u8])| {
            let fragment = Fragment::new(number, total).expect("in range");
            let length = self.key.sealed_len(part.len());
            let mut message = fragment_prefix(&header(), Some(first), fragment, length).expect("short");
            self.key.seal(&mut message, part, &mut self.random);
            Bytes::from(message)
        };
        (1..=total).zip(chain.chunks(size)).map(seal).collect()
    }
}

/// Hands a message in; the length of the payloads if a request got complete.
fn feed(sa: &mut IkeSa, message: &[u8]) -> Option<usize> {
    let header = Header::parse(message).expect("a header");
    match sa.receive(epoch(), &header, message, true, MAX_MESSAGE) {
        Incoming::Request(request) => Some(request.chain.len()),
        Incoming::Fragment | Incoming::Unexpected => None,
        _ => panic!("neither forged nor answered before"),
    }
}

/// Hands a message in; how many messages are sent again for it.
fn answers(sa: &mut IkeSa, message: &[u8]) -> usize {
    let header = Header::parse(message).expect("a header");
    match sa.receive(epoch(), &header, message, true, MAX_MESSAGE) {
        Incoming::Again(messages) => messages.len(),
        Incoming::Unexpected => 0,
        _ => panic!("neither forged nor new"),
    }
}

#[test]
fn a_finer_cut_begins_anew_and_a_coarser_one_is_dropped() {
    let (mut sa, mut peer) = pair();
    let (coarse, fine) = (peer.cut(3000, 3), peer.cut(3000, 5));
    for fragment in [&coarse[0], &coarse[1], &fine[4], &fine[0], &coarse[2], &fine[1], &fine[2]] {
        assert_eq!(feed(&mut sa, fragment), None);
    }
    assert_eq!(feed(&mut sa, &fine[3]), Some(chain(3000).1.len()));
}

#[test]
fn the_whole_message_is_taken_whatever_fragments_of_it_are_there() {
    let (mut sa, mut peer) = pair();
    let (fragments, whole) = (peer.cut(3000, 3), peer.whole(3000));
    assert_eq!(feed(&mut sa, &fragments[0]), None);
    assert_eq!(feed(&mut sa, &fragments[2]), None);
    assert_eq!(feed(&mut sa, &whole), Some(chain(3000).1.len()));
    assert_eq!(feed(&mut sa, &fragments[1]), None, "what comes later is a copy");
    assert_eq!(sa.timeout(), None, "nothing is kept");
}

#[test]
fn fragments_after_the_whole_message_are_copies() {
    let (mut sa, mut peer) = pair();
    let (fragments, whole) = (peer.cut(3000, 3), peer.whole(3000));
    assert!(feed(&mut sa, &whole).is_some());
    assert!(!sa.answer(ChainBuilder::new(), &mut peer.random).is_empty());
    assert_eq!(fragments.iter().map(|fragment| answers(&mut sa, fragment)).collect::<Vec<_>>(), [1, 0, 0]);
    assert_eq!(sa.timeout(), None);
}

#[test]
fn the_same_request_cut_in_another_way_gets_the_same_answer() {
    let (mut sa, mut peer) = pair();
    let (coarse, fine, whole) = (peer.cut(3000, 3), peer.cut(3000, 5), peer.whole(3000));
    assert!(coarse.iter().filter_map(|fragment| feed(&mut sa, fragment)).eq([chain(3000).1.len()]));
    let mut answer = ChainBuilder::new();
    answer.push(&Payload::Notify(Notify::new(NotifyType(40_001), &[7; 2000])));
    let answered = sa.answer(answer, &mut peer.random).len();
    assert_eq!(answered, 2);
    for cut in [&coarse, &fine] {
        let counts: Vec<usize> = cut.iter().map(|fragment| answers(&mut sa, fragment)).collect();
        assert_eq!((counts[0], counts[1..].iter().sum()), (answered, 0_usize));
    }
    assert_eq!(answers(&mut sa, &whole), answered);
    // Neither a forgery nor another exchange is a copy.
    let mut forged = fine[0].to_vec();
    forged[60] ^= 1;
    let header = Header::parse(&forged).expect("a header");
    assert!(matches!(sa.receive(epoch(), &header, &forged, true, MAX_MESSAGE), Incoming::Forged));
    let mut other = fine[0].to_vec();
    other[18] = 36;
    assert_eq!(answers(&mut sa, &other), 0);
    assert_eq!(sa.timeout(), None, "nothing is kept");
}

#[test]
fn what_is_too_long_for_one_message_goes_in_fragments_or_not_at_all() {
    let (sa, mut peer) = pair();
    let (first, chain) = chain(MAX_MESSAGE - 12);
    for (fragmentation, expected) in [(true, 58..=64), (false, 0..=0)] {
        let messages = super::sa::seal(&header(), &mut peer.key, fragmentation, Some(first), &chain, &mut peer.random);
        assert!(expected.contains(&messages.len()), "{} messages", messages.len());
        assert!(messages.iter().all(|message| message.len() <= super::fragments::FRAGMENT_LEN));
    }
    drop(sa);
}

#[test]
fn no_more_is_kept_than_the_longest_message() {
    let (mut sa, mut peer) = pair();
    // Each fragment is valid for itself; together they are longer than any message.
    let (_, part) = chain(MAX_MESSAGE / 16);
    for number in 1..=32 {
        let fragment = Fragment::new(number, 32).expect("in range");
        let length = peer.key.sealed_len(part.len());
        let mut message =
            fragment_prefix(&header(), Some(PayloadType::NOTIFY), fragment, length).expect("short enough");
        peer.key.seal(&mut message, &part, &mut peer.random);
        assert_eq!(feed(&mut sa, &message), None);
    }
}

/// The peer answers a request of ours.
fn answer_own(sa: &mut IkeSa, peer: &mut Peer, message_id: u32) {
    let header = Header { flags: Flags { initiator: true, version: false, response: true }, message_id, ..header() };
    let message = super::sa::seal(&header, &mut peer.key, false, None, &[], &mut peer.random);
    let header = Header::parse(&message[0]).expect("a header");
    assert!(matches!(sa.receive(epoch(), &header, &message[0], true, MAX_MESSAGE), Incoming::Response(..)));
}

#[test]
fn what_is_to_be_deleted_goes_into_one_request_and_is_never_dropped() {
    let (mut sa, mut peer) = pair();
    let delete = |spi| {
        let spis = vec![EspSpi(spi)];
        OwnRequest::delete(Purpose::DeleteChild, Delete::ChildSas { protocol: ProtocolId::ESP, spis })
    };
    for _ in 0..100 {
        sa.enqueue(OwnRequest::informational(Purpose::Liveness, ChainBuilder::new()));
    }
    (1..=2000).for_each(|spi| sa.enqueue(delete(spi)));
    assert!(sa.has_own_request_for(Purpose::DeleteChild));
    let timing = crate::config::Timing::default();
    let mut sent = 0_u32;
    while sa.has_own_request() {
        assert!(!sa.send_next(epoch(), &timing, &mut peer.random).is_empty());
        answer_own(&mut sa, &mut peer, sent);
        sent += 1;
    }
    assert_eq!(sent, 64 + 1);
    let mut both = delete(1);
    for spi in 2..=2000 {
        both = both.joined(&delete(spi));
    }
    assert_eq!(both.deleted(), (2000 - 1023..=2000).map(EspSpi).collect::<Vec<_>>(), "the last ones");
}
