//! What the kernel remembers of connections of clients that have left.
//!
//! The kernel tracks each forwarded connection (nf_conntrack): its addresses, and how they are translated. Such an entry
//! outlives its client by seconds (UDP) or days (TCP). So whoever gets the address next would receive what strangers
//! still send to the former holder, through mappings that the former holder made. [`Former`] notes which addresses
//! became free, and has the kernel forget their connections: before packets of the next holder pass, at the latest with
//! the next repair. The list is read in one go for all of them, since the kernel has to look at each connection of the
//! machine for that.
//!
//! If the kernel refuses, or has too many connections to look through in [`PATIENCE`], the next client is admitted all the
//! same, and the log says so once. That is deliberate: whoever can fill the table would otherwise lock everybody
//! out, the leftovers are strangers' answers to questions of a client that has gone, and the kernel drops them with time.
//!
//! A session that takes over the lease of an earlier one (reauthentication, reconnect) is not concerned: its address was
//! never expelled. A client that left and comes back to the address it had finds its connections forgotten too; the kernel
//! takes up TCP connections in their midst, and keeps source ports where it can, so most of them go on.
//!
//! Does not: load kernel modules, or know about addresses leased before a restart of the gateway.

mod wire;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use self::wire::{Message, messages};
use super::NetError;

/// How long admissions may wait for the kernel to forget. A quarter of a million connections, the kernel's usual limit, take
/// less than a tenth of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most that a kernel puts into one datagram of a list, octets.
const DATAGRAM: usize = 32 * 1024;
/// Requests in one datagram. Their answers fit into the socket's buffer.
const BATCH: usize = 64;

const UNAVAILABLE: &str = "this kernel cannot delete tracked connections (CONFIG_NF_CT_NETLINK, module nf_conntrack_netlink): until they time out, answers \
     to a client that has left may reach the next one with its address";

/// Addresses that were leased, and whose connections the kernel has yet to forget.
#[derive(Default)]
pub(super) struct Former {
    addresses: BTreeSet<IpAddr>,
    /// The log says already that it doesn't work.
    told: bool,
}

impl Former {
    /// To be called when addresses change hands, before packets of the admitted ones pass. One that is expelled and admitted
    /// belongs in both lists.
    pub(super) async fn make_way(&mut self, admitted: &[IpAddr], expelled: impl Iterator<Item = IpAddr>) {
        let expelled: BTreeSet<IpAddr> = expelled.collect();
        self.addresses.extend(&expelled);
        if admitted.iter().any(|address| self.addresses.contains(address)) {
            self.forget().await;
        }
        // Those that were just expelled may be in use until the packet filter knows.
        self.addresses.extend(expelled);
        // What is tracked from now on is the new holder's.
        for address in admitted {
            self.addresses.remove(address);
        }
    }

    /// Has the kernel forget what is left to forget. What fails is tried again with the next call.
    pub(super) async fn forget(&mut self) {
        if self.addresses.is_empty() {
            return;
        }
        let done = tokio::time::timeout(PATIENCE, delete_connections(&self.addresses)).await;
        match done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(connections) => {
                tracing::debug!(
                    connections,
                    addresses = self.addresses.len(),
                    "connections of former clients forgotten"
                );
                self.addresses.clear();
                self.told = false;
            }
            Err(error) => self.tell(error),
        }
    }

    fn tell(&mut self, source: io::Error) {
        let hint = is_unavailable(&source).then_some(UNAVAILABLE);
        if hint.is_some() {
            self.addresses.clear();
        }
        let error = NetError::Netlink { action: "forget the connections of former clients".to_owned(), source, hint };
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(%error, "answers to former clients may reach the next ones with their addresses for a while");
        }
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}

/// Ends the tracking of all connections with one of these ends, in the calling thread's network namespace. Returns how many.
async fn delete_connections(addresses: &BTreeSet<IpAddr>) -> io::Result<usize> {
    // One conversation per socket: a list may be longer than what fits into the buffer beside answers.
    let (list, requests) = (TokioSocket::new(NETLINK_NETFILTER)?, TokioSocket::new(NETLINK_NETFILTER)?);
    list.send_to(&wire::list(family(addresses)), &SocketAddr::new(0, 0)).await?;
    let mut datagram = Vec::with_capacity(DATAGRAM);
    let mut deleted = 0;
    loop {
        datagram.clear();
        list.recv(&mut datagram).await?;
        let (mut batch, mut waiting) = (Vec::new(), 0);
        for message in messages(&datagram) {
            match message.map_err(io::Error::other)? {
                Message::Connection(connection) if connection.involves(addresses) => {
                    connection.emit_delete(&mut batch);
                    waiting += 1;
                }
                Message::Outcome(number) => {
                    return delete(&requests, &mut batch, &mut waiting).await.and(result(number)).map(|()| deleted);
                }
                Message::Connection(_) | Message::Other => continue,
            }
            deleted += 1;
            if waiting == BATCH {
                delete(&requests, &mut batch, &mut waiting).await?;
            }
        }
        delete(&requests, &mut batch, &mut waiting).await?;
        // A kernel is always ready to go on with a list: let others have their turn.
        tokio::task::yield_now().await;
    }
}

/// Sends the requests of a batch and waits for all answers. Leaves an empty batch.
async fn delete(socket: &TokioSocket, batch: &mut Vec<u8>, waiting: &mut usize) -> io::Result<()> {
    if *waiting == 0 {
        return Ok(());
    }
    socket.send_to(batch, &SocketAddr::new(0, 0)).await?;
    let mut datagram = Vec::with_capacity(DATAGRAM);
    let mut outcome = Ok(());
    while *waiting > 0 {
        datagram.clear();
        socket.recv(&mut datagram).await?;
        for message in messages(&datagram) {
            if let Message::Outcome(number) = message.map_err(io::Error::other)? {
                *waiting = waiting.saturating_sub(1);
                // It may have timed out by itself meanwhile.
                outcome = outcome.and(if number == libc::ENOENT { Ok(()) } else { result(number) });
            }
        }
    }
    batch.clear();
    outcome
}

fn result(number: i32) -> io::Result<()> {
    if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(number)) }
}

/// The family of all of them, AF_UNSPEC if there are two.
fn family(addresses: &BTreeSet<IpAddr>) -> u8 {
    let family = match (addresses.iter().any(IpAddr::is_ipv4), addresses.iter().any(IpAddr::is_ipv6)) {
        (true, false) => libc::AF_INET,
        (false, true) => libc::AF_INET6,
        _ => libc::AF_UNSPEC,
    };
    u8::try_from(family).expect("families have small numbers")
}
