//! Numbers of IKEv1: payloads, attributes and their values, notifications.
//!
//! They are a namespace of their own: a number of IKEv2 means nothing here, except for groups, certificate encodings and
//! exchange types, which both versions share (see [`wire::num`](crate::wire::num)).

use std::fmt;

use crate::wire::num::registry;

registry! {
    /// Payload types, RFC 2408 section 3.1, RFC 3947 section 6 and practice. Zero is expressed by `Option`.
    PayloadType(u8) {
        SECURITY_ASSOCIATION = 1 "SA",
        PROPOSAL = 2 "P",
        TRANSFORM = 3 "T",
        KEY_EXCHANGE = 4 "KE",
        IDENTIFICATION = 5 "ID",
        CERTIFICATE = 6 "CERT",
        CERTIFICATE_REQUEST = 7 "CR",
        HASH = 8 "HASH",
        SIGNATURE = 9 "SIG",
        NONCE = 10 "NONCE",
        NOTIFY = 11 "N",
        DELETE = 12 "D",
        VENDOR_ID = 13 "VID",
        ATTRIBUTES = 14 "ATTR",
        NAT_D_EARLY = 15 "NAT-D (early draft)",
        NAT_OA_EARLY = 16 "NAT-OA (early draft)",
        NAT_D = 20 "NAT-D",
        NAT_OA = 21 "NAT-OA",
        NAT_D_DRAFT = 130 "NAT-D (draft)",
        NAT_OA_DRAFT = 131 "NAT-OA (draft)",
        FRAGMENT = 132 "FRAG",
    }
}

registry! {
    /// Protocols of proposals, notifications and deletions, RFC 2407 section 4.4.1.
    ProtocolId(u8) {
        ISAKMP = 1 "ISAKMP",
        AH = 2 "AH",
        ESP = 3 "ESP",
        IPCOMP = 4 "IPCOMP",
    }
}

registry! {
    /// Attribute types of phase 1, RFC 2409 appendix A.
    IsakmpAttr(u16) {
        ENCRYPTION = 1 "Encryption Algorithm",
        HASH = 2 "Hash Algorithm",
        AUTHENTICATION_METHOD = 3 "Authentication Method",
        GROUP_DESCRIPTION = 4 "Group Description",
        GROUP_TYPE = 5 "Group Type",
        GROUP_PRIME = 6 "Group Prime",
        GROUP_GENERATOR_ONE = 7 "Group Generator One",
        GROUP_GENERATOR_TWO = 8 "Group Generator Two",
        GROUP_CURVE_A = 9 "Group Curve A",
        GROUP_CURVE_B = 10 "Group Curve B",
        LIFE_TYPE = 11 "Life Type",
        LIFE_DURATION = 12 "Life Duration",
        PRF = 13 "PRF",
        KEY_LENGTH = 14 "Key Length",
        FIELD_SIZE = 15 "Field Size",
        GROUP_ORDER = 16 "Group Order",
    }
}

registry! {
    /// Encryption algorithms of phase 1, RFC 2409 appendix A and RFC 3602.
    IsakmpEncr(u16) {
        DES_CBC = 1 "DES-CBC",
        IDEA_CBC = 2 "IDEA-CBC",
        BLOWFISH_CBC = 3 "Blowfish-CBC",
        RC5_CBC = 4 "RC5-R16-B64-CBC",
        TRIPLE_DES_CBC = 5 "3DES-CBC",
        CAST_CBC = 6 "CAST-CBC",
        AES_CBC = 7 "AES-CBC",
        CAMELLIA_CBC = 8 "CAMELLIA-CBC",
    }
}

registry! {
    /// Hash algorithms of phase 1, RFC 2409 appendix A and RFC 4868.
    IsakmpHash(u16) {
        MD5 = 1 "MD5",
        SHA1 = 2 "SHA",
        TIGER = 3 "Tiger",
        SHA2_256 = 4 "SHA2-256",
        SHA2_384 = 5 "SHA2-384",
        SHA2_512 = 6 "SHA2-512",
    }
}

