//! Kernel switches for forwarding (/proc/sys/net).

use super::NetError;

/// Which families are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// There are IPv4 pools or sites.
    pub v4: bool,
    /// There are IPv6 pools or sites.
    pub v6: bool,
}

/// What was changed; put back by [`Forwarding::restore`].
pub struct Forwarding {}

impl Forwarding {
    /// Switches forwarding on.
    ///
    /// # Errors
    /// If /proc/sys is not writable.
    pub fn enable(_families: Families, _tun: &str) -> Result<Self, NetError> {
        todo!()
    }

    /// Puts back what nobody else has changed since.
    pub fn restore(self) {}
}
