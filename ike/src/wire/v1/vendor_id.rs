//! The Vendor ID payload, RFC 2408 section 3.16, and the ones that mean something.

use crate::wire::Writer;

/// An announcement of an implementation or extension; any bytes, possibly none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VendorId<'a>(pub &'a [u8]);

/// Vendor IDs of clients and extensions. Some are followed by a version, so compare with [`VendorId::is`].
pub mod vid {
    /// RFC 3947: NAT traversal with the assigned numbers.
    pub const NAT_T_RFC: &[u8] = b"\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f";
    /// draft-ietf-ipsec-nat-t-ike-00.
    pub const NAT_T_00: &[u8] = b"\x44\x85\x15\x2d\x18\xb6\xbb\xcd\x0b\xe8\xa8\x46\x95\x79\xdd\xcc";
    /// draft-ietf-ipsec-nat-t-ike-02.
    pub const NAT_T_02: &[u8] = b"\xcd\x60\x46\x43\x35\xdf\x21\xf8\x7c\xfd\xb2\xfc\x68\xb6\xa4\x48";
    /// draft-ietf-ipsec-nat-t-ike-02, hashed with a line feed.
    pub const NAT_T_02_LF: &[u8] = b"\x90\xcb\x80\x91\x3e\xbb\x69\x6e\x08\x63\x81\xb5\xec\x42\x7b\x1f";
    /// draft-ietf-ipsec-nat-t-ike-03.
    pub const NAT_T_03: &[u8] = b"\x7d\x94\x19\xa6\x53\x10\xca\x6f\x2c\x17\x9d\x92\x15\x52\x9d\x56";
    /// draft-ietf-ipsec-nat-t-ike-04.
    pub const NAT_T_04: &[u8] = b"\x99\x09\xb6\x4e\xed\x93\x7c\x65\x73\xde\x52\xac\xe9\x52\xfa\x6b";
    /// draft-ietf-ipsec-nat-t-ike-05.
    pub const NAT_T_05: &[u8] = b"\x80\xd0\xbb\x3d\xef\x54\x56\x5e\xe8\x46\x45\xd4\xc8\x5c\xe3\xee";
    /// draft-ietf-ipsec-nat-t-ike-06.
    pub const NAT_T_06: &[u8] = b"\x4d\x1e\x0e\x13\x6d\xea\xfa\x34\xc4\xf3\xea\x9f\x02\xec\x72\x85";
    /// draft-ietf-ipsec-nat-t-ike-07.
    pub const NAT_T_07: &[u8] = b"\x43\x9b\x59\xf8\xba\x67\x6c\x4c\x77\x37\xae\x22\xea\xb8\xf5\x82";
    /// draft-ietf-ipsec-nat-t-ike-08.
    pub const NAT_T_08: &[u8] = b"\x8f\x8d\x83\x82\x6d\x24\x6b\x6f\xc7\xa8\xa6\xa4\x28\xc1\x1d\xe8";
    /// draft-ietf-ipsec-nat-t-ike, Apple's.
    pub const NAT_T_APPLE: &[u8] = b"\x4d\xf3\x79\x28\xe9\xfc\x4f\xd1\xb3\x26\x21\x70\xd5\x15\xc6\x62";
    /// Dead peer detection, RFC 3706 section 5.1, version 1.0.
    pub const DPD: &[u8] = b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00";
    /// XAuth.
    pub const XAUTH: &[u8] = b"\x09\x00\x26\x89\xdf\xd6\xb7\x12";
    /// Cisco Unity, version 1.0.
    pub const UNITY: &[u8] = b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00";
    /// Fragmentation; a capability word may follow (0x80000000 main and aggressive mode, 0x40000000 quick mode).
    pub const FRAGMENTATION: &[u8] = b"\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3";
    /// Microsoft's implementation; the version follows (9 since Windows 8).
    pub const MS_NT5: &[u8] = b"\x1e\x2b\x51\x69\x05\x99\x1c\x7d\x7c\x96\xfc\xbf\xb5\x87\xe4\x61";
    /// Microsoft: keying modules; which ones follows (0 IKE, 1 AuthIP, 2 IKEv2).
    pub const MS_KEY_MODS: &[u8] = b"\x01\x52\x8b\xbb\xc0\x06\x96\x12\x18\x49\xab\x9a\x1c\x5b\x2a\x51";
    /// Microsoft: negotiation discovery.
    pub const MS_NEGOTIATION_DISCOVERY: &[u8] = b"\xfb\x1d\xe3\xcd\xf3\x41\xb7\xea\x16\xb7\xe5\xbe\x08\x55\xf1\x20";
    /// Microsoft: the sender knows of no earlier SA. Unprotected where it stands, so worth nothing.
    pub const MS_INITIAL_CONTACT: &[u8] = b"\x26\x24\x4d\x38\xed\xdb\x61\xb3\x17\x2a\x36\xe3\xd0\xcf\xb8\x19";
    /// Microsoft: cryptographically generated addresses, version 1.
    pub const MS_CGA: &[u8] = b"\xe3\xa5\x96\x6a\x76\x37\x9f\xe7\x07\x22\x82\x31\xe5\xce\x86\x52";
    /// Microsoft: AuthIP.
    pub const MS_AUTHIP: &[u8] = b"\x21\x4c\xa4\xfa\xff\xa7\xf3\x2d\x67\x48\xe5\x30\x33\x95\xae\x83";
}