registry! {
    /// Authentication methods of phase 1, RFC 2409 appendix A, RFC 4754, and the drafts of XAuth and hybrid mode.
    IsakmpAuth(u16) {
        PRE_SHARED_KEY = 1 "pre-shared key",
        DSS = 2 "DSS signatures",
        RSA_SIGNATURES = 3 "RSA signatures",
        RSA_ENCRYPTION = 4 "Encryption with RSA",
        RSA_ENCRYPTION_REVISED = 5 "Revised encryption with RSA",
        ECDSA_SHA256_P256 = 9 "ECDSA with SHA-256 on the P-256 curve",
        ECDSA_SHA384_P384 = 10 "ECDSA with SHA-384 on the P-384 curve",
        ECDSA_SHA512_P521 = 11 "ECDSA with SHA-512 on the P-521 curve",
        HYBRID_INIT_RSA = 64221 "HybridInitRSA",
        XAUTH_INIT_PRE_SHARED = 65001 "XAUTHInitPreShared",
        XAUTH_RESP_PRE_SHARED = 65002 "XAUTHRespPreShared",
        XAUTH_INIT_RSA = 65005 "XAUTHInitRSA",
        XAUTH_RESP_RSA = 65006 "XAUTHRespRSA",
    }
}

registry! {
    /// What a lifetime counts, RFC 2407 section 4.5 and RFC 2409 appendix A.
    LifeType(u16) {
        SECONDS = 1 "seconds",
        KILOBYTES = 2 "kilobytes",
    }
}

registry! {
    /// The transform of phase 1, RFC 2407 section 4.4.2.
    IsakmpTransformId(u8) {
        KEY_IKE = 1 "KEY_IKE",
    }
}

registry! {
    /// ESP transforms, RFC 2407 section 4.4.4, RFC 3602, RFC 4106.
    EspTransformId(u8) {
        DES_IV64 = 1 "ESP_DES_IV64",
        DES = 2 "ESP_DES",
        TRIPLE_DES = 3 "ESP_3DES",
        RC5 = 4 "ESP_RC5",
        IDEA = 5 "ESP_IDEA",
        CAST = 6 "ESP_CAST",
        BLOWFISH = 7 "ESP_BLOWFISH",
        NULL = 11 "ESP_NULL",
        AES_CBC = 12 "ESP_AES-CBC",
        AES_CTR = 13 "ESP_AES-CTR",
        AES_CCM_8 = 14 "ESP_AES-CCM_8",
        AES_CCM_12 = 15 "ESP_AES-CCM_12",
        AES_CCM_16 = 16 "ESP_AES-CCM_16",
        AES_GCM_8 = 18 "ESP_AES-GCM_8",
        AES_GCM_12 = 19 "ESP_AES-GCM_12",
        AES_GCM_16 = 20 "ESP_AES-GCM_16",
        CAMELLIA = 22 "ESP_CAMELLIA",
        NULL_AUTH_AES_GMAC = 23 "ESP_NULL_AUTH_AES-GMAC",
    }
}

registry! {
    /// Attribute types of phase 2, RFC 2407 section 4.5 and RFC 4304.
    IpsecAttr(u16) {
        LIFE_TYPE = 1 "SA Life Type",
        LIFE_DURATION = 2 "SA Life Duration",
        GROUP_DESCRIPTION = 3 "Group Description",
        ENCAPSULATION_MODE = 4 "Encapsulation Mode",
        AUTHENTICATION_ALGORITHM = 5 "Authentication Algorithm",
        KEY_LENGTH = 6 "Key Length",
        KEY_ROUNDS = 7 "Key Rounds",
        COMPRESS_DICTIONARY_SIZE = 8 "Compress Dictionary Size",
        COMPRESS_PRIVATE_ALGORITHM = 9 "Compress Private Algorithm",
        ECN_TUNNEL = 10 "ECN Tunnel",
        EXTENDED_SEQUENCE_NUMBER = 11 "Extended (64-bit) Sequence Number",
        AUTHENTICATION_KEY_LENGTH = 12 "Authentication Key Length",
    }
}

