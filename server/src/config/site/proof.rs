//! How a site and we prove to each other who we are: by a common key, certificates, or bare public keys.
//!
//! `cert` (with `key`) is our certificate, `key` alone our bare key, `ca` says whose certificates the peer may have,
//! `public_key` is the peer's bare key; `psk` serves for whichever side has nothing else.

use std::sync::Arc;

use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use crate::config::certificate::{self, LocatedIdentity};
use crate::config::checked::{LocalAuth, PeerAuth};
use crate::config::problem::{Located, Problem, Spot};
use crate::config::reader::{Section, Value};
use crate::config::source::Source;
use crate::config::{Secret, defaults};

/// The keys of a site that are about proofs, as far as each can be judged alone.
pub(super) struct RawProof {
    /// Where the site's header is.
    spot: Spot,
    psk: Option<Located<Arc<Secret>>>,
    identity: Option<LocatedIdentity>,
    raw_key: Option<Secret>,
    authorities: Option<Located<Vec<Vec<u8>>>>,
    public_key: Option<Located<Vec<u8>>>,
    /// What the file has, whether or not it makes sense.
    given: Given,
}

/// Which keys a site has.
#[derive(Clone, Copy)]
struct Given {
    psk: bool,
    cert: bool,
    key: bool,
    ca: bool,
    public_key: bool,
}

/// Reads them.
pub(super) fn read(source: &Source<'_>, section: &Section<'_>) -> RawProof {
    let has = |key| section.value(key).is_some();
    let given =
        Given { psk: has("psk"), cert: has("cert"), key: has("key"), ca: has("ca"), public_key: has("public_key") };
    let psk = section.value("psk").and_then(|value| source.secret(&value));
    let identities = if given.cert { certificate::server_identities(source, section) } else { Vec::new() };
    if let Some(second) = identities.get(1) {
        let problem = Problem::error("a site has one certificate").at(second.spot, "");
        source.problems.report(problem.help("keep the one that the peer accepts"));
    }
    if !given.ca {
        RawProof::check_lists(source, section);
    }
    RawProof {
        spot: section.spot,
        psk: psk.map(|psk| Located { value: Arc::new(psk.value), spot: psk.spot }),
        identity: identities.into_iter().next(),
        raw_key: if given.key && !given.cert {
            section.value("key").and_then(|v| raw_key(source, section, &v))
        } else {
            None
        },
        authorities: certificate::client_authorities(source, section),
        public_key: section.value("public_key").and_then(|value| public_key(source, &value)),
        given,
    }
}

fn raw_key(source: &Source<'_>, section: &Section<'_>, value: &Value<'_>) -> Option<Secret> {
    let key = certificate::private_key(source, section, value)?;
    match SigningKey::from_pem(key.expose()) {
        Ok(_) => Some(key),
        Err(unusable) => value.error(unusable.to_string().replace('`', "\""), "", Some(certificate::KEY_HELP.into())),
    }
}

fn public_key(source: &Source<'_>, value: &Value<'_>) -> Option<Located<Vec<u8>>> {
    let pem = source.public_file(value)?.value;
    let Ok(spki) = SubjectPublicKeyInfoDer::from_pem_slice(&pem) else {
        let help = "it must be PEM (BEGIN PUBLIC KEY); of a private key make it with  openssl pkey -in KEY -pubout";
        return value.error("there is no public key in this file", "", Some(help.into()));
    };
    match PublicKey::from_spki(&spki) {
        Ok(_) => Some(Located { value: spki.to_vec(), spot: value.spot }),
        Err(unsupported) => value.error(format!("the public key cannot be used: {unsupported}"), "", None),
    }
}

impl RawProof {
    /// What both sides prove themselves by, and our identity by our certificate; `None` if something is missing.
    pub(super) fn into_parts(self) -> Option<(Option<String>, LocalAuth, PeerAuth)> {
        let psk = self.psk.map(|psk| psk.value);
        let name = self.identity.as_ref().and_then(|identity| identity.facts.identity());
        let local = match (self.identity, self.raw_key) {
            (Some(identity), _) => LocalAuth::Certificate(identity.identity),
            (None, Some(key)) => LocalAuth::RawKey(key),
            (None, None) => LocalAuth::Psk(Arc::clone(psk.as_ref()?)),
        };
        let peer = match (self.authorities, self.public_key) {
            (Some(authorities), _) => PeerAuth::Certificate(authorities.value),
            (None, Some(key)) => PeerAuth::RawKey(key.value),
            (None, None) => PeerAuth::Psk(psk?),
        };
        Some((name, local, peer))
    }

