//! Address translation on the way, RFC 3947: who is behind it, and who shall believe so.
//!
//! ESP without UDP gets through few networks and needs a raw socket, so a client is told by default that it is behind a
//! translation, which makes it use UDP port 4500. Windows gives up on a gateway that is behind one itself; it is shown its
//! own hash of the gateway's address, so that it never sees that one.

use std::net::{IpAddr, SocketAddr};

use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::event::Path;
use crate::wire::v1::NatNumbering;

use super::keys::Cookies;

/// UDP port of encapsulated ESP, RFC 3948.
pub(crate) const ENCAPSULATION_PORT: u16 = 4500;

/// What is known about address translation between a client and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Nat {
    /// Payload numbers, if the client does NAT traversal at all.
    pub(crate) numbering: Option<NatNumbering>,
    /// The client's address is translated.
    pub(crate) peer_behind: bool,
    /// Our address is translated.
    pub(crate) self_behind: bool,
    /// The client was made to believe that its address is translated.
    pub(crate) pretended: bool,
}

/// What NAT-D payloads say, as the third or fourth message carries them.
pub(crate) struct Detection<'a> {
    pub(crate) hash: Hash,
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    /// The hashes of the client: first of our address, then of its own ones.
    pub(crate) received: &'a [Vec<u8>],
}

/// `HASH(CKY-I | CKY-R | IP | port)` with the negotiated hash, section 3.2.
pub(crate) fn detection_hash(hash: Hash, cookies: Cookies, address: SocketAddr) -> Vec<u8> {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    hash.digest(&[&cookies.initiator.0, &cookies.responder.0, &ip, &address.port().to_be_bytes()])
}

impl Detection<'_> {
    /// Compares what the client knows with what we see.
    pub(crate) fn detect(&self, numbering: Option<NatNumbering>, pretend: bool) -> Nat {
        let [ours, theirs @ ..] = self.received else {
            return Nat { numbering: None, peer_behind: false, self_behind: false, pretended: false };
        };
        let seen = detection_hash(self.hash, self.cookies, self.path.peer);
        let supported = numbering.is_some();
        Nat {
            numbering,
            peer_behind: supported && !theirs.contains(&seen),
            self_behind: supported && *ours != detection_hash(self.hash, self.cookies, self.path.local),
            pretended: supported && pretend,
        }
    }

    /// Our NAT-D payloads: first of the client's address, then of ours.
    pub(crate) fn answer(&self, nat: Nat, hide_ours: bool, random: &mut dyn Random) -> [Vec<u8>; 2] {
        let theirs = if nat.pretended {
            let mut wrong = vec![0; self.hash.output_len()];
            random.fill(&mut wrong);
            wrong
        } else {
            detection_hash(self.hash, self.cookies, self.path.peer)
        };
        let ours = match self.received.first() {
            Some(received) if hide_ours => received.clone(),
            _ => detection_hash(self.hash, self.cookies, self.path.local),
        };
        [theirs, ours]
    }
}

impl Nat {
    /// Whether the client uses UDP for ESP.
    pub(crate) fn any(self) -> bool {
        self.numbering.is_some() && (self.peer_behind || self.self_behind || self.pretended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::SeededRandom;
    use crate::wire::IkeSpi;

    const COOKIES: Cookies = Cookies { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    const RFC: Option<NatNumbering> = Some(NatNumbering::Rfc);

    fn path() -> Path {
        Path { local: "192.0.2.1:500".parse().expect("valid"), peer: "198.51.100.9:3793".parse().expect("valid") }
    }

    fn received(hash: Hash, ours: &str, theirs: &str) -> Vec<Vec<u8>> {
        [ours, theirs].map(|text| detection_hash(hash, COOKIES, text.parse().expect("valid"))).to_vec()
    }

    fn detect(hash: Hash, received: &[Vec<u8>]) -> (bool, bool) {
        let nat = Detection { hash, cookies: COOKIES, path: path(), received }.detect(RFC, false);
        (nat.peer_behind, nat.self_behind)
    }

    #[test]
    fn nat_d_is_computed_with_the_negotiated_hash() {
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let none = received(hash, "192.0.2.1:500", "198.51.100.9:3793");
            assert_eq!(none[0].len(), hash.output_len());
            assert_eq!(detect(hash, &none), (false, false));
            assert_eq!(detect(hash, &received(hash, "192.0.2.1:500", "10.0.0.2:500")), (true, false));
            assert_eq!(detect(hash, &received(hash, "203.0.113.5:500", "198.51.100.9:3793")), (false, true));
            assert_eq!(detect(hash, &received(hash, "203.0.113.5:500", "10.0.0.2:500")), (true, true));
        }
    }

    #[test]
    fn windows_sees_no_nat_in_front_of_the_gateway_but_one_in_front_of_itself() {
        let hash = Hash::Sha1;
        let received = received(hash, "203.0.113.5:500", "198.51.100.9:3793");
        let detection = Detection { hash, cookies: COOKIES, path: path(), received: &received };
        let nat = detection.detect(RFC, true);
        assert!(nat.self_behind && !nat.peer_behind && nat.any());
        let [theirs, ours] = detection.answer(nat, true, &mut SeededRandom::new(1));
        assert_eq!(ours, received[0]);
        assert_ne!(theirs, received[1]);
    }

    #[test]
    fn the_truth_is_told_where_nothing_is_pretended() {
        let hash = Hash::Sha256;
        let received = received(hash, "192.0.2.1:500", "198.51.100.9:3793");
        let detection = Detection { hash, cookies: COOKIES, path: path(), received: &received };
        let nat = detection.detect(RFC, false);
        assert!(!nat.any());
        let [theirs, ours] = detection.answer(nat, false, &mut SeededRandom::new(1));
        assert_eq!([ours, theirs], [received[0].clone(), received[1].clone()]);
    }

    #[test]
    fn a_client_without_nat_d_does_no_nat_traversal() {
        let detection = Detection { hash: Hash::Sha1, cookies: COOKIES, path: path(), received: &[] };
        assert!(!detection.detect(RFC, true).any());
    }
}
