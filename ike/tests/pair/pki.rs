//! An authority for tests, and what it issues.

use std::sync::Arc;

use cygnet_ike::cert::TrustAnchors;
use cygnet_ike::config::Config;
use cygnet_ike::credential::{Authorities, Credential};
use cygnet_ike::testing::{ClientConfig, Login};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, date_time_ymd,
};

use crate::setup::*;

/// An authority with an intermediate, as a public one has it.
pub(crate) struct Pki {
    pub(crate) root: Vec<u8>,
    pub(crate) intermediate: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

pub(crate) fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self::named("root")
    }

    pub(crate) fn named(name: &str) -> Self {
        let authority = |name| {
            let mut params = params(name, &[]);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root_key, key) = (KeyPair::generate().expect("randomness"), KeyPair::generate().expect("randomness"));
        let (root_params, params) = (authority(name), authority("intermediate"));
        let root = root_params.self_signed(&root_key).expect("good parameters").der().to_vec();
        let issuer = Issuer::from_params(&root_params, &root_key);
        let intermediate = params.signed_by(&key, &issuer).expect("good parameters").der().to_vec();
        Self { root, intermediate, params, key }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> (Vec<Vec<u8>>, String) {
        self.issue_for(params, &KeyPair::generate().expect("randomness"))
    }

    /// A certificate for this key.
    pub(crate) fn issue_for(&self, params: &CertificateParams, key: &KeyPair) -> (Vec<Vec<u8>>, String) {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(key, &issuer).expect("good parameters").der().to_vec();
        (vec![der, self.intermediate.clone()], key.serialize_pem())
    }

    pub(crate) fn server(&self) -> Config {
        let (chain, key) = self.issue(&params("gateway", &["gw.example", "vpn.example"]));
        let mut config = Config::new(identity("gw.example"));
        config.credentials = vec![Arc::new(Credential::new(chain, key.as_bytes()).expect("they belong together"))];
        config.client_authorities =
            Some(Arc::new(Authorities::new(std::slice::from_ref(&self.root)).expect("an authority")));
        config.eap = true;
        config
    }

    pub(crate) fn client(&self, login: Login) -> ClientConfig {
        let mut config = client();
        config.login = login;
        config.server_identity = Some(identity("vpn.example"));
        config.authorities = Some(TrustAnchors::new(&[&self.root]).expect("an authority"));
        config
    }

    pub(crate) fn certificate(&self, params: &CertificateParams) -> Login {
        let (chain, key) = self.issue(params);
        Login::Certificate { chain, key_pem: key.into_bytes() }
    }

    /// A certificate with its key as the gateway has it.
    pub(crate) fn credential(&self, params: &CertificateParams) -> Arc<Credential> {
        let (chain, key) = self.issue(params);
        Arc::new(Credential::new(chain, key.as_bytes()).expect("they belong together"))
    }

    pub(crate) fn authorities(&self) -> Authorities {
        Authorities::new(std::slice::from_ref(&self.root)).expect("an authority")
    }

    /// The body of a certificate request for the intermediate authority.
    pub(crate) fn request(&self) -> Vec<u8> {
        TrustAnchors::new(&[&self.intermediate]).expect("an authority").request_authorities()
    }

    /// The list of the intermediate authority with these serial numbers, due in 2028.
    pub(crate) fn revocation_list(&self, serials: &[u64]) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2026, 12, 24),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2027, 1, 1),
            next_update: date_time_ymd(2028, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer = Issuer::from_params(&self.params, &self.key);
        list.signed_by(&issuer).expect("good parameters").der().to_vec()
    }
}
