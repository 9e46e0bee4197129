//! What we offer to a peer as the initiator of an exchange, and what it chose of that (RFC 7296 sections 2.7 and 3.3).
//!
//! A policy becomes one proposal for each of its lines, or two where it has both kinds of ciphers: an AEAD goes without
//! integrity algorithm. For a Child SA with a key exchange of its own, all is offered once more without one, so that the peer
//! decides whether it wants perfect forward secrecy.

use crate::child_sa::ChildSuite;
use crate::crypto::dh::Group;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{Encr, Integ};
use crate::wire::num::{EsnId, ProtocolId, TransformType};
use crate::wire::v2::{Proposal, SecurityAssociation, Spi, Transform};
use crate::wire::{EspSpi, IkeSpi};

use super::choose::encr_transform;
use super::{ChildOffer, IkeSuite, Policy};

/// Everything that `policy` accepts for an IKE SA; `spi` is ours when an IKE SA is rekeyed.
#[must_use]
pub fn ike_offers(policy: &Policy, spi: Spi) -> SecurityAssociation {
    let mut proposals = Vec::new();
    for offer in policy.ike() {
        let prfs = offer.prfs.iter().map(|prf| Transform::Prf(prf.id()));
        let groups = offer.groups.iter().map(|group| Transform::Group(group.id()));
        let rest: Vec<Transform> = prfs.chain(groups).collect();
        for mut transforms in protections(&offer.encrs, &offer.integs) {
            transforms.extend(rest.iter().cloned());
            proposals.push((ProtocolId::IKE, spi, transforms));
        }
    }
    numbered(proposals)
}

/// Everything that `policy` accepts for a Child SA with our inbound SPI. With `exchange` a key exchange of its own is
/// offered, too.
#[must_use]
pub fn child_offers(policy: &Policy, exchange: bool, spi: EspSpi) -> SecurityAssociation {
    let with = policy.child().iter().filter(|offer| exchange && !offer.groups.is_empty());
    let with = with.flat_map(|offer| child_lines(offer, &offer.groups));
    let without = policy.child().iter().flat_map(|offer| child_lines(offer, &[]));
    numbered(with.chain(without).map(|transforms| (ProtocolId::ESP, Spi::from(spi), transforms)).collect())
}

/// Exactly one suite for a Child SA, with a key exchange of its own by any group of the policy, or without.
#[must_use]
pub fn child_offer_with_choice(policy: &Policy, suite: &ChildSuite, spi: EspSpi) -> SecurityAssociation {
    let mut groups: Vec<Group> = Vec::new();
    for group in policy.child().iter().flat_map(|offer| &offer.groups) {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    let ChildSuite { encr, integ, esn } = *suite;
    let line = |groups: &[Group]| {
        let mut transforms = vec![encr_transform(encr)];
        transforms.extend(integ.map(|integ| Transform::Integ(integ.id())));
        transforms.extend(groups.iter().map(|group| Transform::Group(group.id())));
        transforms.push(Transform::Esn(if esn { EsnId::YES } else { EsnId::NO }));
        transforms
    };
    let with = (!groups.is_empty()).then(|| line(&groups));
    let lines = with.into_iter().chain([line(&[])]);
    numbered(lines.map(|transforms| (ProtocolId::ESP, Spi::from(spi), transforms)).collect())
}

/// The group that a peer with this policy most likely takes for an IKE SA.
#[must_use]
pub fn ike_guess(policy: &Policy) -> Option<Group> {
    policy.ike().iter().find_map(|offer| offer.groups.first().copied())
}

/// The same for the key exchange of a Child SA.
#[must_use]
pub fn child_guess(policy: &Policy) -> Option<Group> {
    policy.child().iter().find_map(|offer| offer.groups.first().copied())
}

/// Whether a group is among what was offered.
#[must_use]
pub fn offers_group(offer: &SecurityAssociation, group: Group) -> bool {
    offer.proposals.iter().any(|proposal| proposal.transforms.contains(&Transform::Group(group.id())))
}

/// The suite of an IKE SA that the peer chose, with its SPI if the IKE SA was rekeyed; `None` if that is not exactly one of
/// the suites that were offered.
#[must_use]
pub fn chosen_ike(offer: &SecurityAssociation, answer: &SecurityAssociation) -> Option<(IkeSuite, Option<IkeSpi>)> {
    let chosen = Chosen::find(offer, answer)?;
    let (encr, integ) = chosen.protection()?;
    let prf = chosen.one(TransformType::PRF, |t| Prf::ALL.into_iter().find(|prf| *t == Transform::Prf(prf.id())))?;
    let group = chosen.group()??;
    Some((IkeSuite { encr, integ, prf, group }, chosen.spi.ike()))
}

/// The suite of a Child SA that the peer chose, the group of its key exchange, and the peer's SPI; `None` as above.
#[must_use]
pub fn chosen_child(
    offer: &SecurityAssociation,
    answer: &SecurityAssociation,
) -> Option<(ChildSuite, Option<Group>, EspSpi)> {
    let chosen = Chosen::find(offer, answer)?;
    let (encr, integ) = chosen.protection()?;
    let esn = match chosen.all(TransformType::ESN).as_slice() {
        // Silence is a no, which has to be among what was offered.
        [] if chosen.allows_no_esn => false,
        [Transform::Esn(id)] => *id == EsnId::YES,
        _ => return None,
    };
    let spi = chosen.spi.esp().filter(|spi| *spi != EspSpi(0))?;
    Some((ChildSuite { encr, integ, esn }, chosen.group()?, spi))
}

/// The one proposal of an answer, all of whose transforms were offered.
struct Chosen<'a> {
    transforms: &'a [Transform],
    /// Kinds of transforms that the offer had.
    needs_group: bool,
    /// The offer did not insist on extended sequence numbers.
    allows_no_esn: bool,
    spi: Spi,
}

