//! The choice among the transforms of a client, RFC 2409 sections 5 and 5.5: its order, our policy as a filter.
//!
//! Each transform that is passed over has a reason, in words. MD5, DES and group 1 cannot be computed here at all; triple
//! DES and groups 2 and 5 are for the policy `legacy-android`.

use std::time::Duration;

use crate::child_sa::{ChildMode, ChildSuite};
use crate::crypto::dh::Group;
use crate::crypto::hash::Hash;
use crate::crypto::prf::Prf;
use crate::crypto::suite::{Encr, Integ};
use crate::proposal::{self, Policy, PolicyName, RefusedTransform, V1Mismatch};
use crate::wire::EspSpi;
use crate::wire::num::GroupId;
use crate::wire::v1::num::{
    EncapsulationMode, EspTransformId, IpsecAttr, IpsecAuth, IsakmpAttr, IsakmpAuth, IsakmpEncr, IsakmpHash,
    IsakmpTransformId, LifeType, ProtocolId,
};
use crate::wire::v1::{Attribute, Attributes, Proposal, SecurityAssociation, Transform};

use super::keys::Suite;

/// The lifetime where none is proposed, RFC 2407 section 4.5.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(28_800);

/// The key size of AES where an old implementation leaves it out.
const DEFAULT_AES_BITS: u16 = 128;

/// What both choices depend on.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) policy: &'a Policy,
    /// Triple DES and groups 2 and 5 are acceptable.
    pub(crate) legacy: bool,
}

impl<'a> Rules<'a> {
    /// The rules of a configuration.
    pub(crate) fn new(policy: &'a Policy, legacy: bool) -> Self {
        Self { policy, legacy: legacy || policy.names().contains(&PolicyName::LegacyAndroid) }
    }

