//! The control API: HTTP and JSON on a Unix socket, for `cygnet status` and its kin, and for anybody with curl.

pub mod model;
