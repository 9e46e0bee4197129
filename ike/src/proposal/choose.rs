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
        let IkeSuite { encr, integ, prf, group } = self.suite;
        let mut transforms = vec![encr_transform(encr), Transform::Prf(prf.id())];
        transforms.extend(integ.map(|integ| Transform::Integ(integ.id())));
        transforms.push(Transform::Group(group.id()));
        let spi = spi.map_or(Spi::EMPTY, Spi::from);
        let proposal = Proposal { number: self.number, protocol: ProtocolId::IKE, spi, transforms };
        SecurityAssociation { proposals: vec![proposal] }
    }
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

fn encr_transform(encr: Encr) -> Transform {
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
