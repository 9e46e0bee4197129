//! Two endpoints that are sites of each other, on a virtual clock, over good and bad links. Every run follows from its seed.

mod authentication;
mod children;
mod collisions;
mod establish;
mod mobility;
mod network;
mod rekey;
mod strangers;
mod world;
