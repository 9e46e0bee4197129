//! Errors by fault: bytes that are no message, and peers that do not get what they ask for.

use crate::event::ChannelId;

/// The bytes are not an L2TP message. They are counted and never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// A tunnel or call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The peer.
    pub channel: ChannelId,
    /// Host Name AVP, if it is known, made printable, at most 64 characters.
    pub host_name: Option<String>,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a tunnel or call was refused. The text is one sentence for the operator, with what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The client demands that we prove to know an L2TP secret, and none is configured.
    #[error(
        "The client asks for an L2TP secret, and this gateway has none. Leave the client's field \"L2TP secret\" empty: the IPsec key protects the tunnel already."
    )]
    SecretDemanded,
    /// The client speaks another version of L2TP.
    #[error("The client speaks L2TP version {version}.{revision}, and this gateway only 1.0 (RFC 2661).")]
    Version {
        /// Ver of the Protocol Version AVP.
        version: u8,
        /// Rev of the same.
        revision: u8,
    },
    /// An AVP that must be understood and is not (RFC 2661 section 4.1).
    #[error(
        "The client's {message} contains the attribute {attribute} of vendor {vendor}, which it calls mandatory and this gateway does not know."
    )]
    UnknownMandatory {
        /// Name of the message.
        message: &'static str,
        /// SMI vendor number; 0 for the IETF.
        vendor: u16,
        /// Attribute Type.
        attribute: u16,
    },
    /// A message type that must be understood and is not.
    #[error(
        "The client sent a control message of type {kind}, which it calls mandatory and this gateway does not know."
    )]
    UnknownMessage {
        /// Message Type.
        kind: u16,
    },
    /// A hidden AVP that must be understood, and no secret to read it.
    #[error(
        "The client's {message} contains hidden attributes, and this gateway has no L2TP secret to read them. Leave the client's field \"L2TP secret\" empty."
    )]
    Hidden {
        /// Name of the message.
        message: &'static str,
    },
    /// Part of the message is missing or invalid.
    #[error("The client's {message} is invalid: {what}.")]
    Invalid {
        /// Name of the message.
        message: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The tunnel has as many sessions as it may have.
    #[error(
        "The client asks for one more session than its tunnel may have ({limit}). Raise `l2tp_sessions` if it should have more."
    )]
    TooManySessions {
        /// The limit.
        limit: usize,
    },
    /// The client wants us to dial out.
    #[error("The client asks for an outgoing call, which this gateway does not make.")]
    OutgoingCall,
}

impl Refusal {
    /// The sentence for the operator.
    #[must_use]
    pub fn explain(&self) -> String {
        self.reason.to_string()
    }
}
