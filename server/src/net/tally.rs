//! Drop counters that go on counting when the table that holds them is made anew.

use super::nft::Drops;

/// What was dropped, over all tables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// By tables that are gone.
    past: Drops,
    /// By the present one when it was last read.
    last: Drops,
}

impl Tally {
    /// Takes a reading of the present table, and gives back the sum. A counter that has gone back belongs to a new table: somebody
    /// removed ours and it was put right.
    pub(super) fn add(&mut self, read: Drops) -> Drops {
        let (now, before) = (values(read), values(self.last));
        if now.iter().zip(before).any(|(now, before)| *now < before) {
            self.begin_anew();
        }
        self.last = read;
        sum(self.past, read)
    }

    /// The table was made anew after the last reading.
    pub(super) fn begin_anew(&mut self) {
        self.past = sum(self.past, std::mem::take(&mut self.last));
    }
}

fn values(drops: Drops) -> [u64; 7] {
    let Drops { spoofed_inside, spoofed_outside, client_to_client, inbound, gateway_access, clear_l2tp, unrouted } =
        drops;
    [spoofed_inside, spoofed_outside, client_to_client, inbound, gateway_access, clear_l2tp, unrouted]
}

fn sum(a: Drops, b: Drops) -> Drops {
    Drops {
        spoofed_inside: a.spoofed_inside.saturating_add(b.spoofed_inside),
        spoofed_outside: a.spoofed_outside.saturating_add(b.spoofed_outside),
        client_to_client: a.client_to_client.saturating_add(b.client_to_client),
        inbound: a.inbound.saturating_add(b.inbound),
        gateway_access: a.gateway_access.saturating_add(b.gateway_access),
        clear_l2tp: a.clear_l2tp.saturating_add(b.clear_l2tp),
        unrouted: a.unrouted.saturating_add(b.unrouted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drops(inbound: u64, unrouted: u64) -> Drops {
        Drops { inbound, unrouted, ..Drops::default() }
    }

    #[test]
    fn what_earlier_tables_dropped_is_not_forgotten() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(drops(3, 1)), drops(3, 1));
        assert_eq!(tally.add(drops(5, 1)), drops(5, 1), "the same table");
        tally.begin_anew();
        tally.begin_anew();
        assert_eq!(tally.add(drops(7, 0)), drops(12, 1), "another one");
        assert_eq!(tally.add(drops(1, 0)), drops(13, 1), "made anew by the repair");
    }
}
