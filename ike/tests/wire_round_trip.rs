//! Property: whatever can be built from the public types of `wire` is read back as it was, alone and in a chain.

use std::net::{Ipv4Addr, Ipv6Addr};

use cygnet_ike::wire::header::{ExchangeType, Flags, HEADER_LEN, Header, Version};
use cygnet_ike::wire::num::*;
use cygnet_ike::wire::v2::*;
use cygnet_ike::wire::{EspSpi, IkeSpi};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

proptest! {
    #[test]
    fn reads_back_a_chain(payloads in vec(any_owned(), 0..20)) {
        let payloads: Vec<_> = payloads.iter().map(Owned::borrow).collect();
        let mut builder = ChainBuilder::new();
        for payload in &payloads {
            builder.push(payload);
        }
        let (first, bytes) = builder.finish().expect("short");
        prop_assert_eq!(first, payloads.first().map(Payload::kind));
        let parsed: Vec<_> = Payloads::parse(first, &bytes).expect("valid").into_iter().collect();
        prop_assert_eq!(parsed, payloads);
    }

    #[test]
    fn reads_back_a_message(header in any_header(), payload in any_owned()) {
        let payload = payload.borrow();
        let mut builder = MessageBuilder::new(&header);
        builder.push(&payload);
        let message = builder.finish().expect("short");
        let parsed = Header::parse(&message).expect("valid");
        prop_assert_eq!(parsed, Header { next_payload: Some(payload.kind()), ..header });
        let payloads = Payloads::parse(parsed.next_payload, &message[HEADER_LEN..]).expect("valid");
        prop_assert_eq!(payloads.iter().collect::<Vec<_>>(), vec![&payload]);
    }

    #[test]
    fn finds_back_a_sealed_body(
        header in any_header(),
        inner in option::of(1..=255_u8),
        (number, total) in (1..=64_u16).prop_flat_map(|total| (1..=total, Just(total))),
        body in vec(any::<u8>(), 0..2000),
    ) {
        let inner = inner.map(PayloadType);
        let fragment = Fragment::new(number, total).expect("in range");
        let whole = sealed_prefix(&header, inner, body.len()).expect("short");
        let part = fragment_prefix(&header, inner, fragment, body.len()).expect("short");
        for (prefix, inner, fragment) in [(whole, inner, None), (part, inner.filter(|_| number == 1), Some(fragment))] {
            let message = [prefix.as_slice(), &body].concat();
            let parsed = Header::parse(&message).expect("valid");
            let sealed = Sealed::find(&parsed, &message).expect("valid").expect("present");
            prop_assert_eq!(sealed, Sealed { inner, fragment, aad: &prefix, body: &body });
        }
    }

    #[test]
    fn narrows_to_what_both_sides_select(a in any_selector(), b in any_selector()) {
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&a), Some(a));
        if let Some(both) = a.intersection(&b) {
            prop_assert!(a.contains(&both) && b.contains(&both));
        }
    }

    #[test]
    fn survives_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        cygnet_ike::fuzzing::header(&bytes);
        cygnet_ike::fuzzing::message(&bytes);
        cygnet_ike::fuzzing::inner(&bytes);
    }
}

/// A payload that owns its bytes.
#[derive(Clone, Debug)]
enum Owned {
    SecurityAssociation(Vec<Proposal>),
    KeyExchange(u16, Vec<u8>),
    Identification { initiator: bool, id_type: u8, data: Vec<u8> },
    CertificateRequest(Vec<[u8; 20]>),
    Authentication(u8, Vec<u8>),
    Nonce(Vec<u8>),
    Notify(About, u16, Vec<u8>),
    Delete(Delete),
    VendorId(Vec<u8>),
    TrafficSelectors { initiator: bool, list: Vec<TrafficSelector> },
    Configuration(u8, Vec<(u16, Vec<u8>)>),
    Eap(Vec<u8>),
    Unknown(u8, Vec<u8>),
}

