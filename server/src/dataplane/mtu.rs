//! How large a packet of an L2TP client may be, so that nothing on the way to it has to be fragmented.
//!
//! ```text
//! outer IP [UDP 8] ESP .. | UDP 8, L2TP 8, PPP 4 | packet | .. ESP
//! ```
//!
//! Does not: discover the MTU of a path. See [`crate::daemon`] for that of the TUN.

use cygnet_esp::mtu::{Encapsulation, inner_mtu};
use cygnet_ike::ChildSa;

use super::InstallError;
use super::install::suite;

/// UDP, L2TP without sequence numbers, PPP in its long form.
const LINK_HEADERS: usize = 8 + 8 + 4;

/// What every IPv4 host takes (RFC 791), and the least MRU that the PPP link agrees to; octets.
const LEAST: u16 = 576;

/// The largest packet, in octets, that this pair carries in outer packets of `path_mtu` octets; 576 at least, if need be in fragments.
///
/// # Errors
/// [`InstallError::Suite`] if the pair has no usable suite.
pub fn l2tp_mtu(child: &ChildSa, path_mtu: u16) -> Result<u16, InstallError> {
    let around = Encapsulation { ipv6: child.path.peer.is_ipv6(), udp: child.udp_encap };
    let payload = inner_mtu(suite(child.suite)?.transform, around, path_mtu.into());
    let packet = payload.and_then(|payload| u16::try_from(payload.checked_sub(LINK_HEADERS)?).ok());
    Ok(packet.unwrap_or(LEAST).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::super::install::tests::child;
    use super::*;
    use cygnet_ike::crypto::suite::{AesBits, Encr, Integ};

    const AES: Encr = Encr::AesCbc { bits: AesBits::B256 };

    #[test]
    fn matches_hand_computed_values_for_ethernet() {
        let sha1 = child(AES, Some(Integ::HmacSha1_96), false);
        // 1500 - 20 - 8 - 8 - 16 - 12 = 1436, down to 1424 = 89 blocks; less trailer 2 and 20 of headers.
        assert_eq!(l2tp_mtu(&sha1, 1500), Ok(1402));
        let sha256 = child(AES, Some(Integ::HmacSha256_128), false);
        // 1432, down to 1424.
        assert_eq!(l2tp_mtu(&sha256, 1500), Ok(1402));
        let raw = ChildSa { udp_encap: false, ..child(AES, Some(Integ::HmacSha1_96), false) };
        // 1444, down to 1440.
        assert_eq!(l2tp_mtu(&raw, 1500), Ok(1418));
        let gcm = child(Encr::AesGcm16 { bits: AesBits::B256 }, None, false);
        assert_eq!(l2tp_mtu(&gcm, 1500), Ok(1418));
        // 1492 - 64 = 1428, down to 1424: PPPoE changes nothing.
        assert_eq!(l2tp_mtu(&sha1, 1492), Ok(1402));
    }

    #[test]
    fn is_never_less_than_every_host_takes() {
        let sha1 = child(AES, Some(Integ::HmacSha1_96), false);
        assert_eq!(l2tp_mtu(&sha1, 0), Ok(576));
        assert_eq!(l2tp_mtu(&sha1, 600), Ok(576));
        assert_eq!(l2tp_mtu(&child(AES, None, false), 1500), Err(InstallError::Suite));
    }
}
