//! What the client offers: everything in its policy at once.

use crate::crypto::suite::Encr;
use crate::wire::EspSpi;
use crate::wire::num::{EsnId, ProtocolId};
use crate::wire::v2::{ChainBuilder, Payload, Proposal, SecurityAssociation, Spi, TrafficSelectors, Transform};

use super::Client;

impl Client {
    pub(super) fn ike_offer(&self, spi: Spi) -> SecurityAssociation {
        let offers = self.config.policy.ike();
        let proposals = (1..).zip(offers).map(|(number, offer)| {
            let encrs = offer.encrs.iter().filter(|encr| encr.is_aead() || !offer.integs.is_empty());
            let encrs = encrs.map(|e| Transform::Encr { id: e.id(), key_bits: e.key_bits() });
            let prfs = offer.prfs.iter().map(|prf| Transform::Prf(prf.id()));
            let integs = offer.integs.iter().map(|integ| Transform::Integ(integ.id()));
            let groups = offer.groups.iter().map(|group| Transform::Group(group.id()));
            let transforms: Vec<Transform> = encrs.chain(prfs).chain(integs).chain(groups).collect();
            Proposal { number, protocol: ProtocolId::IKE, spi, transforms }
        });
        SecurityAssociation {
            proposals: renumber(proposals.flat_map(|proposal| by_kind_of_cipher(&proposal)).collect()),
        }
    }

    pub(super) fn child_offer(&self, spi: EspSpi, with_groups: bool) -> SecurityAssociation {
        let offers = self.config.policy.child();
        let proposals = (1..).zip(offers).map(|(number, offer)| {
            let encrs = offer.encrs.iter().map(|e| Transform::Encr { id: e.id(), key_bits: e.key_bits() });
            let integs = offer.integs.iter().map(|integ| Transform::Integ(integ.id()));
            let groups = offer.groups.iter().filter(|_| with_groups).map(|group| Transform::Group(group.id()));
            let esn = offer.esn.then_some(Transform::Esn(EsnId::YES)).into_iter().chain([Transform::Esn(EsnId::NO)]);
            let transforms = encrs.chain(integs).chain(groups).chain(esn).collect();
            Proposal { number, protocol: ProtocolId::ESP, spi: spi.into(), transforms }
        });
        SecurityAssociation {
            proposals: renumber(proposals.flat_map(|proposal| by_kind_of_cipher(&proposal)).collect()),
        }
    }

    pub(super) fn push_selectors(&self, chain: &mut ChainBuilder) {
        chain.push(&Payload::TsInitiator(TrafficSelectors(self.config.selectors.0.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(self.config.selectors.1.clone())));
    }
}

/// AEADs and other ciphers may not share a proposal, RFC 7296 section 3.3.
fn by_kind_of_cipher(proposal: &Proposal) -> Vec<Proposal> {
    let is_aead = |t: &Transform| {
        let Transform::Encr { id, key_bits } = t else { return None };
        Encr::from_id(*id, *key_bits).map(Encr::is_aead)
    };
    let half = |aead: bool| {
        let keep = |t: &Transform| match (is_aead(t), t) {
            (Some(kind), _) => kind == aead,
            (None, Transform::Integ(_)) => !aead,
            (None, _) => true,
        };
        let transforms: Vec<Transform> = proposal.transforms.iter().filter(|t| keep(t)).cloned().collect();
        let any = transforms.iter().any(|t| is_aead(t).is_some());
        any.then_some(Proposal { transforms, ..proposal.clone() })
    };
    [half(true), half(false)].into_iter().flatten().collect()
}

fn renumber(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    for (number, proposal) in (1..).zip(&mut proposals) {
        proposal.number = number;
    }
    proposals
}
