//! What a simulated IKEv1 client is like.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::wire::v1::num::{ConfigAttr, IdType};
use crate::wire::v1::{NatNumbering, vid};

use super::offer::{Dialect, EspTransform, IsakmpTransform};

/// How a client proves who it is, and how the server has to.
pub enum V1Login {
    /// A pre-shared key.
    Psk(Vec<u8>),
    /// An RSA or ECDSA key with its certificate chain (DER), and the authorities (PEM) that the server's has to have.
    Certificate {
        /// PEM of the private key.
        key_pem: Vec<u8>,
        /// DER of the certificates, the own one first.
        chain: Vec<Vec<u8>>,
        /// What the server's certificate has to descend from.
        authorities: crate::cert::TrustAnchors,
    },
}

/// User name and password for XAuth, and how they are written.
#[derive(Clone, Debug)]
pub struct XAuthUser {
    /// User name.
    pub name: String,
    /// Password.
    pub password: String,
    /// Sends a NUL after the password, as Android does.
    pub trailing_nul: bool,
    /// Acknowledges the status with this value instead of repeating it.
    pub ack_status: u16,
}

/// An identification of phase 1 or 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Id {
    /// Type.
    pub id_type: IdType,
    /// IP protocol.
    pub protocol: u8,
    /// Port.
    pub port: u16,
    /// Name or address.
    pub data: Vec<u8>,
}

impl V1Id {
    /// An IPv4 address with a protocol and port.
    #[must_use]
    pub fn ip4(address: Ipv4Addr, protocol: u8, port: u16) -> Self {
        Self { id_type: IdType::IPV4_ADDR, protocol, port, data: address.octets().to_vec() }
    }

    /// A name.
    #[must_use]
    pub fn name(id_type: IdType, name: &str) -> Self {
        Self { id_type, protocol: 0, port: 0, data: name.as_bytes().to_vec() }
    }

    /// An IPv4 network.
    #[must_use]
    pub fn subnet(address: Ipv4Addr, mask: Ipv4Addr) -> Self {
        let data = [address.octets(), mask.octets()].concat();
        Self { id_type: IdType::IPV4_ADDR_SUBNET, protocol: 0, port: 0, data }
    }
}

/// A client with its habits.
pub struct V1ClientConfig {
    /// How it writes proposals.
    pub dialect: Dialect,
    /// Transforms of phase 1.
    pub isakmp: Vec<IsakmpTransform>,
    /// Transforms of phase 2.
    pub esp: Vec<EspTransform>,
    /// Seconds that it proposes for phase 1.
    pub isakmp_life: u32,
    /// Seconds that it proposes for phase 2.
    pub esp_life: u32,
    /// Kilobytes that it proposes for phase 2.
    pub esp_kilobytes: Option<u32>,
    /// Vendor IDs of the first message.
    pub vendor_ids: Vec<Vec<u8>>,
    /// Proof of identity.
    pub login: V1Login,
    /// Begins with aggressive mode.
    pub aggressive: bool,
    /// Identification of phase 1.
    pub identity: V1Id,
    /// Identification of its side in phase 2; in tunnel mode replaced by the address that Mode Config gave.
    pub local_id: V1Id,
    /// Identification of the server's side in phase 2.
    pub remote_id: V1Id,
    /// Whole IP packets in ESP instead of UDP alone.
    pub tunnel: bool,
    /// Offers a group in phase 2 and sends a public value.
    pub pfs: bool,
    /// Detects NAT, with payloads of this numbering; `None`: never.
    pub nat_t: Option<NatNumbering>,
    /// How many NAT-OA payloads it sends in transport mode behind NAT.
    pub nat_oa: u8,
    /// Proposes UDP encapsulation if NAT was detected; otherwise the plain modes whatever was detected.
    pub proposes_udp: bool,
    /// Numbers the exchanges of phase 2 from 1 on.
    pub counts_message_ids: bool,
    /// Sends INITIAL-CONTACT after phase 1.
    pub initial_contact: bool,
    /// Sets the commit bit in quick mode.
    pub commit: bool,
    /// Random bytes appended before encryption, besides what the cipher needs.
    pub over_padding: u8,
    /// Minor version in the header.
    pub minor_version: u8,
    /// Cuts messages that are longer into fragments of at most this size.
    pub fragment_size: Option<usize>,
    /// Sets the encryption flag on fragments, as racoon does.
    pub flags_fragments: bool,
    /// Answers to the questions of XAuth.
    pub xauth: Option<XAuthUser>,
    /// What it asks for by Mode Config; empty: it does not ask.
    pub mode_config: Vec<ConfigAttr>,
    /// Bytes of its nonces.
    pub nonce_len: usize,
    /// First retransmission interval.
    pub retransmit: Duration,
    /// Transmissions of a message before it gives up.
    pub transmissions: u32,
}

impl V1ClientConfig {
    /// An L2TP client with a pre-shared key that offers one good suite for each phase and has no bad habits.
    #[must_use]
    pub fn l2tp(psk: &[u8], address: Ipv4Addr, server: Ipv4Addr) -> Self {
        const UDP: u8 = 17;
        const L2TP: u16 = 1701;
        Self {
            dialect: Dialect::Strongswan,
            isakmp: vec![IsakmpTransform::psk(7, Some(256), 4, 19)],
            esp: vec![EspTransform { id: 12, bits: Some(256), auth: Some(5) }],
            isakmp_life: 28_800,
            esp_life: 3600,
            esp_kilobytes: None,
            vendor_ids: [vid::DPD, vid::FRAGMENTATION, vid::NAT_T_RFC].map(<[u8]>::to_vec).to_vec(),
            login: V1Login::Psk(psk.to_vec()),
            aggressive: false,
            identity: V1Id::ip4(address, 0, 0),
            local_id: V1Id::ip4(address, UDP, L2TP),
            remote_id: V1Id::ip4(server, UDP, L2TP),
            tunnel: false,
            pfs: false,
            nat_t: Some(NatNumbering::Rfc),
            nat_oa: 2,
            proposes_udp: true,
            counts_message_ids: false,
            initial_contact: false,
            commit: false,
            over_padding: 0,
            minor_version: 0,
            fragment_size: None,
            flags_fragments: false,
            xauth: None,
            mode_config: Vec::new(),
            nonce_len: 16,
            retransmit: Duration::from_secs(2),
            transmissions: 6,
        }
    }

    /// A "Cisco IPsec" client: XAuth, Mode Config and tunnel mode.
    #[must_use]
    pub fn xauth(psk: &[u8], user: &str, password: &str, address: Ipv4Addr, server: Ipv4Addr) -> Self {
        const XAUTH_INIT_PSK: u16 = 65_001;
        let mut config = Self::l2tp(psk, address, server);
        for transform in &mut config.isakmp {
            transform.auth = XAUTH_INIT_PSK;
        }
        config.vendor_ids.extend([vid::XAUTH, vid::UNITY].map(<[u8]>::to_vec));
        config.identity = V1Id::ip4(address, 17, 500);
        config.remote_id = V1Id::subnet(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
        config.tunnel = true;
        config.nat_oa = 0;
        let (name, password) = (user.to_owned(), password.to_owned());
        config.xauth = Some(XAuthUser { name, password, trailing_nul: false, ack_status: 1 });
        config.mode_config = [1, 2, 3, 4, 28_672, 28_674, 28_675, 28_676, 28_678, 7].map(ConfigAttr).to_vec();
        config
    }
}
