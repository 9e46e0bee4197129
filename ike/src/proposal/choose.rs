//! The choice among a peer's proposals, RFC 7296 section 2.7.
//!
//! A proposal with a transform type that we do not know cannot be chosen, nor can an AEAD together with an integrity
//! algorithm (section 3.3). Of all suites that both sides accept the best by our order is taken; the order of the peer's
//! proposals decides only between equals.

use crate::child_sa::ChildSuite;
use crate::crypto::dh::Group;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{Encr, Integ};
use crate::wire::num::{EsnId, GroupId, IntegId, ProtocolId, TransformType};
use crate::wire::v2::{Proposal, SecurityAssociation, Spi, Transform};
use crate::wire::{EspSpi, IkeSpi};

use super::{ChildOffer, IkeOffer, IkeSuite, Policy, PolicyName};

/// The suite that an IKE SA will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenIke {
    /// Its algorithms.
    pub suite: IkeSuite,
    /// The initiator's SPI in the proposal: present when an IKE SA is rekeyed.
    pub spi: Option<IkeSpi>,
    number: u8,
}

/// The suite that a Child SA will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenChild {
    /// Its algorithms.
    pub suite: ChildSuite,
    /// The group of a new Diffie-Hellman exchange.
    pub group: Option<Group>,
    /// The initiator's inbound SPI.
    pub spi: EspSpi,
    number: u8,
    /// Whether the proposal had an ESN transform, which the answer then repeats.
    names_esn: bool,
}

/// No proposal is acceptable: what was offered and what would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the peer offers, one entry for each proposal.
    pub offered: Vec<String>,
    /// What the policy accepts.
    pub allowed: Vec<String>,
    /// The named set that would have made the difference.
    pub would_help: Option<PolicyName>,
}

impl ChosenIke {
    /// The SA payload of the answer; `spi` is ours when an IKE SA is rekeyed.
    #[must_use]
    pub fn reply(&self, spi: Option<IkeSpi>) -> SecurityAssociation {
        ike_sa(&self.suite, self.number, spi.map_or(Spi::EMPTY, Spi::from))
    }
}

/// The SA payload that offers exactly one suite for an IKE SA.
#[must_use]
pub fn ike_offer(suite: &IkeSuite, spi: Spi) -> SecurityAssociation {
    ike_sa(suite, 1, spi)
}

/// The SA payload that offers exactly one suite for a Child SA with our inbound SPI.
#[must_use]
pub fn child_offer(suite: &ChildSuite, group: Option<Group>, spi: EspSpi) -> SecurityAssociation {
    ChosenChild { suite: *suite, group, spi, number: 1, names_esn: true }.reply(spi)
}

fn ike_sa(suite: &IkeSuite, number: u8, spi: Spi) -> SecurityAssociation {
    let IkeSuite { encr, integ, prf, group } = *suite;
    let mut transforms = vec![encr_transform(encr), Transform::Prf(prf.id())];
    transforms.extend(integ.map(|integ| Transform::Integ(integ.id())));
    transforms.push(Transform::Group(group.id()));
    SecurityAssociation { proposals: vec![Proposal { number, protocol: ProtocolId::IKE, spi, transforms }] }
}

impl ChosenChild {
    /// The SA payload of the answer; `spi` is our inbound one.
    #[must_use]
    pub fn reply(&self, spi: EspSpi) -> SecurityAssociation {
        let mut transforms = vec![encr_transform(self.suite.encr)];
        transforms.extend(self.suite.integ.map(|integ| Transform::Integ(integ.id())));
        transforms.extend(self.group.map(|group| Transform::Group(group.id())));
        if self.names_esn {
            transforms.push(Transform::Esn(if self.suite.esn { EsnId::YES } else { EsnId::NO }));
        }
        let proposal = Proposal { number: self.number, protocol: ProtocolId::ESP, spi: spi.into(), transforms };
        SecurityAssociation { proposals: vec![proposal] }
    }
}

pub(super) fn encr_transform(encr: Encr) -> Transform {
    Transform::Encr { id: encr.id(), key_bits: encr.key_bits() }
}

