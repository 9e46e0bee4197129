//! Control messages (RFC 2661 section 6): one type for each of the fourteen, from AVPs and back.
//!
//! A message that is a value here has everything that it must have. What a peer may leave out in practice is optional, even
//! where the RFC demands it. Attributes that are known but do not belong into the message are ignored, as are unknown ones
//! without the M bit and all of other vendors without it. Each attribute may come once.
//!
//! Does not: number, acknowledge or answer messages.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod attributes;

pub use attributes::Attributes;

use crate::avp::{
    Avp, CallErrors, CauseCode, PresentOnly, ProtocolVersion, ProxyAuthenId, ResultCode, SendReceiveAccm,
};
use crate::error::RefusalReason;

macro_rules! field_type {
    (required $type:ty) => { $type };
    (optional $type:ty) => { Option<$type> };
}

macro_rules! field_take {
    ($attributes:ident $name:ident required $variant:ident) => {
        $attributes
            .take(|avp| if let Avp::$variant(value) = avp { Some(value.clone()) } else { None })
            .ok_or(RefusalReason::Invalid { message: Self::NAME, what: concat!(stringify!($variant), " is missing") })?
    };
    ($attributes:ident $name:ident optional $variant:ident) => {
        $attributes.take(|avp| if let Avp::$variant(value) = avp { Some(value.clone()) } else { None })
    };
}

macro_rules! field_push {
    ($avps:ident $value:expr, required $variant:ident) => {
        $avps.push(Avp::$variant($value.clone()))
    };
    ($avps:ident $value:expr, optional $variant:ident) => {
        $avps.extend($value.clone().map(Avp::$variant))
    };
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal {
        $($field:ident: $presence:ident $variant:ident($type:ty),)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $(#[doc = concat!("[`Avp::", stringify!($variant), "`].")]
                pub $field: field_type!($presence $type),)*
            }

            impl $name {
                /// Message Type.
                pub const TYPE: u16 = $number;
                /// Its name in the RFC.
                pub const NAME: &'static str = $text;

                #[allow(unused_variables, reason = "HELLO has no attributes")]
                fn build(attributes: &Attributes) -> Result<Self, RefusalReason> {
                    Ok(Self { $($field: field_take!(attributes $name $presence $variant),)* })
                }

                #[allow(unused_mut, reason = "HELLO has no attributes")]
                fn avps(&self) -> Vec<Avp> {
                    let mut avps = vec![Avp::MessageType($number)];
                    $(field_push!(avps self.$field, $presence $variant);)*
                    avps
                }
            }
        )*

        /// A control message.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name($name),)*
        }

        impl Message {
            /// Its name in the RFC.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }

            /// The attributes, Message Type first, the others by their number.
            #[must_use]
            pub fn avps(&self) -> Vec<Avp> {
                match self {
                    $(Self::$name(message) => message.avps(),)*
                }
            }

            fn build(attributes: &Attributes) -> Result<Option<Self>, RefusalReason> {
                match attributes.kind() {
                    $($number => $name::build(attributes).map(|message| Some(Self::$name(message))),)*
                    _ => Ok(None),
                }
            }
        }

        /// The RFC's name of a Message Type.
        fn name_of(kind: u16) -> Option<&'static str> {
            match kind {
                $($number => Some($text),)*
                _ => None,
            }
        }
    };
}

