//! What the vendor IDs of a client announce, and which ones it is answered with.
//!
//! Only those that are needed are sent, and only to a client that sent them too: certain Windows updates broke on
//! others, and an answer must not be longer than its request.
//!
//! Does not: believe the vendor ID that says INITIAL-CONTACT for Windows. It stands in a message that nobody protects, and
//! is sent whenever there is no phase 1, which says nothing about Child SAs.

use crate::wire::v1::num::IsakmpAuth;
use crate::wire::v1::{NatNumbering, Payloads, VendorId, vid};

use super::choice::is_xauth;
use super::config::V1Config;

/// What a client says of itself in its first message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// NAT traversal, by the best of the documents that both sides know.
    nat_t: Option<&'static [u8]>,
    /// Dead peer detection.
    pub(crate) dpd: bool,
    /// Messages in pieces; with the bytes of its vendor ID, which come with and without a word of capabilities.
    fragmentation: Option<Vec<u8>>,
    xauth: bool,
    /// Cisco's attributes of mode configuration.
    pub(crate) unity: bool,
    /// Windows.
    pub(crate) windows: bool,
}

/// NAT traversal as we do it, best first. The numbers of later drafts differ from the RFC's without need.
const NAT_T: [&[u8]; 4] = [vid::NAT_T_RFC, vid::NAT_T_03, vid::NAT_T_02_LF, vid::NAT_T_02];

/// Longest form of the vendor ID for fragmentation: with the word of capabilities.
const FRAGMENTATION_LEN: usize = 20;

impl Announced {
    /// Reads the first message.
    pub(crate) fn read(payloads: &Payloads<'_>) -> Self {
        let has = |known| payloads.has_vendor_id(known);
        let fragmentation = |id: &VendorId<'_>| id.is(vid::FRAGMENTATION) && id.0.len() <= FRAGMENTATION_LEN;
        Self {
            nat_t: NAT_T.into_iter().find(|known| has(known)),
            dpd: has(vid::DPD),
            fragmentation: payloads.vendor_ids().find(fragmentation).map(|id| id.0.to_vec()),
            xauth: has(vid::XAUTH),
            unity: has(vid::UNITY),
            windows: has(vid::MS_NT5),
        }
    }

    /// The payload numbers of NAT traversal; `None` if the client does none that we do.
    pub(crate) fn nat_numbering(&self) -> Option<NatNumbering> {
        self.nat_t.map(|id| if id == vid::NAT_T_RFC { NatNumbering::Rfc } else { NatNumbering::Draft })
    }

    /// Whether messages may come in pieces.
    pub(crate) fn fragments(&self) -> bool {
        self.fragmentation.is_some()
    }

    /// Our vendor IDs.
    pub(crate) fn answer(&self, config: &V1Config, auth: IsakmpAuth) -> Vec<&[u8]> {
        let mut ids: Vec<&[u8]> = self.nat_t.into_iter().collect();
        if is_xauth(auth) {
            // Windows gets into trouble with this one in an L2TP profile.
            ids.extend(self.xauth.then_some(vid::XAUTH));
            ids.extend(self.unity.then_some(vid::UNITY));
        }
        if !config.minimal_vendor_ids {
            ids.extend(self.dpd.then_some(vid::DPD));
            ids.extend(self.fragmentation.as_deref());
        }
        ids
    }
}
