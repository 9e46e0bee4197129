//! The users file: what `cygnet user` writes and the configuration reads.