impl<'a> Chosen<'a> {
    fn find(offer: &SecurityAssociation, answer: &'a SecurityAssociation) -> Option<Self> {
        let [answer] = answer.proposals.as_slice() else { return None };
        let is_it = |offer: &&Proposal| offer.number == answer.number && offer.protocol == answer.protocol;
        let offered = offer.proposals.iter().find(is_it)?;
        let needs_group = offered.transforms.iter().any(|t| t.kind() == TransformType::GROUP);
        let all_offered = answer.transforms.iter().all(|t| offered.transforms.contains(t));
        let offers = |esn| offered.transforms.contains(&Transform::Esn(esn));
        let allows_no_esn = offers(EsnId::NO) || !offers(EsnId::YES);
        let (transforms, spi) = (answer.transforms.as_slice(), answer.spi);
        all_offered.then_some(Self { transforms, needs_group, allows_no_esn, spi })
    }

    fn all(&self, kind: TransformType) -> Vec<&'a Transform> {
        self.transforms.iter().filter(|t| t.kind() == kind).collect()
    }

    fn one<T>(&self, kind: TransformType, known: impl Fn(&Transform) -> Option<T>) -> Option<T> {
        let [transform] = self.all(kind)[..] else { return None };
        known(transform)
    }

    fn protection(&self) -> Option<(Encr, Option<Integ>)> {
        let encr = |t: &Transform| Encr::ALL.into_iter().find(|encr| encr_transform(*encr) == *t);
        let encr = self.one(TransformType::ENCR, encr)?;
        if encr.is_aead() {
            return self.all(TransformType::INTEG).is_empty().then_some((encr, None));
        }
        let integ = |t: &Transform| Integ::ALL.into_iter().find(|integ| Transform::Integ(integ.id()) == *t);
        Some((encr, Some(self.one(TransformType::INTEG, integ)?)))
    }

    /// The group; `Some(None)` if none was offered in this proposal.
    fn group(&self) -> Option<Option<Group>> {
        if !self.needs_group {
            return Some(None);
        }
        let group = |t: &Transform| match t {
            Transform::Group(id) => Group::from_id(*id),
            _ => None,
        };
        self.one(TransformType::GROUP, group).map(Some)
    }
}

/// The ciphers and integrity algorithms of the proposals for one line of a policy.
fn protections(encrs: &[Encr], integs: &[Integ]) -> Vec<Vec<Transform>> {
    let (aeads, others): (Vec<Encr>, Vec<Encr>) = encrs.iter().partition(|encr| encr.is_aead());
    let aeads = (!aeads.is_empty()).then(|| aeads.iter().map(|encr| encr_transform(*encr)).collect());
    let others = (!others.is_empty() && !integs.is_empty()).then(|| {
        let integs = integs.iter().map(|integ| Transform::Integ(integ.id()));
        others.iter().map(|encr| encr_transform(*encr)).chain(integs).collect()
    });
    aeads.into_iter().chain(others).collect()
}

fn child_lines(offer: &ChildOffer, groups: &[Group]) -> Vec<Vec<Transform>> {
    let mut lines = protections(&offer.encrs, &offer.integs);
    for line in &mut lines {
        line.extend(groups.iter().map(|group| Transform::Group(group.id())));
        line.extend(offer.esn.then_some(Transform::Esn(EsnId::YES)));
        line.push(Transform::Esn(EsnId::NO));
    }
    lines
}

