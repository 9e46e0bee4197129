//! A gateway's and a client's end of a link, on a virtual clock: whole sessions of stock clients.

mod lossy;
mod sessions;
mod silence;
