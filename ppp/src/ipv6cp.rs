//! The options of IPV6CP (RFC 5072): interface identifiers.
//!
//! The client's identifier has to be the low half of its leased address. Then the address that it forms from the prefix of
//! our router advertisement is the leased one.

use std::net::Ipv6Addr;

use crate::config::Grant;
use crate::control::{Judgement, Negotiation};
use crate::event::CloseReason;
use crate::frame::Protocol;
use crate::option::{OptionWriter, Options};

/// Naks before the client counts as stubborn: IPv6 ends then, the link goes on.
const MAX_NAKS: u32 = 5;

/// Type of the Interface-Identifier option, RFC 5072 section 4.1.
pub(crate) const INTERFACE_IDENTIFIER: u8 = 1;

/// Both sides' identifiers.
pub(crate) struct Ipv6cp {
    local: u64,
    lease: u64,
    asks: bool,
}

impl Ipv6cp {
    /// `None` if no IPv6 address was granted.
    pub(crate) fn new(grant: &Grant) -> Option<Self> {
        let lease = identifier_of(grant.ipv6?);
        Some(Self { local: local_identifier(lease), lease, asks: true })
    }

    /// Ours.
    pub(crate) fn local(&self) -> u64 {
        self.local
    }
}

impl Negotiation for Ipv6cp {
    const PROTOCOL: Protocol = Protocol::IPV6CP;

    fn request(&self, out: &mut OptionWriter) {
        if self.asks {
            out.push(INTERFACE_IDENTIFIER, &self.local.to_be_bytes());
        }
    }

    fn judge(&mut self, options: &Options<'_>, naks: u32) -> Judgement {
        let mut reject = OptionWriter::new();
        let lease = self.lease.to_be_bytes();
        for option in options.iter().filter(|o| o.kind != INTERFACE_IDENTIFIER || o.data.len() != lease.len()) {
            reject.push(option.kind, option.data);
        }
        if !reject.is_empty() {
            return Judgement::Reject(reject);
        }
        if options.find(INTERFACE_IDENTIFIER).is_some_and(|option| option.data == lease) {
            return Judgement::Ack;
        }
        if naks >= MAX_NAKS {
            return Judgement::Hopeless(CloseReason::NotConverging(Protocol::IPV6CP));
        }
        let mut nak = OptionWriter::new();
        nak.push(INTERFACE_IDENTIFIER, &lease);
        Judgement::Nak(nak)
    }

    fn on_nak(&mut self, _: &Options<'_>) -> Result<(), CloseReason> {
        Ok(()) // our identifier is what our advertisements come from; the client cannot choose it
    }

    fn on_reject(&mut self, _: &Options<'_>) -> Result<(), CloseReason> {
        self.asks = false;
        Ok(())
    }
}

fn identifier_of(address: Ipv6Addr) -> u64 {
    let [.., a, b, c, d] = address.segments();
    [a, b, c, d].into_iter().fold(0, |identifier, segment| identifier << 16 | u64::from(segment))
}

/// Ours is 1, unless that is the client's. Both may be as simple as that: the link has two ends.
fn local_identifier(lease: u64) -> u64 {
    if lease == 1 { 2 } else { 1 }
}
