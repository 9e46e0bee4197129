//! XAuth and Mode Config on the client's side.

use std::time::Instant;

use crate::crypto::hash::Hash;
use crate::wire::num::ExchangeType;
use crate::wire::v1::num::{ConfigAttr, ConfigType};
use crate::wire::v1::{Attribute, Attributes, ChainBuilder, Configuration, Header, Payload, Payloads};

use super::client::{Awaited, V1Client, V1End};
use super::isakmp::{Exchange, ExchangeKind, IsakmpSa, Opened};
use super::quick_mode::is_of;

impl V1Client {
    /// Asks for an address and the like.
    pub(super) fn request_settings(&mut self, now: Instant) {
        let attributes = self.config.mode_config.iter().map(|kind| Attribute::long(kind.0, Vec::new())).collect();
        let identifier = u16::from_be_bytes(self.array());
        let message_id = self.message_id();
        let request = Configuration::new(ConfigType::REQUEST, identifier, attributes);
        let Some(sa) = self.sas.last() else { return };
        let mut iv = sa.keys.phase_two_iv(&sa.last, message_id);
        let cookie = sa.cookies.0;
        let Some(message) = self.seal_configuration(message_id, &mut iv, request) else { return };
        if let Some(sa) = self.sas.last_mut() {
            sa.exchanges.insert(message_id, Exchange { iv, kind: ExchangeKind::Request, last: None });
        }
        self.expect(now, Awaited::Exchange(cookie, message_id), message);
    }

    pub(super) fn transaction(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let digest = Hash::Sha256.digest(&[message]);
        let Some(sa) = self.sas.iter().find(|sa| is_of(sa, header)) else { return };
        let known = sa.exchanges.get(&header.message_id);
        if let Some((_, answer)) = known.and_then(|e| e.last.as_ref()).filter(|(known, _)| *known == digest) {
            let answer = answer.clone();
            return self.send(&answer);
        }
        let Some(opened) = sa.open_phase_two(header, message, &[]) else { return };
        let Opened { first, plaintext, next } = opened;
        let Ok(payloads) = Payloads::parse(first, &plaintext) else { return };
        let configuration = payloads.iter().find_map(|payload| match payload {
            Payload::Configuration(configuration) => Some(configuration),
            _ => None,
        });
        let Some(configuration) = configuration else { return };
        match configuration.kind {
            ConfigType::REPLY if self.answered(Awaited::Exchange(header.initiator_cookie, header.message_id)) => {
                self.observed.settings = configuration.attributes.iter().cloned().map(Attribute::into_owned).collect();
                self.phase_one_is_up(now);
            }
            ConfigType::REQUEST | ConfigType::SET => {
                let mut iv = next;
                let (answer, verdict) = self.respond(configuration);
                let Some(message) = self.seal_configuration(header.message_id, &mut iv, answer) else { return };
                let sent = self.send_once(message);
                if let Some(sa) = self.sas.iter_mut().find(|sa| is_of(sa, header)) {
                    let exchange = Exchange { iv, kind: ExchangeKind::Answer, last: Some((digest, sent)) };
                    sa.exchanges.insert(header.message_id, exchange);
                }
                match verdict {
                    Some(true) => self.phase_one_is_up(now),
                    Some(false) => self.finish(V1End::XAuthFailed),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// The answer to a question or statement of the server, and what XAUTH-STATUS says.
    fn respond(&self, question: &Configuration<'_>) -> (Configuration<'static>, Option<bool>) {
        let user = self.config.xauth.as_ref();
        let status = question.attributes.find(ConfigAttr::XAUTH_STATUS.0).and_then(Attribute::number_u16);
        let (kind, list) = if question.kind == ConfigType::SET {
            let acknowledge = |attribute: &Attribute<'_>| match user {
                Some(user) if attribute.kind == ConfigAttr::XAUTH_STATUS.0 => {
                    Attribute::short(attribute.kind, user.ack_status)
                }
                _ => attribute.clone().into_owned(),
            };
            (ConfigType::ACK, question.attributes.iter().map(acknowledge).collect())
        } else {
            let answer = |attribute: &Attribute<'_>| {
                let user = user?;
                match ConfigAttr(attribute.kind) {
                    ConfigAttr::XAUTH_USER_NAME => Some(Attribute::long(attribute.kind, user.name.as_bytes().to_vec())),
                    ConfigAttr::XAUTH_USER_PASSWORD => {
                        let mut password = user.password.as_bytes().to_vec();
                        password.extend(user.trailing_nul.then_some(0));
                        Some(Attribute::long(attribute.kind, password))
                    }
                    ConfigAttr::XAUTH_TYPE => Some(Attribute::short(attribute.kind, 0)),
                    _ => None,
                }
            };
            (ConfigType::REPLY, question.attributes.iter().filter_map(answer).collect())
        };
        let attributes = Attributes::new(list);
        let verdict = status.filter(|_| kind == ConfigType::ACK).map(|status| status == 1);
        (Configuration { kind, identifier: question.identifier, attributes }, verdict)
    }

    fn seal_configuration(
        &mut self,
        message_id: u32,
        iv: &mut crate::crypto::cbc::Iv,
        configuration: Configuration<'static>,
    ) -> Option<Vec<u8>> {
        let envelope = self.envelope(ExchangeType::TRANSACTION, message_id);
        let sa = self.sas.last()?;
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Configuration(configuration));
        let chain = chain.finish().expect("short");
        let hash = sa.keys.hash(message_id, &[&chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("short");
        Some(IsakmpSa::seal(&sa.keys, sa.cookies, iv, chain, &envelope, &mut self.random))
    }
}
