//! What a client is told in advance.

use std::time::Duration;

use crate::cert::TrustAnchors;
use crate::crypto::dh::Group;
use crate::identity::Identity;
use crate::proposal::Policy;
use crate::wire::num::{CpAttr, HashAlgId, NotifyType};
use crate::wire::v2::TrafficSelector;

/// How a client proves who it is.
pub enum Login {
    /// By pre-shared key.
    Psk(Vec<u8>),
    /// By certificate: the chain as DER, the key as PEM.
    Certificate {
        /// Own certificate first.
        chain: Vec<Vec<u8>>,
        /// PKCS #8 or other PEM.
        key_pem: Vec<u8>,
    },
    /// By EAP.
    Eap(Box<dyn EapPeer>),
}

/// The client's side of an EAP method.
pub trait EapPeer: Send {
    /// Answers an EAP request.
    fn respond(&mut self, request: &[u8]) -> Vec<u8>;
    /// The master session key, after EAP-Success.
    fn msk(&self) -> Vec<u8>;
}

/// Configuration of a [`Client`](super::Client).
pub struct ClientConfig {
    /// IDi.
    pub identity: Identity,
    /// IDr, if a certain name is wanted.
    pub server_identity: Option<Identity>,
    /// How to log in.
    pub login: Login,
    /// What to offer; everything in it at once.
    pub policy: Policy,
    /// The group to try first.
    pub guess: Group,
    /// Whether the KE payload of rekeyed Child SAs is there.
    pub pfs: bool,
    /// Authorities for the certificate of the server.
    pub authorities: Option<TrustAnchors>,
    /// What to ask for.
    pub attributes: Vec<CpAttr>,
    /// TSi and TSr.
    pub selectors: (Vec<TrafficSelector>, Vec<TrafficSelector>),
    /// Send INITIAL_CONTACT.
    pub initial_contact: bool,
    /// Announce RFC 7427 hashes.
    pub hashes: Option<Vec<HashAlgId>>,
    /// Announce fragmentation.
    pub fragmentation: bool,
    /// Announce MOBIKE, and use port 4500 from IKE_AUTH on.
    pub mobike: bool,
    /// Begin without Child SA (RFC 6023).
    pub childless: bool,
    /// Ask for an address with the first CREATE_CHILD_SA, not in IKE_AUTH.
    pub asks_late: bool,
    /// More notifications in IKE_SA_INIT and IKE_AUTH.
    pub status: Vec<(NotifyType, Vec<u8>)>,
    /// A request is sent again after this long, then after twice as long, and so on.
    pub retransmit: Duration,
    /// So many times in all.
    pub transmissions: u32,
}

impl ClientConfig {
    /// What a road warrior with a pre-shared key wants.
    #[must_use]
    pub fn psk(identity: Identity, psk: &[u8]) -> Self {
        let any = vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6];
        Self {
            identity,
            server_identity: None,
            login: Login::Psk(psk.to_vec()),
            policy: Policy::default(),
            guess: Group::Curve25519,
            pfs: false,
            authorities: None,
            attributes: vec![CpAttr::INTERNAL_IP4_ADDRESS, CpAttr::INTERNAL_IP4_DNS],
            selectors: (any.clone(), any),
            initial_contact: false,
            hashes: Some(vec![HashAlgId::SHA2_256, HashAlgId::SHA2_384, HashAlgId::SHA2_512]),
            fragmentation: true,
            mobike: false,
            childless: false,
            asks_late: false,
            status: Vec::new(),
            retransmit: Duration::from_millis(500),
            transmissions: 6,
        }
    }
}
