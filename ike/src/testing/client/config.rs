//! What a client is told in advance.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::cert::TrustAnchors;
use crate::crypto::dh::Group;
use crate::crypto::sign::PublicKey;
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
    /// By a key that the server knows, RFC 7670.
    RawKey {
        /// PKCS #8 or other PEM.
        key_pem: Vec<u8>,
        /// The public key goes along.
        sends_key: bool,
    },
    /// By EAP.
    Eap(Box<dyn EapPeer>),
}

/// How the server has to prove who it is.
pub enum ServerProof {
    /// As the login suggests: by the same pre-shared key, otherwise by certificate.
    LikeClient,
    /// By this pre-shared key.
    Psk(Vec<u8>),
    /// By certificate.
    Certificate,
    /// By this key, without a certificate.
    RawKey(PublicKey),
}

/// A postquantum preshared key, RFC 8784.
pub struct ClientPpk {
    /// What the notification says, the type of the name in front.
    pub identity: Vec<u8>,
    /// The key.
    pub secret: Vec<u8>,
    /// The client does not go on without.
    pub required: bool,
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
    /// How the server has to.
    pub server_proof: ServerProof,
    /// The postquantum preshared key.
    pub ppk: Option<ClientPpk>,
    /// Ask for certificates of these authorities: the body of a certificate request, without the encoding.
    pub requested_authorities: Option<Vec<u8>>,
    /// The server's AUTH payload may stay away until EAP is done, RFC 5998.
    pub eap_only: bool,
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
    /// The IPv4 address to ask for, as a client does that has had it before.
    pub wanted: Option<Ipv4Addr>,
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
    /// Ask for transport mode.
    pub transport: bool,
    /// Vendor IDs in IKE_SA_INIT and IKE_AUTH.
    pub vendor_ids: Vec<Vec<u8>>,
    /// More of them in IKE_AUTH.
    pub late_vendor_ids: Vec<Vec<u8>>,
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
            server_proof: ServerProof::LikeClient,
            ppk: None,
            requested_authorities: None,
            eap_only: false,
            policy: Policy::default(),
            guess: Group::Curve25519,
            pfs: false,
            authorities: None,
            attributes: vec![CpAttr::INTERNAL_IP4_ADDRESS, CpAttr::INTERNAL_IP4_DNS],
            wanted: None,
            selectors: (any.clone(), any),
            initial_contact: false,
            hashes: Some(vec![HashAlgId::SHA2_256, HashAlgId::SHA2_384, HashAlgId::SHA2_512]),
            fragmentation: true,
            mobike: false,
            childless: false,
            asks_late: false,
            transport: false,
            vendor_ids: Vec::new(),
            late_vendor_ids: Vec::new(),
            status: Vec::new(),
            retransmit: Duration::from_millis(500),
            transmissions: 6,
        }
    }
}