/// Chooses the suite of an IKE SA; `guess` is the group of the peer's KE payload.
///
/// # Errors
/// [`Mismatch`] if nothing that is offered is acceptable.
pub fn choose_ike(policy: &Policy, offered: &SecurityAssociation, guess: GroupId) -> Result<ChosenIke, Mismatch> {
    find_ike(policy.ike(), offered, guess).ok_or_else(|| {
        let would_help = |name: &PolicyName| find_ike(Policy::named(&[*name]).ike(), offered, guess).is_some();
        Mismatch {
            offered: offered.proposals.iter().map(describe).collect(),
            allowed: policy.ike().iter().map(ToString::to_string).collect(),
            would_help: PolicyName::ALL.into_iter().find(would_help),
        }
    })
}

/// Chooses the suite of a Child SA. In IKE_AUTH there is no key exchange of its own, so groups are passed over; otherwise
/// `guess` is the group of the peer's KE payload, if there is one.
///
/// # Errors
/// [`Mismatch`] if nothing that is offered is acceptable.
pub fn choose_child(
    policy: &Policy,
    offered: &SecurityAssociation,
    key_exchange: ChildKeyExchange,
) -> Result<ChosenChild, Mismatch> {
    find_child(policy.child(), offered, key_exchange).ok_or_else(|| {
        let would_help =
            |name: &PolicyName| find_child(Policy::named(&[*name]).child(), offered, key_exchange).is_some();
        Mismatch {
            offered: offered.proposals.iter().map(describe).collect(),
            allowed: policy.child().iter().map(ToString::to_string).collect(),
            would_help: PolicyName::ALL.into_iter().find(would_help),
        }
    })
}

/// What a request for a Child SA says about Diffie-Hellman beside its SA payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKeyExchange {
    /// The request is IKE_AUTH, which has no KE payload.
    Never,
    /// CREATE_CHILD_SA without a KE payload.
    Absent,
    /// CREATE_CHILD_SA with a KE payload of this group.
    Guess(GroupId),
}

/// The suites to choose from with their rank, lower is better. The last figure is the place of the proposal.
type Rank = [usize; 6];

fn find_ike(policy: &[IkeOffer], offered: &SecurityAssociation, guess: GroupId) -> Option<ChosenIke> {
    let proposals = offered.proposals.iter().filter(|p| p.protocol == ProtocolId::IKE && is_readable(p));
    let mut best: Option<(Rank, ChosenIke)> = None;
    for (place, proposal) in proposals.enumerate() {
        for (line, offer) in policy.iter().enumerate() {
            for (rank, (encr, integ)) in protections(&offer.encrs, &offer.integs, proposal) {
                let prf = first_common(&offer.prfs, proposal, |p| Transform::Prf(p.id()));
                let group = group_of(&offer.groups, proposal, Some(guess));
                let (Some((prf_rank, prf)), Some((group_rank, group))) = (prf, group) else { continue };
                let rank = [line, rank.0, group_rank, prf_rank, rank.1, place];
                if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                    let suite = IkeSuite { encr, integ, prf, group };
                    best = Some((rank, ChosenIke { suite, spi: proposal.spi.ike(), number: proposal.number }));
                }
            }
        }
    }
    best.map(|(_, chosen)| chosen)
}

fn find_child(
    policy: &[ChildOffer],
    offered: &SecurityAssociation,
    key_exchange: ChildKeyExchange,
) -> Option<ChosenChild> {
    let proposals = offered.proposals.iter().filter(|p| p.protocol == ProtocolId::ESP && is_readable(p));
    let mut best: Option<(Rank, ChosenChild)> = None;
    for (place, proposal) in proposals.enumerate() {
        let Some(spi) = proposal.spi.esp() else { continue };
        for (line, offer) in policy.iter().enumerate() {
            let Some((group_rank, group)) = child_group(&offer.groups, proposal, key_exchange) else { continue };
            let Some((names_esn, esn)) = esn_of(offer.esn, proposal) else { continue };
            for (rank, (encr, integ)) in protections(&offer.encrs, &offer.integs, proposal) {
                let rank = [line, rank.0, group_rank, rank.1, 0, place];
                if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                    let suite = ChildSuite { encr, integ, esn };
                    best = Some((rank, ChosenChild { suite, group, spi, number: proposal.number, names_esn }));
                }
            }
        }
    }
    best.map(|(_, chosen)| chosen)
}

/// No transform is of a type that we do not know; an unknown algorithm of a known type only falls away itself.
fn is_readable(proposal: &Proposal) -> bool {
    proposal.transforms.iter().all(|transform| {
        let TransformType(kind) = transform.kind();
        (TransformType::ENCR.0..=TransformType::ESN.0).contains(&kind)
    })
}