    /// Whether what was refused would be accepted, by `choose`, if old algorithms were, but by no common policy without
    /// them: then it is only for these that the client was refused.
    pub(crate) fn lacks_legacy_only(self, choose: impl Fn(Rules<'_>) -> bool) -> bool {
        let compatible = Policy::named(&[PolicyName::Compatible]);
        choose(Self { legacy: true, ..self }) && !choose(Rules { policy: &compatible, legacy: false })
    }
}

/// The transform of phase 1.
pub(crate) struct Phase1Choice<'o, 'a> {
    pub(crate) proposal: &'o Proposal<'a>,
    pub(crate) transform: &'o Transform<'a>,
    pub(crate) suite: Suite,
    pub(crate) lifetime: Duration,
}

/// The transform of phase 2.
pub(crate) struct Phase2Choice<'o, 'a> {
    pub(crate) proposal: &'o Proposal<'a>,
    pub(crate) transform: &'o Transform<'a>,
    pub(crate) suite: ChildSuite,
    pub(crate) encapsulation: EncapsulationMode,
    /// Of a Diffie-Hellman exchange of its own.
    pub(crate) group: Option<Group>,
    pub(crate) lifetime: Duration,
    /// The client's inbound SPI.
    pub(crate) spi: EspSpi,
}

/// Whether a method of phase 1 is followed by XAUTH.
pub(crate) const fn is_xauth(auth: IsakmpAuth) -> bool {
    matches!(auth, IsakmpAuth::XAUTH_INIT_PRE_SHARED | IsakmpAuth::XAUTH_INIT_RSA | IsakmpAuth::HYBRID_INIT_RSA)
}

/// Whether a method of phase 1 proves knowledge of a pre-shared key.
pub(crate) const fn is_psk(auth: IsakmpAuth) -> bool {
    matches!(auth, IsakmpAuth::PRE_SHARED_KEY | IsakmpAuth::XAUTH_INIT_PRE_SHARED)
}

/// Chooses for phase 1. `accepts` says which authentication methods will do, and why another one does not.
pub(crate) fn phase1<'o, 'a>(
    rules: Rules<'_>,
    accepts: impl Fn(IsakmpAuth) -> Result<(), &'static str>,
    offered: &'o SecurityAssociation<'a>,
) -> Result<Phase1Choice<'o, 'a>, V1Mismatch> {
    let mut mismatch = V1Mismatch::default();
    for proposal in &offered.proposals {
        for transform in &proposal.transforms {
            let offer = Phase1Offer::read(&transform.attributes);
            match offer.check(rules, &accepts, proposal, transform) {
                Ok(suite) => return Ok(Phase1Choice { proposal, transform, suite, lifetime: offer.lifetime }),
                Err(problem) => {
                    let (number, offered) = (transform.number, offer.describe());
                    mismatch.refused.push(RefusedTransform { number, offered, problem });
                }
            }
        }
    }
    Err(mismatch)
}

/// The attributes of a transform of phase 1.
struct Phase1Offer {
    encr: Option<IsakmpEncr>,
    key_bits: Option<u16>,
    hash: Option<IsakmpHash>,
    group: Option<GroupId>,
    auth: Option<IsakmpAuth>,
    lifetime: Duration,
    /// Something that changes the meaning of the others and that we do not do.
    strange: Option<IsakmpAttr>,
}

impl Phase1Offer {
    fn read(attributes: &Attributes<'_>) -> Self {
        let number = |kind: IsakmpAttr| attributes.find(kind.0).and_then(Attribute::number_u16);
        let known = |kind: &IsakmpAttr| {
            matches!(
                *kind,
                IsakmpAttr::ENCRYPTION
                    | IsakmpAttr::HASH
                    | IsakmpAttr::AUTHENTICATION_METHOD
                    | IsakmpAttr::GROUP_DESCRIPTION
                    | IsakmpAttr::GROUP_TYPE
                    | IsakmpAttr::LIFE_TYPE
                    | IsakmpAttr::LIFE_DURATION
                    | IsakmpAttr::KEY_LENGTH
            )
        };
        Self {
            encr: number(IsakmpAttr::ENCRYPTION).map(IsakmpEncr),
            key_bits: number(IsakmpAttr::KEY_LENGTH),
            hash: number(IsakmpAttr::HASH).map(IsakmpHash),
            group: number(IsakmpAttr::GROUP_DESCRIPTION).map(GroupId),
            auth: number(IsakmpAttr::AUTHENTICATION_METHOD).map(IsakmpAuth),
            lifetime: seconds(attributes, (IsakmpAttr::LIFE_TYPE.0, IsakmpAttr::LIFE_DURATION.0)),
            strange: attributes.iter().map(|attribute| IsakmpAttr(attribute.kind)).find(|kind| !known(kind)),
        }
    }

    fn check(
        &self,
        rules: Rules<'_>,
        accepts: &impl Fn(IsakmpAuth) -> Result<(), &'static str>,
        proposal: &Proposal<'_>,
        transform: &Transform<'_>,
    ) -> Result<Suite, String> {
        if proposal.protocol != ProtocolId::ISAKMP || transform.id != IsakmpTransformId::KEY_IKE.0 {
            return Err("it is not about IKE".into());
        }
        if let Some(strange) = self.strange {
            return Err(format!("it depends on the attribute {strange}"));
        }
        let encr = self.encr().ok_or_else(|| format!("{} is never accepted", self.encr_name()))?;
        let hash = self.hash().ok_or_else(|| format!("{} is never accepted", self.hash_name()))?;
        let group = self.group.and_then(group).ok_or_else(|| format!("{} is never accepted", self.group_name()))?;
        let auth = self.auth.ok_or("no authentication method")?;
        accepts(auth)?;
        let suite = Suite { encr, hash, group, auth };
        ike_policy(rules, &suite)?;
        Ok(suite)
    }

    fn encr(&self) -> Option<Encr> {
        let encr = self.encr?;
        Encr::from_isakmp(encr, self.key_bits.or((encr == IsakmpEncr::AES_CBC).then_some(DEFAULT_AES_BITS)))
    }

