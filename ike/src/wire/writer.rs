//! Output buffer whose length fields are filled in after what they measure.

/// A length or a count does not fit its field; the message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a length does not fit its field")]
pub struct TooLong;

/// Appends to a byte buffer.
///
/// A length that does not fit is remembered and reported once, by [`Writer::finish`]; so an `emit` has no error path.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Appends two bytes in network order.
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Appends four bytes in network order.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Appends a count or size of one byte.
    pub fn count_u8(&mut self, count: usize) {
        let value = self.narrow(u8::try_from(count));
        self.u8(value);
    }

    /// Appends a count or size of two bytes.
    pub fn count_u16(&mut self, count: usize) {
        let value = self.narrow(u16::try_from(count));
        self.u16(value);
    }

    /// Appends a size of four bytes.
    pub fn count_u32(&mut self, count: usize) {
        let value = self.narrow(u32::try_from(count));
        self.u32(value);
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Overwrites one byte that was written before. Does nothing beyond the end.
    pub fn patch_u8(&mut self, at: usize, value: u8) {
        self.patch(at, &[value]);
    }

    /// Overwrites two bytes at `at` with the number of bytes written since `start`.
    pub fn patch_len_u16(&mut self, at: usize, start: usize) {
        let len = self.bytes.len().saturating_sub(start);
        let value = self.narrow(u16::try_from(len));
        self.patch(at, &value.to_be_bytes());
    }

    /// Overwrites four bytes at `at` with the number of bytes written since `start`.
    pub fn patch_len_u32(&mut self, at: usize, start: usize) {
        let len = self.bytes.len().saturating_sub(start);
        let value = self.narrow(u32::try_from(len));
        self.patch(at, &value.to_be_bytes());
    }

    /// The bytes, unless some length did not fit its field.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.too_long { Err(TooLong) } else { Ok(self.bytes) }
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(field) = self.bytes.get_mut(at..at.saturating_add(value.len())) {
            field.copy_from_slice(value);
        }
    }

    fn narrow<T: Default, E>(&mut self, value: Result<T, E>) -> T {
        value.unwrap_or_else(|_| {
            self.too_long = true;
            T::default()
        })
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_a_length_after_the_fact() {
        let mut out = Writer::new();
        out.u8(9);
        out.u16(0);
        out.bytes(b"abc");
        out.patch_len_u16(1, 0);
        assert_eq!(out.finish(), Ok(vec![9, 0, 6, b'a', b'b', b'c']));
    }

    #[test]
    fn reports_a_count_that_does_not_fit() {
        let mut out = Writer::new();
        out.count_u8(256);
        out.u8(1);
        assert_eq!(out.finish(), Err(TooLong));
    }

    #[test]
    fn reports_a_length_that_does_not_fit() {
        let mut out = Writer::new();
        out.u16(0);
        out.bytes(&[0; 65_534]);
        out.patch_len_u16(0, 0);
        assert_eq!(out.finish(), Err(TooLong));
    }

    #[test]
    fn leaves_the_bytes_alone_when_patching_beyond_the_end() {
        let mut out = Writer::new();
        out.u16(7);
        out.patch_u8(2, 1);
        out.patch_len_u16(1, 0);
        assert_eq!(out.finish(), Ok(vec![0, 7]));
    }
}
