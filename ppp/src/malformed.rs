//! Why bytes are not a PPP frame or packet: a fixed list, so that each reason can be a counter.

/// A reason why bytes were refused. It never holds bytes of the peer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// The frame ends inside of its Address, Control or Protocol field (RFC 1661 section 2).
    #[error("PPP frame cut off before its protocol")]
    Frame,
    /// The Protocol field does not end with an odd octet (RFC 1661 section 2).
    #[error("invalid PPP protocol number")]
    Protocol,
    /// Fewer than the four octets of Code, Identifier and Length (RFC 1661 section 5).
    #[error("PPP control packet too short")]
    PacketTooShort,
    /// The Length field is below four or beyond the frame.
    #[error("length of a PPP control packet out of range")]
    PacketLength,
    /// The body does not fit the code.
    #[error("invalid body of a PPP control packet")]
    Body,
    /// An option's length is below two or beyond the packet.
    #[error("length of a configuration option out of range")]
    OptionLength,
    /// More than [`MAX_OPTIONS`](crate::option::MAX_OPTIONS).
    #[error("too many configuration options")]
    TooManyOptions,
    /// The same option twice.
    #[error("configuration option given twice")]
    DuplicateOption,
}