registry! {
    /// Encapsulation modes, RFC 2407 section 4.5, RFC 3947 section 5.1 and its drafts.
    EncapsulationMode(u16) {
        TUNNEL = 1 "Tunnel",
        TRANSPORT = 2 "Transport",
        UDP_TUNNEL = 3 "UDP-Encapsulated-Tunnel",
        UDP_TRANSPORT = 4 "UDP-Encapsulated-Transport",
        UDP_TUNNEL_DRAFT = 61443 "UDP-Encapsulated-Tunnel (draft)",
        UDP_TRANSPORT_DRAFT = 61444 "UDP-Encapsulated-Transport (draft)",
    }
}

registry! {
    /// Authentication algorithms of phase 2, RFC 2407 section 4.5, RFC 4868.
    IpsecAuth(u16) {
        HMAC_MD5 = 1 "HMAC-MD5",
        HMAC_SHA1 = 2 "HMAC-SHA",
        DES_MAC = 3 "DES-MAC",
        KPDK = 4 "KPDK",
        HMAC_SHA2_256 = 5 "HMAC-SHA2-256",
        HMAC_SHA2_384 = 6 "HMAC-SHA2-384",
        HMAC_SHA2_512 = 7 "HMAC-SHA2-512",
        HMAC_RIPEMD = 8 "HMAC-RIPEMD",
        AES_XCBC_MAC = 9 "AES-XCBC-MAC",
    }
}

registry! {
    /// Identification types, RFC 2407 section 4.6.2.1.
    IdType(u8) {
        IPV4_ADDR = 1 "ID_IPV4_ADDR",
        FQDN = 2 "ID_FQDN",
        USER_FQDN = 3 "ID_USER_FQDN",
        IPV4_ADDR_SUBNET = 4 "ID_IPV4_ADDR_SUBNET",
        IPV6_ADDR = 5 "ID_IPV6_ADDR",
        IPV6_ADDR_SUBNET = 6 "ID_IPV6_ADDR_SUBNET",
        IPV4_ADDR_RANGE = 7 "ID_IPV4_ADDR_RANGE",
        IPV6_ADDR_RANGE = 8 "ID_IPV6_ADDR_RANGE",
        DER_ASN1_DN = 9 "ID_DER_ASN1_DN",
        DER_ASN1_GN = 10 "ID_DER_ASN1_GN",
        KEY_ID = 11 "ID_KEY_ID",
    }
}

