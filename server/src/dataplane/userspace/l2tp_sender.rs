//! Sending one L2TP datagram of the control plane inside an SA pair, from the control thread.
//!
//! It takes its place among the packets of the sending threads: numbers are reserved and packets leave under the lock of the SA.

use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::sync::PoisonError;

use cygnet_esp::{DropReason, udp_transport};
use cygnet_l2tp::data;

use super::link_header;
use super::sockets::Sockets;
use super::table::Route;
use crate::dataplane::SendError;
use crate::io::mmsg::{Outgoing, SendBatch};

/// Seals and sends `datagram` from port 1701 to `port`. Returns whether the pair should be rekeyed.
pub(super) fn send(sockets: &Sockets, route: &Route, port: u16, datagram: &[u8]) -> Result<bool, SendError> {
    let sa = &route.outbound.sa;
    let (mut packet, payload_len) = framed(route, port, datagram)?;
    // A panic elsewhere while it was held has left nothing half done: the lock protects an order, not data.
    let _order = route.outbound.order.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sequences = sa.reserve(1)?;
    let crossed_soft_limit = sequences.crossed_soft_limit();
    let sequence = sequences.next().ok_or(DropReason::Exhausted)?;
    sa.seal(sequence, &mut packet, payload_len, udp_transport::UDP)?;
    let outgoing = Outgoing { to: route.peer, control: route.source, octets: &packet };
    match SendBatch::default().send(sockets.0[route.socket].as_fd(), iter::once(outgoing))? {
        0 => Err(SendError::Socket(io::ErrorKind::WouldBlock.into())),
        _ => Ok(crossed_soft_limit),
    }
}

/// Room for the ESP packet with the UDP datagram in its place, and the length of the latter.
fn framed(route: &Route, port: u16, datagram: &[u8]) -> Result<(Vec<u8>, usize), DropReason> {
    let header = udp_transport::header(data::PORT, port, datagram.len()).ok_or(DropReason::TooBig)?;
    let payload_len = header.len() + datagram.len();
    let mut packet = vec![0; route.outbound.sa.sealed_len(payload_len)];
    let payload = &mut packet[route.outbound.sa.header_len()..][..payload_len];
    let (front, back) = payload.split_at_mut(header.len());
    front.copy_from_slice(&header);
    back.copy_from_slice(datagram);
    if let Some(link) = route.link.as_ref().filter(|link| link.link.sequencing) {
        number(link, back);
    }
    if let Some(pseudo_header) = route.pseudo_header {
        link_header::write_checksum(pseudo_header, payload);
    }
    Ok((packet, payload_len))
}

/// Data messages of the control plane share their numbers with those of the packet path.
fn number(link: &link_header::LinkHeader, datagram: &mut [u8]) {
    let of_session = data::parse(datagram)
        .is_ok_and(|(header, _)| (header.tunnel, header.session) == (link.link.peer_tunnel, link.link.peer_session));
    if of_session {
        data::set_ns(datagram, link.next_ns());
    }
}
