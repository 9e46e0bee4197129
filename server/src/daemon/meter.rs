//! The data plane's counters as the gateway reads them.

use std::time::Instant;

use cygnet_ike::EspSpi;

use crate::dataplane::Usage;
use crate::dataplane::userspace::UsageMeter;
use crate::gateway::{Meter, Traffic};

impl Meter for UsageMeter {
    fn traffic(&self, inbound_spi: EspSpi) -> Traffic {
        let Usage { bytes_in, bytes_out, packets_in, packets_out, .. } = self.usage(inbound_spi).unwrap_or_default();
        Traffic { bytes_in, bytes_out, packets_in, packets_out }
    }

    fn last_heard(&self, inbound_spi: EspSpi) -> Option<Instant> {
        self.usage(inbound_spi)?.last_heard
    }
}
