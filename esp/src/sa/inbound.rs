//! The receiving side of an SA, RFC 4303 section 3.4.
//!
//! Order of work: length, replay check, ICV, decryption, padding and next header, window update. Nothing of the SA changes
//! before the ICV has verified. Inner checks come after: see [`crate::inner`] and [`crate::selector`].

use std::ops::Range;

use super::{SaError, SaKeys, check};
use crate::drop_reason::DropReason;
use crate::packet::{Header, NO_NEXT_HEADER, Trailer};
use crate::replay::Window;
use crate::suite::{Spi, Suite};
use crate::transform::{Opener, SequenceInput};

/// What an [`InboundSa`] is made of.
pub struct InboundConfig {
    /// SPI that we chose for this SA.
    pub spi: Spi,
    /// Transform and sequence number length.
    pub suite: Suite,
    /// Keys of this direction.
    pub keys: SaKeys,
    /// Width of the anti-replay window in packets; [`crate::replay::DEFAULT_WINDOW`] if in doubt.
    pub replay_window: u32,
}

/// An authentic packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Where the plaintext lies in the buffer that was opened, without padding and trailer.
    pub range: Range<usize>,
    /// What the plaintext is: 4 for IPv4, 41 for IPv6, 17 for UDP in transport mode.
    pub next_header: u8,
    /// Full sequence number.
    pub sequence: u64,
}

/// The receiving side of an SA, owned by one worker.
pub struct InboundSa {
    spi: Spi,
    suite: Suite,
    opener: Opener,
    window: Window,
}

impl InboundSa {
    /// Makes the SA with an empty replay window.
    pub fn new(config: InboundConfig) -> Result<Self, SaError> {
        let InboundConfig { spi, suite, keys, replay_window } = config;
        check(spi, suite.transform, &keys)?;
        let window = Window::new(replay_window, suite.esn).ok_or(SaError::Window(replay_window))?;
        Ok(Self { spi, suite, opener: Opener::new(suite.transform, &keys), window })
    }

    /// SPI of this SA.
    pub fn spi(&self) -> Spi {
        self.spi
    }

    /// Transform and sequence number length.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The highest sequence number that was authentic; 0 before the first packet.
    pub fn highest_sequence(&self) -> u64 {
        self.window.highest()
    }

    /// Opens one packet, SPI to ICV, in place.
    ///
    /// On an error with [`DropReason::is_authentic`] the packet came from the peer. After [`DropReason::Integrity`] the content
    /// of `packet` is unspecified and must not be used.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<Opened, DropReason> {
        let transform = self.suite.transform;
        if packet.len() < transform.min_len() {
            return Err(DropReason::Runt);
        }
        let header = Header::parse(packet).ok_or(DropReason::Runt)?;
        if header.spi != self.spi {
            return Err(DropReason::UnknownSpi);
        }
        let candidate = self.window.check(header.sequence)?;
        let sequence = candidate.value();
        let plaintext = self.opener.open(SequenceInput { value: sequence, esn: self.suite.esn }, packet)?;
        let trailer = Trailer::parse(&packet[plaintext.clone()]).ok_or(DropReason::Integrity)?;
        self.window.accept(candidate);
        if trailer.next_header == NO_NEXT_HEADER {
            return Err(DropReason::Dummy);
        }
        let range = plaintext.start..plaintext.start + trailer.payload_len;
        Ok(Opened { range, next_header: trailer.next_header, sequence })
    }

    /// Opens the packets of one receive buffer (UDP GRO), in order, and appends one result each to `results`.
    ///
    /// `packets` are ranges of `buffer`, and so are the ranges in the results. A range outside of `buffer` is a
    /// [`DropReason::Runt`].
    pub fn open_batch(
        &mut self,
        buffer: &mut [u8],
        packets: impl IntoIterator<Item = Range<usize>>,
        results: &mut Vec<Result<Opened, DropReason>>,
    ) {
        results.extend(packets.into_iter().map(|at| {
            let packet = buffer.get_mut(at.clone()).ok_or(DropReason::Runt)?;
            let mut opened = self.open(packet)?;
            opened.range = opened.range.start + at.start..opened.range.end + at.start;
            Ok(opened)
        }));
    }
}
