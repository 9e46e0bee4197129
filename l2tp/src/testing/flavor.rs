//! How the stock clients write their messages: which attributes, in which order, and what they get wrong.

use crate::avp::{Avp, ProtocolVersion, RawAvp, ResultCode};

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Windows 7 to 11.
    Windows,
    /// macOS and iOS: Result Codes are encoded wrongly.
    MacOs,
    /// Android 4 to 11 (mtpd): window 1, and waits for explicit acknowledgements.
    Android,
    /// xl2tpd 1.3, as used by NetworkManager and ChromeOS.
    Linux,
}

impl Flavor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Windows, Self::MacOs, Self::Android, Self::Linux];

    /// Receive Window Size.
    pub(super) fn window(self) -> u16 {
        match self {
            Self::Windows => 8,
            Self::MacOs | Self::Linux => 4,
            Self::Android => 1,
        }
    }

    /// AVPs of the SCCRQ, without a challenge.
    pub(super) fn sccrq(self, host_name: &str, tunnel_id: u16) -> Vec<u8> {
        let version = Avp::ProtocolVersion(ProtocolVersion::V1_0);
        let (id, window) = (Avp::AssignedTunnelId(tunnel_id), Avp::ReceiveWindowSize(self.window()));
        let name = |suffix: &str| Avp::HostName([host_name, suffix].concat().into_bytes());
        let vendor = |text: &str| Avp::VendorName(text.into());
        let rest = match self {
            Self::Windows => vec![
                version,
                Avp::FramingCapabilities(1),
                Avp::BearerCapabilities(0),
                Avp::FirmwareRevision(0x0a00),
                name(""),
                vendor("Microsoft"),
                id,
                window,
            ],
            Self::MacOs => vec![version, Avp::FramingCapabilities(3), name("\0"), id, window],
            Self::Android => vec![version, name(""), Avp::FramingCapabilities(3), id, window],
            Self::Linux => vec![
                version,
                Avp::FramingCapabilities(3),
                Avp::BearerCapabilities(0),
                Avp::FirmwareRevision(0x0690),
                name(""),
                vendor("xelerance.com"),
                id,
                window,
            ],
        };
        emit(1, &rest)
    }

    /// AVPs of the SCCCN, without a challenge response.
    pub(super) fn scccn(self) -> Vec<u8> {
        emit(3, &[])
    }

    /// AVPs of the ICRQ.
    pub(super) fn icrq(self, session_id: u16, serial: u32) -> Vec<u8> {
        let mut avps = vec![Avp::AssignedSessionId(session_id), Avp::CallSerialNumber(serial)];
        if self == Self::Linux {
            avps.push(Avp::BearerType(0));
        }
        let mut out = emit(10, &avps);
        if self == Self::Windows {
            let correlation: Vec<u8> = (0..16).collect();
            emit_vendor(false, 311, 1, &correlation, &mut out);
        }
        out
    }

    /// AVPs of the ICCN.
    pub(super) fn iccn(self) -> Vec<u8> {
        let speeds = |speed, framing| vec![Avp::TxConnectSpeed(speed), Avp::FramingType(framing)];
        let avps = match self {
            Self::Windows => speeds(100_000_000, 1),
            Self::MacOs => speeds(1_000_000, 3),
            Self::Android => speeds(100_000_000, 3),
            Self::Linux => [speeds(0, 1), vec![Avp::RxConnectSpeed(0)]].concat(),
        };
        emit(12, &avps)
    }

    /// AVPs of the CDN; Android sends none.
    pub(super) fn cdn(self, session_id: u16) -> Option<Vec<u8>> {
        let id = Avp::AssignedSessionId(session_id);
        match self {
            Self::Windows => Some(emit(14, &[Avp::ResultCode(ResultCode::new(3, 0)), id])),
            Self::Linux => Some(emit(14, &[Avp::ResultCode(ResultCode::new(1, 0)), id])),
            Self::MacOs => Some([emit(14, &[id]), apple_result(3)].concat()),
            Self::Android => None,
        }
    }

    /// AVPs of the StopCCN.
    pub(super) fn stop_ccn(self, tunnel_id: u16) -> Vec<u8> {
        let id = Avp::AssignedTunnelId(tunnel_id);
        let short = Avp::ResultCode(ResultCode { result: 6, error: None, message: Vec::new() });
        match self {
            Self::Windows | Self::Linux => emit(4, &[id, Avp::ResultCode(ResultCode::new(1, 0))]),
            Self::MacOs => [emit(4, &[id]), apple_result(1)].concat(),
            Self::Android => emit(4, &[id, short]),
        }
    }
}

/// AVPs of a message of type `kind`.
pub(super) fn emit(kind: u16, avps: &[Avp]) -> Vec<u8> {
    let mut out = Vec::new();
    Avp::MessageType(kind).emit(&mut out);
    avps.iter().for_each(|avp| avp.emit(&mut out));
    out
}

fn emit_vendor(mandatory: bool, vendor: u16, attribute: u16, value: &[u8], out: &mut Vec<u8>) {
    RawAvp { mandatory, hidden: false, reserved: false, vendor, attribute, value }.emit(out);
}

/// The number in the wrong byte order, and the header counted twice in the length.
fn apple_result(result: u8) -> Vec<u8> {
    vec![0x80, 14, 0, 0, 0, 1, result, 0, 0, 0, 0, 0, 0, 0]
}