    pub(super) fn identity(&self) -> Option<&LocatedIdentity> {
        self.identity.as_ref()
    }

    pub(super) fn psk(&self) -> Option<&Located<Arc<Secret>>> {
        self.psk.as_ref()
    }

    /// Whether the peer proves itself by certificate.
    pub(super) fn peer_has_certificate(&self) -> bool {
        self.given.ca
    }

    /// Whether the peer proves itself by the pre-shared key.
    pub(super) fn peer_has_psk(&self) -> bool {
        self.given.psk && !self.given.ca && !self.given.public_key
    }

    /// Looks at the keys together.
    pub(super) fn check(&self, source: &Source<'_>, name: &str) {
        let given = self.given;
        let report = |problem: Problem| source.problems.report(problem);
        if !given.psk && !given.cert && !given.key && !given.ca && !given.public_key {
            let title = format!("nothing proves to the site {name} who we are, or to us who it is");
            return report(Problem::error(title).at(self.spot, "").help(
                "add psk = \"file:PATH\" with the key that both gateways know, or certificates (cert, key and ca), or bare \
                 keys (key and public_key)",
            ));
        }
        if !given.psk && !given.cert && !given.key {
            let title = format!("nothing proves to the site {name} who we are");
            report(
                Problem::error(title)
                    .at(self.spot, "")
                    .help("add `cert` and `key`, `key` alone for a bare key, or `psk`"),
            );
        }
        if !given.psk && !given.ca && !given.public_key {
            let title = format!("nothing proves to us who the site {name} is");
            report(
                Problem::error(title)
                    .at(self.spot, "")
                    .help("add `ca` (whose certificates it may have), `public_key` (its bare key), or `psk`"),
            );
        }
        if given.ca && given.public_key {
            let problem = Problem::error("a peer has a certificate or a bare key, not both").at(self.spot, "");
            report(problem.help("remove `ca` or `public_key`"));
        }
        self.check_psk(source);
        self.check_public_key(source);
    }

    /// The peer's key is not ours.
    fn check_public_key(&self, source: &Source<'_>) {
        let own = self.raw_key.as_ref().or_else(|| self.identity.as_ref().map(|identity| &identity.identity.key));
        let (Some(own), Some(peer)) = (own, &self.public_key) else { return };
        let Ok(own) = SigningKey::from_pem(own.expose()) else { return };
        if *own.public_key().to_spki() == *peer.value {
            let problem = Problem::warning("the public key of the peer is our own").at(peer.spot, "");
            source.problems.report(problem.help("take the public key of the other gateway; ours belongs there"));
        }
    }

    /// Lists of revoked certificates are about certificates of the peer.
    fn check_lists(source: &Source<'_>, section: &Section<'_>) {
        for value in ["crl", "crl_files"].into_iter().filter_map(|key| section.value(key)) {
            let problem = Problem::warning(format!("`{}` has no effect", value.path())).at(value.key_spot, "");
            source
                .problems
                .report(problem.help("the peer has no certificate that could be revoked: add `ca`, or remove it"));
        }
    }

    fn check_psk(&self, source: &Source<'_>) {
        let Some(psk) = &self.psk else { return };
        let ours = self.given.cert || self.given.key;
        let theirs = self.given.ca || self.given.public_key;
        if ours && theirs {
            let problem = Problem::warning("this pre-shared key is used by neither side").at(psk.spot, "");
            source.problems.report(problem.help("both have something better; remove `psk`"));
        }
        let length = String::from_utf8_lossy(psk.value.expose()).chars().count();
        if length < defaults::PSK_GOOD_LENGTH {
            let problem =
                Problem::warning(format!("this pre-shared key has only {length} characters")).at(psk.spot, "");
            source.problems.report(problem.help(
                "whoever can stand between the gateways can guess it offline; make a long one:  openssl rand -base64 24",
            ));
        }
    }
}
