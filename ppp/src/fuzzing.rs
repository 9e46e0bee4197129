//! Entrances for the fuzz targets and for the replay of their corpus.
//!
//! Each function takes any bytes and panics if a property does not hold: parsing never panics, and what was parsed can
//! be emitted and parsed again to the same value. It is not part of the public interface of the crate.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::auth::eap::tls;
use crate::auth::{AuthEvent, AuthSeed, Authenticator, Method, Verdict, eap};
use crate::frame::{self, Head};
use crate::inner::{self, InnerConfig, dhcp, dhcpv6};
use crate::option::{MAX_BODY, OptionWriter, Options};
use crate::packet::Packet;

/// The head of a frame, and the control packet in it.
pub fn frame(frame: &[u8]) {
    let Ok((protocol, offset)) = frame::parse(frame) else { return };
    let information = frame.get(offset..).expect("the head is part of the frame");
    for (short, omit) in [(false, false), (false, true), (true, false), (true, true)] {
        let again = [Head::shortest(protocol, short, omit).as_slice(), information].concat();
        let (parsed, offset) = frame::parse(&again).expect("valid");
        assert_eq!((parsed, again.get(offset..)), (protocol, Some(information)));
    }
    let Ok(packet) = Packet::parse(information) else { return };
    assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
}

/// The options of a Configure packet.
pub fn options(data: &[u8]) {
    let Ok(options) = Options::parse(data) else { return };
    assert!(options.is_subsequence_of(&options));
    let mut out = OptionWriter::new();
    let all = options.iter().all(|option| out.push(option.kind, option.data));
    assert_eq!(all, data.len() <= MAX_BODY);
    assert!(out.as_slice().len() <= MAX_BODY);
    if all {
        assert_eq!(out.as_slice(), data);
    }
}

/// An EAP packet, and the MSCHAPv2 payload in it.
pub fn eap(bytes: &[u8]) {
    let Ok(packet) = eap::Packet::parse(bytes) else { return };
    let emitted = packet.emit().expect("not longer than what was parsed");
    assert_eq!(eap::Packet::parse(&emitted), Ok(packet));
    let mut out = Vec::new();
    match packet {
        eap::Packet::Request { method: eap::EapType::MSCHAPV2, data, .. } => {
            let Ok(request) = eap::MsChapRequest::parse(data) else { return };
            request.emit(&mut out);
            assert_eq!(eap::MsChapRequest::parse(&out), Ok(request));
        }
        eap::Packet::Response { method: eap::EapType::MSCHAPV2, data, .. } => {
            let Ok(response) = eap::MsChapResponse::parse(data) else { return };
            response.emit(&mut out);
            assert_eq!(eap::MsChapResponse::parse(&out), Ok(response));
        }
        _ => {}
    }
}

/// Type-Data of EAP-TLS.
pub fn eap_tls_fragment(bytes: &[u8]) {
    let Ok(fragment) = tls::Fragment::parse(bytes) else { return };
    let mut out = Vec::new();
    fragment.emit(&mut out);
    assert_eq!(tls::Fragment::parse(&out), Ok(fragment));
}

/// A login by EAP-TLS: Type-Data of the client's responses, each with its length in two octets in front. Nobody has a
/// certificate here, so nobody is let in, and no packet is longer than allowed.
pub fn eap_tls(script: &[u8]) {
    static TLS: LazyLock<Arc<tls::EapTlsConfig>> = LazyLock::new(fuzzed_gateway);
    eap_tls_fragment(script);
    let seed = AuthSeed { challenge: [7; 16], unused_challenge: [8; 16], identifier: 1 };
    let at = TLS.at(Duration::from_secs(1_800_000_000)).with_fragments_of(EAP_TLS_FRAGMENT);
    let config = eap::EapConfig { methods: vec![eap::EapMethod::Tls], tls: Some(at) };
    let mut gateway = eap::EapServer::new(seed, "gateway", &config);
    let (mut identifier, mut method, mut data, mut rest) = (1, eap::EapType::IDENTITY, &b"anna"[..], script);
    loop {
        let response = eap::Packet::Response { identifier, method, data }.emit().expect("a short packet");
        let outcome = gateway.handle(&response);
        let is_let_in = matches!(outcome, eap::EapOutcome::Success { .. } | eap::EapOutcome::Credentials(_));
        assert!(!is_let_in, "somebody was let in");
        let (eap::EapOutcome::Request(request) | eap::EapOutcome::Rejected { message: request, .. }) = outcome else {
            return;
        };
        assert!(request.len() <= EAP_TLS_FRAGMENT + 10, "{} octets", request.len());
        let Some((length, behind)) = rest.split_first_chunk::<2>() else { return };
        let length = usize::from(u16::from_be_bytes(*length) & 0x0fff).min(behind.len());
        (data, rest) = behind.split_at(length);
        (identifier, method) = (request[1], eap::EapType::TLS);
    }
}

