//! Why a packet was dropped: one `Copy` value per reason, which is also the index of its counter.
//!
//! Does not: count. The owner of a worker keeps an array of [`DropReason::COUNT`] numbers.

/// Why the data path dropped a packet. Nothing of it is ever told to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum DropReason {
    /// Shorter than the least that its SA or its headers require, or not made of whole blocks.
    #[error("packet too short")]
    Runt,
    /// No SA has this SPI.
    #[error("unknown SPI")]
    UnknownSpi,
    /// The sequence number was received before, RFC 4303 section 3.4.3.
    #[error("replayed sequence number")]
    Replayed,
    /// The sequence number lies left of the anti-replay window, RFC 4303 section 3.4.3.
    #[error("sequence number older than the replay window")]
    TooOld,
    /// The ICV does not verify, or the padding behind it is malformed. One reason for both, so that no counter tells them apart.
    #[error("integrity check failed")]
    Integrity,
    /// A dummy packet for traffic flow confidentiality (next header 59), RFC 4303 section 2.6. It was authentic.
    #[error("dummy packet")]
    Dummy,
    /// The next header is not one that this SA carries (4 or 41 in tunnel mode, 17 for L2TP). The packet was authentic.
    #[error("next header not allowed")]
    NextHeader,
    /// The inner packet contradicts itself: version, header length or total length. The packet was authentic.
    #[error("malformed inner packet")]
    Inner,
    /// Addresses, protocol or ports are not covered by the traffic selectors of the SA, RFC 4301 section 5.2.
    #[error("outside the traffic selectors")]
    Selector,
    /// The outer header says "congestion experienced", the inner flow does not know ECN, RFC 6040 section 4.2.
    #[error("congestion experienced on a flow without ECN")]
    Congestion,
    /// The L2TP or PPP header contradicts itself. The packet was authentic.
    #[error("malformed L2TP or PPP header")]
    LinkHeader,
    /// An L2TP data message is not of the session that the SA carries. The packet was authentic.
    #[error("not of the L2TP session")]
    Session,
    /// Outbound: the sequence numbers of the SA are used up, RFC 4303 section 3.3.3.
    #[error("sequence numbers used up")]
    Exhausted,
    /// Outbound: the buffer cannot hold the sealed packet, or segments overlap.
    #[error("no room for the sealed packet")]
    NoRoom,
    /// Outbound: the packet does not fit the path, RFC 4301 section 8.2.1.
    #[error("packet exceeds the path MTU")]
    TooBig,
    /// Outbound: no SA leads to the destination.
    #[error("no SA for the destination")]
    NoSa,
}

impl DropReason {
    /// All reasons, in the order of their index.
    pub const ALL: [Self; 16] = [
        Self::Runt,
        Self::UnknownSpi,
        Self::Replayed,
        Self::TooOld,
        Self::Integrity,
        Self::Dummy,
        Self::NextHeader,
        Self::Inner,
        Self::Selector,
        Self::Congestion,
        Self::LinkHeader,
        Self::Session,
        Self::Exhausted,
        Self::NoRoom,
        Self::TooBig,
        Self::NoSa,
    ];

    /// How many reasons there are: the length of a counter array.
    pub const COUNT: usize = Self::ALL.len();

    /// Position in [`DropReason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name for metrics: lower case, words joined by underscores, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runt => "runt",
            Self::UnknownSpi => "unknown_spi",
            Self::Replayed => "replayed",
            Self::TooOld => "too_old",
            Self::Integrity => "integrity",
            Self::Dummy => "dummy",
            Self::NextHeader => "next_header",
            Self::Inner => "inner",
            Self::Selector => "selector",
            Self::Congestion => "congestion",
            Self::LinkHeader => "link_header",
            Self::Session => "session",
            Self::Exhausted => "exhausted",
            Self::NoRoom => "no_room",
            Self::TooBig => "too_big",
            Self::NoSa => "no_sa",
        }
    }

    /// Whether the packet had passed its integrity check: it proves that the peer is alive although it was dropped.
    pub const fn is_authentic(self) -> bool {
        matches!(
            self,
            Self::Dummy
                | Self::NextHeader
                | Self::Inner
                | Self::Selector
                | Self::Congestion
                | Self::LinkHeader
                | Self::Session
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position, "{reason}");
        }
    }

    #[test]
    fn names_are_distinct_metric_names() {
        let names: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
