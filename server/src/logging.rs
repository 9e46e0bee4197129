//! Log lines: text or JSON on standard error, where systemd and containers pick them up.
//!
//! Lines go through a bounded queue to a thread of their own: a reader that stops reading costs lines, never packets.
//! How many were lost is said as soon as there is room again. Does not: write files, talk to the journal's own socket
//! (standard error of a service is the journal).

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Logging};

/// Lines that may wait; at 200 lines per second, 20 seconds of them.
const QUEUE: usize = 4096;

/// Sets up logging for the whole process; to be called once.
///
/// # Errors
/// If logging was set up before, or the filter is not one.
pub fn init(logging: &Logging) -> anyhow::Result<()> {
    let filter: Targets = logging.filter.parse()?;
    let writer = LineWriter::start(io::stderr());
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let layer = match logging.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        // The journal has the time of each line already.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            layer.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}

/// Hands each line to a thread that writes it; never waits.
struct LineWriter {
    queue: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl LineWriter {
    fn start(sink: impl Write + Send + 'static) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let lost_too = Arc::clone(&lost);
        // Without the thread every line counts as lost; that is all one can do.
        let _ = std::thread::Builder::new().name("log".into()).spawn(move || write_lines(&lines, &lost_too, sink));
        Self { queue, lost }
    }
}

fn write_lines(lines: &Receiver<Vec<u8>>, lost: &AtomicU64, mut sink: impl Write) {
    while let Ok(line) = lines.recv() {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            // A sink that fails has nobody to tell.
            let _ = writeln!(sink, "{missing} log lines were lost: the log was not read in time");
        }
        let _ = sink.write_all(&line);
    }
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
        if self.writer.queue.try_send(std::mem::take(&mut self.text)).is_err() {
            self.writer.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    /// A sink that writes only after it was told to.
    struct Gate {
        open: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.written.send(String::from_utf8_lossy(text).into_owned()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_is_not_read_costs_lines_and_says_so_later() {
        let (gate, open) = channel();
        let (written, lines) = channel();
        let writer = LineWriter::start(Gate { open, written });
        let total = QUEUE + 100;
        for n in 0..total {
            writer.make_writer().write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        let lost = writer.lost.load(Ordering::Relaxed);
        assert!((99..=100).contains(&lost), "{lost} lost");
        for _ in 0..total * 2 {
            gate.send(()).unwrap();
        }
        drop(writer);
        let mut text = String::new();
        while let Ok(part) = lines.recv_timeout(Duration::from_secs(5)) {
            text.push_str(&part);
        }
        assert!(text.starts_with("line 0\n"), "{}", &text[..20]);
        assert!(text.contains(&format!("{lost} log lines were lost")));
    }
}
