//! Identities: who a peer says it is, RFC 7296 section 3.5.
//!
//! An [`Identity`] comes from an IDi or IDr payload or from configuration text. Host names and mail
//! addresses have no case, so both ways keep them in lower case and equality is plain.
//!
//! Does not: prove anything, and never guesses the type from the contents of a payload.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::distinguished_name;
use crate::wire::num::IdType;

/// Longest host name, mail address or key identifier, in bytes: the length of a DNS name.
pub const MAX_NAME_LEN: usize = 255;

/// Longest distinguished name, in bytes of DER; no certificate in use comes near.
pub const MAX_DN_LEN: usize = 2048;

/// The name of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// ID_FQDN, in lower case.
    Fqdn(String),
    /// ID_RFC822_ADDR, in lower case.
    UserFqdn(String),
    /// ID_KEY_ID, opaque bytes.
    KeyId(Vec<u8>),
    /// ID_DER_ASN1_DN: a distinguished name, as DER.
    DerAsn1Dn(Vec<u8>),
}

impl Identity {
    /// Takes type and data of an identification payload.
    ///
    /// # Errors
    /// [`InvalidIdentity`] if the type is none of those above, or the data does not fit it.
    pub fn parse(id_type: IdType, data: &[u8]) -> Result<Self, InvalidIdentity> {
        match id_type {
            IdType::IPV4_ADDR => address::<4>(data).map(|octets| Self::Ipv4(octets.into())),
            IdType::IPV6_ADDR => address::<16>(data).map(|octets| Self::Ipv6(octets.into())),
            IdType::FQDN => name(data).map(Self::Fqdn),
            IdType::RFC822_ADDR => name(data).map(Self::UserFqdn),
            IdType::KEY_ID => bounded(data, MAX_NAME_LEN).map(|data| Self::KeyId(data.to_vec())),
            IdType::DER_ASN1_DN => bounded(data, MAX_DN_LEN).map(|data| Self::DerAsn1Dn(data.to_vec())),
            other => Err(InvalidIdentity::Type(other)),
        }
    }

    /// The type that the payload gives.
    #[must_use]
    pub const fn id_type(&self) -> IdType {
        match self {
            Self::Ipv4(_) => IdType::IPV4_ADDR,
            Self::Ipv6(_) => IdType::IPV6_ADDR,
            Self::Fqdn(_) => IdType::FQDN,
            Self::UserFqdn(_) => IdType::RFC822_ADDR,
            Self::KeyId(_) => IdType::KEY_ID,
            Self::DerAsn1Dn(_) => IdType::DER_ASN1_DN,
        }
    }

    /// Whether this is the name of the same peer: distinguished names may be written in several ways.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DerAsn1Dn(one), Self::DerAsn1Dn(other)) => distinguished_name::is_same(one, other),
            _ => self == other,
        }
    }

    /// The identification data of the payload.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        match self {
            Self::Ipv4(address) => address.octets().to_vec(),
            Self::Ipv6(address) => address.octets().to_vec(),
            Self::Fqdn(name) | Self::UserFqdn(name) => name.clone().into_bytes(),
            Self::KeyId(bytes) | Self::DerAsn1Dn(bytes) => bytes.clone(),
        }
    }
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address),
            IpAddr::V6(address) => Self::Ipv6(address),
        }
    }
}

/// Reads configuration text. A prefix names the type: `fqdn:` or `@` a host name, `email:` a mail
/// address, `keyid:` a key identifier (`keyid:0x` in hexadecimal). Without one, an IP address is
/// an address, text like `CN=gw, O=Example` a distinguished name in either order, text with `@` a mail
/// address, and everything else a host name.
impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let prefixed = |prefix| text.strip_prefix(prefix).map(str::as_bytes);
        if let Some(fqdn) = prefixed("@").or(prefixed("fqdn:")) {
            Self::parse(IdType::FQDN, fqdn)
        } else if let Some(hex) = text.strip_prefix("keyid:0x") {
            Self::parse(IdType::KEY_ID, &from_hex(hex).ok_or(InvalidIdentity::Hexadecimal)?)
        } else if let Some(key_id) = prefixed("keyid:") {
            Self::parse(IdType::KEY_ID, key_id)
        } else if let Some(email) = prefixed("email:") {
            Self::parse(IdType::RFC822_ADDR, email)
        } else if let Ok(address) = text.parse::<IpAddr>() {
            Ok(address.into())
        } else if distinguished_name::is_meant(text) {
            let name = distinguished_name::parse(text).ok_or(InvalidIdentity::DistinguishedName)?;
            Self::parse(IdType::DER_ASN1_DN, &name)
        } else if text.contains('@') {
            Self::parse(IdType::RFC822_ADDR, text.as_bytes())
        } else {
            Self::parse(IdType::FQDN, text.as_bytes())
        }
    }
}

