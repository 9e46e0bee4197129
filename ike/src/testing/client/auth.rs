//! The client's IKE_AUTH: its proof, and the check of the server's.

use std::time::Instant;

use crate::cert::{Role, verify_chain};
use crate::crypto::secret::Secret;
use crate::crypto::sign::SigningKey;
use crate::crypto::testing::SeededRandom;
use crate::identity::Identity;
use crate::proposal::ChildKeyExchange;
use crate::v2::keys;
use crate::wire::EspSpi;
use crate::wire::num::{AuthMethod, CertEncoding, CpAttr, CpType, ExchangeType, NotifyType};
use crate::wire::v2::{
    Authentication, Certificate, CertificateRequest, ChainBuilder, Configuration, CpAttribute, Eap, Identification,
    Notify, Payload, Payloads, VendorId,
};

use super::{AuthStep, Client, ClientConfig, End, Handshake, Login, ServerProof, Waiting};
use crate::testing::client_sa::{ClientSa, Opened};

impl Client {
    pub(super) fn send_auth(&mut self, now: Instant) {
        let child_spi = EspSpi(u32::from_be_bytes(self.bytes()) | 0x100);
        let mut chain = ChainBuilder::new();
        let id = self.config.identity.data();
        chain.push(&Payload::IdInitiator(Identification::new(self.config.identity.id_type(), &id)));
        if let Login::Certificate { chain: certificates, .. } = &self.config.login {
            for data in certificates {
                chain.push(&Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data }));
            }
        }
        if let Login::RawKey { key_pem, sends_key: true } = &self.config.login {
            let data = &SigningKey::from_pem(key_pem).expect("the test's key is valid").public_key().to_spki();
            chain.push(&Payload::Certificate(Certificate { encoding: CertEncoding::RAW_PUBLIC_KEY, data }));
        }
        if let Some(authorities) = &self.config.requested_authorities {
            let encoding = CertEncoding::X509_SIGNATURE;
            chain.push(&Payload::CertificateRequest(CertificateRequest { encoding, authorities }));
        }
        if self.config.eap_only {
            chain.push(&Payload::Notify(Notify::new(NotifyType::EAP_ONLY_AUTHENTICATION, &[])));
        }
        if self.config.initial_contact {
            chain.push(&Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, &[])));
        }
        if let Some(idr) = &self.config.server_identity {
            chain.push(&Payload::IdResponder(Identification::new(idr.id_type(), &idr.data())));
        }
        let Some(handshake) = &mut self.handshake else { return };
        handshake.child_spi = child_spi;
        if let Some(sa) = &self.sa {
            push_auth(&mut chain, &self.config, handshake, |prove| {
                own_auth(&self.config, sa, handshake, prove, &mut self.random)
            });
        }
        if !self.config.asks_late {
            self.push_attributes(&mut chain);
        }
        if !self.config.childless {
            self.push_mode(&mut chain);
            chain.push(&Payload::SecurityAssociation(self.child_offer(child_spi, false)));
            self.push_selectors(&mut chain);
        }
        if self.config.mobike {
            chain.push(&Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])));
        }
        for vendor_id in self.config.vendor_ids.iter().chain(&self.config.late_vendor_ids) {
            chain.push(&Payload::VendorId(VendorId(vendor_id)));
        }
        for (kind, data) in &self.config.status {
            chain.push(&Payload::Notify(Notify::new(*kind, data)));
        }
        self.send_request(now, ExchangeType::IKE_AUTH, chain, Waiting::Auth, false);
    }

    pub(super) fn push_mode(&self, chain: &mut ChainBuilder) {
        if self.config.transport {
            chain.push(&Payload::Notify(Notify::new(NotifyType::USE_TRANSPORT_MODE, &[])));
        }
    }

    pub(super) fn push_attributes(&self, chain: &mut ChainBuilder) {
        if !self.config.attributes.is_empty() {
            let wanted = self.config.wanted.map(|address| address.octets().to_vec()).unwrap_or_default();
            let of = |kind: &CpAttr| match *kind {
                CpAttr::INTERNAL_IP4_ADDRESS => CpAttribute::new(*kind, wanted.clone()),
                _ => CpAttribute::new(*kind, &[][..]),
            };
            let attributes = self.config.attributes.iter().map(of).collect();
            chain.push(&Payload::Configuration(Configuration { kind: CpType::REQUEST, attributes }));
        }
    }

    pub(super) fn auth_answer(&mut self, now: Instant, opened: &Opened) {
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else {
            return self.finish(End::Distrust("malformed answer"));
        };
        let failed = payloads.iter().find_map(|payload| match payload {
            Payload::Notify(notify) if notify.kind == NotifyType::AUTHENTICATION_FAILED => Some(notify.kind),
            _ => None,
        });
        if let Some(kind) = failed {
            return self.finish(End::Refused(kind));
        }
        if let Err(problem) = self.check_server(&payloads) {
            return self.finish(End::Distrust(problem));
        }
        let packet =
            payloads.iter().find_map(|payload| if let Payload::Eap(eap) = payload { Some(eap.0) } else { None });
        match packet {
            Some(packet) => self.eap(now, packet),
            None => self.logged_in(now, &payloads),
        }
    }

    pub(super) fn eap(&mut self, now: Instant, packet: &[u8]) {
        const REQUEST: u8 = 1;
        const SUCCESS: u8 = 3;
        let Login::Eap(peer) = &mut self.config.login else {
            return self.finish(End::Distrust("EAP was not asked for"));
        };
        let Some(handshake) = &mut self.handshake else { return };
        let mut chain = ChainBuilder::new();
        match packet.first() {
            Some(&REQUEST) => {
                handshake.step = AuthStep::Eap;
                chain.push(&Payload::Eap(Eap(&peer.respond(packet))));
            }
            Some(&SUCCESS) => {
                handshake.step = AuthStep::Final;
                let Some(sa) = &self.sa else { return };
                let (body, msk) = (keys::own_id_body(&self.config.identity), peer.msk());
                let prf = sa.suite.prf;
                push_auth(&mut chain, &self.config, handshake, |prove| {
                    let octets = keys::auth_octets(prf, &handshake.request, &handshake.responder_nonce, prove, &body);
                    Some((AuthMethod::SHARED_KEY, keys::shared_key_auth(prf, &msk, &octets).expose().to_vec()))
                });
            }
            _ => return self.finish(End::EapFailure),
        }
        self.send_request(now, ExchangeType::IKE_AUTH, chain, Waiting::Auth, false);
    }

    /// Checks what the server proves itself with, in the first answer and after EAP in the last.
    pub(super) fn check_server(&mut self, payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let (handshake, sa) = (self.handshake.as_mut().ok_or("no handshake")?, self.sa.as_mut().ok_or("no SA")?);
        let (mut idr, mut auth, mut certificates, mut ppk) = (None, None, Vec::new(), false);
        for payload in payloads {
            match payload {
                Payload::IdResponder(id) => idr = Identity::parse(id.id_type, id.data).ok(),
                Payload::Authentication(a) => auth = Some(*a),
                Payload::Certificate(c) => certificates.push(*c),
                Payload::Notify(n) if n.kind == NotifyType::PPK_IDENTITY => ppk = true,
                _ => {}
            }
        }
        if let Some(idr) = idr {
            self.server_identity = Some(idr);
        }
        if handshake.step == AuthStep::Eap {
            return Ok(());
        }
        let expects_ppk = !matches!((&self.config.login, handshake.step), (Login::Eap(_), AuthStep::First));
        let mixed = handshake.mixed.take_if(|_| expects_ppk);
        let used = mixed.filter(|_| ppk).map(|(_, prove, derive)| {
            sa.derive = derive;
            prove
        });
        if expects_ppk && used.is_none() && self.config.ppk.as_ref().is_some_and(|ppk| ppk.required) {
            return Err("the server does not use the postquantum preshared key");
        }
        self.uses_ppk |= used.is_some();
        if auth.is_none() && self.config.eap_only && handshake.step == AuthStep::First {
            return Ok(());
        }
        let auth = auth.ok_or("the server sent no AUTH")?;
        let idr = self.server_identity.as_ref().ok_or("the server sent no IDr")?;
        let plain = handshake.prove.as_ref().map(|(_, prove)| prove);
        let prove = used.as_ref().or(plain).ok_or("no keys")?;
        let prf = sa.suite.prf;
        let octets = keys::auth_octets(prf, &handshake.answer, &handshake.nonce, prove, &keys::own_id_body(idr));
        let shared = match (&self.config.server_proof, &self.config.login, handshake.step) {
            (ServerProof::Psk(psk), ..) | (ServerProof::LikeClient, Login::Psk(psk), _) => Some(psk.clone()),
            (_, Login::Eap(peer), AuthStep::Final) => Some(peer.msk()),
            _ => None,
        };
        if let Some(shared) = shared {
            let expected = keys::shared_key_auth(prf, &shared, &octets);
            return if expected.ct_eq(auth.data) { Ok(()) } else { Err("the server's AUTH is wrong") };
        }
        let allow_sha1 = self.config.hashes.is_none();
        if let ServerProof::RawKey(key) = &self.config.server_proof {
            let is_raw = |found: &Certificate<'_>| found.encoding == CertEncoding::RAW_PUBLIC_KEY;
            if !certificates.iter().all(|found| is_raw(found) && found.data == key.to_spki()) {
                return Err("the server has another key");
            }
            return key.verify(auth.method, auth.data, &octets, allow_sha1).map_err(|_| "signature");
        }
        let certificates: Vec<&[u8]> = certificates.iter().map(|found| found.data).collect();
        let anchors = self.config.authorities.as_ref().ok_or("no authorities")?;
        let (end_entity, others) = certificates.split_first().ok_or("the server sent no certificate")?;
        let verified = verify_chain(end_entity, others, anchors, self.wall, Role::Server).map_err(|_| "certificate")?;
        let wanted = self.config.server_identity.as_ref().unwrap_or(idr);
        if !verified.matches(wanted) || idr != wanted {
            return Err("the server has another name");
        }
        verified.verify_auth(auth.method, auth.data, &octets, allow_sha1).map_err(|_| "signature")
    }

    pub(super) fn logged_in(&mut self, now: Instant, payloads: &Payloads<'_>) {
        let Some(handshake) = self.handshake.take() else { return };
        self.is_up = true;
        for payload in payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => self.refusals.push(notify.kind),
                Payload::Notify(notify) => self.told.push((notify.kind, notify.data.to_vec())),
                Payload::Configuration(reply) => {
                    self.reply = reply.attributes.iter().map(|a| (a.kind, a.value.to_vec())).collect();
                }
                _ => {}
            }
        }
        let (nonce, responder_nonce) = (handshake.nonce, handshake.responder_nonce);
        let made = self.child(payloads, handshake.child_spi, &nonce, &responder_nonce, None, ChildKeyExchange::Never);
        self.children.extend(made);
        self.next_task(now);
    }
}