fn numbered(proposals: Vec<(ProtocolId, Spi, Vec<Transform>)>) -> SecurityAssociation {
    let numbered = (1..=u8::MAX).zip(proposals);
    let proposal = |(number, (protocol, spi, transforms))| Proposal { number, protocol, spi, transforms };
    SecurityAssociation { proposals: numbered.map(proposal).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::{ChildKeyExchange, PolicyName, choose_child, choose_ike};

    const SPI: EspSpi = EspSpi(0x0102_0304);

    #[test]
    fn every_policy_chooses_from_its_own_offer() {
        for name in PolicyName::ALL {
            let policy = Policy::named(&[name]);
            let offer = ike_offers(&policy, Spi::EMPTY);
            let guess = ike_guess(&policy).expect("it has groups");
            let chosen = choose_ike(&policy, &offer, guess.id()).expect("acceptable");
            assert_eq!(chosen.suite.group, guess);
            assert_eq!(chosen_ike(&offer, &chosen.reply(None)), Some((chosen.suite, None)));
            for exchange in [false, true] {
                let offer = child_offers(&policy, exchange, SPI);
                let guess = child_guess(&policy).expect("it has groups");
                let key_exchange = if exchange { ChildKeyExchange::Guess(guess.id()) } else { ChildKeyExchange::Never };
                let chosen = choose_child(&policy, &offer, key_exchange).expect("acceptable");
                let group = exchange.then_some(guess);
                assert_eq!(chosen_child(&offer, &chosen.reply(EspSpi(9))), Some((chosen.suite, group, EspSpi(9))));
            }
        }
    }

    #[test]
    fn what_was_not_offered_is_not_taken() {
        let (modern, compatible) = (Policy::named(&[PolicyName::Modern]), Policy::named(&[PolicyName::Compatible]));
        let offer = ike_offers(&modern, Spi::EMPTY);
        let cbc = Policy::named(&[PolicyName::Modern]).with_ike(&["aes256-sha256-ecp256"]).expect("known");
        let wider = ike_offers(&compatible, Spi::EMPTY);
        let chosen = choose_ike(&cbc, &wider, Group::Ecp256.id()).expect("acceptable");
        assert_eq!(chosen_ike(&offer, &chosen.reply(None)), None);
        assert_eq!(chosen_ike(&wider, &wider), None, "more than one of each kind");
        let mut answer = choose_ike(&modern, &offer, Group::Curve25519.id()).expect("acceptable").reply(None);
        answer.proposals[0].number = 9;
        assert_eq!(chosen_ike(&offer, &answer), None);
        answer.proposals[0].number = 1;
        answer.proposals[0].transforms.retain(|t| t.kind() != TransformType::GROUP);
        assert_eq!(chosen_ike(&offer, &answer), None, "no group");
        answer.proposals.clear();
        assert_eq!(chosen_ike(&offer, &answer), None);
    }

    #[test]
    fn an_answer_that_leaves_out_esn_declines_it_where_that_was_offered() {
        let policy = Policy::default();
        let silent = |offer: &SecurityAssociation| {
            let mut answer =
                choose_child(&policy, offer, ChildKeyExchange::Never).expect("acceptable").reply(EspSpi(9));
            answer.proposals[0].transforms.retain(|t| t.kind() != TransformType::ESN);
            chosen_child(offer, &answer).map(|(suite, ..)| suite.esn)
        };
        assert_eq!(silent(&child_offers(&policy, false, SPI)), Some(false));
        let (suite, ..) = chosen_child(
            &child_offers(&policy, false, SPI),
            &choose_child(&policy, &child_offers(&policy, false, SPI), ChildKeyExchange::Never)
                .expect("acceptable")
                .reply(EspSpi(9)),
        )
        .expect("offered");
        assert!(suite.esn);
        assert_eq!(silent(&crate::proposal::child_offer(&suite, None, SPI)), None, "nothing else was offered");
        let without = ChildSuite { esn: false, ..suite };
        assert_eq!(silent(&crate::proposal::child_offer(&without, None, SPI)), Some(false));
    }

    #[test]
    fn perfect_forward_secrecy_is_for_the_peer_to_choose() {
        let policy = Policy::default();
        let offer = child_offers(&policy, true, SPI);
        let chosen = choose_child(&policy, &offer, ChildKeyExchange::Absent).expect("acceptable");
        let (_, group, _) = chosen_child(&offer, &chosen.reply(EspSpi(9))).expect("offered");
        assert_eq!(group, chosen.group);
        let mut answer = chosen.reply(EspSpi(9));
        answer.proposals[0].spi = Spi::from(EspSpi(0));
        assert_eq!(chosen_child(&offer, &answer), None);
    }
}
