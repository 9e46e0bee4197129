//! What proves an identity: our certificates with their keys, the authorities that vouch for others, and for each side of a
//! site tunnel the method of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::cert::{
    CertError, Certificate, CertificatePath, Revocation, RevocationList, RevocationPolicy, Role, TrustAnchors,
    UnixTime, VerifiedCertificate, verify_unrevoked,
};
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::sign::{KeyError, NoScheme, PublicKey, SignError, SigningKey};
use crate::distinguished_name;
use crate::identity::Identity;
use crate::wire::limits::MAX_CERTIFICATES;
use crate::wire::num::{AuthMethod, HashAlgId};
use crate::wire::v1::num::IsakmpAuth;

/// Most bytes of our whole chain: it has to fit into one message.
const MAX_CHAIN_BYTES: usize = 32 * 1024;

/// Most authorities that are named in a request: 20 bytes each in IKE_SA_INIT, which cannot be fragmented.
pub(crate) const MAX_REQUESTED: usize = 16;

/// Most addresses of revocation lists that wait to be taken note of.
const MAX_LIST_ADDRESSES: usize = 64;

/// How we prove to the peer of a site tunnel who we are.
pub enum LocalAuth {
    /// By a pre-shared key, RFC 7296 section 2.15.
    Psk(Secret),
    /// By a certificate.
    Certificate(Arc<Credential>),
    /// By a key that the peer knows, without a certificate, RFC 7670.
    RawKey(Arc<SigningKey>),
}

/// How the peer of a site tunnel proves to us who it is. It need not be the method that we use.
pub enum PeerAuth {
    /// By a pre-shared key, RFC 7296 section 2.15.
    Psk(Secret),
    /// By a certificate that one of these authorities vouches for.
    Certificate(Arc<Authorities>),
    /// By this very key, without a certificate, RFC 7670.
    RawKey(PublicKey),
}

/// Our certificate chain and private key.
pub struct Credential {
    chain: Vec<Vec<u8>>,
    certificate: Certificate,
    issuers: Vec<Certificate>,
    key: SigningKey,
}

/// Authorities whose certificates let clients in.
pub struct Authorities {
    anchors: TrustAnchors,
    key_hashes: Vec<u8>,
    revocation: RwLock<Option<Arc<Revocation>>>,
    /// Where verified certificates say that lists can be had, as long as nobody has taken note.
    list_addresses: Mutex<BTreeSet<String>>,
}

impl Credential {
    /// Our certificate first, then intermediates, as DER; the private key as PEM.
    ///
    /// # Errors
    /// [`CredentialError`] if the key or a certificate cannot be read, or they do not belong together.
    pub fn new(chain: Vec<Vec<u8>>, key_pem: &[u8]) -> Result<Self, CredentialError> {
        let key = SigningKey::from_pem(key_pem)?;
        let certificate = Certificate::from_der(chain.first().ok_or(CredentialError::NoCertificate)?)?;
        let issuers = chain.iter().skip(1).map(|der| Certificate::from_der(der)).collect::<Result<_, _>>()?;
        if chain.len() > MAX_CERTIFICATES || chain.iter().map(Vec::len).sum::<usize>() > MAX_CHAIN_BYTES {
            return Err(CredentialError::TooLong);
        }
        if certificate.public_key()? != *key.public_key() {
            return Err(CredentialError::OtherKey);
        }
        Ok(Self { chain, certificate, issuers, key })
    }

    /// The certificates as they are sent.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// Our own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificates of authorities that go along.
    pub(crate) fn issuers(&self) -> &[Certificate] {
        &self.issuers
    }

    /// Who has issued the last certificate that goes along, as the DER of a name.
    pub(crate) fn last_issuer(&self) -> &[u8] {
        self.issuers.last().unwrap_or(&self.certificate).issuer()
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Whether our certificate has this name, so that we may use it as our identity.
    #[must_use]
    pub fn speaks_for(&self, identity: &Identity) -> bool {
        match identity {
            Identity::DerAsn1Dn(dn) => distinguished_name::is_same(dn, self.certificate.subject()),
            _ => self.certificate.names().contains(identity),
        }
    }

    /// The name as the certificate has it, which is how peers compare distinguished names.
    pub(crate) fn exact(&self, identity: Identity) -> Identity {
        match identity {
            Identity::DerAsn1Dn(_) if self.speaks_for(&identity) => {
                Identity::DerAsn1Dn(self.certificate.subject().to_vec())
            }
            _ => identity,
        }
    }

    /// The authentication method of IKEv1 that fits our key, if there is one.
    pub(crate) fn isakmp_method(&self) -> Option<IsakmpAuth> {
        self.key.isakmp_method()
    }

    /// SIG data of IKEv1 over `HASH_R`.
    pub(crate) fn sign_hash(&self, hash: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        self.key.sign_hash(hash, random)
    }
}

impl Authorities {
    /// Certificates of authorities, as DER.
    ///
    /// # Errors
    /// [`CredentialError`] if there is none or one cannot be read.
    pub fn new(certificates: &[Vec<u8>]) -> Result<Self, CredentialError> {
        let anchors = TrustAnchors::new(certificates)?;
        let mut key_hashes = anchors.request_authorities();
        key_hashes.truncate(MAX_REQUESTED * crate::cert::KEY_HASH_LEN);
        Ok(Self { anchors, key_hashes, revocation: RwLock::new(None), list_addresses: Mutex::default() })
    }