/// Appends AUTH, and with a postquantum preshared key its name, and what AUTH would be without it.
fn push_auth(
    chain: &mut ChainBuilder,
    config: &ClientConfig,
    handshake: &Handshake,
    mut auth: impl FnMut(&Secret) -> Option<(AuthMethod, Vec<u8>)>,
) {
    let Some((plain, _)) = &handshake.prove else { return };
    let (Some((mixed, ..)), Some(ppk)) = (&handshake.mixed, &config.ppk) else {
        if let Some((method, data)) = auth(plain) {
            chain.push(&Payload::Authentication(Authentication { method, data: &data }));
        }
        return;
    };
    let Some((method, data)) = auth(mixed) else { return };
    chain.push(&Payload::Authentication(Authentication { method, data: &data }));
    chain.push(&Payload::Notify(Notify::new(NotifyType::PPK_IDENTITY, &ppk.identity)));
    if let Some((_, without)) = auth(plain).filter(|_| !ppk.required) {
        chain.push(&Payload::Notify(Notify::new(NotifyType::NO_PPK_AUTH, &without)));
    }
}

/// Our proof for the first request; none with EAP.
fn own_auth(
    config: &ClientConfig,
    sa: &ClientSa,
    handshake: &Handshake,
    prove: &Secret,
    random: &mut SeededRandom,
) -> Option<(AuthMethod, Vec<u8>)> {
    let prf = sa.suite.prf;
    let body = keys::own_id_body(&config.identity);
    let octets = keys::auth_octets(prf, &handshake.request, &handshake.responder_nonce, prove, &body);
    match &config.login {
        Login::Psk(psk) => Some((AuthMethod::SHARED_KEY, keys::shared_key_auth(prf, psk, &octets).expose().to_vec())),
        Login::Certificate { key_pem, .. } | Login::RawKey { key_pem, .. } => {
            let key = SigningKey::from_pem(key_pem).expect("the test's key is valid");
            let hashes = config.hashes.as_deref().filter(|_| handshake.peer_hashes);
            let scheme = key.choose(hashes, true).expect("the test's key has a scheme");
            Some((scheme.method(), key.sign(scheme, &octets, random).expect("the scheme is one of the key")))
        }
        Login::Eap(_) => None,
    }
}
