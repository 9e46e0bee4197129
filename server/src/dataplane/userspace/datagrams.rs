//! The queues from the packet path to the control plane: one for strangers, one for clients.
//!
//! A flood of IKE messages, which anybody can send, does not push out what clients say inside ESP, and the reverse. Both are bounded:
//! what finds its queue full is dropped and counted by its sender.

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{IkeDatagram, L2tpDatagram, ToControl};

/// IKE messages that wait for the control plane. Beyond, they are dropped and counted; IKE retransmits.
const IKE_QUEUE: usize = 512;

/// L2TP datagrams that wait for the control plane. L2TP and PPP repeat what gets lost.
const L2TP_QUEUE: usize = 1024;

/// Longest IKE message that is passed on, octets: some chains of certificates. With [`IKE_QUEUE`] it bounds what strangers can
/// make us keep to 16 MiB.
const MAX_IKE_MESSAGE: usize = 32 << 10;

/// Longest L2TP datagram that is passed on, octets: a PPP frame as long as our MRU, and more than any control message has.
const MAX_L2TP_DATAGRAM: usize = 4 << 10;

/// The senders' side. Clones are the same queues.
#[derive(Clone)]
pub(super) struct ControlQueue {
    ike: Sender<IkeDatagram>,
    l2tp: Sender<L2tpDatagram>,
}

/// Why a datagram did not get into its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room.
    Full,
    /// It is too long.
    TooLong,
}

/// What the control plane has to answer, in no order between the two kinds.
pub struct Datagrams {
    ike: Receiver<IkeDatagram>,
    l2tp: Receiver<L2tpDatagram>,
    /// Which queue has its turn.
    l2tp_next: bool,
}

/// New queues.
pub(super) fn queues() -> (ControlQueue, Datagrams) {
    let (ike, from_strangers) = mpsc::channel(IKE_QUEUE);
    let (l2tp, from_clients) = mpsc::channel(L2TP_QUEUE);
    (ControlQueue { ike, l2tp }, Datagrams { ike: from_strangers, l2tp: from_clients, l2tp_next: false })
}

impl ControlQueue {
    /// Copies an IKE message.
    pub(super) fn pass_ike(&self, path: cygnet_ike::Path, message: &[u8]) -> Result<(), Refused> {
        if message.len() > MAX_IKE_MESSAGE {
            return Err(Refused::TooLong);
        }
        let room = self.ike.try_reserve().map_err(|_| Refused::Full)?;
        room.send(IkeDatagram { path, message: message.to_vec() });
        Ok(())
    }

    /// Copies an L2TP datagram.
    pub(super) fn pass_l2tp(&self, spi: cygnet_ike::EspSpi, port: u16, datagram: &[u8]) -> Result<(), Refused> {
        if datagram.len() > MAX_L2TP_DATAGRAM {
            return Err(Refused::TooLong);
        }
        let room = self.l2tp.try_reserve().map_err(|_| Refused::Full)?;
        room.send(L2tpDatagram { inbound_spi: spi, port, datagram: datagram.to_vec() });
        Ok(())
    }
}

impl Datagrams {
    /// Waits for the next one. `None` when the data plane has stopped. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<ToControl> {
        tokio::select! {
            ike = self.ike.recv() => ike.map(ToControl::Ike),
            l2tp = self.l2tp.recv() => l2tp.map(ToControl::L2tp),
        }
    }

    /// The next one, if any is waiting; the kinds take turns.
    pub fn try_recv(&mut self) -> Option<ToControl> {
        self.l2tp_next = !self.l2tp_next;
        let (ike, l2tp) = (&mut self.ike, &mut self.l2tp);
        let mut ike = || ike.try_recv().ok().map(ToControl::Ike);
        let mut l2tp = || l2tp.try_recv().ok().map(ToControl::L2tp);
        if self.l2tp_next { l2tp().or_else(ike) } else { ike().or_else(l2tp) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cygnet_ike::{EspSpi, Path};

    const SPI: EspSpi = EspSpi(0x0100_c0de);

    fn path() -> Path {
        Path { local: "192.0.2.1:500".parse().unwrap(), peer: "198.51.100.7:500".parse().unwrap() }
    }

    #[test]
    fn a_flood_of_one_kind_leaves_room_for_the_other() {
        let (queue, mut datagrams) = queues();
        let passed = (0..10_000).filter(|_| queue.pass_ike(path(), b"message").is_ok()).count();
        assert_eq!(passed, IKE_QUEUE);
        assert_eq!(queue.pass_l2tp(SPI, 1701, b"datagram"), Ok(()));
        let first_two = [datagrams.try_recv(), datagrams.try_recv()];
        assert!(first_two.iter().flatten().any(|datagram| matches!(datagram, ToControl::L2tp(_))), "they take turns");
        let passed = (0..10_000).filter(|_| queue.pass_l2tp(SPI, 1701, b"datagram").is_ok()).count();
        assert_eq!(passed, L2TP_QUEUE);
        assert_eq!(queue.pass_ike(path(), b"message"), Ok(()));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let (queue, mut datagrams) = queues();
        assert_eq!(queue.pass_ike(path(), &vec![0; MAX_IKE_MESSAGE + 1]), Err(Refused::TooLong));
        assert_eq!(queue.pass_l2tp(SPI, 1701, &vec![0; MAX_L2TP_DATAGRAM + 1]), Err(Refused::TooLong));
        assert_eq!(datagrams.try_recv(), None);
    }
}
