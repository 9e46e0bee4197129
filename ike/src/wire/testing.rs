//! What the tests of all payloads have in common.

use super::Writer;

/// The bytes that `emit` appends.
pub(super) fn emitted(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    emit(&mut out);
    out.finish().expect("short enough")
}

/// Asserts that every prefix of `vector` shorter than `required` is refused with `error`.
///
/// From `required` on the rest is free data, whose end only the length of the payload tells.
pub(super) fn assert_truncations<T, E>(vector: &[u8], required: usize, error: E, parse: impl Fn(&[u8]) -> Result<T, E>)
where
    T: std::fmt::Debug + PartialEq,
    E: std::fmt::Debug + PartialEq + Copy,
{
    for len in 0..required {
        assert_eq!(parse(&vector[..len]), Err(error), "{len} bytes");
    }
    for len in required..=vector.len() {
        assert!(parse(&vector[..len]).is_ok(), "{len} bytes");
    }
}
