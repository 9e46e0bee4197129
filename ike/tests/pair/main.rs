//! An endpoint and initiators on a virtual clock. Every run follows from its seeds.

mod auth;
mod certificates;
mod child;
mod handshake;
mod liveness;
mod lossy;
mod mobility;
mod nonsense;
mod own_rekey;
mod setup;
mod strangers;
