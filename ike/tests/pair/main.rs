//! An endpoint and initiators on a virtual clock. Every run follows from its seeds.

mod auth;
mod certificates;
mod child;
mod connections;
mod eap_only;
mod handshake;
mod liveness;
mod lossy;
mod mobility;
mod nonsense;
mod own_certificate;
mod own_rekey;
mod pki;
mod ppk;
mod revocation;
mod setup;
mod strangers;
