//! Log lines: text or JSON on standard error, where systemd and containers pick them up.
//!
//! Lines go through a bounded queue to a thread of their own: a reader that stops reading costs lines, never packets.
//! How many were lost is said as soon as there is room again. Who makes events happen cannot fill the log: see `budget.rs`.
//!
//! Does not: write files, talk to the journal's own socket (standard error of a service is the journal).

mod budget;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Logging};
use crate::io::clock::Clock;
use budget::Budget;

/// Lines that may wait; at 200 lines per second, 20 seconds of them.
const QUEUE: usize = 4096;

/// How often the number of suppressed lines is told at most.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// How long the end of the process waits for the last lines.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Sets up logging for the whole process; to be called once. Drop the guard last: it waits for lines under way.
///
/// # Errors
/// If logging was set up before, or the filter is not one.
pub fn init(logging: &Logging) -> anyhow::Result<Guard> {
    let filter = parse_filter(&logging.filter).map_err(anyhow::Error::msg)?;
    let clock = Clock::start();
    let writer = LineWriter::start(io::stderr(), clock);
    let budget = Budget::new(clock, Arc::clone(&writer.missing.suppressed));
    let guard = Guard { queue: writer.queue.clone() };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let layer = match logging.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        // The journal has the time of each line already.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            layer.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter.and(budget))).try_init()?;
    Ok(guard)
}

/// Reads a level (`info`), or levels of parts (`info,cygnet_ike=debug`).
///
/// # Errors
/// What is not a level.
pub fn parse_filter(text: &str) -> Result<Targets, String> {
    let wrong = text.split(',').find(|part| {
        let level = part.rsplit('=').next().unwrap_or(part).trim();
        level.is_empty() || level.parse::<LevelFilter>().is_err()
    });
    match wrong {
        Some(part) => Err(format!("\"{part}\" is not a log level")),
        None => text
            .split(',')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(",")
            .parse()
            .map_err(|_| format!("\"{text}\" is not a log level")),
    }
}

/// Writes what is still queued when dropped.
#[must_use]
pub struct Guard {
    queue: SyncSender<Message>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (done, is_done) = sync_channel(1);
        // A full queue means that nobody reads; then there is nothing to wait for.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

/// What the writing thread gets.
enum Message {
    Line(Vec<u8>),
    /// To be answered when everything before is written.
    Flush(SyncSender<()>),
}

/// Hands each line to a thread that writes it; never waits.
struct LineWriter {
    queue: SyncSender<Message>,
    missing: Missing,
}

/// Lines that were not written and not told of yet.
#[derive(Clone, Default)]
struct Missing {
    /// The queue was full.
    lost: Arc<AtomicU64>,
    /// They were over the budget.
    suppressed: Arc<AtomicU64>,
}

impl LineWriter {
    fn start(sink: impl Write + Send + 'static, clock: Clock) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let missing = Missing::default();
        let missing_too = missing.clone();
        // Without the thread every line counts as lost; that is all one can do.
        let _ = std::thread::Builder::new().name("log".into()).spawn(move || {
            write_lines(&lines, &missing_too, clock, sink);
        });
        Self { queue, missing }
    }
}

fn write_lines(messages: &Receiver<Message>, missing: &Missing, clock: Clock, mut sink: impl Write) {
    let mut next_summary = clock.now();
    loop {
        let message = messages.recv_timeout(SUMMARY_INTERVAL);
        // A sink that fails has nobody to tell; likewise below.
        let _ = tell_missing(missing, clock.now(), &mut next_summary, &mut sink);
        let _ = match message {
            Ok(Message::Line(line)) => sink.write_all(&line),
            Ok(Message::Flush(done)) => {
                let _ = done.try_send(());
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => return,
        };
    }
}

fn tell_missing(missing: &Missing, now: Instant, next_summary: &mut Instant, sink: &mut impl Write) -> io::Result<()> {
    let lost = missing.lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        writeln!(sink, "{lost} log lines were lost: the log was not read in time")?;
    }
    if now < *next_summary {
        return Ok(());
    }
    let suppressed = missing.suppressed.swap(0, Ordering::Relaxed);
    if suppressed > 0 {
        *next_summary = now + SUMMARY_INTERVAL;
        writeln!(sink, "{suppressed} log lines were suppressed: too many of a kind, or from one network")?;
    }
    Ok(())
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { writer: self, text: Vec::with_capacity(256) }
    }
}

/// One event while it is being formatted; sent when dropped.
struct Line<'a> {
    writer: &'a LineWriter,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.writer.queue.try_send(Message::Line(std::mem::take(&mut self.text))).is_err() {
            self.writer.missing.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A sink that says when it is about to write, and writes only after it was told to.
    struct Gate {
        entered: Sender<()>,
        open: Receiver<()>,
        written: Sender<String>,
    }

    impl Gate {
        fn new() -> (Self, Receiver<()>, Sender<()>, Receiver<String>) {
            let ((entered, is_entered), (opener, open), (written, lines)) = (channel(), channel(), channel());
            (Self { entered, open, written }, is_entered, opener, lines)
        }
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.entered.send(()).map_err(io::Error::other)?;
            self.open.recv().map_err(io::Error::other)?;
            self.written.send(String::from_utf8_lossy(text).into_owned()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_guard_waits_for_the_last_line() {
        let (gate, _entered, opener, lines) = Gate::new();
        let writer = LineWriter::start(gate, Clock::start());
        let guard = Guard { queue: writer.queue.clone() };
        writer.make_writer().write_all(b"last words\n").unwrap();
        opener.send(()).unwrap();
        drop(guard);
        assert_eq!(lines.try_recv().unwrap(), "last words\n");
    }

    #[test]
    fn a_sink_that_is_not_read_costs_lines_and_says_so_later() {
        let (gate, entered, opener, lines) = Gate::new();
        let writer = LineWriter::start(gate, Clock::start());
        writer.make_writer().write_all(b"first\n").unwrap();
        entered.recv().unwrap();
        for n in 0..QUEUE + 100 {
            writer.make_writer().write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(writer.missing.lost.load(Ordering::Relaxed), 100);
        for _ in 0..QUEUE * 2 {
            opener.send(()).unwrap();
        }
        drop(writer);
        let mut text = String::new();
        while let Ok(part) = lines.recv_timeout(Duration::from_secs(5)) {
            text.push_str(&part);
        }
        assert!(text.starts_with("first\n100 log lines were lost: the log was not read in time\nline 0\n"));
        assert!(text.ends_with(&format!("line {}\n", QUEUE - 1)));
    }

    #[test]
    fn suppressed_lines_are_summed_up_now_and_then() {
        let (missing, start, mut text) = (Missing::default(), Clock::start().now(), Vec::new());
        let mut next = start;
        for (seconds, suppressed) in [(0, 3), (1, 4), (9, 5), (10, 0), (30, 0)] {
            missing.suppressed.fetch_add(suppressed, Ordering::Relaxed);
            tell_missing(&missing, start + Duration::from_secs(seconds), &mut next, &mut text).unwrap();
        }
        let why = "log lines were suppressed: too many of a kind, or from one network";
        assert_eq!(String::from_utf8(text).unwrap(), format!("3 {why}\n9 {why}\n"));
    }

    #[test]
    fn a_filter_names_levels() {
        for good in ["info", "WARN", "info,cygnet_ike=debug", "cygnet_server::gateway=trace, error", "off"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,loud", "cygnet_ike=loud"] {
            assert!(parse_filter(bad).is_err(), "{bad}");
        }
    }
}