/// Small, so that scripts have to acknowledge.
const EAP_TLS_FRAGMENT: usize = 200;

fn fuzzed_gateway() -> Arc<tls::EapTlsConfig> {
    /// Knows no authority.
    struct Nobody;
    impl tls::ClientCertificates for Nobody {
        fn verify(&self, _: &[u8], _: &[&[u8]], _: Duration) -> Result<(), tls::CertificateRefused> {
            let problem = tls::CertificateProblem::UnknownAuthority;
            Err(tls::CertificateRefused { problem, reason: "nobody is known".to_owned() })
        }

        fn authorities(&self) -> Vec<Vec<u8>> {
            Vec::new()
        }
    }
    let chain = [include_bytes!("auth/testing/testdata/gateway.der").to_vec()];
    let key = include_bytes!("auth/testing/testdata/gateway-key.pem");
    Arc::new(tls::EapTlsConfig::new(&chain, key, Arc::new(Nobody)).expect("the key is that of the certificate"))
}

/// A login: its method, then packets of the client, each with its length in front. Nobody is let in, and each packet
/// leads to one packet at most.
pub fn auth(script: &[u8]) {
    let Some((&method, mut script)) = script.split_first() else { return };
    let seed = AuthSeed { challenge: [7; 16], unused_challenge: [8; 16], identifier: 1 };
    let now = crate::testing::epoch();
    let method = Method::ALL.into_iter().cycle().nth(method.into()).expect("an endless list");
    let mut gateway = Authenticator::new(method, seed, "gateway", &eap::EapConfig::default(), now);
    while gateway.poll_transmit().is_some() {}
    while let Some((&length, rest)) = script.split_first() {
        let (packet, rest) = rest.split_at(usize::from(length).min(rest.len()));
        script = rest;
        step(&mut gateway, now, packet);
    }
}

fn step(gateway: &mut Authenticator, now: Instant, packet: &[u8]) {
    gateway.handle(now, packet);
    while let Some(event) = gateway.poll_event() {
        assert!(!matches!(event, AuthEvent::Authenticated { .. }), "somebody was let in");
        if matches!(event, AuthEvent::Credentials(_)) {
            gateway.verdict(now, Verdict::Rejected);
        }
    }
    assert!(std::iter::from_fn(|| gateway.poll_transmit()).count() <= 1);
}

/// A DHCP message.
pub fn dhcp(bytes: &[u8]) {
    let Some(message) = dhcp::Message::parse(bytes) else { return };
    let emitted = message.emit().expect("not longer than what was parsed");
    assert_eq!(dhcp::Message::parse(&emitted), Some(message));
}

/// A DHCPv6 message.
pub fn dhcpv6(bytes: &[u8]) {
    let Some(message) = dhcpv6::Message::parse(bytes) else { return };
    assert_eq!(message.emit().as_deref(), Some(bytes));
}

/// An IP packet for the link itself.
pub fn inner(packet: &[u8]) {
    let config = InnerConfig {
        ipv4: Some([10, 20, 0, 9].into()),
        ipv6: Some([0xfd00, 0x20, 0, 0, 0xa, 0xb, 0xc, 0xd].into()),
        gateway4: Some([10, 20, 0, 1].into()),
        interface_identifier: 1,
        dns: vec![[10, 20, 0, 1].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 0x53].into()],
        nbns: vec![[10, 20, 0, 2].into()],
        domains: vec!["corp.example".to_owned()],
        routes: vec![([10, 0, 0, 0].into(), 8), ([0xfd00, 0, 0, 0, 0, 0, 0, 0].into(), 8)],
        mtu: 1280,
    };
    let Some(answer) = inner::answer(&config, packet) else { return };
    assert!(answer.len() <= usize::from(config.mtu));
    assert!(inner::answer(&config, &answer).is_none(), "an answer to an answer");
}

/// A gateway's and a client's end of a link, which do what the bytes say.
pub fn link(script: &[u8]) {
    crate::testing::play(script);
}
