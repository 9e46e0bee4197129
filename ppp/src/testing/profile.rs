//! What stock clients ask for, option by option.

use crate::auth::Method;
use crate::frame::Protocol;

/// Types and values of options, in the order of the packet.
pub(super) type OptionList = Vec<(u8, Vec<u8>)>;

/// The habits of one kind of client.
#[derive(Clone, Debug)]
pub struct Profile {
    /// For messages of tests.
    pub name: &'static str,
    /// Options of its first LCP Configure-Request; an empty magic number is replaced by one of its own.
    pub lcp: Vec<(u8, Vec<u8>)>,
    /// Ways to authenticate that it accepts; the first one is what it asks for instead of others.
    pub auth: Vec<Method>,
    /// Options of its first IPCP Configure-Request.
    pub ipcp: Vec<(u8, Vec<u8>)>,
    /// The interface identifier that it would like to have, if it knows IPv6.
    pub ipv6: Option<u64>,
    /// Other protocols that it tries when it is logged in, with the packet.
    pub others: Vec<(Protocol, Vec<u8>)>,
    /// It tells who it is by LCP Identification.
    pub identifies: bool,
}

impl Profile {
    /// Windows 10 and 11: callback, then all four name servers, IPv6, and compression with MPPE.
    #[must_use]
    pub fn windows() -> Self {
        Self {
            name: "Windows",
            lcp: vec![(1, vec![5, 0x78]), (5, vec![]), (7, vec![]), (8, vec![]), (13, vec![6])],
            auth: vec![Method::MsChapV2, Method::Eap],
            ipcp: [3, 129, 130, 131, 132].map(unspecified).to_vec(),
            ipv6: Some(0x0011_22ff_fe33_4455),
            others: vec![(Protocol::CCP, vec![1, 5, 0, 10, 18, 6, 1, 0, 0, 0])],
            identifies: true,
        }
    }

    /// macOS and iOS: no MRU, and Apple's own control protocol.
    #[must_use]
    pub fn macos() -> Self {
        Self {
            name: "macOS",
            lcp: vec![(2, vec![0; 4]), (5, vec![]), (7, vec![]), (8, vec![])],
            auth: vec![Method::MsChapV2, Method::ChapMd5, Method::Pap],
            ipcp: [3, 129, 131].map(unspecified).to_vec(),
            ipv6: None,
            others: vec![(Protocol(0x8235), vec![1, 1, 0, 4])],
            identifies: false,
        }
    }

    /// Android up to 11: pppd that may want header compression.
    #[must_use]
    pub fn android() -> Self {
        let mut ipcp = [3, 129, 131].map(unspecified).to_vec();
        ipcp.insert(1, (2, vec![0, 0x2d, 15, 1]));
        Self {
            name: "Android",
            lcp: vec![(1, vec![4, 0xf6]), (5, vec![]), (7, vec![]), (8, vec![])],
            auth: vec![Method::MsChapV2, Method::ChapMd5, Method::Pap],
            ipcp,
            ipv6: None,
            others: Vec::new(),
            identifies: false,
        }
    }

    /// pppd under NetworkManager, with IPv6.
    #[must_use]
    pub fn linux() -> Self {
        Self {
            name: "pppd",
            lcp: vec![(1, vec![5, 0x78]), (2, vec![0; 4]), (5, vec![]), (7, vec![]), (8, vec![])],
            auth: vec![Method::Eap, Method::MsChapV2, Method::ChapMd5, Method::Pap],
            ipcp: [3, 129, 131].map(unspecified).to_vec(),
            ipv6: Some(0xfeed_beef),
            others: vec![(Protocol::CCP, vec![1, 1, 0, 15, 26, 4, 0x78, 0, 24, 4, 0x78, 0, 21, 3, 0x2f])],
            identifies: false,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::windows(), Self::macos(), Self::android(), Self::linux()]
    }
}

fn unspecified(kind: u8) -> (u8, Vec<u8>) {
    (kind, vec![0; 4])
}