/// Names of the known ones, for people. The longer prefix comes first where one contains another.
const NAMES: [(&[u8], &str); 21] = [
    (vid::NAT_T_RFC, "RFC 3947 NAT traversal"),
    (vid::NAT_T_00, "NAT traversal draft 00"),
    (vid::NAT_T_02, "NAT traversal draft 02"),
    (vid::NAT_T_02_LF, "NAT traversal draft 02\\n"),
    (vid::NAT_T_03, "NAT traversal draft 03"),
    (vid::NAT_T_04, "NAT traversal draft 04"),
    (vid::NAT_T_05, "NAT traversal draft 05"),
    (vid::NAT_T_06, "NAT traversal draft 06"),
    (vid::NAT_T_07, "NAT traversal draft 07"),
    (vid::NAT_T_08, "NAT traversal draft 08"),
    (vid::NAT_T_APPLE, "NAT traversal (Apple)"),
    (vid::DPD, "dead peer detection"),
    (vid::XAUTH, "XAuth"),
    (vid::UNITY, "Cisco Unity"),
    (vid::FRAGMENTATION, "fragmentation"),
    (vid::MS_NT5, "Microsoft Windows"),
    (vid::MS_KEY_MODS, "Microsoft keying modules"),
    (vid::MS_NEGOTIATION_DISCOVERY, "Microsoft negotiation discovery"),
    (vid::MS_INITIAL_CONTACT, "Microsoft initial contact"),
    (vid::MS_CGA, "Microsoft CGA"),
    (vid::MS_AUTHIP, "Microsoft AuthIP"),
];

impl<'a> VendorId<'a> {
    /// Takes the payload body, without the generic payload header. Every body is valid.
    pub fn parse(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.bytes(self.0);
    }

    /// Whether it is `known`, whatever version follows.
    pub fn is(&self, known: &[u8]) -> bool {
        self.0.starts_with(known)
    }

    /// The big-endian word behind `known`, such as the version of Windows.
    pub fn version_after(&self, known: &[u8]) -> Option<u32> {
        let rest = self.0.strip_prefix(known)?;
        rest.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
    }

    /// A name for people, if it is known.
    pub fn name(&self) -> Option<&'static str> {
        NAMES.iter().find(|(known, _)| self.is(known)).map(|(_, name)| *name)
    }
}

impl std::fmt::Debug for VendorId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "VendorId({name})"),
            None => write!(f, "VendorId({} unknown bytes)", self.0.len()),
        }
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
    use crate::wire::testing::emitted;

    #[test]
    fn round_trips_any_bytes() {
        for body in [&b""[..], b"c", vid::DPD] {
            assert_eq!(emitted(|out| VendorId::parse(body).emit(out)), body);
        }
    }

    #[test]
    fn knows_ids_with_and_without_a_version() {
        let bare = VendorId(vid::FRAGMENTATION);
        let with_word = [vid::FRAGMENTATION, &[0x80, 0, 0, 0]].concat();
        let capable = VendorId(&with_word);
        assert!(bare.is(vid::FRAGMENTATION) && capable.is(vid::FRAGMENTATION));
        assert_eq!(bare.version_after(vid::FRAGMENTATION), None);
        assert_eq!(capable.version_after(vid::FRAGMENTATION), Some(0x8000_0000));
        assert_eq!(capable.name(), Some("fragmentation"));
        assert!(!VendorId(&vid::DPD[..15]).is(vid::DPD));
    }

    #[test]
    fn prints_names_and_sizes_but_no_foreign_bytes() {
        assert_eq!(format!("{:?}", VendorId(vid::MS_NT5)), "VendorId(Microsoft Windows)");
        assert_eq!(format!("{:?}", VendorId(b"evil")), "VendorId(4 unknown bytes)");
    }

    #[test]
    fn gives_every_known_id_a_name_of_its_own() {
        for (index, (known, name)) in NAMES.iter().enumerate() {
            assert_eq!(VendorId(known).name(), Some(*name));
            assert!(NAMES.iter().skip(index + 1).all(|(_, other)| other != name), "{name}");
        }
    }
}
