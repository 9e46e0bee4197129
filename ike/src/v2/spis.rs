//! New SPIs of ours. Their first byte names a shard: of IKE SAs, or of the packet path.

use crate::event::SessionId;
use crate::wire::{EspSpi, IkeSpi};

use super::Context;

impl Context<'_> {
    /// A new SPI for an IKE SA of ours; its first byte tells the shard.
    pub(crate) fn new_ike_spi(&mut self) -> IkeSpi {
        loop {
            let mut spi = [0; 8];
            self.shared.random.fill(&mut spi);
            spi[0] = self.config.ike_shard.saturating_add(1);
            if !self.shared.ike_spis.contains_key(&IkeSpi(spi)) {
                return IkeSpi(spi);
            }
        }
    }

    /// A new inbound SPI for a Child SA; its first byte tells the shard, the same for all of a session.
    pub(crate) fn new_esp_spi(&mut self, session: SessionId) -> EspSpi {
        let shards = u64::from(self.config.esp_shards.max(1));
        let shard = u8::try_from(session.0 % shards).expect("there are at most 255 shards");
        loop {
            let mut spi = [0; 4];
            self.shared.random.fill(&mut spi);
            spi[0] = shard.saturating_add(1);
            let spi = EspSpi(u32::from_be_bytes(spi));
            if self.shared.esp_spis.insert(spi) {
                return spi;
            }
        }
    }
}