    fn hash(&self) -> Option<Hash> {
        self.hash.and_then(Hash::from_isakmp)
    }

    fn encr_name(&self) -> String {
        match (self.encr, self.encr()) {
            (_, Some(encr)) => proposal::encr_name(encr).into(),
            (Some(encr), None) => short(&encr.to_string()),
            (None, None) => "no cipher".into(),
        }
    }

    fn hash_name(&self) -> String {
        match self.hash {
            Some(IsakmpHash::SHA1) => "sha1".into(),
            Some(hash) => short(&hash.to_string()),
            None => "no hash".into(),
        }
    }

    fn group_name(&self) -> String {
        match (self.group, self.group.and_then(group)) {
            (_, Some(group)) => proposal::group_name(group).into(),
            (Some(id), None) => format!("group {}", id.0),
            (None, None) => "no group".into(),
        }
    }

    fn describe(&self) -> String {
        let auth = match self.auth {
            Some(auth) if auth.name().is_some() => short(&auth.to_string()),
            Some(auth) => format!("authentication {}", auth.0),
            None => "no authentication".into(),
        };
        format!("{}-{}-{} by {auth}", self.encr_name(), self.hash_name(), self.group_name())
    }
}

/// Whether the policy has room for the suite, and what is wrong if not.
fn ike_policy(rules: Rules<'_>, suite: &Suite) -> Result<(), String> {
    let is_old = |group| matches!(group, Group::Modp1024 | Group::Modp1536);
    let prf: Prf = suite.prf();
    let (encr_name, group_name) = (proposal::encr_name(suite.encr), proposal::group_name(suite.group));
    if rules.legacy && (is_old(suite.group) || suite.encr == Encr::TripleDesCbc) {
        return Ok(());
    }
    if suite.encr == Encr::TripleDesCbc {
        return Err(format!("{encr_name} is too weak"));
    }
    // A named policy for old IKEv2 clients says nothing about IKEv1; a list is what it is.
    if is_old(suite.group) && !rules.policy.names().is_empty() {
        return Err(format!("{group_name} is too weak"));
    }
    let offers = rules.policy.ike();
    let any = |has: &dyn Fn(&proposal::IkeOffer) -> bool| offers.iter().any(has);
    if any(&|offer| {
        offer.encrs.contains(&suite.encr) && offer.prfs.contains(&prf) && offer.groups.contains(&suite.group)
    }) {
        return Ok(());
    }
    let missing = [
        (any(&|offer| offer.encrs.contains(&suite.encr)), encr_name),
        (any(&|offer| offer.prfs.contains(&prf)), proposal::prf_name(prf)),
        (any(&|offer| offer.groups.contains(&suite.group)), group_name),
    ];
    Err(match missing.into_iter().find(|(is_allowed, _)| !is_allowed) {
        Some((_, name)) => format!("{name} is not in the policy"),
        None => "this combination is not in the policy".into(),
    })
}

/// Chooses for phase 2: AES-GCM, then AES with SHA-2, then with SHA-1, then what is old; among equals the client's first.
pub(crate) fn phase2<'o, 'a>(
    rules: Rules<'_>,
    mode: ChildMode,
    has_ke: bool,
    offered: &'o SecurityAssociation<'a>,
) -> Result<Phase2Choice<'o, 'a>, V1Mismatch> {
    let mut mismatch = V1Mismatch::default();
    let mut best: Option<(u8, Phase2Choice<'o, 'a>)> = None;
    for proposal in &offered.proposals {
        let is_bundle = offered.proposals.iter().filter(|other| other.number == proposal.number).count() > 1;
        for transform in &proposal.transforms {
            let offer = Phase2Offer::read(transform);
            match offer.check(rules, mode, has_ke, proposal, is_bundle) {
                Ok((suite, encapsulation, group, spi)) => {
                    let rank = rank(&suite);
                    if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                        let lifetime = offer.lifetime;
                        let choice = Phase2Choice { proposal, transform, suite, encapsulation, group, lifetime, spi };
                        best = Some((rank, choice));
                    }
                }
                Err(problem) => {
                    let (number, offered) = (transform.number, offer.describe());
                    mismatch.refused.push(RefusedTransform { number, offered, problem });
                }
            }
        }
    }
    best.map(|(_, choice)| choice).ok_or(mismatch)
}