impl Owned {
    fn borrow(&self) -> Payload<'_> {
        match self {
            Self::SecurityAssociation(p) => Payload::SecurityAssociation(SecurityAssociation { proposals: p.clone() }),
            Self::KeyExchange(group, data) => Payload::KeyExchange(KeyExchange { group: GroupId(*group), data }),
            Self::Identification { initiator: true, id_type, data } => {
                Payload::IdInitiator(Identification::new(IdType(*id_type), data))
            }
            Self::Identification { initiator: false, id_type, data } => {
                Payload::IdResponder(Identification::new(IdType(*id_type), data))
            }
            Self::CertificateRequest(hashes) => Payload::CertificateRequest(CertificateRequest {
                encoding: CertEncoding::X509_SIGNATURE,
                authorities: hashes.as_flattened(),
            }),
            Self::Authentication(method, data) => {
                Payload::Authentication(Authentication { method: AuthMethod(*method), data })
            }
            Self::Nonce(bytes) => Payload::Nonce(Nonce(bytes)),
            Self::Notify(about, kind, data) => Payload::Notify(Notify { about: *about, kind: NotifyType(*kind), data }),
            Self::Delete(delete) => Payload::Delete(delete.clone()),
            Self::VendorId(bytes) => Payload::VendorId(VendorId(bytes)),
            Self::TrafficSelectors { initiator: true, list } => Payload::TsInitiator(TrafficSelectors(list.clone())),
            Self::TrafficSelectors { initiator: false, list } => Payload::TsResponder(TrafficSelectors(list.clone())),
            Self::Configuration(kind, list) => {
                let attributes = list.iter().map(|(kind, value)| CpAttribute::new(CpAttr(*kind), value)).collect();
                Payload::Configuration(Configuration { kind: CpType(*kind), attributes })
            }
            Self::Eap(bytes) => Payload::Eap(Eap(bytes)),
            Self::Unknown(kind, body) => Payload::Unknown(Unknown { kind: PayloadType(*kind), critical: false, body }),
        }
    }
}

fn any_owned() -> impl Strategy<Value = Owned> {
    let data = || vec(any::<u8>(), 1..100);
    prop_oneof![
        vec(any_proposal(), 1..5).prop_map(numbered).prop_map(Owned::SecurityAssociation),
        (any::<u16>(), data()).prop_map(|(group, data)| Owned::KeyExchange(group, data)),
        any_identification(),
        vec(any::<[u8; 20]>(), 0..5).prop_map(Owned::CertificateRequest),
        (any::<u8>(), data()).prop_map(|(method, data)| Owned::Authentication(method, data)),
        vec(any::<u8>(), 16..=256).prop_map(Owned::Nonce),
        (any_about(), any::<u16>(), data()).prop_map(|(about, kind, data)| Owned::Notify(about, kind, data)),
        any_delete().prop_map(Owned::Delete),
        vec(any::<u8>(), 0..100).prop_map(Owned::VendorId),
        (any::<bool>(), vec(any_selector(), 1..=32))
            .prop_map(|(initiator, list)| Owned::TrafficSelectors { initiator, list }),
        // Attribute types from 100 on have no fixed length.
        (any::<u8>(), vec((100..23_000_u16, data()), 0..=32)).prop_map(|(kind, list)| Owned::Configuration(kind, list)),
        vec(any::<u8>(), 4..100).prop_map(Owned::Eap),
        (54..=255_u8, data()).prop_map(|(kind, body)| Owned::Unknown(kind, body)),
    ]
}

fn any_header() -> impl Strategy<Value = Header> {
    let spis = (any::<[u8; 8]>(), option::of(any::<[u8; 8]>()));
    (spis, 0..16_u8, 34..=37_u8, any::<[bool; 3]>(), any::<u32>())
        .prop_map(|((i, r), minor, exchange, [initiator, version, response], message_id)| Header {
            initiator_spi: IkeSpi(i),
            responder_spi: r.filter(|spi| *spi != [0; 8]).map(IkeSpi),
            next_payload: None,
            version: Version { major: 2, minor },
            exchange: ExchangeType(exchange),
            flags: Flags { initiator, version, response },
            message_id,
        })
        .prop_filter("SPIs of real messages", |h| {
            h.initiator_spi != IkeSpi([0; 8]) && h.responder_spi != Some(h.initiator_spi)
        })
}