    /// The same authorities, whose certificates are not accepted once they are revoked.
    #[must_use]
    pub fn with_revocation(self, policy: RevocationPolicy, lists: Vec<RevocationList>) -> Self {
        self.set_revocation(policy, lists);
        self
    }

    /// Takes other lists, for all certificates that are verified from now on. A list that has the name of one of the
    /// authorities but not its signature is left out.
    pub fn set_revocation(&self, policy: RevocationPolicy, lists: Vec<RevocationList>) {
        let is_genuine = |list: &RevocationList| {
            let mut named = self.anchors.certificates().iter().filter(|found| list.is_issued_by(found)).peekable();
            named.peek().is_none() || named.any(|found| list.is_signed_by(found))
        };
        let lists = lists.into_iter().filter(is_genuine).collect();
        let mut revocation = self.revocation.write().unwrap_or_else(PoisonError::into_inner);
        *revocation = Some(Arc::new(Revocation::new(policy, lists)));
    }

    /// The revocation lists in use, if certificates can be revoked at all.
    #[must_use]
    pub fn revocation(&self) -> Option<Arc<Revocation>> {
        self.revocation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a certificate of a path that was verified before was revoked since: [`CertError::Revoked`]. Only a genuine list
    /// that names it says so; one that is missing or out of date says nothing.
    #[must_use]
    pub fn revoked(&self, path: &CertificatePath) -> Option<CertError> {
        let revocation = self.revocation()?;
        path.named().find_map(|named| {
            let lists = revocation.lists().iter();
            let since = lists.filter_map(|list| named.revoked_since(list, self.of_issuer(&named.issuer))).min()?;
            Some(CertError::Revoked { subject: named.subject.clone(), since: Some(since) })
        })
    }

    /// Where the certificates that were verified since the last call say that revocation lists can be had; of a chain whose
    /// list is missing, those of the certificate in question.
    pub fn take_list_addresses(&self) -> Vec<String> {
        let mut addresses = self.list_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *addresses).into_iter().collect()
    }

    fn note_list_addresses(&self, uris: &[String]) {
        let mut addresses = self.list_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_LIST_ADDRESSES.saturating_sub(addresses.len());
        addresses.extend(uris.iter().take(room).cloned());
    }

    /// The certificates of the authorities.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        self.anchors.certificates()
    }

    /// The authorities of this name (DER).
    pub(crate) fn of_issuer(&self, subject: &[u8]) -> impl Iterator<Item = &Certificate> {
        self.anchors.certificates().iter().filter(move |authority| authority.subject() == subject)
    }

    /// What a certificate request says.
    pub(crate) fn key_hashes(&self) -> &[u8] {
        &self.key_hashes
    }

    /// Verifies the certificate of a peer (DER), the first of `certificates`, with the help of the others.
    ///
    /// # Errors
    /// [`CertError`] with the reason, for the operator.
    pub fn verify(&self, certificates: &[&[u8]], now: UnixTime, role: Role) -> Result<VerifiedCertificate, CertError> {
        let (end_entity, others) = certificates.split_first().ok_or(CertError::Missing)?;
        let revocation = self.revocation();
        let result = verify_unrevoked(end_entity, others, &self.anchors, now, role, revocation.as_deref());
        match &result {
            Ok(verified) => self.note_list_addresses(verified.certificate().crl_uris()),
            Err(CertError::CrlMissing { uris, .. } | CertError::CrlExpired { uris, .. }) => {
                self.note_list_addresses(uris);
            }
            Err(_) => {}
        }
        result
    }
}

/// AUTH data by `key` over `octets` for a peer that announced these hash algorithms.
pub(crate) fn sign(
    key: &SigningKey,
    octets: &[u8],
    peer_hashes: Option<&[HashAlgId]>,
    allow_sha1: bool,
    random: &mut dyn Random,
) -> Result<(AuthMethod, Vec<u8>), SigningFailed> {
    let scheme = key.choose(peer_hashes, allow_sha1)?;
    Ok((scheme.method(), key.sign(scheme, octets, random)?))
}

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The private key.
    #[error("private key: {0}")]
    Key(#[from] KeyError),
    /// A certificate.
    #[error("{0}")]
    Certificate(#[from] CertError),
    /// There is no certificate at all.
    #[error("there is no certificate")]
    NoCertificate,
    /// The certificate is one of another key.
    #[error("the private key does not belong to the certificate")]
    OtherKey,
    /// More certificates than fit into a message.
    #[error("the certificate chain is too long (8 certificates, 32 KiB)")]
    TooLong,
}

/// Why there is no signature of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningFailed {
    #[error(transparent)]
    NoScheme(#[from] NoScheme),
    #[error(transparent)]
    Sign(#[from] SignError),
}
