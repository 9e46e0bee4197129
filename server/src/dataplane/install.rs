//! From what IKE negotiated to what ESP needs: `ike` and `esp` do not know each other, this file knows both.
//!
//! Does not: choose anything. A Child SA says all but the width of the replay window.

use std::net::IpAddr;

use cygnet_esp::secret::Secret;
use cygnet_esp::selector::{Ports, Selector, SelectorSet};
use cygnet_esp::{AesBits, InboundConfig, Integ, OutboundConfig, SaKeys, Spi, Suite, Transform};
use cygnet_ike::crypto::suite as ike;
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{ChildMode, ChildSa, ChildSuite, DirectionKeys, EspSpi, Lifetime, Path};

use super::{Device, InnerPath, InstallError, Limit, Limits, Owner};

/// Local port of ESP in UDP, RFC 3948 section 2.1.
const NAT_TRAVERSAL_PORT: u16 = 4500;

/// A pair of ESP SAs, ready for a data plane.
pub struct SaPair {
    /// The receiving side.
    pub inbound: InboundConfig,
    /// The sending side.
    pub outbound: OutboundConfig,
    /// What the pair carries.
    pub inner: InnerPath,
    /// Which packets of it, but of L2TP.
    pub selectors: SelectorSet,
    /// ESP in UDP (RFC 3948) rather than directly in IP.
    pub udp_encap: bool,
    /// Addresses of the outer packets; ports count for ESP in UDP only.
    pub path: Path,
    /// Where its inner packets come from and go to.
    pub device: Device,
    /// How much it may carry.
    pub limits: Limits,
    /// Whom its traffic belongs to, see [`super::DataPlane::set_claims`].
    pub owner: Owner,
}

impl SaPair {
    /// Translates a Child SA. `replay_window`: packets, a multiple of 64.
    ///
    /// # Errors
    /// [`InstallError::Suite`] or [`InstallError::Path`] if the Child SA contradicts itself.
    pub fn from_child(child: &ChildSa, replay_window: u32) -> Result<Self, InstallError> {
        let suite = suite(child.suite)?;
        let path = child.path;
        if path.local.is_ipv4() != path.peer.is_ipv4() || child.udp_encap && path.local.port() != NAT_TRAVERSAL_PORT {
            return Err(InstallError::Path);
        }
        let inbound =
            InboundConfig { spi: Spi(child.inbound_spi.0), suite, keys: keys(&child.keys.inbound), replay_window };
        let outbound = OutboundConfig {
            spi: Spi(child.outbound_spi.0),
            suite,
            keys: keys(&child.keys.outbound),
            soft_limit: None,
        };
        let selectors = match child.mode {
            // What the peer calls the addresses of the two hosts, NATs may have changed.
            ChildMode::Transport => {
                let at = |list, host: IpAddr| -> Vec<Selector> {
                    selectors(list)
                        .into_iter()
                        .map(|selector| Selector { start: host, end: host, ..selector })
                        .collect()
                };
                SelectorSet::new(at(&child.local_ts, path.local.ip()), at(&child.remote_ts, path.peer.ip()))
            }
            ChildMode::Tunnel | ChildMode::L2tp => {
                SelectorSet::new(selectors(&child.local_ts), selectors(&child.remote_ts))
            }
        };
        Ok(Self {
            inbound,
            outbound,
            inner: inner_path(child.mode),
            selectors,
            udp_encap: child.udp_encap,
            path,
            device: Device::Shared,
            limits: child.lifetime.map_or_else(Limits::default, |lifetime| limits(&lifetime, child.inbound_spi)),
            owner: Owner::Clients,
        })
    }

