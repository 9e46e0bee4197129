//! collisions