fn rank(suite: &ChildSuite) -> u8 {
    match (suite.encr, suite.integ) {
        (Encr::TripleDesCbc, _) => 3,
        (_, Some(Integ::HmacSha1_96)) => 2,
        (_, Some(_)) => 1,
        (_, None) => 0,
    }
}

/// A transform of phase 2.
struct Phase2Offer {
    id: EspTransformId,
    key_bits: Option<u16>,
    auth: Option<IpsecAuth>,
    group: Option<GroupId>,
    encapsulation: Option<EncapsulationMode>,
    esn: bool,
    lifetime: Duration,
}

impl Phase2Offer {
    fn read(transform: &Transform<'_>) -> Self {
        let attributes = &transform.attributes;
        let number = |kind: IpsecAttr| attributes.find(kind.0).and_then(Attribute::number_u16);
        Self {
            id: EspTransformId(transform.id),
            key_bits: number(IpsecAttr::KEY_LENGTH),
            auth: number(IpsecAttr::AUTHENTICATION_ALGORITHM).map(IpsecAuth),
            group: number(IpsecAttr::GROUP_DESCRIPTION).map(GroupId),
            encapsulation: number(IpsecAttr::ENCAPSULATION_MODE).map(EncapsulationMode),
            esn: number(IpsecAttr::EXTENDED_SEQUENCE_NUMBER) == Some(1),
            lifetime: seconds(attributes, (IpsecAttr::LIFE_TYPE.0, IpsecAttr::LIFE_DURATION.0)),
        }
    }

    fn check(
        &self,
        rules: Rules<'_>,
        mode: ChildMode,
        has_ke: bool,
        proposal: &Proposal<'_>,
        is_bundle: bool,
    ) -> Result<(ChildSuite, EncapsulationMode, Option<Group>, EspSpi), String> {
        if proposal.protocol != ProtocolId::ESP || is_bundle {
            return Err("only ESP alone is accepted".into());
        }
        let spi = <[u8; 4]>::try_from(&*proposal.spi).map_err(|_| "its SPI has not four bytes")?;
        let encr = self.encr().ok_or_else(|| format!("{} is never accepted", self.encr_name()))?;
        let integ = self.integ(encr)?;
        let encapsulation = self.encapsulation.ok_or("no encapsulation mode")?;
        let fits = match mode {
            ChildMode::L2tp | ChildMode::Transport => encapsulation.is_transport(),
            ChildMode::Tunnel => encapsulation.is_tunnel(),
        };
        if !fits {
            return Err(format!("{encapsulation} mode is not what this client gets"));
        }
        let group = self.pfs(rules, has_ke)?;
        let suite = ChildSuite { encr, integ, esn: self.esn };
        esp_policy(rules, &suite)?;
        Ok((suite, encapsulation, group, EspSpi(u32::from_be_bytes(spi))))
    }

    fn encr(&self) -> Option<Encr> {
        let is_aes = matches!(self.id, EspTransformId::AES_CBC | EspTransformId::AES_GCM_16);
        Encr::from_esp(self.id, self.key_bits.or(is_aes.then_some(DEFAULT_AES_BITS)))
    }

    fn integ(&self, encr: Encr) -> Result<Option<Integ>, String> {
        match self.auth {
            None if encr.is_aead() => Ok(None),
            None => Err("no integrity algorithm".into()),
            Some(_) if encr.is_aead() => Err("AES-GCM has no use for an integrity algorithm".into()),
            Some(id) => {
                let refused = || format!("{} is never accepted", short(&id.to_string()));
                Integ::from_ipsec(id).map(Some).ok_or_else(refused)
            }
        }
    }