/// Writes the text that [`FromStr`] reads, with a prefix only where it is needed; a distinguished
/// name by RFC 4514. Bytes of a peer that are not plain text come out escaped.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Fqdn(name) => write_name(f, self, "fqdn:", name),
            Self::UserFqdn(name) => write_name(f, self, "email:", name),
            Self::KeyId(bytes) => match plain_text(bytes) {
                Some(text) if !text.starts_with("0x") => write!(f, "keyid:{text}"),
                _ => write!(f, "keyid:0x{}", hex(bytes)),
            },
            Self::DerAsn1Dn(der) => write!(f, "{}", dn_text(der)),
        }
    }
}

/// A distinguished name for people: RFC 4514 text, or hexadecimal if it is not a name at all.
pub(crate) fn dn_text(der: &[u8]) -> String {
    match distinguished_name::text(der) {
        Some(name) => name.chars().flat_map(escaped).collect(),
        None => format!("dn:0x{}", hex(der)),
    }
}

fn address<const N: usize>(data: &[u8]) -> Result<[u8; N], InvalidIdentity> {
    data.try_into().map_err(|_| InvalidIdentity::Length { limit: N, got: data.len() })
}

fn bounded(data: &[u8], limit: usize) -> Result<&[u8], InvalidIdentity> {
    if data.is_empty() || data.len() > limit {
        return Err(InvalidIdentity::Length { limit, got: data.len() });
    }
    Ok(data)
}

/// UTF-8 without control characters; RFC 7296 says ASCII, but clients send what their user typed.
fn name(data: &[u8]) -> Result<String, InvalidIdentity> {
    let text = str::from_utf8(bounded(data, MAX_NAME_LEN)?).map_err(|_| InvalidIdentity::Characters)?;
    if text.chars().any(char::is_control) {
        return Err(InvalidIdentity::Characters);
    }
    Ok(text.to_ascii_lowercase())
}

fn write_name(f: &mut fmt::Formatter<'_>, identity: &Identity, prefix: &str, name: &str) -> fmt::Result {
    let prefix = if name.parse().as_ref() == Ok(identity) { "" } else { prefix };
    let name: String = name.chars().flat_map(escaped).collect();
    write!(f, "{prefix}{name}")
}

/// Letters of all scripts stay; what could disturb a terminal or hide text does not.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let plain = c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ';
    let (plain, escape) = if plain { (Some(c), None) } else { (None, Some(c.escape_unicode())) };
    plain.into_iter().chain(escape.into_iter().flatten())
}

