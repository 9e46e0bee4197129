//! Configuration: one TOML file becomes [`Settings`], or a [`ConfigError`] that says what to change and where.
//!
//! Does: read the file and the secrets it names, turn strings into types in one place, fill in defaults, cross-check.
//! Does not: write the file, resolve names by DNS, touch the system.

mod checked;
mod error;
mod secret;

pub use checked::{
    ClientAuthentication, Credential, Daemon, Ikev2Proposals, LogFormat, Logging, Nat, Policy, Protocol, PskEntry,
    PskSelector, Remote, ServerIdentity, Settings, User,
};
pub use error::ConfigError;
pub use secret::Secret;
