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

use self::wire::{Connection, Message, messages};
use super::NetError;

/// How long admissions may wait for the kernel to forget. To look through 100 000 connections took 0.8 s on two cores with ten
/// times as much to do as they could, to delete all of them 1 s more. What a first attempt deletes is gone for the next.
const PATIENCE: Duration = Duration::from_secs(5);
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
    let (list, mut deletion) = (TokioSocket::new(NETLINK_NETFILTER)?, Deletion::new()?);
    list.send_to(&wire::list(family(addresses)), &SocketAddr::new(0, 0)).await?;
    let mut datagram = Vec::with_capacity(DATAGRAM);
    loop {
        datagram.clear();
        list.recv(&mut datagram).await?;
        for message in messages(&datagram) {
            match message.map_err(io::Error::other)? {
                Message::Connection(connection) if connection.involves(addresses) => deletion.add(&connection).await?,
                Message::Connection(_) | Message::Other => {}
                Message::Outcome(number) => {
                    result(number)?;
                    return deletion.finish().await;
                }
            }
        }
        // A kernel is always ready to go on with a list: let others have their turn.
        tokio::task::yield_now().await;
    }
}

/// Requests to delete connections, sent many at a time.
struct Deletion {
    socket: TokioSocket,
    batch: Vec<u8>,
    /// Requests in `batch`, or sent and not answered yet.
    waiting: usize,
    deleted: usize,
    /// The first error number.
    refused: Option<i32>,
}

impl Deletion {
    fn new() -> io::Result<Self> {
        let socket = TokioSocket::new(NETLINK_NETFILTER)?;
        Ok(Self { socket, batch: Vec::new(), waiting: 0, deleted: 0, refused: None })
    }

    async fn add(&mut self, connection: &Connection<'_>) -> io::Result<()> {
        connection.emit_delete(&mut self.batch);
        self.waiting += 1;
        if self.waiting == BATCH { self.send().await } else { Ok(()) }
    }

    /// How many were deleted, unless the kernel refused one of them.
    async fn finish(mut self) -> io::Result<usize> {
        self.send().await?;
        match self.refused {
            None => Ok(self.deleted),
            // Whatever the number means here, the kernel does know such requests.
            Some(number) => Err(io::Error::other(io::Error::from_raw_os_error(number))),
        }
    }

    /// Sends the batch and waits for all answers.
    async fn send(&mut self) -> io::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.socket.send_to(&self.batch, &SocketAddr::new(0, 0)).await?;
        self.batch.clear();
        let mut datagram = Vec::with_capacity(DATAGRAM);
        while self.waiting > 0 {
            datagram.clear();
            self.socket.recv(&mut datagram).await?;
            for message in messages(&datagram) {
                match message.map_err(io::Error::other)? {
                    Message::Outcome(0) => self.deleted += 1,
                    Message::Outcome(libc::ENOENT) => {} // it has timed out by itself meanwhile
                    Message::Outcome(number) => self.refused = self.refused.or(Some(number)),
                    Message::Connection(_) | Message::Other => continue,
                }
                self.waiting = self.waiting.saturating_sub(1);
            }
        }
        Ok(())
    }
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
