//! How many lines the log takes: whoever makes events happen must not fill the disk or hide other events.
//!
//! A token bucket for each kind of event and source network (IPv4 /24, IPv6 /64), and one for all lines together. What is
//! over is counted, and the sum is written some seconds later. Errors always pass. The table is bounded: at the limit the
//! source that was silent for longest is forgotten.
//!
//! Does not: look at levels and targets (the filter before it does), or measure time itself.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use crate::io::clock::Clock;

/// Lines per second of all sources together, and as many at once.
const TOTAL: Rate = Rate { burst: 200, refill: Duration::from_millis(5) };
/// Lines of one event about one source network at once, and the time after which one more may follow.
const PER_SOURCE: Rate = Rate { burst: 20, refill: Duration::from_millis(500) };
/// Buckets that are kept. Cost: about 100 octets each.
const TRACKED_MAX: usize = 4096;

/// See the module.
pub(super) struct Budget {
    clock: Clock,
    buckets: Mutex<Buckets>,
    suppressed: Arc<AtomicU64>,
}

impl Budget {
    /// Counts in `suppressed` what did not pass.
    pub(super) fn new(clock: Clock, suppressed: Arc<AtomicU64>) -> Self {
        Self { clock, buckets: Mutex::default(), suppressed }
    }

    fn admits(&self, now: Duration, event: Identifier, source: Option<IpAddr>) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = buckets.take(now, (event, source.map(network)));
        if !admitted {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

impl<S> Filter<S> for Budget {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        if *event.metadata().level() == Level::ERROR {
            return true;
        }
        let mut source = Source(None);
        event.record(&mut source);
        self.admits(self.clock.elapsed(), event.metadata().callsite(), source.0)
    }
}

/// What a bucket holds and how fast it fills.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    refill: Duration,
}

/// A token bucket, written as the time at which it will be full again.
#[derive(Clone, Copy, Default)]
struct Bucket {
    full_at: Duration,
}

impl Bucket {
    fn has_token(self, now: Duration, rate: Rate) -> bool {
        self.full_at.saturating_sub(now) <= rate.refill * (rate.burst - 1)
    }

    fn take(&mut self, now: Duration, rate: Rate) {
        self.full_at = self.full_at.max(now) + rate.refill;
    }
}

/// An event in the source, and a network; `None` for what no source has caused.
type Key = (Identifier, Option<IpAddr>);

#[derive(Default)]
struct Buckets {
    total: Bucket,
    sources: HashMap<Key, Bucket>,
}

impl Buckets {
    fn take(&mut self, now: Duration, key: Key) -> bool {
        if !self.sources.contains_key(&key) {
            self.make_room(now);
        }
        let source = self.sources.entry(key).or_default();
        let admitted = source.has_token(now, PER_SOURCE) && self.total.has_token(now, TOTAL);
        if admitted {
            source.take(now, PER_SOURCE);
            self.total.take(now, TOTAL);
        }
        admitted
    }

    fn make_room(&mut self, now: Duration) {
        if self.sources.len() < TRACKED_MAX {
            return;
        }
        self.sources.retain(|_, bucket| bucket.full_at > now);
        if self.sources.len() >= TRACKED_MAX
            && let Some(key) = self.sources.iter().min_by_key(|(_, bucket)| bucket.full_at).map(|(key, _)| key.clone())
        {
            self.sources.remove(&key);
        }
    }
}

/// Finds the address in the fields of an event.
struct Source(Option<IpAddr>);

impl Visit for Source {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "peer" | "from") {
            let text = format!("{value:?}");
            let address = text.parse::<SocketAddr>().map(|a| a.ip()).or_else(|_| text.parse::<IpAddr>());
            self.0 = address.ok();
        }
    }
}

/// What counts as one source.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from(u32::from(a) >> 8 << 8)),
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, fmt::MakeWriter};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The lines that pass while `events` happen, and how many did not.
    fn log(events: impl FnOnce()) -> (Vec<String>, u64) {
        let (lines, suppressed) = (Lines::default(), Arc::new(AtomicU64::new(0)));
        let budget = Budget::new(Clock::start(), Arc::clone(&suppressed));
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone()).without_time().with_filter(budget);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        (text.lines().map(str::to_owned).collect(), suppressed.load(Ordering::Relaxed))
    }

    #[test]
    fn a_noisy_network_does_not_silence_others() {
        let burst = usize::try_from(PER_SOURCE.burst).unwrap();
        let (lines, suppressed) = log(|| {
            for n in 0..100 {
                tracing::info!(peer = %format!("198.51.100.{n}:500"), "noise");
            }
            tracing::info!(peer = %"203.0.113.9:500", "another network");
            tracing::info!(peer = %"198.51.100.1:500", "another event");
            tracing::error!(peer = %"198.51.100.1:500", "an error");
        });
        let noise = lines.iter().filter(|line| line.contains("noise")).count();
        assert!((burst..burst + 5).contains(&noise), "{noise}");
        assert_eq!((lines.len() - noise, usize::try_from(suppressed).unwrap()), (3, 100 - noise));
    }

    #[test]
    fn all_sources_together_have_a_limit_and_get_it_back() {
        let mut buckets = Buckets::default();
        let event = tracing::callsite::Identifier(&CALLSITE);
        let mut passed = |seconds: u64, networks: std::ops::Range<u32>| {
            let key = |n: u32| (event.clone(), Some(IpAddr::V4((n << 8).into())));
            networks.filter(|&n| buckets.take(Duration::from_secs(seconds), key(n))).count()
        };
        assert_eq!(passed(1, 0..10_000), 200);
        assert_eq!(passed(2, 0..10_000), 200);
        assert_eq!(passed(2, 0..10_000), 0);
        assert!(buckets.sources.len() <= TRACKED_MAX);
    }

    struct Site;
    static CALLSITE: Site = Site;
    impl tracing::Callsite for Site {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("nobody asks")
        }
    }
}
