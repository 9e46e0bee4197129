//! INITIAL_CONTACT, RFC 7296 section 2.4: which sessions a peer means that says it has no other.
//!
//! Does not: end them (see [`Endpoint`](crate::Endpoint)), or decide about users of EAP, whose identity is only claimed.

use std::net::IpAddr;
use std::time::Instant;

use crate::event::{AccessRequest, AuthenticatedBy};

use super::{Session, State};

impl Session {
    /// Whether a peer means this session when it says by INITIAL_CONTACT that it has no other: it has
    /// proven the same identity in the same way, in a session that began at `since`, after this one was established. Several
    /// devices of a client may have one certificate or key. So this has to be the same device as well: it calls from the same
    /// address, or asks for an inner address of this session, which is no proof where a key is known to others.
    pub(crate) fn is_forgotten(&self, request: &AccessRequest, since: Instant) -> bool {
        let State::Established(state) = &self.state else { return false };
        let is_same = self.identity.as_ref() == Some(&request.identity)
            && self.by == Some(request.by)
            && self.site.as_ref().map(|site| &site.name) == request.site.as_ref();
        let is_older = self.established.is_some_and(|established| established < since);
        let is_here = self.path.peer.ip().to_canonical() == request.path.peer.ip().to_canonical();
        let asked = [request.ipv4.flatten().map(IpAddr::V4), request.ipv6.flatten().map(IpAddr::V6)];
        let is_asked_for = request.by != AuthenticatedBy::Psk
            && state.addresses().iter().any(|address| asked.contains(&Some(*address)));
        is_same && is_older && (self.site.is_some() || is_here || is_asked_for)
    }
}
