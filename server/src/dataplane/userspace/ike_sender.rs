//! Sending IKE messages, from any thread.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use cygnet_esp::udp_encap::NON_ESP_MARKER;
use cygnet_ike::Path;
use socket2::{MsgHdr, SockAddr};

use super::sockets::{Kind, NAT_TRAVERSAL_PORT, Sockets};
use crate::io::control_message::ControlMessages;

/// Sends IKE messages through the sockets of the data plane. Clones are the same.
#[derive(Clone, Debug)]
pub struct IkeSender {
    sockets: Arc<Sockets>,
}

impl IkeSender {
    pub(super) fn new(sockets: Arc<Sockets>) -> Self {
        Self { sockets }
    }

    /// Sends a message from `path.local` to `path.peer`. From port 4500 it gets the non-ESP marker (RFC 3948 section 2.2).
    ///
    /// # Errors
    /// What the kernel reports, or [`io::ErrorKind::AddrNotAvailable`] if no socket is bound to the local address. IKE repeats
    /// what was lost, so an error is worth a line of log and no more.
    pub fn send(&self, path: Path, message: &[u8]) -> io::Result<()> {
        let marked = path.local.port() == NAT_TRAVERSAL_PORT;
        let kind = if marked { Kind::EspInUdp } else { Kind::Ike };
        let index = self.sockets.find(kind, path.local.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let marker: &[u8] = if marked { &NON_ESP_MARKER } else { &[] };
        let mut control = ControlMessages::default();
        control.source(path.local.ip());
        let to = SockAddr::from(path.peer);
        let parts = [IoSlice::new(marker), IoSlice::new(message)];
        let header = MsgHdr::new().with_addr(&to).with_buffers(&parts);
        let header = if control.as_bytes().is_empty() { header } else { header.with_control(control.as_bytes()) };
        self.sockets.0[index].socket.sendmsg(&header, libc::MSG_NOSIGNAL).map(|_| ())
    }

    /// The addresses that messages come to, by their ports.
    #[must_use]
    pub fn listening(&self) -> Vec<SocketAddr> {
        let local = |port: &super::sockets::Port| port.socket.local_addr().ok()?.as_socket();
        self.sockets.0.iter().filter(|port| port.kind != Kind::RawEsp).filter_map(local).collect()
    }
}
