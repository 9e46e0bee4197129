//! What the gateway wants done: values that the daemon carries out in order.

use std::net::IpAddr;

use cygnet_ike::{ChildSa, EspSpi, Path, SessionId, Transmit};

/// One thing to do. The daemon performs effects in the order in which they come.
pub enum Effect {
    /// Send an IKE message.
    Send(Transmit),
    /// Make the host forward for these inner addresses, then call [`super::Gateway::admitted`] with the outcome.
    /// The client hears nothing before.
    Admit {
        /// Whose addresses.
        session: SessionId,
        /// Inner addresses.
        addresses: Vec<IpAddr>,
    },
    /// Take the routes of these inner addresses away.
    Expel {
        /// Inner addresses.
        addresses: Vec<IpAddr>,
    },
    /// Give an SA pair to the data plane.
    Install {
        /// Whose.
        session: SessionId,
        /// SPIs, keys, selectors.
        child: Box<ChildSa>,
        /// Inbound SPI of the pair that this one takes over from.
        replaces: Option<EspSpi>,
    },
    /// Take an SA pair away from the data plane.
    Remove {
        /// Its inbound SPI.
        inbound_spi: EspSpi,
    },
    /// Send an SA pair's packets elsewhere from now on.
    Move {
        /// Its inbound SPI.
        inbound_spi: EspSpi,
        /// Our and the peer's address.
        path: Path,
    },
}
