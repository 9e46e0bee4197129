//! Configuration: one TOML file becomes [`Settings`], or a [`ConfigError`] that says what to change and where.
//!
//! Does: read the file and the secrets it names (`source`), turn strings into types in one place (`remote`, `users`,
//! `daemon`), fill in defaults (`defaults`), check what depends on several keys (`crosscheck`).
//! Does not: write the file, resolve names by DNS, touch the system. Only `users_file` writes, and only the users file.

mod certificate;
mod checked;
mod crosscheck;
mod daemon;
pub mod defaults;
mod error;
mod fields;
mod file;
mod keys;
mod legacy;
mod mask;
mod names;
mod nearest;
mod problem;
mod reader;
mod remote;
mod secret;
mod site;
mod source;
mod surroundings;
mod syntax;
mod users;
mod users_file;

pub use checked::{
    ClientAuthentication, Crl, CrlPolicy, Daemon, EapMethod, Legacy, Lifetimes, LocalAuth, LogFormat, Logging, Nat,
    Peer, PeerAuth, Policy, Ppk, PppAuth, Proposals, Protocol, PskEntry, PskSelector, Remote, Selector, ServerIdentity,
    Settings, Site, SiteChange, SiteChild, SiteMode, SitePpk, Start, Unique, User, VendorIds,
};
pub use error::ConfigError;
pub use file::{Check, check, control_socket, load, users_file};
pub(crate) use names::{check_server as check_server_name, check_user as check_user_name};
pub use secret::Secret;
pub use surroundings::Surroundings;
pub(crate) use users_file::text_of_one as users_file_text;
pub use users_file::{NewUser, UsersFile, UsersFileError};

#[cfg(test)]
mod tests;