/// The ciphers with their integrity algorithms that both sides accept.
fn protections<'a>(
    encrs: &'a [Encr],
    integs: &'a [Integ],
    proposal: &'a Proposal,
) -> impl Iterator<Item = ((usize, usize), (Encr, Option<Integ>))> + 'a {
    encrs
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, encr)| proposal.transforms.contains(&encr_transform(*encr)))
        .filter_map(move |(encr_rank, encr)| {
            if encr.is_aead() {
                let mut named = proposal.transforms.iter().filter(|t| t.kind() == TransformType::INTEG).peekable();
                let bare = named.peek().is_none() || named.any(|t| *t == Transform::Integ(IntegId::NONE));
                return bare.then_some(((encr_rank, 0), (encr, None)));
            }
            let (integ_rank, integ) = first_common(integs, proposal, |i| Transform::Integ(i.id()))?;
            Some(((encr_rank, integ_rank), (encr, Some(integ))))
        })
}

fn first_common<T: Copy>(ours: &[T], proposal: &Proposal, transform: impl Fn(T) -> Transform) -> Option<(usize, T)> {
    ours.iter().copied().enumerate().find(|(_, algorithm)| proposal.transforms.contains(&transform(*algorithm)))
}

/// The guessed group if both sides accept it, otherwise the first of ours that the peer accepts, ranked behind it.
fn group_of(ours: &[Group], proposal: &Proposal, guess: Option<GroupId>) -> Option<(usize, Group)> {
    let common = |group: &Group| proposal.transforms.contains(&Transform::Group(group.id()));
    let guessed = ours.iter().copied().find(|group| Some(group.id()) == guess).filter(common);
    let first = || ours.iter().copied().enumerate().find(|(_, group)| common(group));
    guessed.map(|group| (0, group)).or_else(|| first().map(|(rank, group)| (rank.saturating_add(1), group)))
}

fn child_group(ours: &[Group], proposal: &Proposal, key_exchange: ChildKeyExchange) -> Option<(usize, Option<Group>)> {
    let names_any = proposal.transforms.iter().any(|t| matches!(t, Transform::Group(id) if *id != GroupId::NONE));
    let names_none = proposal.transforms.contains(&Transform::Group(GroupId::NONE));
    match key_exchange {
        ChildKeyExchange::Never => Some((0, None)),
        ChildKeyExchange::Absent if !names_any || names_none => Some((0, None)),
        ChildKeyExchange::Guess(_) if !names_any => Some((0, None)),
        ChildKeyExchange::Absent => group_of(ours, proposal, None).map(|(rank, group)| (rank, Some(group))),
        ChildKeyExchange::Guess(guess) => {
            let found = group_of(ours, proposal, Some(guess)).map(|(rank, group)| (rank, Some(group)));
            found.or_else(|| names_none.then_some((usize::MAX, None)))
        }
    }
}

/// Whether the proposal speaks of extended sequence numbers, and whether they will be used; `None` if it demands them and
/// we do not have them. Clients that leave the transform out mean "no".
fn esn_of(ours: bool, proposal: &Proposal) -> Option<(bool, bool)> {
    let names = |id| proposal.transforms.contains(&Transform::Esn(id));
    match (names(EsnId::YES), names(EsnId::NO)) {
        (true, _) if ours => Some((true, true)),
        (_, true) => Some((true, false)),
        (true, false) => None,
        (false, false) => Some((false, false)),
    }
}

/// A proposal in words, numbers where there is no word.
fn describe(proposal: &Proposal) -> String {
    let words =
        proposal.transforms.iter().filter(|t| t.kind() != TransformType::ESN).map(|transform| match transform {
            Transform::Encr { id, key_bits } => Encr::from_id(*id, *key_bits)
                .map_or_else(|| short(transform), |encr| super::notation::encr_name(encr).to_owned()),
            Transform::Prf(id) => {
                Prf::from_id(*id).map_or_else(|| short(transform), |prf| super::notation::prf_name(prf).to_owned())
            }
            Transform::Integ(id) => Integ::from_id(*id)
                .map_or_else(|| short(transform), |integ| super::notation::integ_name(integ).to_owned()),
            Transform::Group(id) => Group::from_id(*id)
                .map_or_else(|| short(transform), |group| super::notation::group_name(group).to_owned()),
            _ => short(transform),
        });
    words.collect::<Vec<_>>().join("-")
}

