//! An endpoint and IKEv1 clients on a virtual clock. Every run follows from its seeds.

mod fragments;
mod lifecycle;
mod lossy;
mod phase1;
mod quick;
mod setup;
mod stock;
mod strangers;
mod xauth;
