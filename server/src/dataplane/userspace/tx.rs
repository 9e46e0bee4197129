//! The sending thread of a worker, or of a site's own device.
//!
//! ```text
//! TUN queue -> one packet or super-packet -> route by destination -> segments straight into the outbox, behind the link's header
//!     ^--- until the queue is empty or a round is full --- flush: seal, send <---'
//! ```
//!
//! Sending threads run in parallel, one per TUN queue, and share outbound SAs. The kernel keeps a flow on one queue, the thread
//! keeps the order of its packets, and the outbox the order of sequence numbers. Nothing here allocates, locks, logs or reads a
//! clock per packet; the outbox takes a lock per message of up to 64 packets.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::Control;
use super::counters::Event;
use super::dispatch::Dispatcher;
use super::outbox::Outbox;
use super::sockets::Sockets;
use super::tun::Queue;
use crate::io::sys::Readiness;

/// Packets and super-packets read before what they became is sent.
const ROUND: usize = 64;

/// What a sending thread works with.
pub(super) struct Transmitter {
    pub(super) queue: Queue,
    pub(super) dispatcher: Dispatcher,
}

impl Transmitter {
    /// Works until `control` says to stop or the interface is gone.
    pub(super) fn run(&self, sockets: &Arc<Sockets>, control: &Control) {
        let mut outbox = Outbox::new(sockets.clone(), self.dispatcher.counters.clone());
        let mut buffer = Box::new([0; Queue::BUFFER_LEN]);
        let mut readiness = Readiness::new([control.wake.as_fd(), self.queue.as_fd()]);
        while !control.is_stopped() {
            if readiness.wait().is_err() {
                return;
            }
            if readiness.is_ready(1) && self.round(&mut buffer, &mut outbox).is_err() {
                return;
            }
        }
    }

    /// Fails if the queue can be read no more.
    fn round(&self, buffer: &mut [u8; Queue::BUFFER_LEN], outbox: &mut Outbox) -> io::Result<()> {
        for _ in 0..ROUND {
            match self.queue.read(buffer) {
                Ok(Some((header, packet))) => self.dispatcher.dispatch(&header, packet, outbox),
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.dispatcher.counters.count(Event::TunFailure);
                }
                Err(error) => return Err(error),
            }
        }
        self.dispatcher.flush(outbox);
        Ok(())
    }
}
