//! Informational exchanges of the initiator: deletion, INITIAL-CONTACT and dead peer detection.

use std::time::Instant;

use crate::wire::EspSpi;
use crate::wire::IkeSpi;
use crate::wire::header::HEADER_LEN;
use crate::wire::num::ExchangeType;
use crate::wire::v1::num::{NotifyType, ProtocolId};
use crate::wire::v1::{ChainBuilder, Delete, Header, Notify, Payload, Payloads};

use super::client::{V1Client, V1End};
use super::isakmp::IsakmpSa;
use super::quick_mode::is_of;

impl V1Client {
    /// Sends one payload in an informational exchange of the newest ISAKMP SA, or of another one.
    pub fn inform(&mut self, of: Option<IkeSpi>, payload: &Payload<'_>) {
        self.send_raw(of, ExchangeType::INFORMATIONAL_V1, std::slice::from_ref(payload));
    }

    /// Sends a protected message with any payloads that begins an exchange, as a client with a defect might.
    pub fn send_raw(&mut self, of: Option<IkeSpi>, exchange: ExchangeType, payloads: &[Payload<'_>]) {
        let message_id = u32::from_be_bytes(self.array()).max(1);
        let envelope = self.envelope(exchange, message_id);
        let sa = match of {
            Some(cookie) => self.sas.iter().find(|sa| sa.cookies.0 == cookie),
            None => self.sas.last(),
        };
        let Some(sa) = sa else { return };
        let mut chain = ChainBuilder::new();
        for payload in payloads {
            chain.push(payload);
        }
        let chain = chain.finish().expect("short");
        let hash = sa.keys.hash(message_id, &[&chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("short");
        let mut iv = sa.keys.phase_two_iv(&sa.last, message_id);
        let message = IsakmpSa::seal(&sa.keys, sa.cookies, &mut iv, chain, &envelope, &mut self.random);
        self.send_once(message);
    }

    /// Cookies of the newest ISAKMP SA.
    #[must_use]
    pub fn cookies(&self) -> Option<(IkeSpi, IkeSpi)> {
        self.sas.last().map(|sa| sa.cookies)
    }

    pub(super) fn initial_contact(&mut self) {
        self.notify(NotifyType::INITIAL_CONTACT, &[]);
    }

    pub(super) fn probe(&mut self, _now: Instant) {
        let Some(sa) = self.sas.last_mut().filter(|sa| sa.peer_does_dpd) else { return };
        sa.probe_sequence += 1;
        let sequence = sa.probe_sequence.to_be_bytes();
        self.notify(NotifyType::R_U_THERE, &sequence);
    }

    fn notify(&mut self, kind: NotifyType, data: &[u8]) {
        let Some((initiator, responder)) = self.cookies() else { return };
        let spi = [initiator.0, responder.0].concat();
        self.inform(None, &Payload::Notify(Notify { protocol: ProtocolId::ISAKMP, spi: &spi, kind, data }));
    }

    pub(super) fn delete_child(&mut self, inbound: EspSpi) {
        if !self.forgets_to_delete {
            self.inform(None, &Payload::Delete(Delete::Esp(vec![inbound])));
        }
    }

    /// Deletes all ISAKMP SAs but the one with this cookie.
    pub(super) fn drop_older(&mut self, newest: IkeSpi) {
        let older: Vec<_> = self.sas.iter().map(|sa| sa.cookies).filter(|cookies| cookies.0 != newest).collect();
        for cookies in older {
            if !self.forgets_to_delete {
                self.inform(Some(cookies.0), &Payload::Delete(Delete::Isakmp(vec![cookies])));
            }
            self.forget(cookies.0);
        }
    }

    pub(super) fn close(&mut self) {
        for child in std::mem::take(&mut self.children) {
            self.delete_child(child.inbound);
        }
        if let Some(cookies) = self.cookies().filter(|_| !self.forgets_to_delete) {
            self.inform(None, &Payload::Delete(Delete::Isakmp(vec![cookies])));
        }
        self.sas.clear();
        self.finish(V1End::Closed);
    }

    pub(super) fn informational(&mut self, now: Instant, header: &Header, message: &[u8]) {
        if !header.flags.encryption {
            return self.unprotected(header, message);
        }
        let Some(sa) = self.sas.iter().find(|sa| is_of(sa, header)) else { return };
        let Some(opened) = sa.open_phase_two(header, message, &[]) else { return };
        let Ok(payloads) = Payloads::parse(opened.first, &opened.plaintext) else { return };
        for payload in payloads.iter() {
            match payload {
                Payload::Notify(notify) => self.notified(notify),
                Payload::Delete(delete) => self.deleted(delete),
                _ => {}
            }
        }
        self.next_task(now);
    }

    fn notified(&mut self, notify: &Notify<'_>) {
        self.observed.notifies.push(notify.kind);
        match notify.kind {
            NotifyType::R_U_THERE => {
                self.observed.probes += 1;
                let data = notify.data.to_vec();
                self.notify(NotifyType::R_U_THERE_ACK, &data);
            }
            NotifyType::R_U_THERE_ACK => self.observed.probe_answers += 1,
            kind if kind.is_error() && self.children.is_empty() => self.finish(V1End::Refused(kind)),
            _ => {}
        }
    }

    fn deleted(&mut self, delete: &Delete) {
        match delete {
            Delete::Esp(spis) => self.children.retain(|child| !spis.contains(&child.outbound)),
            Delete::Isakmp(cookies) => {
                for (initiator, _) in cookies {
                    self.forget(*initiator);
                }
                if self.sas.is_empty() {
                    self.finish(V1End::Deleted);
                }
            }
            Delete::Other { .. } => {}
        }
    }

    /// An error without protection ends a phase 1 that has proven nothing yet; nothing else does.
    fn unprotected(&mut self, header: &Header, message: &[u8]) {
        let Some(body) = message.get(HEADER_LEN..) else { return };
        let Ok(payloads) = Payloads::parse(header.next_payload, body) else { return };
        let kinds: Vec<NotifyType> = payloads.notifies().map(|notify| notify.kind).collect();
        self.observed.plain_notifies.extend(&kinds);
        let awaited = self.handshake_cookie() == Some(header.initiator_cookie);
        if let Some(kind) = kinds.into_iter().find(|kind| kind.is_error() && awaited) {
            self.finish(V1End::Refused(kind));
        }
    }
}