    /// The group of perfect forward secrecy: wanted exactly if there is a KE payload. Of its strength the policy of phase
    /// 1 has decided.
    fn pfs(&self, rules: Rules<'_>, has_ke: bool) -> Result<Option<Group>, String> {
        match (self.group.filter(|id| *id != GroupId::NONE), has_ke) {
            (None, false) => Ok(None),
            (None, true) => Err("a KE payload without a group".into()),
            (Some(_), false) => Err("a group without a KE payload".into()),
            (Some(id), true) => {
                let group = group(id).ok_or_else(|| format!("group {} is never accepted", id.0))?;
                let listed = rules.policy.child().iter().any(|offer| offer.groups.contains(&group));
                let is_old = matches!(group, Group::Modp1024 | Group::Modp1536);
                let is_allowed = rules.legacy || (listed && (!is_old || rules.policy.names().is_empty()));
                let problem = || format!("{} is not in the policy", proposal::group_name(group));
                is_allowed.then_some(Some(group)).ok_or_else(problem)
            }
        }
    }

    fn encr_name(&self) -> String {
        self.encr().map_or_else(|| short(&self.id.to_string()), |encr| proposal::encr_name(encr).into())
    }

    fn describe(&self) -> String {
        let mut words = vec![self.encr_name()];
        words.extend(self.auth.map(|auth| short(&auth.to_string())));
        words.extend(
            self.group.map(|id| group(id).map_or_else(|| id.0.to_string(), |g| proposal::group_name(g).into())),
        );
        words.join("-")
    }
}

fn esp_policy(rules: Rules<'_>, suite: &ChildSuite) -> Result<(), String> {
    let name = proposal::encr_name(suite.encr);
    if suite.encr == Encr::TripleDesCbc {
        if rules.legacy {
            return Ok(());
        }
        return Err(format!("{name} is too weak"));
    }
    let fits = |offer: &proposal::ChildOffer| {
        let integ = suite.integ.is_none_or(|integ| offer.integs.contains(&integ));
        offer.encrs.contains(&suite.encr) && integ && (offer.esn || !suite.esn)
    };
    let is_allowed = rules.policy.child().iter().any(fits);
    is_allowed.then_some(()).ok_or_else(|| "it is not in the policy".into())
}

/// The first lifetime in seconds: a duration belongs to the type in front of it.
fn seconds(attributes: &Attributes<'_>, (kind, duration): (u16, u16)) -> Duration {
    let mut is_seconds = false;
    for attribute in attributes {
        if attribute.kind == kind {
            is_seconds = attribute.number_u16() == Some(LifeType::SECONDS.0);
        } else if attribute.kind == duration && is_seconds {
            let value = attribute.number().filter(|seconds| *seconds != 0);
            return value.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        }
    }
    DEFAULT_LIFETIME
}

fn group(id: GroupId) -> Option<Group> {
    Group::from_id(id)
}

