//! Messages like those of real peers, made by our own emitters.

use cygnet_l2tp::avp::{Avp, CallErrors, CauseCode, ProtocolVersion, RawAvp, ResultCode};
use cygnet_l2tp::data;
use cygnet_l2tp::header::{Header, Sequence};
use cygnet_l2tp::hidden::emit_hidden;
use cygnet_l2tp::message::*;
use cygnet_l2tp::secret::Secret;

/// One file of the corpus.
pub(crate) struct Seed {
    /// The fuzz target that takes it.
    pub(crate) target: &'static str,
    /// Name of the file.
    pub(crate) name: &'static str,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

/// The seeds of all targets.
pub(crate) fn all() -> Vec<Seed> {
    let seeds = |target| move |(name, bytes)| Seed { target, name, bytes };
    let wire = headers().into_iter().map(seeds("header")).chain(avps().into_iter().map(seeds("avp")));
    let wire = wire.chain(messages().into_iter().map(seeds("message"))).chain(frames().into_iter().map(seeds("data")));
    wire.chain(stories().into_iter().map(seeds("engine"))).collect()
}

/// Scripts of `cygnet_l2tp::fuzzing::engine`: options of the gateway, then operations.
fn stories() -> Vec<(&'static str, Vec<u8>)> {
    const CONNECT: u8 = 0x00;
    const HANG_UP: u8 = 0x20;
    const VANISH: u8 = 0x30;
    const HELLO: u8 = 0x40;
    const FRAME: u8 = 0x50;
    const CONFUSE: u8 = 0x60;
    const STRANGER: u8 = 0x70;
    const FORGE: u8 = 0x80;
    const CLOSE: u8 = 0x90;
    const IPSEC_GONE: u8 = 0xa0;
    const HEARD: u8 = 0xb0;
    const SEND: u8 = 0xc0;
    const TERRIBLE: u8 = 0xd0;
    const STEP: u8 = 0xef;
    const WAIT: u8 = 0xff;
    let login = |channel: u8, flavor: u8| vec![CONNECT | channel, flavor, STEP];
    vec![
        ("windows", [vec![5], login(1, 0), vec![FRAME, STEP, SEND, 2, 1, 2, HELLO, STEP, HANG_UP, STEP]].concat()),
        ("macos_comes_back", [vec![5], login(1, 1), vec![VANISH, WAIT], login(1, 1), vec![STEP, CLOSE, STEP]].concat()),
        ("android_with_secret", [vec![21], login(1, 2 | 4 | 8), vec![STEP, FRAME, STEP, CLOSE, STEP]].concat()),
        (
            "twins",
            [vec![5], login(1, 3), login(2, 3), vec![FRAME, FRAME | 1, STEP, IPSEC_GONE | 1, HEARD | 2]].concat(),
        ),
        ("bad_network", [vec![5, TERRIBLE], login(1, 0), vec![WAIT, FRAME, WAIT, HANG_UP, WAIT, WAIT]].concat()),
        ("forged", [vec![5], login(1, 3), vec![FORGE | 2, 9, 1, FORGE | 1, 9, 1, STRANGER, 2, 0xc8, 2, STEP]].concat()),
        ("confused", [vec![5], login(1, 3), vec![CONFUSE, 8, 0x80, 8, 0, 0, 0, 0, 0, 99, STEP, WAIT]].concat()),
        ("many_tunnels", [vec![14], login(1, 0), login(1, 1), login(1, 2), login(1, 3), vec![WAIT]].concat()),
    ]
}

fn headers() -> Vec<(&'static str, Vec<u8>)> {
    let control = |payload: &[u8]| {
        let header = Header::control(0x1234, 0x5678, Sequence { ns: 1, nr: 2 }, payload.len()).expect("short");
        [&header, payload].concat()
    };
    vec![
        ("zlb", control(&[])),
        ("hello", control(&Message::Hello(Hello {}).emit())),
        ("data", data::header(1, 2, 0).to_vec()),
        ("offset", vec![0x02, 0x02, 0, 7, 0, 9, 0, 2, 0xee, 0xee, 0xc0, 0x21]),
    ]
}

fn avps() -> Vec<(&'static str, Vec<u8>)> {
    let emit = |avps: &[Avp]| {
        let mut out = Vec::new();
        avps.iter().for_each(|avp| avp.emit(&mut out));
        out
    };
    let raw = |mandatory, vendor, attribute, value| {
        let mut out = Vec::new();
        RawAvp { mandatory, hidden: false, reserved: false, vendor, attribute, value }.emit(&mut out);
        out
    };
    let mut hidden = emit(&[Avp::RandomVector(vec![7; 16])]);
    emit_hidden(&Avp::HostName(b"laptop".to_vec()), &Secret::from_slice(b"swordfish"), &[7; 16], b"pad", &mut hidden);
    let cause = CauseCode { cause: 16, message: 0, advisory: b"bye".to_vec() };
    vec![
        (
            "some",
            emit(&[Avp::MessageType(1), Avp::ProtocolVersion(ProtocolVersion::V1_0), Avp::HostName(b"x".to_vec())]),
        ),
        ("results", emit(&[Avp::ResultCode(ResultCode::new(2, 8)), Avp::CauseCode(cause)])),
        ("call_errors", emit(&[Avp::CallErrors(CallErrors([1; 6]))])),
        ("correlation_id", raw(false, 311, 1, &[9; 16])),
        ("apple_result", raw(true, 0, 1, &[3, 0, 0, 0, 0, 0, 0, 0])),
        ("hidden", hidden),
    ]
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let sccrq = Sccrq {
        protocol_version: ProtocolVersion::V1_0,
        framing_capabilities: Some(1),
        bearer_capabilities: Some(0),
        tie_breaker: None,
        firmware_revision: Some(0x0a00),
        host_name: Some(b"RWB-LAPTOP-DELL".to_vec()),
        vendor_name: Some(b"Microsoft".to_vec()),
        assigned_tunnel_id: 1,
        receive_window_size: Some(8),
        challenge: None,
    };
    let mut hidden = Vec::new();
    Avp::MessageType(11).emit(&mut hidden);
    Avp::RandomVector(vec![7; 16]).emit(&mut hidden);
    emit_hidden(&Avp::AssignedSessionId(5), &Secret::from_slice(b"swordfish"), &[7; 16], b"pad", &mut hidden);
    let result_code = Some(ResultCode::new(3, 0));
    vec![
        ("sccrq", Message::Sccrq(sccrq).emit()),
        ("icrp", Message::Icrp(Icrp { assigned_session_id: 7 }).emit()),
        (
            "cdn",
            Message::Cdn(Cdn { result_code: result_code.clone(), cause_code: None, assigned_session_id: Some(7) })
                .emit(),
        ),
        ("stop_ccn", Message::StopCcn(StopCcn { result_code, assigned_tunnel_id: Some(1) }).emit()),
        ("hidden", hidden),
    ]
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let lcp = [0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4];
    vec![
        ("plain", [&[0x00, 0x02, 0, 1, 0, 2][..], &lcp].concat()),
        ("length", [&data::header(1, 2, 8)[..], &lcp].concat()),
        ("sequence", [&data::sequenced_header(1, 2, 3, 8)[..], &lcp].concat()),
        ("all", [&[0x4a, 0x02, 0, 24, 0, 1, 0, 2, 0, 3, 0, 0, 0, 2, 0xee, 0xee][..], &lcp].concat()),
    ]
}
