//! The options of IPCP (RFC 1332) with name servers (RFC 1877).
//!
//! The client gets the leased address and no other. Name servers are told by Configure-Nak, those that do not exist are
//! rejected, and so is header compression. A Reject goes first, then all values at once in one Nak, so that a client that
//! knows nothing is done after two rounds.
//!
//! We ask for our own address only: macOS rejects requests with name servers in them.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::Grant;
use crate::control::{Judgement, Negotiation};
use crate::event::CloseReason;
use crate::frame::Protocol;
use crate::option::{OptionWriter, Options};

/// Other addresses than the lease that are naked before the client counts as stubborn.
const MAX_FOREIGN_ADDRESSES: u32 = 3;

/// Naks after which a client that names servers of its own has them rejected, and a missing address is not asked for
/// again.
const MAX_ROUNDS: u32 = 2;

/// Naks after which servers are rejected even if the client only asks which there are: it does not understand.
const MAX_TELLS: u32 = 5;

/// Types of IPCP options.
pub(crate) mod kind {
    /// IP-Address, RFC 1332 section 3.3.
    pub(crate) const ADDRESS: u8 = 3;
    /// Primary DNS Server Address, RFC 1877 section 1.1.
    pub(crate) const PRIMARY_DNS: u8 = 129;
    /// Primary NBNS Server Address, RFC 1877 section 1.2.
    pub(crate) const PRIMARY_NBNS: u8 = 130;
    /// Secondary DNS Server Address, RFC 1877 section 1.3.
    pub(crate) const SECONDARY_DNS: u8 = 131;
    /// Secondary NBNS Server Address, RFC 1877 section 1.4.
    pub(crate) const SECONDARY_NBNS: u8 = 132;
}

/// Both sides' options.
pub(crate) struct Ipcp {
    /// Ours; `None` once the client insisted on another or rejected the option.
    local: Option<Ipv4Addr>,
    lease: Ipv4Addr,
    dns: [Option<Ipv4Addr>; 2],
    nbns: [Option<Ipv4Addr>; 2],
    foreign_addresses: u32,
    local_naks: u32,
}

impl Ipcp {
    /// `None` if no IPv4 address was granted.
    pub(crate) fn new(grant: &Grant) -> Option<Self> {
        let mut dns = grant.dns.iter().filter_map(|server| match server {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let mut nbns = grant.nbns.iter().copied();
        Some(Self {
            local: Some(grant.gateway4),
            lease: grant.ipv4?,
            dns: [dns.next(), dns.next()],
            nbns: [nbns.next(), nbns.next()],
            foreign_addresses: 0,
            local_naks: 0,
        })
    }

    /// The value that an option of the client has to have; `None`: it must not be there.
    fn value(&self, kind: u8) -> Option<Ipv4Addr> {
        match kind {
            kind::ADDRESS => Some(self.lease),
            kind::PRIMARY_DNS => self.dns[0],
            kind::SECONDARY_DNS => self.dns[1],
            kind::PRIMARY_NBNS => self.nbns[0],
            kind::SECONDARY_NBNS => self.nbns[1],
            _ => None,
        }
    }

    /// Counts a wish for an address that is not the lease; 0.0.0.0 asks to be told.
    fn is_stubborn(&mut self, asked: Ipv4Addr) -> bool {
        self.foreign_addresses += u32::from(asked != self.lease && !asked.is_unspecified());
        self.foreign_addresses > MAX_FOREIGN_ADDRESSES
    }
}

impl Negotiation for Ipcp {
    const PROTOCOL: Protocol = Protocol::IPCP;

    fn request(&self, out: &mut OptionWriter) {
        if let Some(local) = self.local {
            out.push(kind::ADDRESS, &local.octets());
        }
    }

    fn judge(&mut self, options: &Options<'_>, naks: u32) -> Judgement {
        let (mut reject, mut nak) = (OptionWriter::new(), OptionWriter::new());
        for option in options.iter() {
            let (Some(value), Some(asked)) = (self.value(option.kind), option.u32().map(Ipv4Addr::from)) else {
                reject.push(option.kind, option.data);
                continue;
            };
            if option.kind == kind::ADDRESS && self.is_stubborn(asked) {
                return Judgement::Hopeless(CloseReason::AddressRefused { asked });
            }
            if asked == value {
                continue;
            }
            let rounds = if asked.is_unspecified() { MAX_TELLS } else { MAX_ROUNDS };
            match option.kind != kind::ADDRESS && naks >= rounds {
                true => reject.push(option.kind, option.data),
                false => nak.push(option.kind, &value.octets()),
            };
        }
        if !reject.is_empty() {
            return Judgement::Reject(reject);
        }
        if options.find(kind::ADDRESS).is_none() && naks < MAX_ROUNDS {
            nak.push(kind::ADDRESS, &self.lease.octets());
        }
        if nak.is_empty() { Judgement::Ack } else { Judgement::Nak(nak) }
    }

    fn on_nak(&mut self, options: &Options<'_>) -> Result<(), CloseReason> {
        // The client cannot choose our address. Asked twice, it may as well not know it.
        if options.find(kind::ADDRESS).is_some() {
            self.local_naks += 1;
            self.local = self.local.filter(|_| self.local_naks < MAX_ROUNDS);
        }
        Ok(())
    }

    fn on_reject(&mut self, _: &Options<'_>) -> Result<(), CloseReason> {
        self.local = None;
        Ok(())
    }
}
