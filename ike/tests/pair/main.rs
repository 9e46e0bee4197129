//! An endpoint and initiators on a virtual clock. Every run follows from its seeds.

mod auth;
mod certificates;
mod child;
mod childless;
mod collisions;
mod connections;
mod eap_only;
mod fragments;
mod handshake;
mod liveness;
mod lossy;
mod mobility;
mod mobility_lossy;
mod nonsense;
mod own_certificate;
mod own_rekey;
mod pki;
mod ppk;
mod revocation;
mod setup;
mod status;
mod strangers;
mod transport;
