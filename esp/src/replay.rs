//! Anti-replay window (RFC 4303 section 3.4.3) and extended sequence numbers (section 2.2.1 and appendix A).
//!
//! The window is a ring of 64 bit words as in RFC 6479: a sequence number names word and bit directly, and moving the window
//! clears the words that it enters instead of shifting all others. Its right edge is exact to the packet; numbers within a
//! word left of the left edge are told apart by comparison, not by their bit.
//!
//! Does not: resynchronize after the loss of 2^32 packets in a row (appendix A3). IKE's liveness check replaces such an SA.

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

const WORD_BITS: u64 = u64::BITS as u64;

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
    /// A power of two words, at least one more than the width takes, so that the window never meets its own tail.
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
    ///
    /// [`DropReason::TooOld`] left of the window, [`DropReason::Replayed`] if it was accepted before. Number 0 is never sent
    /// (RFC 4303 section 3.3.3) and counts as too old.
    pub fn check(&self, low: u32) -> Result<Candidate, DropReason> {
        let sequence = if self.esn { self.complete(low).ok_or(DropReason::TooOld)? } else { u64::from(low) };
        if sequence == 0 {
            return Err(DropReason::TooOld);
        }
        if sequence > self.highest {
            return Ok(Candidate(sequence));
        }
        if self.highest - sequence >= self.width {
            return Err(DropReason::TooOld);
        }
        let (word, bit) = self.place(sequence);
        if self.ring[word] & bit != 0 { Err(DropReason::Replayed) } else { Ok(Candidate(sequence)) }
    }

    /// Marks an authentic sequence number as received and moves the window if it is the highest.
    #[expect(clippy::needless_pass_by_value, reason = "a candidate is accepted once")]
    pub fn accept(&mut self, candidate: Candidate) {
        let Candidate(sequence) = candidate;
        if sequence > self.highest {
            self.clear_words_up_to(sequence);
            self.highest = sequence;
        }
        if self.highest - sequence < self.width {
            let (word, bit) = self.place(sequence);
            self.ring[word] |= bit;
        }
    }

    /// Finds the upper half: of all numbers that end in `low` the one within, or next to the right of, the window. This is
    /// RFC 4303 appendix A2.1: below the left edge lies the subspace to come. `None` for a number before the first.
    fn complete(&self, low: u32) -> Option<u64> {
        const SUBSPACE: u64 = 1 << 32;
        let (high, highest_low) = (self.highest & !(SUBSPACE - 1), self.highest & (SUBSPACE - 1));
        let sequence = high | u64::from(low);
        match highest_low.checked_sub(self.width - 1) {
            // The window lies within one subspace.
            Some(left) if u64::from(low) >= left => Some(sequence),
            Some(_) => sequence.checked_add(SUBSPACE),
            // The window reaches back into the subspace before.
            None if u64::from(low) >= SUBSPACE + highest_low - (self.width - 1) => sequence.checked_sub(SUBSPACE),
            None => Some(sequence),
        }
    }

    /// Empties the words right of the highest number up to the one of `sequence`, each at most once.
    fn clear_words_up_to(&mut self, sequence: u64) {
        let (from, to) = (self.highest / WORD_BITS, sequence / WORD_BITS);
        if to - from >= self.ring.len() as u64 {
            self.ring.fill(0);
            return;
        }
        for number in from + 1..=to {
            let word = self.index(number);
            self.ring[word] = 0;
        }
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        (self.index(sequence / WORD_BITS), 1 << (sequence % WORD_BITS))
    }

    fn index(&self, word: u64) -> usize {
        // The mask leaves less than the length of the ring: no bit is lost.
        word as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The slow twin: remembers every number, and finds the upper half by trying all of them.
    struct Model {
        seen: BTreeSet<u64>,
        width: u64,
        esn: bool,
    }

    impl Model {
        fn new(width: u32, esn: bool) -> Self {
            Self { seen: BTreeSet::new(), width: width.into(), esn }
        }

        fn highest(&self) -> u64 {
            self.seen.last().copied().unwrap_or(0)
        }

        /// The least number that ends in `low` and is not left of the window; `None` if it would lie before the first.
        fn complete(&self, low: u32) -> Option<u64> {
            if !self.esn {
                return Some(low.into());
            }
            let left = i128::from(self.highest()) + 1 - i128::from(self.width);
            let subspaces = -1..=i128::from(self.highest() >> 32) + 1;
            let mut numbers = subspaces.map(|high| (high << 32) + i128::from(low));
            let number = numbers.find(|number| *number >= left).expect("the next subspace is right of the window");
            u64::try_from(number).ok()
        }

        fn receive(&mut self, low: u32) -> Result<u64, DropReason> {
            let number = self.complete(low).unwrap_or(0);
            if number == 0 || number + self.width <= self.highest() {
                return Err(DropReason::TooOld);
            }
            if self.seen.insert(number) { Ok(number) } else { Err(DropReason::Replayed) }
        }
    }

    fn receive(window: &mut Window, low: u32) -> Result<u64, DropReason> {
        let candidate = window.check(low)?;
        let value = candidate.value();
        window.accept(candidate);
        Ok(value)
    }

    fn window(esn: bool, highest: u64) -> Window {
        let mut window = Window::new(DEFAULT_WINDOW, esn).expect("valid width");
        window.accept(Candidate(highest));
        window
    }

    #[test]
    fn takes_each_number_once() {
        let mut window = Window::new(MIN_WINDOW, false).expect("valid width");
        for low in 1..=34 {
            assert_eq!(receive(&mut window, low), Ok(low.into()));
        }
        for low in 1..=34 {
            assert_eq!(receive(&mut window, low), Err(DropReason::Replayed), "{low}");
        }
        assert_eq!(window.highest(), 34);
    }

    #[test]
    fn never_takes_number_zero() {
        for esn in [false, true] {
            assert_eq!(Window::new(64, esn).expect("valid width").check(0), Err(DropReason::TooOld));
        }
        assert_eq!(window(false, 10).check(0), Err(DropReason::TooOld));
    }

    #[test]
    fn is_exact_at_both_edges() {
        let mut window = window(false, 5000);
        assert_eq!(receive(&mut window, 5000 - 1024), Err(DropReason::TooOld));
        assert_eq!(receive(&mut window, 5000 - 1023), Ok(5000 - 1023));
        assert_eq!(receive(&mut window, 5000 - 1023), Err(DropReason::Replayed));
        assert_eq!(receive(&mut window, 5001), Ok(5001));
        assert_eq!(receive(&mut window, 5001 - 1023), Ok(5001 - 1023));
    }

    #[test]
    fn checking_changes_nothing() {
        let window = window(false, 7);
        assert_eq!(window.check(1000), window.check(1000));
        assert_eq!(window.highest(), 7);
    }

    #[test]
    fn forgets_nothing_when_it_jumps() {
        for jump in [1, 63, 64, 65, 1023, 1024, 1025, 2048, 100_000] {
            let mut window = window(false, 2000);
            let next = 2000 + jump;
            assert_eq!(receive(&mut window, next), Ok(next.into()));
            for low in next.saturating_sub(1100)..=next {
                let expected = match low {
                    _ if next - low >= 1024 => Err(DropReason::TooOld),
                    _ if low == next || low == 2000 => Err(DropReason::Replayed),
                    _ => Ok(low.into()),
                };
                assert_eq!(receive(&mut window, low), expected, "{low} after a jump by {jump}");
            }
        }
    }

    #[test]
    fn ends_at_the_last_number_without_esn() {
        let mut window = window(false, u64::from(u32::MAX) - 1);
        assert_eq!(receive(&mut window, u32::MAX), Ok(u32::MAX.into()));
        for low in [0, 1, 1000] {
            assert_eq!(receive(&mut window, low), Err(DropReason::TooOld));
        }
    }

    #[test]
    fn crosses_into_the_next_subspace_with_esn() {
        let mut window = window(true, u64::from(u32::MAX) - 2);
        assert_eq!(receive(&mut window, 5), Ok((1 << 32) + 5));
        assert_eq!(receive(&mut window, 0), Ok(1 << 32));
        assert_eq!(receive(&mut window, 0), Err(DropReason::Replayed));
        assert_eq!(receive(&mut window, u32::MAX), Ok(u32::MAX.into()));
        assert_eq!(receive(&mut window, u32::MAX), Err(DropReason::Replayed));
        assert_eq!(receive(&mut window, u32::MAX - 2), Err(DropReason::Replayed));
        assert_eq!(window.highest(), (1 << 32) + 5);
    }

    #[test]
    fn has_no_subspace_before_the_first() {
        let window = window(true, 3);
        assert_eq!(window.check(u32::MAX), Err(DropReason::TooOld));
    }

    #[test]
    fn has_no_subspace_after_the_last() {
        let window = window(true, u64::MAX - 1);
        assert_eq!(window.check(u32::MAX).map(|c| c.value()), Ok(u64::MAX));
        assert_eq!(window.check(5), Err(DropReason::TooOld));
    }

    #[test]
    fn rejects_widths_it_cannot_have() {
        for width in [0, 1, 32, 63, 65, 1000, MAX_WINDOW + 64, u32::MAX] {
            assert!(Window::new(width, false).is_none(), "{width}");
        }
        for width in [64, 128, 1024, 4096, MAX_WINDOW] {
            assert!(Window::new(width, true).is_some(), "{width}");
        }
    }

    /// Steps mostly within or near the window, sometimes across subspaces.
    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => -200_i64..200,
            2 => -3000_i64..3000,
            1 => 0_i64..(1 << 31),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_window_that_remembers_everything(
            steps in proptest::collection::vec(step(), 1..400),
            start in prop_oneof![Just(1_u64), Just((1_u64 << 32) - 50), Just((1_u64 << 32) + 50), Just((3_u64 << 32) - 50)],
            width in prop_oneof![Just(64_u32), Just(128), Just(192), Just(1024)],
            esn: bool,
        ) {
            let mut window = Window::new(width, esn).expect("valid width");
            let mut model = Model::new(width, esn);
            let start = if esn { start } else { start & 0xffff };
            window.accept(Candidate(start));
            model.seen.insert(start);
            for step in steps {
                let low = window.highest().wrapping_add_signed(step) as u32;
                prop_assert_eq!(receive(&mut window, low), model.receive(low), "{:08x}", low);
                prop_assert_eq!(window.highest(), model.highest());
            }
        }
    }
}
