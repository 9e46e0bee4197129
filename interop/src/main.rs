//! Interop runner.
fn main() {}