fn plain_text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok().filter(|text| text.chars().all(|c| c.is_ascii_graphic()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Why something is not an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIdentity {
    /// The identification type is not supported.
    #[error("the identification type {0} is not supported")]
    Type(IdType),
    /// The data is empty, too long, or not the size of an address.
    #[error("{got} bytes do not fit the identification type ({limit} would)")]
    Length {
        /// Length of the address, or the most that a name may have, in bytes.
        limit: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The name is not UTF-8, or holds control characters.
    #[error("the name holds characters that no name may have")]
    Characters,
    /// What follows `keyid:0x` are not pairs of hexadecimal digits.
    #[error("`keyid:0x` is followed by pairs of hexadecimal digits")]
    Hexadecimal,
    /// The text begins like a distinguished name but is none.
    #[error("it is not a distinguished name: write it like \"CN=gw, O=Example, C=CH\"")]
    DistinguishedName,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> Identity {
        text.parse().expect("valid")
    }

    #[test]
    fn reads_configuration_text() {
        assert_eq!(identity("192.0.2.1"), Identity::Ipv4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(identity("2001:db8::1"), Identity::Ipv6("2001:db8::1".parse().expect("an address")));
        assert_eq!(identity("VPN.example.org"), Identity::Fqdn("vpn.example.org".into()));
        assert_eq!(identity("@gw"), Identity::Fqdn("gw".into()));
        assert_eq!(identity("@192.0.2.1"), Identity::Fqdn("192.0.2.1".into()));
        assert_eq!(identity("Alice@Example.org"), Identity::UserFqdn("alice@example.org".into()));
        assert_eq!(identity("email:bob"), Identity::UserFqdn("bob".into()));
        assert_eq!(identity("keyid:Site-A"), Identity::KeyId(b"Site-A".to_vec()));
        assert_eq!(identity("keyid:0x00fF"), Identity::KeyId(vec![0x00, 0xff]));
        assert_eq!(identity("C=CH, O=Example, CN=gw").to_string(), "C=CH,O=Example,CN=gw");
    }

    #[test]
    fn refuses_text_that_names_nobody() {
        assert_eq!("".parse::<Identity>(), Err(InvalidIdentity::Length { limit: MAX_NAME_LEN, got: 0 }));
        assert_eq!("@".parse::<Identity>(), Err(InvalidIdentity::Length { limit: MAX_NAME_LEN, got: 0 }));
        assert_eq!("keyid:0x0".parse::<Identity>(), Err(InvalidIdentity::Hexadecimal));
        assert_eq!("keyid:0x0g".parse::<Identity>(), Err(InvalidIdentity::Hexadecimal));
        assert_eq!("a\nb".parse::<Identity>(), Err(InvalidIdentity::Characters));
        assert_eq!("CN=gw,O".parse::<Identity>(), Err(InvalidIdentity::DistinguishedName));
    }

    #[test]
    fn displays_what_it_reads_back() {
        for id in [
            Identity::Ipv4(Ipv4Addr::new(192, 0, 2, 1)),
            Identity::Ipv6(Ipv6Addr::LOCALHOST),
            Identity::Fqdn("vpn.example.org".into()),
            Identity::Fqdn("192.0.2.1".into()),
            Identity::Fqdn("a@b".into()),
            Identity::Fqdn("keyid:x".into()),
            Identity::UserFqdn("alice@example.org".into()),
            Identity::UserFqdn("bob".into()),
            Identity::KeyId(b"Site-A".to_vec()),
            Identity::KeyId(b"0xab".to_vec()),
            Identity::KeyId(vec![0, 1, 0xff]),
            identity("CN=gw,O=Example"),
        ] {
            assert_eq!(identity(&id.to_string()), id, "{id}");
        }
    }

    #[test]
    fn round_trips_payload_data() {
        for text in ["192.0.2.1", "2001:db8::1", "vpn.example.org", "alice@example.org", "keyid:0x00ff"] {
            let id = identity(text);
            assert_eq!(Identity::parse(id.id_type(), &id.data()), Ok(id));
        }
    }

    #[test]
    fn refuses_addresses_of_the_wrong_size() {
        for length in (0..=20).filter(|length| *length != 4) {
            assert!(Identity::parse(IdType::IPV4_ADDR, &vec![1; length]).is_err(), "{length} bytes");
        }
        for length in (0..=20).filter(|length| *length != 16) {
            assert!(Identity::parse(IdType::IPV6_ADDR, &vec![1; length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn refuses_names_that_are_empty_too_long_or_not_text() {
        for id_type in [IdType::FQDN, IdType::RFC822_ADDR, IdType::KEY_ID] {
            assert!(Identity::parse(id_type, b"").is_err());
            assert!(Identity::parse(id_type, &[b'a'; MAX_NAME_LEN]).is_ok());
            assert!(Identity::parse(id_type, &[b'a'; MAX_NAME_LEN + 1]).is_err());
        }
        assert_eq!(Identity::parse(IdType::FQDN, b"a\0b"), Err(InvalidIdentity::Characters));
        assert_eq!(Identity::parse(IdType::FQDN, &[0xff]), Err(InvalidIdentity::Characters));
        assert_eq!(Identity::parse(IdType::NULL, b""), Err(InvalidIdentity::Type(IdType::NULL)));
    }

    #[test]
    fn escapes_what_could_disturb_a_terminal() {
        let id = Identity::parse(IdType::FQDN, "a\u{202e}b".as_bytes()).expect("no control character");
        assert_eq!(id.to_string(), "a\\u{202e}b");
    }

    #[test]
    fn displays_a_distinguished_name_or_its_bytes() {
        // SEQUENCE { SET { SEQUENCE { commonName, UTF8String "gw" } } }
        let dn = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02gw";
        assert_eq!(Identity::parse(IdType::DER_ASN1_DN, dn).expect("a name").to_string(), "CN=gw");
        assert_eq!(Identity::DerAsn1Dn(vec![0x30, 5]).to_string(), "dn:0x3005");
    }
}
