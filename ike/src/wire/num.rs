//! Numbers of the IANA registries of IKE.
//!
//! Each registry is a newtype with named constants, so a number that we do not know stays what it is. `Display` prints
//! the name of the RFC, or the number if it has none here.
//!
//! A name in this list says nothing about support: what can be computed is decided by the crypto module.

use std::fmt;

macro_rules! registry {
    ($(#[$doc:meta])* $name:ident($repr:ty) { $($constant:ident = $value:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl $name {
            $(#[doc = concat!("`", $text, "`, number ", stringify!($value), ".")]
            pub const $constant: Self = Self($value);)*

            /// The name that the RFC gives to this number.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

pub(super) use registry;

registry! {
    /// Exchange types of both versions, RFC 7296 section 3.1 and RFC 2408 section 3.1.
    ExchangeType(u8) {
        IDENTITY_PROTECTION = 2 "Identity Protection",
        AGGRESSIVE = 4 "Aggressive",
        INFORMATIONAL_V1 = 5 "Informational",
        TRANSACTION = 6 "Transaction",
        QUICK_MODE = 32 "Quick Mode",
        NEW_GROUP_MODE = 33 "New Group Mode",
        IKE_SA_INIT = 34 "IKE_SA_INIT",
        IKE_AUTH = 35 "IKE_AUTH",
        CREATE_CHILD_SA = 36 "CREATE_CHILD_SA",
        INFORMATIONAL = 37 "INFORMATIONAL",
        IKE_SESSION_RESUME = 38 "IKE_SESSION_RESUME",
        IKE_INTERMEDIATE = 43 "IKE_INTERMEDIATE",
        IKE_FOLLOWUP_KE = 44 "IKE_FOLLOWUP_KE",
    }
}

registry! {
    /// Payload types of IKEv2, RFC 7296 section 3.2. Zero means "no next payload" and is expressed by `Option`.
    PayloadType(u8) {
        SECURITY_ASSOCIATION = 33 "SA",
        KEY_EXCHANGE = 34 "KE",
        IDI = 35 "IDi",
        IDR = 36 "IDr",
        CERTIFICATE = 37 "CERT",
        CERTIFICATE_REQUEST = 38 "CERTREQ",
        AUTHENTICATION = 39 "AUTH",
        NONCE = 40 "Nonce",
        NOTIFY = 41 "N",
        DELETE = 42 "D",
        VENDOR_ID = 43 "V",
        TSI = 44 "TSi",
        TSR = 45 "TSr",
        ENCRYPTED = 46 "SK",
        CONFIGURATION = 47 "CP",
        EAP = 48 "EAP",
        ENCRYPTED_FRAGMENT = 53 "SKF",
    }
}

registry! {
    /// Security protocols, RFC 7296 section 3.3.1.
    ProtocolId(u8) {
        IKE = 1 "IKE",
        AH = 2 "AH",
        ESP = 3 "ESP",
    }
}

registry! {
    /// Transform types, RFC 7296 section 3.3.2.
    TransformType(u8) {
        ENCR = 1 "ENCR",
        PRF = 2 "PRF",
        INTEG = 3 "INTEG",
        GROUP = 4 "D-H",
        ESN = 5 "ESN",
        ADDITIONAL_KEY_EXCHANGE_1 = 6 "ADDKE1",
        ADDITIONAL_KEY_EXCHANGE_2 = 7 "ADDKE2",
        ADDITIONAL_KEY_EXCHANGE_3 = 8 "ADDKE3",
        ADDITIONAL_KEY_EXCHANGE_4 = 9 "ADDKE4",
        ADDITIONAL_KEY_EXCHANGE_5 = 10 "ADDKE5",
        ADDITIONAL_KEY_EXCHANGE_6 = 11 "ADDKE6",
        ADDITIONAL_KEY_EXCHANGE_7 = 12 "ADDKE7",
    }
}

registry! {
    /// Encryption algorithms (transform type 1).
    EncrId(u16) {
        DES_IV64 = 1 "ENCR_DES_IV64",
        DES = 2 "ENCR_DES",
        TRIPLE_DES = 3 "ENCR_3DES",
        RC5 = 4 "ENCR_RC5",
        IDEA = 5 "ENCR_IDEA",
        CAST = 6 "ENCR_CAST",
        BLOWFISH = 7 "ENCR_BLOWFISH",
        NULL = 11 "ENCR_NULL",
        AES_CBC = 12 "ENCR_AES_CBC",
        AES_CTR = 13 "ENCR_AES_CTR",
        AES_CCM_8 = 14 "ENCR_AES_CCM_8",
        AES_CCM_12 = 15 "ENCR_AES_CCM_12",
        AES_CCM_16 = 16 "ENCR_AES_CCM_16",
        AES_GCM_8 = 18 "ENCR_AES_GCM_8",
        AES_GCM_12 = 19 "ENCR_AES_GCM_12",
        AES_GCM_16 = 20 "ENCR_AES_GCM_16",
        NULL_AUTH_AES_GMAC = 21 "ENCR_NULL_AUTH_AES_GMAC",
        CAMELLIA_CBC = 23 "ENCR_CAMELLIA_CBC",
        CAMELLIA_CTR = 24 "ENCR_CAMELLIA_CTR",
        CHACHA20_POLY1305 = 28 "ENCR_CHACHA20_POLY1305",
    }
}

registry! {
    /// Pseudorandom functions (transform type 2).
    PrfId(u16) {
        HMAC_MD5 = 1 "PRF_HMAC_MD5",
        HMAC_SHA1 = 2 "PRF_HMAC_SHA1",
        AES128_XCBC = 4 "PRF_AES128_XCBC",
        HMAC_SHA2_256 = 5 "PRF_HMAC_SHA2_256",
        HMAC_SHA2_384 = 6 "PRF_HMAC_SHA2_384",
        HMAC_SHA2_512 = 7 "PRF_HMAC_SHA2_512",
        AES128_CMAC = 8 "PRF_AES128_CMAC",
    }
}

registry! {
    /// Integrity algorithms (transform type 3).
    IntegId(u16) {
        NONE = 0 "NONE",
        HMAC_MD5_96 = 1 "AUTH_HMAC_MD5_96",
        HMAC_SHA1_96 = 2 "AUTH_HMAC_SHA1_96",
        DES_MAC = 3 "AUTH_DES_MAC",
        KPDK_MD5 = 4 "AUTH_KPDK_MD5",
        AES_XCBC_96 = 5 "AUTH_AES_XCBC_96",
        HMAC_MD5_128 = 6 "AUTH_HMAC_MD5_128",
        HMAC_SHA1_160 = 7 "AUTH_HMAC_SHA1_160",
        AES_CMAC_96 = 8 "AUTH_AES_CMAC_96",
        HMAC_SHA2_256_128 = 12 "AUTH_HMAC_SHA2_256_128",
        HMAC_SHA2_384_192 = 13 "AUTH_HMAC_SHA2_384_192",
        HMAC_SHA2_512_256 = 14 "AUTH_HMAC_SHA2_512_256",
    }
}

registry! {
    /// Key exchange methods (transform type 4), the Diffie-Hellman groups among them.
    GroupId(u16) {
        NONE = 0 "NONE",
        MODP_768 = 1 "MODP_768",
        MODP_1024 = 2 "MODP_1024",
        MODP_1536 = 5 "MODP_1536",
        MODP_2048 = 14 "MODP_2048",
        MODP_3072 = 15 "MODP_3072",
        MODP_4096 = 16 "MODP_4096",
        MODP_6144 = 17 "MODP_6144",
        MODP_8192 = 18 "MODP_8192",
        ECP_256 = 19 "ECP_256",
        ECP_384 = 20 "ECP_384",
        ECP_521 = 21 "ECP_521",
        MODP_1024_160 = 22 "MODP_1024_160",
        MODP_2048_224 = 23 "MODP_2048_224",
        MODP_2048_256 = 24 "MODP_2048_256",
        ECP_192 = 25 "ECP_192",
        ECP_224 = 26 "ECP_224",
        BRAINPOOL_P224 = 27 "BRAINPOOL_P224",
        BRAINPOOL_P256 = 28 "BRAINPOOL_P256",
        BRAINPOOL_P384 = 29 "BRAINPOOL_P384",
        BRAINPOOL_P512 = 30 "BRAINPOOL_P512",
        CURVE25519 = 31 "CURVE25519",
        CURVE448 = 32 "CURVE448",
        ML_KEM_512 = 35 "ML_KEM_512",
        ML_KEM_768 = 36 "ML_KEM_768",
        ML_KEM_1024 = 37 "ML_KEM_1024",
    }
}

registry! {
    /// Extended sequence numbers (transform type 5).
    EsnId(u16) {
        NO = 0 "No ESN",
        YES = 1 "ESN",
    }
}

registry! {
    /// Authentication methods, RFC 7296 section 3.8.
    AuthMethod(u8) {
        RSA_SIGNATURE = 1 "RSA Digital Signature",
        SHARED_KEY = 2 "Shared Key Message Integrity Code",
        DSS_SIGNATURE = 3 "DSS Digital Signature",
        ECDSA_SHA256_P256 = 9 "ECDSA with SHA-256 on the P-256 curve",
        ECDSA_SHA384_P384 = 10 "ECDSA with SHA-384 on the P-384 curve",
        ECDSA_SHA512_P521 = 11 "ECDSA with SHA-512 on the P-521 curve",
        NULL = 13 "NULL Authentication",
        DIGITAL_SIGNATURE = 14 "Digital Signature",
    }
}

registry! {
    /// Hash algorithms of SIGNATURE_HASH_ALGORITHMS, RFC 7427 section 7.
    HashAlgId(u16) {
        SHA1 = 1 "SHA1",
        SHA2_256 = 2 "SHA2-256",
        SHA2_384 = 3 "SHA2-384",
        SHA2_512 = 4 "SHA2-512",
        IDENTITY = 5 "Identity",
    }
}

registry! {
    /// Identification types, RFC 7296 section 3.5.
    IdType(u8) {
        IPV4_ADDR = 1 "ID_IPV4_ADDR",
        FQDN = 2 "ID_FQDN",
        RFC822_ADDR = 3 "ID_RFC822_ADDR",
        IPV6_ADDR = 5 "ID_IPV6_ADDR",
        DER_ASN1_DN = 9 "ID_DER_ASN1_DN",
        DER_ASN1_GN = 10 "ID_DER_ASN1_GN",
        KEY_ID = 11 "ID_KEY_ID",
        NULL = 13 "ID_NULL",
    }
}

registry! {
    /// Certificate encodings, RFC 7296 section 3.6.
    CertEncoding(u8) {
        PKCS7_WRAPPED_X509 = 1 "PKCS #7 wrapped X.509 certificate",
        PGP = 2 "PGP Certificate",
        DNS_SIGNED_KEY = 3 "DNS Signed Key",
        X509_SIGNATURE = 4 "X.509 Certificate - Signature",
        KERBEROS_TOKEN = 6 "Kerberos Token",
        CRL = 7 "Certificate Revocation List",
        ARL = 8 "Authority Revocation List",
        SPKI = 9 "SPKI Certificate",
        X509_ATTRIBUTE = 10 "X.509 Certificate - Attribute",
        HASH_AND_URL_X509 = 12 "Hash and URL of X.509 certificate",
        HASH_AND_URL_BUNDLE = 13 "Hash and URL of X.509 bundle",
        OCSP_CONTENT = 14 "OCSP Content",
        RAW_PUBLIC_KEY = 15 "Raw Public Key",
    }
}

registry! {
    /// Notify message types, RFC 7296 section 3.10.1: errors below 16384, status from there on.
    NotifyType(u16) {
        UNSUPPORTED_CRITICAL_PAYLOAD = 1 "UNSUPPORTED_CRITICAL_PAYLOAD",
        INVALID_IKE_SPI = 4 "INVALID_IKE_SPI",
        INVALID_MAJOR_VERSION = 5 "INVALID_MAJOR_VERSION",
        INVALID_SYNTAX = 7 "INVALID_SYNTAX",
        INVALID_MESSAGE_ID = 9 "INVALID_MESSAGE_ID",
        INVALID_SPI = 11 "INVALID_SPI",
        NO_PROPOSAL_CHOSEN = 14 "NO_PROPOSAL_CHOSEN",
        INVALID_KE_PAYLOAD = 17 "INVALID_KE_PAYLOAD",
        AUTHENTICATION_FAILED = 24 "AUTHENTICATION_FAILED",
        SINGLE_PAIR_REQUIRED = 34 "SINGLE_PAIR_REQUIRED",
        NO_ADDITIONAL_SAS = 35 "NO_ADDITIONAL_SAS",
        INTERNAL_ADDRESS_FAILURE = 36 "INTERNAL_ADDRESS_FAILURE",
        FAILED_CP_REQUIRED = 37 "FAILED_CP_REQUIRED",
        TS_UNACCEPTABLE = 38 "TS_UNACCEPTABLE",
        INVALID_SELECTORS = 39 "INVALID_SELECTORS",
        UNACCEPTABLE_ADDRESSES = 40 "UNACCEPTABLE_ADDRESSES",
        UNEXPECTED_NAT_DETECTED = 41 "UNEXPECTED_NAT_DETECTED",
        USE_ASSIGNED_HOA = 42 "USE_ASSIGNED_HoA",
        TEMPORARY_FAILURE = 43 "TEMPORARY_FAILURE",
        CHILD_SA_NOT_FOUND = 44 "CHILD_SA_NOT_FOUND",
        STATE_NOT_FOUND = 47 "STATE_NOT_FOUND",
        MICROSOFT_ERROR = 12345 "Microsoft error code",
        INITIAL_CONTACT = 16384 "INITIAL_CONTACT",
        SET_WINDOW_SIZE = 16385 "SET_WINDOW_SIZE",
        ADDITIONAL_TS_POSSIBLE = 16386 "ADDITIONAL_TS_POSSIBLE",
        IPCOMP_SUPPORTED = 16387 "IPCOMP_SUPPORTED",
        NAT_DETECTION_SOURCE_IP = 16388 "NAT_DETECTION_SOURCE_IP",
        NAT_DETECTION_DESTINATION_IP = 16389 "NAT_DETECTION_DESTINATION_IP",
        COOKIE = 16390 "COOKIE",
        USE_TRANSPORT_MODE = 16391 "USE_TRANSPORT_MODE",
        HTTP_CERT_LOOKUP_SUPPORTED = 16392 "HTTP_CERT_LOOKUP_SUPPORTED",
        REKEY_SA = 16393 "REKEY_SA",
        ESP_TFC_PADDING_NOT_SUPPORTED = 16394 "ESP_TFC_PADDING_NOT_SUPPORTED",
        NON_FIRST_FRAGMENTS_ALSO = 16395 "NON_FIRST_FRAGMENTS_ALSO",
        MOBIKE_SUPPORTED = 16396 "MOBIKE_SUPPORTED",
        ADDITIONAL_IP4_ADDRESS = 16397 "ADDITIONAL_IP4_ADDRESS",
        ADDITIONAL_IP6_ADDRESS = 16398 "ADDITIONAL_IP6_ADDRESS",
        NO_ADDITIONAL_ADDRESSES = 16399 "NO_ADDITIONAL_ADDRESSES",
        UPDATE_SA_ADDRESSES = 16400 "UPDATE_SA_ADDRESSES",
        COOKIE2 = 16401 "COOKIE2",
        NO_NATS_ALLOWED = 16402 "NO_NATS_ALLOWED",
        AUTH_LIFETIME = 16403 "AUTH_LIFETIME",
        MULTIPLE_AUTH_SUPPORTED = 16404 "MULTIPLE_AUTH_SUPPORTED",
        ANOTHER_AUTH_FOLLOWS = 16405 "ANOTHER_AUTH_FOLLOWS",
        REDIRECT_SUPPORTED = 16406 "REDIRECT_SUPPORTED",
        REDIRECT = 16407 "REDIRECT",
        REDIRECTED_FROM = 16408 "REDIRECTED_FROM",
        EAP_ONLY_AUTHENTICATION = 16417 "EAP_ONLY_AUTHENTICATION",
        CHILDLESS_IKEV2_SUPPORTED = 16418 "CHILDLESS_IKEV2_SUPPORTED",
        IKEV2_MESSAGE_ID_SYNC_SUPPORTED = 16420 "IKEV2_MESSAGE_ID_SYNC_SUPPORTED",
        ERX_SUPPORTED = 16427 "ERX_SUPPORTED",
        IKEV2_FRAGMENTATION_SUPPORTED = 16430 "IKEV2_FRAGMENTATION_SUPPORTED",
        SIGNATURE_HASH_ALGORITHMS = 16431 "SIGNATURE_HASH_ALGORITHMS",
        USE_PPK = 16435 "USE_PPK",
        PPK_IDENTITY = 16436 "PPK_IDENTITY",
        NO_PPK_AUTH = 16437 "NO_PPK_AUTH",
        INTERMEDIATE_EXCHANGE_SUPPORTED = 16438 "INTERMEDIATE_EXCHANGE_SUPPORTED",
        IP4_ALLOWED = 16439 "IP4_ALLOWED",
        IP6_ALLOWED = 16440 "IP6_ALLOWED",
        ADDITIONAL_KEY_EXCHANGE = 16441 "ADDITIONAL_KEY_EXCHANGE",
        USE_AGGFRAG = 16442 "USE_AGGFRAG",
        SUPPORTED_AUTH_METHODS = 16443 "SUPPORTED_AUTH_METHODS",
    }
}

registry! {
    /// Configuration payload types, RFC 7296 section 3.15.
    CpType(u8) {
        REQUEST = 1 "CFG_REQUEST",
        REPLY = 2 "CFG_REPLY",
        SET = 3 "CFG_SET",
        ACK = 4 "CFG_ACK",
    }
}

registry! {
    /// Configuration attribute types (15 bits), RFC 7296 section 3.15.1.
    CpAttr(u16) {
        INTERNAL_IP4_ADDRESS = 1 "INTERNAL_IP4_ADDRESS",
        INTERNAL_IP4_NETMASK = 2 "INTERNAL_IP4_NETMASK",
        INTERNAL_IP4_DNS = 3 "INTERNAL_IP4_DNS",
        INTERNAL_IP4_NBNS = 4 "INTERNAL_IP4_NBNS",
        INTERNAL_IP4_DHCP = 6 "INTERNAL_IP4_DHCP",
        APPLICATION_VERSION = 7 "APPLICATION_VERSION",
        INTERNAL_IP6_ADDRESS = 8 "INTERNAL_IP6_ADDRESS",
        INTERNAL_IP6_DNS = 10 "INTERNAL_IP6_DNS",
        INTERNAL_IP6_DHCP = 12 "INTERNAL_IP6_DHCP",
        INTERNAL_IP4_SUBNET = 13 "INTERNAL_IP4_SUBNET",
        SUPPORTED_ATTRIBUTES = 14 "SUPPORTED_ATTRIBUTES",
        INTERNAL_IP6_SUBNET = 15 "INTERNAL_IP6_SUBNET",
        MIP6_HOME_PREFIX = 16 "MIP6_HOME_PREFIX",
        INTERNAL_IP6_LINK = 17 "INTERNAL_IP6_LINK",
        INTERNAL_IP6_PREFIX = 18 "INTERNAL_IP6_PREFIX",
        P_CSCF_IP4_ADDRESS = 20 "P_CSCF_IP4_ADDRESS",
        P_CSCF_IP6_ADDRESS = 21 "P_CSCF_IP6_ADDRESS",
        INTERNAL_DNS_DOMAIN = 25 "INTERNAL_DNS_DOMAIN",
        INTERNAL_DNSSEC_TA = 26 "INTERNAL_DNSSEC_TA",
        MICROSOFT_IP4_SERVER = 23456 "INTERNAL_IP4_SERVER",
        MICROSOFT_IP6_SERVER = 23457 "INTERNAL_IP6_SERVER",
    }
}

registry! {
    /// Traffic selector types, RFC 7296 section 3.13.1.
    TsType(u8) {
        IPV4_ADDR_RANGE = 7 "TS_IPV4_ADDR_RANGE",
        IPV6_ADDR_RANGE = 8 "TS_IPV6_ADDR_RANGE",
        FC_ADDR_RANGE = 9 "TS_FC_ADDR_RANGE",
        SECLABEL = 10 "TS_SECLABEL",
    }
}

impl ExchangeType {
    /// Whether this version has the exchange, and we could take part in it.
    pub fn exists_in(self, version: super::header::Version) -> bool {
        match version.major {
            1 => matches!(self.0, 2 | 4 | 5 | 6 | 32 | 33),
            2 => matches!(self.0, 34..=37),
            _ => false,
        }
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

    /// Whether the payload is the last of its chain: its Next Payload field speaks of what is inside it.
    pub fn ends_chain(self) -> bool {
        self == Self::ENCRYPTED || self == Self::ENCRYPTED_FRAGMENT
    }
}

impl NotifyType {
    /// Whether the notification reports an error, RFC 7296 section 3.10.1.
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::wire::header::Version;

    #[test]
    fn prints_names_and_unknown_numbers() {
        assert_eq!(EncrId::AES_GCM_16.to_string(), "ENCR_AES_GCM_16");
        assert_eq!(EncrId(65_001).to_string(), "65001");
        assert_eq!(format!("{:?}", NotifyType(40_960)), "NotifyType(40960)");
        assert_eq!(format!("{:>4}|", PayloadType::NOTIFY), "   N|");
    }

    #[test]
    fn separates_errors_from_status() {
        assert!(NotifyType::AUTHENTICATION_FAILED.is_error());
        assert!(NotifyType(16_383).is_error());
        assert!(!NotifyType::INITIAL_CONTACT.is_error());
    }

    #[test]
    fn knows_the_exchanges_of_each_version() {
        assert!(ExchangeType::IKE_AUTH.exists_in(Version::V2));
        assert!(!ExchangeType::IKE_AUTH.exists_in(Version::V1));
        assert!(ExchangeType::QUICK_MODE.exists_in(Version::V1));
        assert!(!ExchangeType::QUICK_MODE.exists_in(Version::V2));
        assert!(!ExchangeType::IKE_SA_INIT.exists_in(Version { major: 3, minor: 0 }));
    }
}