/// The RFC's name without the prefix that says what kind of algorithm it is.
fn short(transform: &Transform) -> String {
    let name = transform.to_string();
    let name = ["ENCR_", "AUTH_", "PRF_"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name);
    name.to_ascii_lowercase().replace(['_', '-'], "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::AesBits;
    use crate::wire::num::{EncrId, PrfId};

    const CBC: EncrId = EncrId::AES_CBC;
    const GCM: EncrId = EncrId::AES_GCM_16;

    fn encr(id: EncrId, bits: u16) -> Transform {
        Transform::Encr { id, key_bits: (bits != 0).then_some(bits) }
    }

    fn proposal(number: u8, protocol: ProtocolId, spi: Spi, transforms: Vec<Transform>) -> Proposal {
        Proposal { number, protocol, spi, transforms }
    }

    fn ike(proposals: Vec<Vec<Transform>>) -> SecurityAssociation {
        let proposals = (1..).zip(proposals).map(|(n, list)| proposal(n, ProtocolId::IKE, Spi::EMPTY, list));
        SecurityAssociation { proposals: proposals.collect() }
    }

    fn esp(proposals: Vec<Vec<Transform>>) -> SecurityAssociation {
        let spi = Spi::from(EspSpi(0xc0ff_ee01));
        let proposals = (1..).zip(proposals).map(|(n, list)| proposal(n, ProtocolId::ESP, spi, list));
        SecurityAssociation { proposals: proposals.collect() }
    }

    /// The twelve proposals of Windows 10, all with one group.
    fn windows(groups: &[GroupId]) -> SecurityAssociation {
        let ciphers = [encr(EncrId::TRIPLE_DES, 0), encr(CBC, 128), encr(CBC, 192), encr(CBC, 256)];
        let hashes = [
            (IntegId::HMAC_SHA1_96, PrfId::HMAC_SHA1),
            (IntegId::HMAC_SHA2_256_128, PrfId::HMAC_SHA2_256),
            (IntegId::HMAC_SHA2_384_192, PrfId::HMAC_SHA2_384),
        ];
        let list = ciphers.iter().flat_map(|cipher| hashes.iter().map(move |hash| (cipher.clone(), *hash)));
        let lists = groups.iter().flat_map(|group| {
            list.clone().map(|(cipher, (integ, prf))| {
                vec![cipher, Transform::Integ(integ), Transform::Prf(prf), Transform::Group(*group)]
            })
        });
        ike(lists.collect())
    }

    fn chosen(policy: &[PolicyName], offer: &SecurityAssociation, guess: GroupId) -> String {
        match choose_ike(&Policy::named(policy), offer, guess) {
            Ok(chosen) => chosen.suite.to_string(),
            Err(mismatch) => format!("none, {:?} would help", mismatch.would_help),
        }
    }

    #[test]
    fn stock_windows_needs_the_switch() {
        let offer = windows(&[GroupId::MODP_1024]);
        let compatible = [PolicyName::Compatible];
        assert_eq!(chosen(&compatible, &offer, GroupId::MODP_1024), "none, Some(LegacyWindowsIkev2) would help");
        let legacy = [PolicyName::Compatible, PolicyName::LegacyWindowsIkev2];
        assert_eq!(chosen(&legacy, &offer, GroupId::MODP_1024), "aes256-sha256-modp1024");
    }

    #[test]
    fn windows_with_a_better_group_gets_that_one_whatever_it_guessed() {
        let offer = windows(&[GroupId::MODP_1024, GroupId::MODP_2048]);
        for policy in [&[PolicyName::Compatible][..], &[PolicyName::Compatible, PolicyName::LegacyWindowsIkev2]] {
            assert_eq!(chosen(policy, &offer, GroupId::MODP_1024), "aes256-sha256-modp2048");
        }
    }

    /// Android 11 and later: all algorithms in two proposals, the largest group first.
    #[test]
    fn the_guess_of_android_is_taken() {
        let groups = [GroupId::MODP_4096, GroupId::CURVE25519, GroupId::MODP_3072, GroupId::MODP_2048];
        let common = |list: Vec<Transform>| {
            let prfs = [PrfId::HMAC_SHA2_512, PrfId::HMAC_SHA2_384, PrfId::HMAC_SHA2_256, PrfId(4)].map(Transform::Prf);
            [list, prfs.to_vec(), groups.map(Transform::Group).to_vec()].concat()
        };
        let cbc = vec![
            encr(EncrId::AES_CTR, 256),
            encr(CBC, 256),
            Transform::Integ(IntegId::HMAC_SHA2_512_256),
            Transform::Integ(IntegId::AES_XCBC_96),
        ];
        let aead = vec![encr(EncrId::CHACHA20_POLY1305, 0), encr(GCM, 256), encr(EncrId::AES_GCM_12, 256)];
        let offer = ike(vec![common(cbc), common(aead)]);
        assert_eq!(chosen(&[PolicyName::Compatible], &offer, GroupId::MODP_4096), "aes256gcm16-prfsha256-modp4096");
        assert_eq!(chosen(&[PolicyName::Compatible], &offer, GroupId::CURVE25519), "aes256gcm16-prfsha256-x25519");
        assert_eq!(chosen(&[PolicyName::Modern], &offer, GroupId::MODP_2048), "aes256gcm16-prfsha256-x25519");
    }

    /// The defaults of iOS 16; its third proposal is broken in the client.
    #[test]
    fn apple_never_gets_group_5() {
        let line = |bits, integ, prf, group| {
            vec![encr(CBC, bits), Transform::Integ(integ), Transform::Prf(prf), Transform::Group(group)]
        };
        let (sha2, prf2) = (IntegId::HMAC_SHA2_256_128, PrfId::HMAC_SHA2_256);
        let offer = ike(vec![
            line(256, sha2, prf2, GroupId::MODP_2048),
            line(256, sha2, prf2, GroupId::ECP_256),
            line(256, sha2, prf2, GroupId::MODP_1536),
            line(128, IntegId::HMAC_SHA1_96, PrfId::HMAC_SHA1, GroupId::MODP_1024),
        ]);
        for policy in [&[PolicyName::Compatible][..], &PolicyName::ALL] {
            assert_eq!(chosen(policy, &offer, GroupId::MODP_2048), "aes256-sha256-modp2048");
            assert!(!chosen(policy, &offer, GroupId::MODP_1536).ends_with("modp1536"));
        }
    }

    #[test]
    fn post_quantum_proposals_fall_back_or_fail_cleanly() {
        let classic = vec![encr(GCM, 256), Transform::Prf(PrfId::HMAC_SHA2_256), Transform::Group(GroupId::ECP_256)];
        let unreadable = |kind: u8, bytes: [u8; 8]| {
            let mut body = vec![0, 0, 0, 0, 1, 1, 0, 4];
            let gcm = [3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0];
            let prf = [3, 0, 0, 8, 2, 0, 0, 5];
            let group = [3, 0, 0, 8, 4, 0, 0, 19];
            body.extend([&gcm[..], &prf, &group, &bytes].concat());
            body[3] = u8::try_from(body.len()).expect("short");
            let mut sa = SecurityAssociation::parse(&body).expect("valid");
            assert_eq!(sa.proposals[0].transforms.last().map(|t| t.kind().0), Some(kind));
            sa.proposals.remove(0)
        };
        let hybrid = unreadable(6, [0, 0, 0, 8, 6, 0, 0, 36]);
        let only = SecurityAssociation { proposals: vec![hybrid.clone()] };
        assert_eq!(chosen(&[PolicyName::Compatible], &only, GroupId::ECP_256), "none, None would help");
        let mut both = ike(vec![classic]);
        both.proposals[0].number = 2;
        both.proposals.insert(0, hybrid);
        let chosen = choose_ike(&Policy::default(), &both, GroupId::ECP_256).expect("the classic one");
        assert_eq!(chosen.reply(None).proposals[0].number, 2);
    }

    #[test]
    fn an_aead_with_an_integrity_algorithm_is_not_taken() {
        let with = |extra: &[Transform]| {
            let list = [encr(GCM, 128), Transform::Prf(PrfId::HMAC_SHA2_256), Transform::Group(GroupId::ECP_256)];
            chosen(&[PolicyName::Compatible], &ike(vec![[&list[..], extra].concat()]), GroupId::ECP_256)
        };
        assert!(with(&[]).starts_with("aes128gcm16"));
        assert!(with(&[Transform::Integ(IntegId::NONE)]).starts_with("aes128gcm16"));
        assert!(with(&[Transform::Integ(IntegId::HMAC_SHA2_256_128)]).starts_with("none"));
    }

    fn child(offer: Vec<Transform>, key_exchange: ChildKeyExchange) -> Option<ChosenChild> {
        choose_child(&Policy::default(), &esp(vec![offer]), key_exchange).ok()
    }

    #[test]
    fn esn_is_used_if_offered_and_never_imposed() {
        let offer = |esn: &[EsnId]| {
            let list = [vec![encr(GCM, 256)], esn.iter().map(|id| Transform::Esn(*id)).collect()].concat();
            let chosen = child(list, ChildKeyExchange::Never).expect("acceptable");
            let names = chosen.reply(EspSpi(1)).proposals[0].transforms.iter().any(|t| matches!(t, Transform::Esn(_)));
            (chosen.suite.esn, names)
        };
        assert_eq!(offer(&[EsnId::YES, EsnId::NO]), (true, true));
        assert_eq!(offer(&[EsnId::NO]), (false, true));
        assert_eq!(offer(&[]), (false, false));
        let no_esn = Policy::default().with_child(&["aes256gcm16-noesn"]).expect("a suite");
        let only_esn = esp(vec![vec![encr(GCM, 256), Transform::Esn(EsnId::YES)]]);
        assert!(choose_child(&no_esn, &only_esn, ChildKeyExchange::Never).is_err());
    }

    #[test]
    fn perfect_forward_secrecy_is_up_to_the_peer() {
        let gcm = || encr(GCM, 256);
        let group = |id| Transform::Group(id);
        let guess = ChildKeyExchange::Guess;
        let result = |list, key_exchange| child(list, key_exchange).map(|chosen| chosen.group);
        let (x, p, bad) = (GroupId::CURVE25519, GroupId::ECP_256, GroupId::MODP_1024);
        assert_eq!(result(vec![gcm()], ChildKeyExchange::Absent), Some(None));
        assert_eq!(result(vec![gcm(), group(x)], ChildKeyExchange::Never), Some(None));
        assert_eq!(result(vec![gcm(), group(p), group(x)], guess(p)), Some(Some(Group::Ecp256)));
        assert_eq!(result(vec![gcm(), group(bad), group(p)], guess(bad)), Some(Some(Group::Ecp256)));
        assert_eq!(result(vec![gcm(), group(bad)], guess(bad)), None);
        assert_eq!(result(vec![gcm(), group(bad), group(GroupId::NONE)], guess(bad)), Some(None));
        assert_eq!(result(vec![gcm(), group(p), group(GroupId::NONE)], ChildKeyExchange::Absent), Some(None));
        assert_eq!(result(vec![gcm(), group(p)], ChildKeyExchange::Absent), Some(Some(Group::Ecp256)));
    }

    #[test]
    fn what_cannot_be_computed_is_not_chosen_but_told_by_name() {
        let offer = ike(vec![vec![
            encr(EncrId::TRIPLE_DES, 0),
            encr(CBC, 0),
            Transform::Integ(IntegId::HMAC_MD5_96),
            Transform::Prf(PrfId::HMAC_SHA1),
            Transform::Group(GroupId(1025)),
        ]]);
        let mismatch = choose_ike(&Policy::default(), &offer, GroupId(1025)).expect_err("nothing fits");
        assert_eq!(mismatch.offered, ["3des-aescbc-hmacmd596-prfsha1-1025"]);
        assert_eq!(mismatch.would_help, None);
    }

    #[test]
    fn the_key_size_of_the_answer_is_that_of_the_offer() {
        let list = vec![encr(CBC, 192), Transform::Integ(IntegId::HMAC_SHA2_256_128), Transform::Esn(EsnId::NO)];
        let chosen = child(list.clone(), ChildKeyExchange::Never).expect("acceptable");
        assert_eq!(chosen.suite.encr, Encr::AesCbc { bits: AesBits::B192 });
        assert_eq!(chosen.reply(EspSpi(9)).proposals[0].transforms, list);
        assert_eq!(chosen.reply(EspSpi(9)).proposals[0].spi.esp(), Some(EspSpi(9)));
        assert_eq!(chosen.spi, EspSpi(0xc0ff_ee01));
    }
}