    /// The same for somebody else than a client.
    #[must_use]
    pub fn of(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// The same with the packets of another device.
    #[must_use]
    pub fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// The same with HMAC-SHA2-256 cut to 96 bits, for clients that do so whatever was negotiated; other suites stay as they are.
    #[must_use]
    pub fn with_truncated_sha256(mut self) -> Self {
        for suite in [&mut self.inbound.suite, &mut self.outbound.suite] {
            if let Transform::AesCbc(_, integ) | Transform::TripleDesCbc(integ) = &mut suite.transform
                && *integ == Integ::HmacSha256_128
            {
                *integ = Integ::HmacSha256_96;
            }
        }
        self
    }

    /// The name of the pair.
    #[must_use]
    pub fn inbound_spi(&self) -> EspSpi {
        EspSpi(self.inbound.spi.0)
    }
}

/// A successor is asked for at 13/16 to 14/16 of what a pair may carry: another pair, or the peer that counts the same packets, at
/// another moment.
fn limits(lifetime: &Lifetime, spi: EspSpi) -> Limits {
    let limit = |hard: u64| {
        let [.., chance] = spi.0.to_be_bytes();
        let sixteenth = hard / 16;
        let soft = hard - 2 * sixteenth - sixteenth / 256 * u64::from(chance);
        Limit { soft, hard }
    };
    Limits { bytes: lifetime.bytes.map(limit), packets: lifetime.packets.map(limit) }
}

fn inner_path(mode: ChildMode) -> InnerPath {
    match mode {
        ChildMode::Tunnel => InnerPath::Ip,
        ChildMode::L2tp => InnerPath::L2tp,
        ChildMode::Transport => InnerPath::Transport,
    }
}

pub(crate) fn suite(suite: ChildSuite) -> Result<Suite, InstallError> {
    let transform = match (suite.encr, suite.integ) {
        (ike::Encr::AesGcm16 { bits }, None) => Transform::AesGcm16(aes_bits(bits)),
        (ike::Encr::ChaCha20Poly1305, None) => Transform::ChaCha20Poly1305,
        (ike::Encr::AesCbc { bits }, Some(integ)) => Transform::AesCbc(aes_bits(bits), integrity(integ)),
        (ike::Encr::TripleDesCbc, Some(integ)) => Transform::TripleDesCbc(integrity(integ)),
        (ike::Encr::AesGcm16 { .. } | ike::Encr::ChaCha20Poly1305, Some(_))
        | (ike::Encr::AesCbc { .. } | ike::Encr::TripleDesCbc, None) => return Err(InstallError::Suite),
    };
    Ok(Suite { transform, esn: suite.esn })
}

fn aes_bits(bits: ike::AesBits) -> AesBits {
    match bits {
        ike::AesBits::B128 => AesBits::Aes128,
        ike::AesBits::B192 => AesBits::Aes192,
        ike::AesBits::B256 => AesBits::Aes256,
    }
}

fn integrity(integ: ike::Integ) -> Integ {
    match integ {
        ike::Integ::HmacSha1_96 => Integ::HmacSha1_96,
        ike::Integ::HmacSha256_128 => Integ::HmacSha256_128,
        ike::Integ::HmacSha384_192 => Integ::HmacSha384_192,
        ike::Integ::HmacSha512_256 => Integ::HmacSha512_256,
    }
}

fn keys(keys: &DirectionKeys) -> SaKeys {
    SaKeys { encr: Secret::from(keys.encr.expose()), integ: Secret::from(keys.integ.expose()) }
}

fn selectors(list: &[TrafficSelector]) -> Vec<Selector> {
    list.iter().map(selector).collect()
}

fn selector(ts: &TrafficSelector) -> Selector {
    Selector {
        start: ts.range.start(),
        end: ts.range.end(),
        protocol: ts.protocol,
        ports: Ports::from_ts(ts.start_port, ts.end_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cygnet_ike::ChildKeys;
    use cygnet_ike::crypto::secret::Secret as IkeSecret;
    use cygnet_ike::wire::v2::AddressRange;
    use std::time::Duration;

    fn child(encr: ike::Encr, integ: Option<ike::Integ>, esn: bool) -> ChildSa {
        let direction = |octet: u8| DirectionKeys {
            encr: IkeSecret::new(vec![octet; encr.keying_len()]),
            integ: IkeSecret::new(vec![octet; integ.map_or(0, ike::Integ::key_len)]),
        };
        let range = AddressRange::V4 { start: [10, 0, 0, 1].into(), end: [10, 0, 0, 9].into() };
        let ports = TrafficSelector { protocol: 17, start_port: u16::MAX, end_port: 0, range };
        ChildSa {
            mode: ChildMode::Tunnel,
            inbound_spi: EspSpi(0x0100_c0de),
            outbound_spi: EspSpi(0xc0ff_ee00),
            suite: ChildSuite { encr, integ, esn },
            keys: ChildKeys { inbound: direction(1), outbound: direction(2) },
            local_ts: vec![TrafficSelector::addresses(range)],
            remote_ts: vec![ports],
            udp_encap: true,
            path: Path { local: "192.0.2.1:4500".parse().unwrap(), peer: "198.51.100.7:61000".parse().unwrap() },
            site_child: None,
            lifetime: None,
        }
    }

    #[test]
    fn every_suite_that_ike_can_choose_makes_both_sas() {
        for esn in [false, true] {
            for encr in ike::Encr::ALL.into_iter().chain([ike::Encr::TripleDesCbc]) {
                let integs: Vec<_> = if encr.is_aead() { vec![None] } else { ike::Integ::ALL.map(Some).into() };
                for integ in integs {
                    let pair = SaPair::from_child(&child(encr, integ, esn), 1024).unwrap();
                    assert_eq!(pair.inbound.suite.esn, esn);
                    cygnet_esp::InboundSa::new(pair.inbound).unwrap_or_else(|e| panic!("{encr:?} {integ:?}: {e}"));
                    cygnet_esp::OutboundSa::new(pair.outbound).unwrap_or_else(|e| panic!("{encr:?} {integ:?}: {e}"));
                }
            }
        }
    }

    #[test]
    fn keeps_spis_selectors_and_path() {
        let child = child(ike::Encr::ChaCha20Poly1305, None, false);
        let pair = SaPair::from_child(&child, 2048).unwrap();
        assert_eq!(pair.inbound_spi(), EspSpi(0x0100_c0de));
        assert_eq!((pair.outbound.spi, pair.inbound.replay_window), (Spi(0xc0ff_ee00), 2048));
        let [remote] = pair.selectors.remote() else { panic!("one selector") };
        assert_eq!((remote.protocol, remote.ports), (17, Ports::Opaque));
        assert_eq!((remote.start.to_string(), remote.end.to_string()), ("10.0.0.1".into(), "10.0.0.9".into()));
        assert_eq!(pair.selectors.local()[0].ports, Ports::Any);
        assert_eq!((pair.path, pair.udp_encap), (child.path, true));
    }

    #[test]
    fn transport_mode_is_between_the_outer_addresses() {
        let child = ChildSa { mode: ChildMode::Transport, ..child(ike::Encr::ChaCha20Poly1305, None, false) };
        let pair = SaPair::from_child(&child, 64).unwrap();
        assert_eq!(pair.inner, InnerPath::Transport);
        let [local] = pair.selectors.local() else { panic!("one selector") };
        let [remote] = pair.selectors.remote() else { panic!("one selector") };
        assert_eq!([local.start, local.end], [child.path.local.ip(); 2]);
        assert_eq!([remote.start, remote.end], [child.path.peer.ip(); 2]);
        assert_eq!((remote.protocol, remote.ports), (17, Ports::Opaque));
    }

    #[test]
    fn octets_and_packets_are_limits_of_the_packet_path() {
        let lifetime = Lifetime { bytes: Some(1 << 20), packets: None, ..Lifetime::new(Duration::MAX, Duration::MAX) };
        let child = ChildSa { lifetime: Some(lifetime), ..child(ike::Encr::ChaCha20Poly1305, None, false) };
        let Limits { bytes: Some(Limit { soft, hard }), packets: None } =
            SaPair::from_child(&child, 64).unwrap().limits
        else {
            panic!("octets only")
        };
        assert_eq!(hard, 1 << 20);
        assert!(hard / 16 * 13 <= soft && soft <= hard / 16 * 14, "{soft}");
        for tiny in [0, 1, 15, 16] {
            let limits = super::limits(&Lifetime { packets: Some(tiny), ..lifetime }, EspSpi(u32::MAX));
            assert!(limits.packets.is_some_and(|limit| limit.soft <= limit.hard));
        }
    }

    #[test]
    fn transport_mode_carries_l2tp() {
        let tunnel = child(ike::Encr::ChaCha20Poly1305, None, false);
        assert_eq!(SaPair::from_child(&tunnel, 64).unwrap().inner, InnerPath::Ip);
        let transport = ChildSa { mode: ChildMode::L2tp, ..tunnel };
        assert_eq!(SaPair::from_child(&transport, 64).unwrap().inner, InnerPath::L2tp);
    }

    #[test]
    fn only_sha256_is_cut_to_96_bits() {
        let cbc = ike::Encr::AesCbc { bits: ike::AesBits::B256 };
        let transforms = |integ| {
            let pair = SaPair::from_child(&child(cbc, Some(integ), false), 64).unwrap().with_truncated_sha256();
            [pair.inbound.suite.transform, pair.outbound.suite.transform]
        };
        let cut = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_96);
        assert_eq!(transforms(ike::Integ::HmacSha256_128), [cut; 2]);
        let whole = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha1_96);
        assert_eq!(transforms(ike::Integ::HmacSha1_96), [whole; 2]);
    }

    #[test]
    fn the_directions_have_keys_of_their_own() {
        let mut ours = child(ike::Encr::AesGcm16 { bits: ike::AesBits::B256 }, None, false);
        ours.outbound_spi = ours.inbound_spi;
        let pair = SaPair::from_child(&ours, 64).unwrap();
        let outbound = cygnet_esp::OutboundSa::new(pair.outbound).unwrap();
        let mut packet = vec![0; outbound.sealed_len(20)];
        let sequence = outbound.reserve(1).unwrap().next().unwrap();
        outbound.seal(sequence, &mut packet, 20, 4).unwrap();
        let mut inbound = cygnet_esp::InboundSa::new(pair.inbound).unwrap();
        assert_eq!(inbound.open(&mut packet), Err(cygnet_esp::DropReason::Integrity));
    }

    #[test]
    fn refuses_a_suite_or_a_path_that_contradicts_itself() {
        let gcm = ike::Encr::AesGcm16 { bits: ike::AesBits::B128 };
        let cbc = ike::Encr::AesCbc { bits: ike::AesBits::B128 };
        let refusal = |child: &ChildSa| SaPair::from_child(child, 1024).err();
        assert_eq!(refusal(&child(gcm, Some(ike::Integ::HmacSha1_96), false)), Some(InstallError::Suite));
        assert_eq!(refusal(&child(cbc, None, false)), Some(InstallError::Suite));
        let mut wrong_port = child(gcm, None, false);
        wrong_port.path.local.set_port(500);
        assert_eq!(refusal(&wrong_port), Some(InstallError::Path));
        let mut families = child(gcm, None, false);
        families.path.peer = "[2001:db8::1]:4500".parse().unwrap();
        assert_eq!(refusal(&families), Some(InstallError::Path));
    }
}
