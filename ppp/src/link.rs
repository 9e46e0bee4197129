//! One PPP link, the network side.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::auth::Verdict;
use crate::config::{Grant, LinkConfig, Seed};
use crate::event::{CloseReason, Event, LinkInfo, Phase};

/// One PPP link, the network side: the authenticator, and the giver of addresses.
pub struct Link {
    config: Arc<LinkConfig>,
    _seed: Seed,
}

impl Link {
    /// A link whose lower layer is up; its Configure-Request is ready for [`Link::poll_transmit`].
    #[must_use]
    pub fn new(config: Arc<LinkConfig>, seed: Seed, _now: Instant) -> Self {
        Self { config, _seed: seed }
    }

    /// Takes a frame of the client, with or without FF 03, with a protocol of one or two octets.
    pub fn handle_frame(&mut self, _now: Instant, _frame: &[u8]) {}

    /// Does what is due at [`Link::poll_timeout`]; earlier calls do nothing.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Link::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next frame to send, with FF 03 and a protocol of two octets.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        None
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Answers [`Event::Credentials`].
    pub fn verdict(&mut self, _now: Instant, _verdict: Verdict) {}

    /// Answers [`Event::Authenticated`] with addresses.
    pub fn grant(&mut self, _now: Instant, _grant: Grant) {}

    /// Answers [`Event::Authenticated`] with a refusal: the link ends.
    pub fn deny(&mut self, _now: Instant, _reason: CloseReason) {}

    /// A data packet of this link was heard elsewhere: no Echo-Request is needed for a while.
    pub fn note_inbound(&mut self, _now: Instant) {}

    /// Ends the link with a Terminate-Request; [`Event::Down`] follows when the client agreed or did not answer.
    pub fn close(&mut self, _now: Instant, _reason: CloseReason) {}

    /// How it looks at the moment.
    #[must_use]
    pub fn info(&self) -> LinkInfo {
        LinkInfo {
            phase: Phase::Establish,
            local_mru: self.config.offered_mru(),
            peer_mru: 1500,
            short_protocol: false,
            omit_address_control: false,
            auth: None,
            ipv4: false,
            ipv6: false,
        }
    }
}