fn any_identification() -> impl Strategy<Value = Owned> {
    let name = prop_oneof![
        (Just(1), vec(any::<u8>(), 4)),
        (Just(5), vec(any::<u8>(), 16)),
        (prop::sample::select(vec![2, 3, 9, 11, 200]), vec(any::<u8>(), 0..100)),
    ];
    (any::<bool>(), name).prop_map(|(initiator, (id_type, data))| Owned::Identification { initiator, id_type, data })
}

fn any_about() -> impl Strategy<Value = About> {
    prop_oneof![
        Just(About::IkeSa),
        any::<u32>().prop_map(|spi| About::ChildSa(ProtocolId::ESP, EspSpi(spi))),
        any::<u32>().prop_map(|spi| About::ChildSa(ProtocolId::AH, EspSpi(spi))),
        any::<[u8; 8]>().prop_map(|spi| About::NamedIkeSa(IkeSpi(spi))),
    ]
}

fn any_delete() -> impl Strategy<Value = Delete> {
    let spis = vec(any::<u32>().prop_map(EspSpi), 1..50);
    prop_oneof![Just(Delete::IkeSa), spis.prop_map(|spis| Delete::ChildSas { protocol: ProtocolId::ESP, spis })]
}

fn any_proposal() -> impl Strategy<Value = Proposal> {
    let kind = prop_oneof![
        Just((ProtocolId::IKE, Spi::EMPTY)),
        (1..=u64::MAX).prop_map(|spi| (ProtocolId::IKE, IkeSpi(spi.to_be_bytes()).into())),
        (1..=u32::MAX).prop_map(|spi| (ProtocolId::ESP, EspSpi(spi).into())),
    ];
    (kind, vec(any_transform(), 0..10)).prop_map(|((protocol, spi), transforms)| Proposal {
        number: 0,
        protocol,
        spi,
        transforms,
    })
}

fn numbered(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    for (proposal, number) in proposals.iter_mut().zip(1..) {
        proposal.number = number;
    }
    proposals
}

fn any_transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        (any::<u16>(), option::of(any::<u16>()))
            .prop_map(|(id, key_bits)| Transform::Encr { id: EncrId(id), key_bits }),
        any::<u16>().prop_map(|id| Transform::Prf(PrfId(id))),
        any::<u16>().prop_map(|id| Transform::Integ(IntegId(id))),
        any::<u16>().prop_map(|id| Transform::Group(GroupId(id))),
        any::<u16>().prop_map(|id| Transform::Esn(EsnId(id))),
    ]
}

fn any_selector() -> impl Strategy<Value = TrafficSelector> {
    let v4 = any::<[u32; 2]>().prop_map(|[a, b]| AddressRange::V4 {
        start: Ipv4Addr::from_bits(a.min(b)),
        end: Ipv4Addr::from_bits(a.max(b)),
    });
    let v6 = any::<[u128; 2]>().prop_map(|[a, b]| AddressRange::V6 {
        start: Ipv6Addr::from_bits(a.min(b)),
        end: Ipv6Addr::from_bits(a.max(b)),
    });
    let ports = prop_oneof![
        any::<[u16; 2]>().prop_map(|[a, b]| (a.min(b), a.max(b))),
        Just((0, u16::MAX)),
        Just((u16::MAX, 0)),
    ];
    (prop::sample::select(vec![0, 1, 6, 17]), ports, prop_oneof![v4, v6])
        .prop_map(|(protocol, (start_port, end_port), range)| TrafficSelector { protocol, start_port, end_port, range })
}
