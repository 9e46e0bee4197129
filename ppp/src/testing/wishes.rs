//! A client's options of one control protocol: it takes what it is told and drops what is rejected.

use super::profile::OptionList;
use crate::auth::Method;
use crate::control::{Judgement, Negotiation};
use crate::event::CloseReason;
use crate::frame::Protocol;
use crate::option::{OptionWriter, Options};

/// Options of the protocol with number `P`.
pub(super) struct Wishes<const P: u16> {
    pub(super) own: OptionList,
    /// What the gateway asked for in the request that was acknowledged.
    pub(super) agreed: OptionList,
    /// Ways to authenticate that are accepted.
    auth: Vec<Method>,
}

impl<const P: u16> Wishes<P> {
    pub(super) fn new(own: OptionList, auth: Vec<Method>) -> Self {
        Self { own, agreed: Vec::new(), auth }
    }

    /// The value of an own option as a number.
    pub(super) fn own(&self, kind: u8) -> Option<u64> {
        let (_, value) = self.own.iter().find(|(own, _)| *own == kind)?;
        Some(value.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    /// The method that the gateway asked for and got.
    pub(super) fn method(&self) -> Option<Method> {
        self.agreed.iter().find(|(kind, _)| *kind == 3).and_then(|(_, value)| Method::of_option(value))
    }

    fn knows(kind: u8) -> bool {
        match Protocol(P) {
            Protocol::LCP => matches!(kind, 1 | 2 | 3 | 5 | 7 | 8),
            Protocol::IPCP => kind == 3,
            _ => kind == 1,
        }
    }
}

impl<const P: u16> Negotiation for Wishes<P> {
    const PROTOCOL: Protocol = Protocol(P);

    fn request(&self, out: &mut OptionWriter) {
        for (kind, value) in &self.own {
            out.push(*kind, value);
        }
    }

    fn judge(&mut self, options: &Options<'_>, _: u32) -> Judgement {
        let (mut reject, mut nak) = (OptionWriter::new(), OptionWriter::new());
        for option in options.iter() {
            if !Self::knows(option.kind) {
                reject.push(option.kind, option.data);
            } else if P == Protocol::LCP.0 && option.kind == 3 {
                let method = Method::of_option(option.data);
                if method.is_none_or(|method| !self.auth.contains(&method)) {
                    nak.push(3, self.auth.first().map_or(&[0xc2, 0x23, 0x80], |method| method.option()));
                }
            }
        }
        if !reject.is_empty() {
            return Judgement::Reject(reject);
        }
        if !nak.is_empty() {
            return Judgement::Nak(nak);
        }
        self.agreed = options.iter().map(|option| (option.kind, option.data.to_vec())).collect();
        Judgement::Ack
    }

    fn on_nak(&mut self, options: &Options<'_>) -> Result<(), CloseReason> {
        for (kind, value) in &mut self.own {
            if let Some(option) = options.find(*kind) {
                *value = option.data.to_vec();
            }
        }
        Ok(())
    }

    fn on_reject(&mut self, options: &Options<'_>) -> Result<(), CloseReason> {
        self.own.retain(|(kind, _)| options.find(*kind).is_none());
        Ok(())
    }
}