/// A name of the registry as it is written elsewhere: `SHA2-256` becomes `sha256`, `ESP_3DES` becomes `3des`.
fn short(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let name = ["esp_", "hmac-"].iter().fold(name.as_str(), |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
    let name = name.strip_suffix("-cbc").unwrap_or(name);
    name.strip_prefix("sha2-").map_or_else(|| name.to_owned(), |bits| format!("sha{bits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encryption, key length, hash and group of a transform of phase 1.
    type Isakmp = (u16, Option<u16>, u16, u16);

    fn isakmp(list: &[Isakmp]) -> SecurityAssociation<'static> {
        let transforms = list.iter().zip(1..).map(|((encr, bits, hash, group), number)| {
            let mut attributes = vec![Attribute::short(1, *encr)];
            attributes.extend(bits.map(|bits| Attribute::short(14, bits)));
            attributes.extend([Attribute::short(2, *hash), Attribute::short(4, *group), Attribute::short(3, 1)]);
            attributes.extend([Attribute::short(11, 1), Attribute::long(12, 28_800_u32.to_be_bytes().to_vec())]);
            Transform { number, id: 1, attributes: Attributes::new(attributes) }
        });
        let transforms = transforms.collect();
        let proposal = Proposal { number: 1, protocol: ProtocolId::ISAKMP, spi: (&[]).into(), transforms };
        SecurityAssociation { proposals: vec![proposal] }
    }

    /// Transform, key length, authentication and encapsulation mode of phase 2.
    type Esp = (u8, Option<u16>, Option<u16>, u16);

    fn esp(list: &[Esp]) -> SecurityAssociation<'static> {
        let transforms = list.iter().zip(1..).map(|((id, bits, auth, mode), number)| {
            let mut attributes = vec![Attribute::short(1, 1), Attribute::short(2, 3600), Attribute::short(4, *mode)];
            attributes.extend(auth.map(|auth| Attribute::short(5, auth)));
            attributes.extend(bits.map(|bits| Attribute::short(6, bits)));
            Transform { number, id: *id, attributes: Attributes::new(attributes) }
        });
        let transforms = transforms.collect();
        let proposal = Proposal { number: 1, protocol: ProtocolId::ESP, spi: vec![1, 2, 3, 4].into(), transforms };
        SecurityAssociation { proposals: vec![proposal] }
    }

    fn chosen1(policy: &Policy, legacy: bool, list: &[Isakmp]) -> Result<String, Vec<String>> {
        match phase1(Rules::new(policy, legacy), |_| Ok(()), &isakmp(list)) {
            Ok(choice) => Ok(choice.suite.to_string()),
            Err(mismatch) => Err(mismatch.refused.into_iter().map(|refused| refused.problem).collect()),
        }
    }

    fn chosen2(policy: &Policy, legacy: bool, list: &[Esp]) -> Result<u8, Vec<String>> {
        match phase2(Rules::new(policy, legacy), ChildMode::L2tp, false, &esp(list)) {
            Ok(choice) => Ok(choice.transform.number),
            Err(mismatch) => Err(mismatch.refused.into_iter().map(|refused| refused.problem).collect()),
        }
    }

    #[test]
    fn phase_1_goes_by_the_order_of_the_client() {
        let policy = Policy::default();
        let list = [(5, None, 2, 2), (7, Some(128), 2, 19), (7, Some(256), 4, 20)];
        assert_eq!(chosen1(&policy, false, &list).as_deref(), Ok("aes128-sha1-ecp256"));
        assert_eq!(chosen1(&policy, true, &list).as_deref(), Ok("3des-sha1-modp1024"));
    }

    #[test]
    fn every_transform_that_is_passed_over_has_a_reason() {
        let list = [
            (5, None, 2, 14),
            (7, Some(256), 2, 2),
            (7, Some(256), 1, 14),
            (1, None, 2, 14),
            (7, Some(256), 2, 1),
            (7, Some(512), 2, 14),
        ];
        let problems = chosen1(&Policy::default(), false, &list).expect_err("all are old");
        let wanted = [
            "3des is too weak",
            "modp1024 is too weak",
            "md5 is never",
            "des is never",
            "group 1 is never",
            "aes is never",
        ];
        for (problem, wanted) in problems.iter().zip(wanted) {
            assert!(problem.contains(wanted), "{problem}: {wanted}");
        }
        assert_eq!(problems.len(), 6);
    }

    #[test]
    fn a_list_of_the_operator_decides_alone() {
        let policy = Policy::default().with_ike(&["aes256-sha256-ecp384", "aes128-sha1-modp1024"]).expect("valid");
        assert_eq!(chosen1(&policy, false, &[(7, Some(256), 4, 20)]).as_deref(), Ok("aes256-sha256-ecp384"));
        assert_eq!(chosen1(&policy, false, &[(7, Some(128), 2, 2)]).as_deref(), Ok("aes128-sha1-modp1024"));
        let mixed = chosen1(&policy, false, &[(7, Some(128), 4, 20)]).expect_err("of two lines");
        assert_eq!(mixed, ["this combination is not in the policy"]);
        let names = [PolicyName::LegacyWindowsIkev2];
        assert!(chosen1(&Policy::named(&names), false, &[(7, Some(256), 2, 2)]).is_err(), "that is about IKEv2");
        assert!(chosen1(&Policy::named(&[PolicyName::LegacyAndroid]), false, &[(7, Some(256), 2, 2)]).is_ok());
    }

    #[test]
    fn an_authentication_method_that_is_off_is_named() {
        let offered = isakmp(&[(7, Some(256), 2, 14)]);
        let refused = phase1(Rules::new(&Policy::default(), false), |_| Err("it is off"), &offered);
        assert_eq!(refused.err().expect("off").to_string(), "1: aes256-sha1-modp2048 by pre-shared key (it is off)");
    }

    #[test]
    fn phase_2_prefers_what_is_better_and_then_the_order_of_the_client() {
        let policy = Policy::default();
        let aes256 = (12, Some(256), Some(2), 4);
        assert_eq!(chosen2(&policy, false, &[aes256, (12, Some(128), Some(5), 4)]), Ok(2), "SHA-2");
        assert_eq!(chosen2(&policy, false, &[(12, Some(128), Some(7), 4), (12, Some(256), Some(5), 4)]), Ok(1));
        assert_eq!(chosen2(&policy, false, &[aes256, (20, Some(128), None, 4)]), Ok(2), "AES-GCM");
        assert_eq!(chosen2(&policy, true, &[(3, None, Some(2), 4), aes256]), Ok(2), "3DES comes last");
        assert_eq!(chosen2(&policy, false, &[(12, None, Some(2), 2)]), Ok(1), "AES without a size is AES-128");
    }

    #[test]
    fn phase_2_never_takes_what_protects_nothing() {
        let list =
            [(11, None, Some(2), 4), (2, None, Some(2), 4), (12, Some(256), Some(1), 4), (12, Some(256), None, 4)];
        assert_eq!(chosen2(&Policy::default(), true, &list).expect_err("none of them").len(), 4);
        assert!(chosen2(&Policy::default(), false, &[(12, Some(256), Some(2), 1)]).is_err(), "tunnel mode");
        assert!(chosen2(&Policy::default(), false, &[(3, None, Some(2), 4)]).is_err());
    }

    #[test]
    fn only_who_offers_nothing_else_lacks_the_old_algorithms() {
        let policy = Policy::default().with_ike(&["aes256-sha256-x25519"]).expect("valid");
        let lacks = |list: &[Isakmp]| {
            let offered = isakmp(list);
            Rules::new(&policy, false).lacks_legacy_only(|rules| phase1(rules, |_| Ok(()), &offered).is_ok())
        };
        assert!(lacks(&[(7, Some(256), 2, 2), (5, None, 2, 2)]));
        assert!(!lacks(&[(7, Some(256), 2, 20), (5, None, 2, 2)]), "it is the policy that is narrow");
        assert!(!lacks(&[(1, None, 1, 1)]), "nothing helps");
    }

    #[test]
    fn a_duration_belongs_to_the_type_in_front_of_it() {
        let both = |first: u16, second: u16| {
            Attributes::new(vec![
                Attribute::short(1, first),
                Attribute::long(2, 250_000_u32.to_be_bytes().to_vec()),
                Attribute::short(1, second),
                Attribute::long(2, 3600_u32.to_be_bytes().to_vec()),
            ])
        };
        assert_eq!(seconds(&both(2, 1), (1, 2)), Duration::from_secs(3600));
        assert_eq!(seconds(&both(1, 2), (1, 2)), Duration::from_secs(250_000));
        assert_eq!(seconds(&both(2, 2), (1, 2)), DEFAULT_LIFETIME);
    }
}
