//! Rekeying of the IKE SA by the client, RFC 7296 sections 1.3.2, 2.8 and 2.18.
//!
//! The session and its Child SAs stay; from now on they belong to the new IKE SA. The old one answers until the client
//! deletes it.

use crate::proposal::{ChosenIke, choose_ike};
use crate::refusal::RefusalReason;
use crate::wire::IkeSpi;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, KeyExchange, Nonce, Payload, SecurityAssociation};

use super::child::{self, Agreed, Refused};
use super::established::Established;
use super::keys::{IkeKeys, Nonces, SpiPair};
use super::own_rekey::Who;
use super::sa::{IkeSa, Role};
use super::{Context, Session};

impl Established {
    /// Takes the request to replace the IKE SA.
    pub(super) fn rekey(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        offered: &SecurityAssociation,
        nonce: &[u8],
        ke: &KeyExchange<'_>,
    ) {
        let mut chain = ChainBuilder::new();
        match self.new_sa(session, ctx, offered, nonce, ke, &mut chain) {
            Ok((new, own_nonce)) => {
                session.answer(ctx, &mut self.sa, chain);
                if let Some(new) = self.note_ike_rival(new, [nonce, &own_nonce]) {
                    self.switch_to(session, ctx, new, Who::Client);
                }
            }
            Err(refused) => {
                refused.push(&mut chain);
                session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, *refused.reason);
                session.answer(ctx, &mut self.sa, chain);
            }
        }
    }

    fn new_sa(
        &self,
        session: &Session,
        ctx: &mut Context<'_>,
        offered: &SecurityAssociation,
        nonce: &[u8],
        ke: &KeyExchange<'_>,
        chain: &mut ChainBuilder,
    ) -> Result<(IkeSa, Vec<u8>), Refused> {
        let chosen = choose_ike(session.policy(ctx.config), offered, ke.group)
            .map_err(|mismatch| Refused::new(RefusalReason::IkeProposal(mismatch), NotifyType::NO_PROPOSAL_CHOSEN))?;
        let initiator = initiator_spi(&chosen)?;
        let agreed = child::agree(ctx, chosen.suite.group, Some(ke))?;
        let spis = SpiPair { initiator, responder: ctx.new_ike_spi() };
        let own_nonce = child::new_nonce(ctx);
        let nonces = Nonces { initiator: nonce, responder: &own_nonce };
        let old = &self.sa;
        let keys = IkeKeys::rekeyed(old.suite.prf, &old.derive, &chosen.suite, &agreed.shared, &nonces, spis);
        let Agreed { group, public, .. } = &agreed;
        chain.push(&Payload::SecurityAssociation(chosen.reply(Some(spis.responder))));
        chain.push(&Payload::Nonce(Nonce(&own_nonce)));
        chain.push(&Payload::KeyExchange(KeyExchange { group: group.id(), data: public }));
        let new = IkeSa::rekeyed(Role::Responder, spis, chosen.suite, keys.sa, old);
        Ok((new, own_nonce))
    }
}

/// The client's SPI for the new IKE SA, which its proposal has to carry.
fn initiator_spi(chosen: &ChosenIke) -> Result<IkeSpi, Refused> {
    chosen.spi.filter(|spi| *spi != IkeSpi([0; 8])).ok_or_else(|| {
        let problem = "the proposal to rekey the IKE SA has no SPI";
        Refused::new(RefusalReason::Payloads { problem }, NotifyType::NO_PROPOSAL_CHOSEN)
    })
}
