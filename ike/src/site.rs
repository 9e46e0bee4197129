//! Other gateways that we have tunnels with: who they are, what goes through the tunnels, and what is negotiated.
//!
//! Does not: decide when a tunnel is needed, or find out where the other gateway is; the server does.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::child_sa::ChildMode;
use crate::config::Timing;
use crate::credential::{LocalAuth, PeerAuth};
use crate::event::Prefix;
use crate::identity::Identity;
use crate::ppk::SitePpk;
use crate::proposal::Policy;
use crate::wire::v2::TrafficSelector;

/// Another gateway.
pub struct Site {
    /// What the operator calls it.
    pub name: Arc<str>,
    /// Who we are towards it: `IDi` of what we begin, `IDr` of what it begins.
    pub identity: Identity,
    /// Who it has to be; `None`: whoever has this site's key. Then our requests name nobody (`IDr`), nor if it is a
    /// distinguished name.
    pub peer_identity: Option<Identity>,
    /// Where it may begin from; empty: anywhere.
    pub peer_addresses: Vec<Prefix>,
    /// How we prove who we are.
    pub local_auth: LocalAuth,
    /// How it has to.
    pub peer_auth: PeerAuth,
    /// A postquantum preshared key (RFC 8784).
    pub ppk: Option<SitePpk>,
    /// Acceptable algorithms; offered in this order.
    pub policy: Policy,
    /// The tunnels, at least one.
    pub children: Vec<SiteChild>,
    /// Lifetimes, liveness checks and retransmission.
    pub timing: Timing,
    /// We ask it to prove who it is again, and do so ourselves, after this long; `None`: never (RFC 4478).
    pub reauthentication: Option<Duration>,
    /// Whether the initiator may move by MOBIKE (RFC 4555).
    pub mobike: bool,
    /// Always put ESP into UDP, also where no NAT was detected.
    pub force_udp_encap: bool,
    /// Whether long messages may be sent in fragments (RFC 7383).
    pub fragmentation: bool,
}

/// One tunnel with a site: a Child SA, and what replaces it by rekeying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteChild {
    /// What the operator calls it; unique within its site.
    pub name: Arc<str>,
    /// Traffic on our side.
    pub local: Vec<TrafficSelector>,
    /// Traffic on its side.
    pub remote: Vec<TrafficSelector>,
    /// What is inside of its packets: [`ChildMode::Tunnel`] or [`ChildMode::Transport`].
    pub mode: ChildMode,
}

/// Leaves out what is secret.
impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, identity, peer_identity, children, .. } = self;
        f.debug_struct("Site")
            .field("name", name)
            .field("identity", identity)
            .field("peer_identity", peer_identity)
            .field("children", children)
            .finish_non_exhaustive()
    }
}

impl Site {
    /// Whether it may begin from this address.
    #[must_use]
    pub fn may_come_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.peer_addresses.is_empty() || self.peer_addresses.iter().any(|prefix| prefix.contains(address))
    }

    /// Whether it may call itself so. A peer that gives the whole subject of its certificate as its name, as many do unless
    /// told otherwise, is the right one if the certificate has the expected name as well.
    #[must_use]
    pub(crate) fn may_be_called(&self, identity: &Identity) -> bool {
        let Some(expected) = &self.peer_identity else { return true };
        let is_told_by_certificate = matches!(self.peer_auth, PeerAuth::Certificate(_))
            && matches!(identity, Identity::DerAsn1Dn(_))
            && !matches!(expected, Identity::DerAsn1Dn(_));
        expected.is_same(identity) || is_told_by_certificate
    }

    /// The tunnel of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&SiteChild> {
        self.children.iter().find(|child| *child.name == *name)
    }
}
