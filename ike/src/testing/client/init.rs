//! The client's IKE_SA_INIT.

use std::time::Instant;

use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::secret::Secret;
use crate::nat::{NatStatus, detection_hash};
use crate::proposal::{IkeSuite, choose_ike};
use crate::v2::keys::{IkeKeys, Nonces, SpiPair};
use crate::wire::header::{Flags, HEADER_LEN, Header, Version};
use crate::wire::num::{ExchangeType, GroupId, NotifyType};
use crate::wire::v2::{KeyExchange, MessageBuilder, Nonce, Notify, Payload, Payloads, Spi, VendorId};

use super::{Client, End, Outstanding, Waiting};
use crate::testing::client_sa::ClientSa;

impl Client {
    pub(super) fn send_init(&mut self, now: Instant) {
        let Some(handshake) = &self.handshake else { return };
        let header = Header {
            initiator_spi: handshake.spi,
            responder_spi: None,
            next_payload: None,
            version: Version::V2,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: true, version: false, response: false },
            message_id: 0,
        };
        let mut message = MessageBuilder::new(&header);
        if !handshake.cookie.is_empty() {
            message.push(&Payload::Notify(Notify::new(NotifyType::COOKIE, &handshake.cookie)));
        }
        message.push(&Payload::SecurityAssociation(self.ike_offer(Spi::EMPTY)));
        let public = handshake.pair.as_ref().map(KeyPair::public).unwrap_or_default();
        message.push(&Payload::KeyExchange(KeyExchange { group: handshake.group.id(), data: public }));
        message.push(&Payload::Nonce(Nonce(&handshake.nonce)));
        let source = detection_hash(handshake.spi, None, self.path.local);
        let destination = detection_hash(handshake.spi, None, self.path.peer);
        message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source)));
        message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)));
        if self.config.fragmentation {
            message.push(&Payload::Notify(Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])));
        }
        if let Some(hashes) = &self.config.hashes {
            let hashes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
            message.push(&Payload::Notify(Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, &hashes)));
        }
        for vendor_id in &self.config.vendor_ids {
            message.push(&Payload::VendorId(VendorId(vendor_id)));
        }
        for (kind, data) in &self.config.status {
            message.push(&Payload::Notify(Notify::new(*kind, data)));
        }
        if self.config.ppk.is_some() {
            message.push(&Payload::Notify(Notify::new(NotifyType::USE_PPK, &[])));
        }
        let message = message.finish().expect("tests send short messages");
        if let Some(handshake) = &mut self.handshake {
            handshake.request.clone_from(&message);
        }
        self.expect(now, 0, Waiting::Init, vec![message.into()]);
    }

    pub(super) fn init_answer(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let waits = matches!(self.outstanding, Some(Outstanding { waiting: Waiting::Init, .. }));
        let Some(handshake) = self.handshake.as_mut().filter(|h| waits && h.spi == header.initiator_spi) else {
            return;
        };
        let chain = message.get(HEADER_LEN..).unwrap_or_default();
        let Ok(payloads) = Payloads::parse(header.next_payload, chain) else { return };
        for payload in &payloads {
            let Payload::Notify(notify) = payload else { continue };
            match notify.kind {
                NotifyType::COOKIE => {
                    self.demands.push(notify.kind);
                    handshake.cookie = notify.data.to_vec();
                    return self.send_init(now);
                }
                NotifyType::INVALID_KE_PAYLOAD => {
                    self.demands.push(notify.kind);
                    let group = notify.data.first_chunk::<2>().map(|group| GroupId(u16::from_be_bytes(*group)));
                    let Some(group) = group.and_then(Group::from_id).filter(|group| *group != handshake.group) else {
                        return self.finish(End::Distrust("a group that we do not have"));
                    };
                    handshake.group = group;
                    handshake.pair = Some(KeyPair::generate(group, &mut self.random));
                    return self.send_init(now);
                }
                kind if kind.is_error() => return self.finish(End::Refused(kind)),
                _ => {}
            }
        }
        if let Err(problem) = self.keys(header, message, &payloads) {
            return self.finish(End::Distrust(problem));
        }
        self.send_auth(now);
    }

    pub(super) fn keys(
        &mut self,
        header: &Header,
        message: &[u8],
        payloads: &Payloads<'_>,
    ) -> Result<(), &'static str> {
        let handshake = self.handshake.as_mut().ok_or("no handshake")?;
        let (mut chosen, mut public, mut nonce, mut fragmentation, mut ppk) = (None, None, None, false, false);
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(sa) => {
                    chosen = choose_ike(&self.config.policy, sa, handshake.group.id()).ok().map(|chosen| chosen.suite);
                }
                Payload::KeyExchange(ke) => public = Some(ke.data),
                Payload::Nonce(n) => nonce = Some(n.0),
                Payload::Notify(n) if n.kind == NotifyType::CHILDLESS_IKEV2_SUPPORTED => {
                    self.told.push((n.kind, n.data.to_vec()));
                }
                Payload::Notify(n) if n.kind == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED => fragmentation = true,
                Payload::Notify(n) if n.kind == NotifyType::USE_PPK => ppk = true,
                Payload::Notify(n) if n.kind == NotifyType::SIGNATURE_HASH_ALGORITHMS => handshake.peer_hashes = true,
                _ => {}
            }
        }
        let suite: IkeSuite = chosen.ok_or("no acceptable suite in the answer")?;
        let (public, nonce) = (public.ok_or("no KE")?, nonce.ok_or("no Nr")?);
        let pair = handshake.pair.take().ok_or("no key pair")?;
        let shared = pair.agree(public).map_err(|_| "public value")?;
        let responder = header.responder_spi.ok_or("no SPIr")?;
        let spis = SpiPair { initiator: handshake.spi, responder };
        let nonces = Nonces { initiator: &handshake.nonce, responder: nonce };
        let keys = IkeKeys::initial(&suite, &shared, &nonces, spis);
        match &self.config.ppk {
            Some(own) if ppk => {
                let mix = |key: &Secret| suite.prf.plus(&own.secret, &[key.expose()], key.len());
                let (initiator, responder) = (mix(&keys.prove_initiator), mix(&keys.prove_responder));
                handshake.mixed = Some((initiator, responder, mix(&keys.sa.derive)));
            }
            Some(own) if own.required => return Err("the server has no postquantum preshared key"),
            Some(_) | None => {}
        }
        handshake.answer = message.to_vec();
        handshake.responder_nonce = nonce.to_vec();
        handshake.prove = Some((keys.prove_initiator, keys.prove_responder));
        let seen_from_here = NatStatus::detect_answer(payloads.iter(), spis, self.path);
        if seen_from_here.any() || self.config.mobike {
            (self.path.local, self.path.peer) = (with_port(self.path.local, 4500), with_port(self.path.peer, 4500));
        }
        self.sa = Some(ClientSa::new(spis, suite, keys.sa, fragmentation && self.config.fragmentation, 1));
        Ok(())
    }
}

fn with_port(mut address: std::net::SocketAddr, port: u16) -> std::net::SocketAddr {
    address.set_port(port);
    address
}