registry! {
    /// Notify message types, RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706.
    NotifyType(u16) {
        INVALID_PAYLOAD_TYPE = 1 "INVALID-PAYLOAD-TYPE",
        DOI_NOT_SUPPORTED = 2 "DOI-NOT-SUPPORTED",
        SITUATION_NOT_SUPPORTED = 3 "SITUATION-NOT-SUPPORTED",
        INVALID_COOKIE = 4 "INVALID-COOKIE",
        INVALID_MAJOR_VERSION = 5 "INVALID-MAJOR-VERSION",
        INVALID_MINOR_VERSION = 6 "INVALID-MINOR-VERSION",
        INVALID_EXCHANGE_TYPE = 7 "INVALID-EXCHANGE-TYPE",
        INVALID_FLAGS = 8 "INVALID-FLAGS",
        INVALID_MESSAGE_ID = 9 "INVALID-MESSAGE-ID",
        INVALID_PROTOCOL_ID = 10 "INVALID-PROTOCOL-ID",
        INVALID_SPI = 11 "INVALID-SPI",
        INVALID_TRANSFORM_ID = 12 "INVALID-TRANSFORM-ID",
        ATTRIBUTES_NOT_SUPPORTED = 13 "ATTRIBUTES-NOT-SUPPORTED",
        NO_PROPOSAL_CHOSEN = 14 "NO-PROPOSAL-CHOSEN",
        BAD_PROPOSAL_SYNTAX = 15 "BAD-PROPOSAL-SYNTAX",
        PAYLOAD_MALFORMED = 16 "PAYLOAD-MALFORMED",
        INVALID_KEY_INFORMATION = 17 "INVALID-KEY-INFORMATION",
        INVALID_ID_INFORMATION = 18 "INVALID-ID-INFORMATION",
        INVALID_CERT_ENCODING = 19 "INVALID-CERT-ENCODING",
        INVALID_CERTIFICATE = 20 "INVALID-CERTIFICATE",
        CERT_TYPE_UNSUPPORTED = 21 "CERT-TYPE-UNSUPPORTED",
        INVALID_CERT_AUTHORITY = 22 "INVALID-CERT-AUTHORITY",
        INVALID_HASH_INFORMATION = 23 "INVALID-HASH-INFORMATION",
        AUTHENTICATION_FAILED = 24 "AUTHENTICATION-FAILED",
        INVALID_SIGNATURE = 25 "INVALID-SIGNATURE",
        ADDRESS_NOTIFICATION = 26 "ADDRESS-NOTIFICATION",
        NOTIFY_SA_LIFETIME = 27 "NOTIFY-SA-LIFETIME",
        CERTIFICATE_UNAVAILABLE = 28 "CERTIFICATE-UNAVAILABLE",
        UNSUPPORTED_EXCHANGE_TYPE = 29 "UNSUPPORTED-EXCHANGE-TYPE",
        UNEQUAL_PAYLOAD_LENGTHS = 30 "UNEQUAL-PAYLOAD-LENGTHS",
        CONNECTED = 16384 "CONNECTED",
        RESPONDER_LIFETIME = 24576 "RESPONDER-LIFETIME",
        REPLAY_STATUS = 24577 "REPLAY-STATUS",
        INITIAL_CONTACT = 24578 "INITIAL-CONTACT",
        R_U_THERE = 36136 "R-U-THERE",
        R_U_THERE_ACK = 36137 "R-U-THERE-ACK",
        UNITY_LOAD_BALANCE = 40501 "UNITY-LOAD-BALANCE",
    }
}

registry! {
    /// Mode Config message types.
    ConfigType(u8) {
        REQUEST = 1 "CFG_REQUEST",
        REPLY = 2 "CFG_REPLY",
        SET = 3 "CFG_SET",
        ACK = 4 "CFG_ACK",
    }
}

