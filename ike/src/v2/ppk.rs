//! Postquantum preshared keys in the messages and keys of an IKE SA: RFC 8784.
//!
//! Both sides say USE_PPK in IKE_SA_INIT. The initiator names its key where it sends AUTH, and where it could do without the
//! key adds what AUTH would be then; the responder repeats the notification if it uses the key. With EAP that is the last
//! request of IKE_AUTH, and the signature that the responder makes before is made without.

use crate::config::Config;
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::ppk::SitePpk;
use crate::refusal::RefusalReason;
use crate::wire::num::NotifyType;
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::connection::Connection;
use super::proof::Proof;
use super::request::Invalid;
use super::sa::IkeSa;

/// A fixed string of octets names the key, section 5.1.
const PPK_ID_FIXED: u8 = 2;

/// What an initiator says about its key.
#[derive(Clone, Copy, Default)]
pub(crate) struct PpkClaim<'a> {
    /// The name of the key, as the notification has it.
    identity: Option<&'a [u8]>,
    /// AUTH data without it.
    without: Option<&'a [u8]>,
}

/// `prf+ (PPK, key)`, as long as the key: `SK_d`, `SK_pi` and `SK_pr` of section 3.
pub(crate) fn mix(prf: Prf, ppk: &Secret, key: &Secret) -> Secret {
    prf.plus(ppk.expose(), &[key.expose()], key.len())
}

/// The decision of a responder, see [`PpkClaim::decide`].
pub(crate) fn decide<'a, 'k>(
    config: &'k Config,
    connection: &'k Connection,
    proof: &Proof,
    claim: &PpkClaim<'a>,
    auth: &'a [u8],
) -> Result<(Option<&'k Secret>, &'a [u8]), Invalid> {
    let own = connection.site().map(|site| site.ppk.as_ref());
    let required = own.map_or(config.ppk_required, |own| own.is_some_and(|ppk| ppk.required));
    let find = |id: &[u8]| match own {
        Some(own) => own.filter(|ppk| ppk.id == id).map(|ppk| &ppk.secret),
        None => config.ppks.find(id),
    };
    claim.decide(proof, auth, required, find).map_err(Invalid::authentication)
}

/// Whether we have a postquantum preshared key for anybody.
pub(crate) fn has_any(config: &Config) -> bool {
    !config.ppks.is_empty() || config.sites.iter().any(|site| site.ppk.is_some())
}

impl IkeSa {
    /// Mixes `key` into `SK_d`.
    pub(crate) fn mix(&mut self, key: &Secret) {
        self.derive = mix(self.suite.prf, key, &self.derive);
    }
}

/// Appends the name of our key, and what AUTH would be without it if the tunnel may come up without.
pub(crate) fn push_claim(chain: &mut ChainBuilder, ppk: &SitePpk, without: Option<&[u8]>) {
    let id = [&[PPK_ID_FIXED], ppk.id.as_slice()].concat();
    chain.push(&Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, &id)));
    if let Some(data) = without {
        chain.push(&Payload::Notify(Notify::new(NotifyType::NO_PPK_AUTH, data)));
    }
}

/// Appends that the key is used.
pub(crate) fn push_accepted(chain: &mut ChainBuilder) {
    chain.push(&Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, &[])));
}

impl<'a> PpkClaim<'a> {
    pub(super) fn read(notifies: &[Notify<'a>]) -> Self {
        let data = |kind| notifies.iter().find(|notify| notify.kind == kind).map(|notify| notify.data);
        Self { identity: data(NotifyType::PPK_IDENTITY), without: data(NotifyType::NO_PPK_AUTH) }
    }

    /// The AUTH data that counts if no key is used, as far as the initiator has said; `auth` is what the payload has.
    pub(crate) fn auth_without(&self, auth: &'a [u8]) -> Option<&'a [u8]> {
        if self.identity.is_none() { Some(auth) } else { self.without }
    }

    /// The responder's decision: the key to mix in, and the AUTH data that counts, of which `auth` is what the payload has.
    ///
    /// # Errors
    /// The reason if one side insists on a key that the other does not have.
    pub(crate) fn decide<'k>(
        &self,
        proof: &Proof,
        auth: &'a [u8],
        required: bool,
        find: impl FnOnce(&[u8]) -> Option<&'k Secret>,
    ) -> Result<(Option<&'k Secret>, &'a [u8]), RefusalReason> {
        let Some(identity) = self.identity.filter(|_| proof.offers_ppk()) else {
            return if required { Err(RefusalReason::PpkRequired) } else { Ok((None, auth)) };
        };
        let key = match identity {
            [PPK_ID_FIXED, id @ ..] => find(id),
            _ => None,
        };
        match (key, self.without) {
            (Some(key), _) => Ok((Some(key), auth)),
            (None, Some(without)) if !required => Ok((None, without)),
            (None, _) => Err(RefusalReason::PpkUnknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One block of `prf+` is enough for a key as long as the output of the function.
    #[test]
    fn mixes_the_key_in_as_the_key_of_prf_plus() {
        let (ppk, sk_d) = (Secret::from_slice(b"ppk"), Secret::from_slice(&[7; 32]));
        let block = Prf::HmacSha256.mac(b"ppk", &[&[7; 32], &[1]]);
        assert!(mix(Prf::HmacSha256, &ppk, &sk_d).ct_eq(block.expose()));
        let long = Secret::from_slice(&[7; 64]);
        assert_eq!(mix(Prf::HmacSha256, &ppk, &long).len(), 64);
    }

    #[test]
    fn reads_the_notifications_that_it_writes() {
        let ppk = SitePpk { id: b"berlin".to_vec(), secret: Secret::from_slice(b"ppk"), required: false };
        let mut chain = ChainBuilder::new();
        push_claim(&mut chain, &ppk, Some(b"auth without"));
        let (first, chain) = chain.finish().expect("short");
        let payloads = crate::wire::v2::Payloads::parse(first, &chain).expect("valid");
        let notifies: Vec<_> = payloads
            .iter()
            .filter_map(|payload| if let Payload::Notify(notify) = payload { Some(*notify) } else { None })
            .collect();
        let claim = PpkClaim::read(&notifies);
        assert_eq!(claim.identity, Some(&b"\x02berlin"[..]));
        assert_eq!(claim.auth_without(b"auth"), Some(&b"auth without"[..]));
        assert_eq!(PpkClaim::default().auth_without(b"auth"), Some(&b"auth"[..]));
    }
}
