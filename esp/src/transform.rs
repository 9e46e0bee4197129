//! Transforms: one enum over what can protect a packet, dispatched once per packet or group.

use std::ops::Range;

use crate::drop_reason::DropReason;
use crate::sa::{SaKeys, Segment};
use crate::suite::Transform;

/// How many packets AES-CBC encrypts side by side.
pub(crate) const LANES: usize = 16;

pub(crate) struct Sealer;

impl Sealer {
    pub(crate) fn new(_transform: Transform, _keys: &SaKeys) -> Self {
        Self
    }

    pub(crate) fn seal(&self, _sequence: u64, _esn: bool, _packet: &mut [u8]) {
        todo!()
    }

    pub(crate) fn seal_group(&self, _first: u64, _esn: bool, _buffer: &mut [u8], _group: &[Segment]) {
        todo!()
    }
}

pub(crate) struct Opener;

impl Opener {
    pub(crate) fn new(_transform: Transform, _keys: &SaKeys) -> Self {
        Self
    }

    pub(crate) fn open(&self, _sequence: u64, _esn: bool, _packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        todo!()
    }
}
