//! Which of our certificates a client is shown, and under which name: RFC 7296 sections 2.15 and 3.7.
//!
//! A client turns away from a gateway with another name than the one it asks for (IDr), from a signature that it cannot
//! verify, and mostly from authorities that it does not know; so that is the order of what counts. Of equals the first in the
//! configuration is taken.
//!
//! Does not: sign (see [`proof`](super::proof)).

use std::sync::Arc;

use tracing::debug;

use crate::config::Config;
use crate::credential::{Authorities, Credential};
use crate::identity::Identity;
use crate::refusal::RefusalReason;

use super::proof::Proof;
use super::request::{AuthRequest, Invalid};

/// The certificate for this client and the name by which we use it.
///
/// # Errors
/// [`Invalid`] if there is none at all.
pub(super) fn choose<'c>(
    config: &'c Config,
    proof: &Proof,
    request: &AuthRequest<'_>,
) -> Result<(&'c Arc<Credential>, Identity), Invalid> {
    let requested = requested(request);
    let is_known = |name: &&Identity| config.credentials.iter().any(|credential| credential.speaks_for(name));
    let name = requested.as_ref().filter(is_known).unwrap_or(&config.identity);
    let rank = |credential: &Arc<Credential>| {
        let is_ours = credential.speaks_for(name);
        let is_verifiable = credential.key().choose(proof.hashes(), config.rsa_sha1).is_ok();
        let authorities = request.authorities.as_deref();
        let is_trusted =
            authorities.is_some_and(|hashes| credential.is_issued_by(hashes, config.client_authorities.as_deref()));
        (is_ours, is_verifiable, is_trusted)
    };
    // The last of equals is taken; reversed, that is the first.
    let best = config.credentials.iter().rev().max_by_key(|credential| rank(credential));
    let credential = best.ok_or_else(|| Invalid::authentication(RefusalReason::NoServerCertificate))?;
    Ok((credential, own_identity(config, credential, requested)))
}

/// The name by which the client wants to reach us.
pub(super) fn requested(request: &AuthRequest<'_>) -> Option<Identity> {
    request.idr.as_ref().and_then(|idr| Identity::parse(idr.id_type, idr.data).ok())
}

/// The requested name if it is ours, otherwise the configured one.
fn own_identity(config: &Config, credential: &Credential, requested: Option<Identity>) -> Identity {
    match requested {
        Some(requested) if requested == config.identity || credential.speaks_for(&requested) => requested,
        Some(requested) => {
            debug!(%requested, ours = %config.identity, "the client expects a name that our certificate does not have");
            config.identity.clone()
        }
        None => config.identity.clone(),
    }
}

impl Credential {
    /// Whether one of the authorities that `hashes` name (RFC 7296 section 3.7) has issued a certificate of the chain. An
    /// authority that is not in the chain itself is found among `known`.
    fn is_issued_by(&self, hashes: &[u8], known: Option<&Authorities>) -> bool {
        let (hashes, _) = hashes.as_chunks::<{ crate::cert::KEY_HASH_LEN }>();
        let is_named = |hash: &[u8]| hashes.iter().any(|named| named == hash);
        let in_chain = self.issuers().iter().any(|issuer| is_named(&issuer.key_hash()));
        in_chain
            || known.is_some_and(|known| known.of_issuer(self.last_issuer()).any(|found| is_named(&found.key_hash())))
    }
}
