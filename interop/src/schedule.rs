//! Runs rows side by side and tells each outcome as it comes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};

use crate::row::{Laboratory, Outcome};
use crate::suite::Row;

/// Runs `rows` on `jobs` threads, in the order given as far as that goes; `tell` gets each outcome when it is there.
///
/// # Errors
/// The first error of a row that could not be run at all, after the others have ended.
pub(crate) fn run_all(
    laboratory: &Laboratory,
    rows: &[Row],
    jobs: usize,
    mut tell: impl FnMut(&Row, &Outcome),
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, rows.len().max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((number, row)) = take(next, rows) {
                    if sender.send((row, laboratory.run(row, number))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut result = Ok(());
        for (row, outcome) in receiver {
            match outcome.with_context(|| format!("row {}", row.name)) {
                Ok(outcome) => tell(row, &outcome),
                Err(error) if result.is_ok() => result = Err(error),
                Err(_) => {}
            }
        }
        result
    })
}

fn take<'a>(next: &AtomicUsize, rows: &'a [Row]) -> Option<(usize, &'a Row)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    rows.get(number).map(|row| (number, row))
}