registry! {
    /// Mode Config attribute types (15 bits), with those of XAuth and of Cisco's clients.
    ConfigAttr(u16) {
        INTERNAL_IP4_ADDRESS = 1 "INTERNAL_IP4_ADDRESS",
        INTERNAL_IP4_NETMASK = 2 "INTERNAL_IP4_NETMASK",
        INTERNAL_IP4_DNS = 3 "INTERNAL_IP4_DNS",
        INTERNAL_IP4_NBNS = 4 "INTERNAL_IP4_NBNS",
        INTERNAL_ADDRESS_EXPIRY = 5 "INTERNAL_ADDRESS_EXPIRY",
        INTERNAL_IP4_DHCP = 6 "INTERNAL_IP4_DHCP",
        APPLICATION_VERSION = 7 "APPLICATION_VERSION",
        INTERNAL_IP6_ADDRESS = 8 "INTERNAL_IP6_ADDRESS",
        INTERNAL_IP6_NETMASK = 9 "INTERNAL_IP6_NETMASK",
        INTERNAL_IP6_DNS = 10 "INTERNAL_IP6_DNS",
        INTERNAL_IP6_NBNS = 11 "INTERNAL_IP6_NBNS",
        INTERNAL_IP6_DHCP = 12 "INTERNAL_IP6_DHCP",
        INTERNAL_IP4_SUBNET = 13 "INTERNAL_IP4_SUBNET",
        SUPPORTED_ATTRIBUTES = 14 "SUPPORTED_ATTRIBUTES",
        INTERNAL_IP6_SUBNET = 15 "INTERNAL_IP6_SUBNET",
        XAUTH_TYPE = 16520 "XAUTH-TYPE",
        XAUTH_USER_NAME = 16521 "XAUTH-USER-NAME",
        XAUTH_USER_PASSWORD = 16522 "XAUTH-USER-PASSWORD",
        XAUTH_PASSCODE = 16523 "XAUTH-PASSCODE",
        XAUTH_MESSAGE = 16524 "XAUTH-MESSAGE",
        XAUTH_CHALLENGE = 16525 "XAUTH-CHALLENGE",
        XAUTH_DOMAIN = 16526 "XAUTH-DOMAIN",
        XAUTH_STATUS = 16527 "XAUTH-STATUS",
        XAUTH_NEXT_PIN = 16528 "XAUTH-NEXT-PIN",
        XAUTH_ANSWER = 16529 "XAUTH-ANSWER",
        UNITY_BANNER = 28672 "UNITY_BANNER",
        UNITY_SAVE_PASSWD = 28673 "UNITY_SAVE_PASSWD",
        UNITY_DEF_DOMAIN = 28674 "UNITY_DEF_DOMAIN",
        UNITY_SPLITDNS_NAME = 28675 "UNITY_SPLITDNS_NAME",
        UNITY_SPLIT_INCLUDE = 28676 "UNITY_SPLIT_INCLUDE",
        UNITY_NATT_PORT = 28677 "UNITY_NATT_PORT",
        UNITY_LOCAL_LAN = 28678 "UNITY_LOCAL_LAN",
        UNITY_PFS = 28679 "UNITY_PFS",
        UNITY_FW_TYPE = 28680 "UNITY_FW_TYPE",
        UNITY_BACKUP_SERVERS = 28681 "UNITY_BACKUP_SERVERS",
        UNITY_DDNS_HOSTNAME = 28682 "UNITY_DDNS_HOSTNAME",
    }
}

impl PayloadType {
    /// Reads a Next Payload field: zero means that nothing follows.
    pub const fn from_next(field: u8) -> Option<Self> {
        if field == 0 { None } else { Some(Self(field)) }
    }

    /// The value of a Next Payload field.
    pub const fn to_next(next: Option<Self>) -> u8 {
        match next {
            Some(kind) => kind.0,
            None => 0,
        }
    }
}

impl NotifyType {
    /// Whether the notification reports an error, RFC 2408 section 3.14.1.
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}

impl EncapsulationMode {
    /// Whether ESP packets carry no IP header, in any of the encapsulations.
    pub const fn is_transport(self) -> bool {
        matches!(self, Self::TRANSPORT | Self::UDP_TRANSPORT | Self::UDP_TRANSPORT_DRAFT)
    }

    /// Whether ESP packets carry whole IP packets, in any of the encapsulations.
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::TUNNEL | Self::UDP_TUNNEL | Self::UDP_TUNNEL_DRAFT)
    }

    /// Whether ESP is carried in UDP, RFC 3948.
    pub const fn is_udp(self) -> bool {
        matches!(self, Self::UDP_TUNNEL | Self::UDP_TRANSPORT | Self::UDP_TUNNEL_DRAFT | Self::UDP_TRANSPORT_DRAFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_encapsulation_modes_apart() {
        let known = [1, 2, 3, 4, 61443, 61444].map(EncapsulationMode);
        assert_eq!(known.map(EncapsulationMode::is_transport), [false, true, false, true, false, true]);
        assert_eq!(known.map(EncapsulationMode::is_tunnel), [true, false, true, false, true, false]);
        assert_eq!(known.map(EncapsulationMode::is_udp), [false, false, true, true, true, true]);
        assert!(!EncapsulationMode(5).is_transport() && !EncapsulationMode(5).is_tunnel());
    }

    #[test]
    fn separates_errors_from_status() {
        assert!(NotifyType::INVALID_HASH_INFORMATION.is_error());
        assert!(!NotifyType::INITIAL_CONTACT.is_error());
        assert_eq!(NotifyType::R_U_THERE.to_string(), "R-U-THERE");
    }
}