messages! {
    /// Start-Control-Connection-Request: the client wants a tunnel.
    Sccrq = 1 "SCCRQ" {
        protocol_version: required ProtocolVersion(ProtocolVersion),
        framing_capabilities: optional FramingCapabilities(u32),
        bearer_capabilities: optional BearerCapabilities(u32),
        tie_breaker: optional TieBreaker([u8; 8]),
        firmware_revision: optional FirmwareRevision(u16),
        host_name: optional HostName(Vec<u8>),
        vendor_name: optional VendorName(Vec<u8>),
        assigned_tunnel_id: required AssignedTunnelId(u16),
        receive_window_size: optional ReceiveWindowSize(u16),
        challenge: optional Challenge(Vec<u8>),
    }
    /// Start-Control-Connection-Reply: it may have one.
    Sccrp = 2 "SCCRP" {
        protocol_version: required ProtocolVersion(ProtocolVersion),
        framing_capabilities: optional FramingCapabilities(u32),
        bearer_capabilities: optional BearerCapabilities(u32),
        firmware_revision: optional FirmwareRevision(u16),
        host_name: optional HostName(Vec<u8>),
        vendor_name: optional VendorName(Vec<u8>),
        assigned_tunnel_id: required AssignedTunnelId(u16),
        receive_window_size: optional ReceiveWindowSize(u16),
        challenge: optional Challenge(Vec<u8>),
        challenge_response: optional ChallengeResponse([u8; 16]),
    }
    /// Start-Control-Connection-Connected: the tunnel is there.
    Scccn = 3 "SCCCN" {
        challenge_response: optional ChallengeResponse([u8; 16]),
    }
    /// Stop-Control-Connection-Notification: the tunnel and all its sessions end.
    StopCcn = 4 "StopCCN" {
        result_code: optional ResultCode(ResultCode),
        assigned_tunnel_id: optional AssignedTunnelId(u16),
    }
    /// Hello: are you there?
    Hello = 6 "HELLO" {}
    /// Outgoing-Call-Request: the LNS wants the LAC to dial.
    Ocrq = 7 "OCRQ" {
        assigned_session_id: required AssignedSessionId(u16),
        call_serial_number: optional CallSerialNumber(u32),
        minimum_bps: optional MinimumBps(u32),
        maximum_bps: optional MaximumBps(u32),
        bearer_type: optional BearerType(u32),
        framing_type: optional FramingType(u32),
        called_number: optional CalledNumber(Vec<u8>),
        sub_address: optional SubAddress(Vec<u8>),
    }
    /// Outgoing-Call-Reply: it dials.
    Ocrp = 8 "OCRP" {
        assigned_session_id: required AssignedSessionId(u16),
        physical_channel_id: optional PhysicalChannelId(u32),
    }
    /// Outgoing-Call-Connected: somebody answered.
    Occn = 9 "OCCN" {
        framing_type: optional FramingType(u32),
        tx_connect_speed: optional TxConnectSpeed(u32),
        rx_connect_speed: optional RxConnectSpeed(u32),
        sequencing_required: optional SequencingRequired(PresentOnly),
    }
    /// Incoming-Call-Request: the client wants a session.
    Icrq = 10 "ICRQ" {
        assigned_session_id: required AssignedSessionId(u16),
        call_serial_number: optional CallSerialNumber(u32),
        bearer_type: optional BearerType(u32),
        called_number: optional CalledNumber(Vec<u8>),
        calling_number: optional CallingNumber(Vec<u8>),
        sub_address: optional SubAddress(Vec<u8>),
        physical_channel_id: optional PhysicalChannelId(u32),
    }
    /// Incoming-Call-Reply: it may have one.
    Icrp = 11 "ICRP" {
        assigned_session_id: required AssignedSessionId(u16),
    }
    /// Incoming-Call-Connected: the session is there, and PPP may begin.
    Iccn = 12 "ICCN" {
        framing_type: optional FramingType(u32),
        tx_connect_speed: optional TxConnectSpeed(u32),
        initial_received_lcp_confreq: optional InitialReceivedLcpConfreq(Vec<u8>),
        last_sent_lcp_confreq: optional LastSentLcpConfreq(Vec<u8>),
        last_received_lcp_confreq: optional LastReceivedLcpConfreq(Vec<u8>),
        proxy_authen_type: optional ProxyAuthenType(u16),
        proxy_authen_name: optional ProxyAuthenName(Vec<u8>),
        proxy_authen_challenge: optional ProxyAuthenChallenge(Vec<u8>),
        proxy_authen_id: optional ProxyAuthenId(ProxyAuthenId),
        proxy_authen_response: optional ProxyAuthenResponse(Vec<u8>),
        private_group_id: optional PrivateGroupId(Vec<u8>),
        rx_connect_speed: optional RxConnectSpeed(u32),
        sequencing_required: optional SequencingRequired(PresentOnly),
    }
    /// Call-Disconnect-Notify: the session ends.
    Cdn = 14 "CDN" {
        result_code: optional ResultCode(ResultCode),
        cause_code: optional CauseCode(CauseCode),
        assigned_session_id: optional AssignedSessionId(u16),
    }
    /// WAN-Error-Notify: the line is bad.
    Wen = 15 "WEN" {
        call_errors: optional CallErrors(CallErrors),
    }
    /// Set-Link-Info: characters that have to be escaped.
    Sli = 16 "SLI" {
        accm: optional Accm(SendReceiveAccm),
    }
}

