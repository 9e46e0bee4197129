//! TUN devices of sites (route-based): one queue and one sending thread each; all workers write to it.
//!
//! Does not: configure the interfaces ([`crate::net`] does).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::dispatch::{Dispatcher, Label, SiteLane};
use super::sockets::Sockets;
use super::table::Lane;
use super::tun::{self, Queue};
use super::tx::Transmitter;
use super::{Control, EndWatch, Offload};
use crate::dataplane::SiteDevice;

/// Names a device in the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceId(u32);

impl DeviceId {
    /// The gateway's TUN device.
    pub(super) const SHARED: Self = Self(0);

    /// The one after this.
    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }
}

/// A device that is there. Dropping it ends its thread; the interface goes with the last copy of its queue.
pub(super) struct Device {
    pub(super) wanted: SiteDevice,
    pub(super) id: DeviceId,
    pub(super) queue: Queue,
    pub(super) lane: Arc<Lane>,
    label: Arc<Label>,
    stopped: Arc<AtomicBool>,
    control: Control,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    /// Creates the interface and starts to send what comes from it, in the network namespace of the calling thread.
    pub(super) fn open(
        wanted: SiteDevice,
        id: DeviceId,
        offload: Offload,
        dispatcher: Dispatcher,
        sockets: &Arc<Sockets>,
    ) -> io::Result<Self> {
        let (mut queues, _) = tun::open(&wanted.interface, 1, offload)?;
        let queue = queues.pop().ok_or(io::ErrorKind::NotFound)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let control = Control::new(&stopped)?;
        let lane = Arc::<Lane>::default();
        let watch = EndWatch { control: control.clone(), events: dispatcher.events.clone() };
        let label = Arc::new(Label::from_pointee(wanted.site.clone()));
        let of = Some(SiteLane { site: label.clone(), lane: lane.clone() });
        let transmitter = Transmitter { queue: queue.clone(), dispatcher: Dispatcher { of, ..dispatcher } };
        let (own, sockets) = (control.clone(), sockets.clone());
        let thread = thread::Builder::new().name(format!("esp-{}", wanted.interface)).spawn(move || {
            let _watch = watch;
            transmitter.run(&sockets, &own);
        })?;
        Ok(Self { wanted, id, queue, lane, label, stopped, control, thread: Some(thread) })
    }

    /// Lets it belong to another site from now on. Pairs that are there stay in its lane.
    pub(super) fn hand_over(&mut self, site: &Arc<str>) {
        self.label.store(Arc::new(site.clone()));
        self.wanted.site = site.clone();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.control.wake.wake();
        // A thread that panicked has said so already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