impl Message {
    /// Understands the attributes of a message.
    ///
    /// StopCCN and CDN say enough by their type: faults in them are overlooked, since real clients make them and since there
    /// is nothing better to do than what they ask for.
    ///
    /// # Errors
    /// The message must not be acted upon, and why. `Ok(None)` is one of a type unknown to us that may be ignored.
    pub fn understand(attributes: &Attributes) -> Result<Option<Self>, RefusalReason> {
        let is_goodbye = [StopCcn::TYPE, Cdn::TYPE].contains(&attributes.kind());
        if let Some(fault) = attributes.fault()
            && !is_goodbye
        {
            return Err(fault);
        }
        Self::build(attributes)
    }

    /// The attributes as they follow the header, in the clear.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for avp in self.avps() {
            avp.emit(&mut out);
        }
        out
    }
}

/// Whether messages of this type are about one session, so that a fault ends the session and not the tunnel.
#[must_use]
pub fn concerns_session(kind: u16) -> bool {
    (Ocrq::TYPE..=Sli::TYPE).contains(&kind)
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::error::Malformed;
    use crate::hidden::emit_hidden;
    use crate::secret::Secret;

    fn result() -> Option<ResultCode> {
        Some(ResultCode { result: 1, error: Some(0), message: Vec::new() })
    }

    /// One of each type with all its attributes.
    fn all() -> Vec<Message> {
        let name = || Some(b"name".to_vec());
        let version = ProtocolVersion::V1_0;
        vec![
            Message::Sccrq(Sccrq {
                protocol_version: version,
                framing_capabilities: Some(3),
                bearer_capabilities: Some(0),
                tie_breaker: Some([1; 8]),
                firmware_revision: Some(2),
                host_name: name(),
                vendor_name: name(),
                assigned_tunnel_id: 7,
                receive_window_size: Some(8),
                challenge: name(),
            }),
            Message::Sccrp(Sccrp {
                protocol_version: version,
                framing_capabilities: Some(3),
                bearer_capabilities: Some(0),
                firmware_revision: Some(2),
                host_name: name(),
                vendor_name: name(),
                assigned_tunnel_id: 7,
                receive_window_size: Some(8),
                challenge: name(),
                challenge_response: Some([5; 16]),
            }),
            Message::Scccn(Scccn { challenge_response: Some([5; 16]) }),
            Message::StopCcn(StopCcn { result_code: result(), assigned_tunnel_id: Some(7) }),
            Message::Hello(Hello {}),
            Message::Ocrq(Ocrq {
                assigned_session_id: 1,
                call_serial_number: Some(2),
                minimum_bps: Some(3),
                maximum_bps: Some(4),
                bearer_type: Some(5),
                framing_type: Some(6),
                called_number: name(),
                sub_address: name(),
            }),
            Message::Ocrp(Ocrp { assigned_session_id: 1, physical_channel_id: Some(2) }),
            Message::Occn(Occn {
                framing_type: Some(1),
                tx_connect_speed: Some(2),
                rx_connect_speed: Some(3),
                sequencing_required: Some(PresentOnly),
            }),
            Message::Icrq(Icrq {
                assigned_session_id: 1,
                call_serial_number: Some(2),
                bearer_type: Some(3),
                called_number: name(),
                calling_number: name(),
                sub_address: name(),
                physical_channel_id: Some(4),
            }),
            Message::Icrp(Icrp { assigned_session_id: 1 }),
            Message::Iccn(Iccn {
                framing_type: Some(1),
                tx_connect_speed: Some(2),
                initial_received_lcp_confreq: name(),
                last_sent_lcp_confreq: name(),
                last_received_lcp_confreq: name(),
                proxy_authen_type: Some(2),
                proxy_authen_name: name(),
                proxy_authen_challenge: name(),
                proxy_authen_id: Some(ProxyAuthenId(1)),
                proxy_authen_response: name(),
                private_group_id: name(),
                rx_connect_speed: Some(3),
                sequencing_required: Some(PresentOnly),
            }),
            Message::Cdn(Cdn {
                result_code: result(),
                cause_code: Some(CauseCode { cause: 16, message: 0, advisory: Vec::new() }),
                assigned_session_id: Some(1),
            }),
            Message::Wen(Wen { call_errors: Some(CallErrors([1; 6])) }),
            Message::Sli(Sli { accm: Some(SendReceiveAccm { send: 1, receive: 2 }) }),
        ]
    }

    fn parse(payload: &[u8]) -> Result<Option<Message>, RefusalReason> {
        Message::understand(&Attributes::read(payload, None).expect("well formed"))
    }

    fn avp(flags: u16, vendor: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 6).expect("short") | flags;
        let header = [length, vendor, attribute].map(u16::to_be_bytes).concat();
        [&header, value].concat()
    }

    #[test]
    fn all_fourteen_messages_round_trip() {
        for message in all() {
            assert_eq!(parse(&message.emit()), Ok(Some(message)));
        }
    }

    #[test]
    fn no_truncation_is_taken_for_the_whole() {
        for message in all() {
            let payload = message.emit();
            for n in 0..payload.len() {
                match Attributes::read(&payload[..n], None) {
                    Err(Malformed(_)) => {}
                    Ok(attributes) => assert_ne!(Message::understand(&attributes), Ok(Some(message.clone())), "{n}"),
                }
            }
        }
    }

    #[test]
    fn what_must_be_there_is_named_when_it_is_missing() {
        let without = [Avp::MessageType(1), Avp::ProtocolVersion(ProtocolVersion::V1_0)];
        let mut payload = Vec::new();
        without.iter().for_each(|avp| avp.emit(&mut payload));
        let expected = RefusalReason::Invalid { message: "SCCRQ", what: "AssignedTunnelId is missing" };
        assert_eq!(parse(&payload), Err(expected));
    }

    #[test]
    fn unknown_attributes_end_the_message_only_with_the_mandatory_bit() {
        let hello = Message::Hello(Hello {}).emit();
        for (vendor, attribute) in [(0, 40), (0, 20), (311, 1), (3561, 2), (9, 0)] {
            assert_eq!(
                parse(&[hello.clone(), avp(0, vendor, attribute, b"x")].concat()),
                Ok(Some(Message::Hello(Hello {})))
            );
            let expected = RefusalReason::UnknownMandatory { message: "HELLO", vendor, attribute };
            assert_eq!(parse(&[hello.clone(), avp(0x8000, vendor, attribute, b"x")].concat()), Err(expected));
        }
    }

    #[test]
    fn a_reserved_bit_makes_an_attribute_unknown() {
        let hello = Message::Hello(Hello {}).emit();
        assert!(parse(&[hello.clone(), avp(0x0400, 0, 9, &[0, 1])].concat()).is_ok());
        let expected = RefusalReason::UnknownMandatory { message: "HELLO", vendor: 0, attribute: 9 };
        assert_eq!(parse(&[hello, avp(0x8400, 0, 9, &[0, 1])].concat()), Err(expected));
    }

    #[test]
    fn a_wrong_value_counts_only_with_the_mandatory_bit() {
        let hello = Message::Hello(Hello {}).emit();
        assert!(parse(&[hello.clone(), avp(0, 0, 25, b"physical")].concat()).is_ok());
        let refused = parse(&[hello, avp(0x8000, 0, 9, b"tunnel")].concat());
        assert_eq!(refused, Err(RefusalReason::Invalid { message: "HELLO", what: "value of AssignedTunnelId" }));
    }

    #[test]
    fn unknown_message_types_are_ignored_unless_mandatory() {
        assert_eq!(parse(&avp(0, 0, 0, &[0, 99])), Ok(None));
        let expected = RefusalReason::UnknownMessage { kind: 99 };
        assert_eq!(parse(&avp(0x8000, 0, 0, &[0, 99])), Err(expected));
        assert!(parse(&avp(0x8000, 0, 0, &[0, 5])).is_err(), "5 and 13 are reserved");
    }

    #[test]
    fn the_first_attribute_must_be_the_message_type() {
        for first in [
            avp(0x8000, 0, 9, &[0, 1]),
            avp(0x8000, 9, 0, &[0, 1]),
            avp(0xc000, 0, 0, &[0, 1]),
            avp(0x8000, 0, 0, &[1]),
        ] {
            assert!(Attributes::read(&first, None).is_err(), "{first:02x?}");
        }
        assert!(Attributes::read(&[], None).is_err());
    }

    #[test]
    fn an_attribute_may_come_once() {
        let twice = [Message::Icrp(Icrp { assigned_session_id: 1 }).emit(), avp(0x8000, 0, 14, &[0, 2])].concat();
        assert_eq!(parse(&twice), Err(RefusalReason::Invalid { message: "ICRP", what: "an attribute comes twice" }));
    }

    #[test]
    fn goodbyes_are_understood_whatever_is_wrong_with_them() {
        let kind = avp(0x8000, 0, 0, &[0, 14]);
        let faults = [avp(0x8000, 9, 9, b"x"), avp(0x8000, 0, 1, &[1, 2, 3]), avp(0x8000, 0, 12, &[1, 2])];
        for fault in faults {
            let payload = [kind.clone(), fault, avp(0x8000, 0, 14, &[0, 7])].concat();
            let expected = Cdn { result_code: None, cause_code: None, assigned_session_id: Some(7) };
            assert_eq!(parse(&payload), Ok(Some(Message::Cdn(expected))));
        }
    }

    #[test]
    fn reads_hidden_attributes_with_the_secret_and_refuses_them_without() {
        let secret = Secret::from_slice(b"swordfish");
        let mut payload = avp(0x8000, 0, 0, &[0, 11]);
        payload.extend(avp(0x8000, 0, 36, b"vector"));
        emit_hidden(&Avp::AssignedSessionId(77), &secret, b"vector", b"padding", &mut payload);
        let attributes = Attributes::read(&payload, Some(&secret)).expect("well formed");
        assert_eq!(Message::understand(&attributes), Ok(Some(Message::Icrp(Icrp { assigned_session_id: 77 }))));
        assert_eq!(parse(&payload), Err(RefusalReason::Hidden { message: "ICRP" }));
    }

    #[test]
    fn hidden_attributes_need_a_random_vector_before_them() {
        let secret = Secret::from_slice(b"swordfish");
        let mut payload = avp(0x8000, 0, 0, &[0, 11]);
        emit_hidden(&Avp::AssignedSessionId(77), &secret, b"", &[], &mut payload);
        let attributes = Attributes::read(&payload, Some(&secret)).expect("well formed");
        let expected = RefusalReason::Invalid { message: "ICRP", what: "hidden attribute without Random Vector" };
        assert_eq!(Message::understand(&attributes), Err(expected));
    }

    #[test]
    fn the_last_random_vector_counts() {
        let secret = Secret::from_slice(b"swordfish");
        let mut payload = avp(0x8000, 0, 0, &[0, 11]);
        payload.extend(avp(0x8000, 0, 36, b"first"));
        payload.extend(avp(0x8000, 0, 36, b"second"));
        emit_hidden(&Avp::AssignedSessionId(77), &secret, b"second", &[], &mut payload);
        let attributes = Attributes::read(&payload, Some(&secret)).expect("well formed");
        assert!(Message::understand(&attributes).is_ok());
    }
}
