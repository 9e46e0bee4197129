//! Wakes a thread that waits for sockets.
//!
//! Does not: carry a message. The waker puts that into a queue first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::sys;

/// Both ends of a wake-up; clones are the same one.
#[derive(Clone, Debug)]
pub struct Wake(Arc<File>);

impl Wake {
    /// Nobody has been woken yet.
    ///
    /// # Errors
    /// If the process may open no more files.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(File::from(sys::event_counter()?))))
    }

    /// Makes the descriptor readable. Several calls before [`Wake::clear`] are one.
    pub fn wake(&self) {
        // The one way to fail is a counter at 2^64 - 2, and then it is readable anyway.
        let _ = (&*self.0).write(&1_u64.to_ne_bytes());
    }

    /// Makes the descriptor wait for the next [`Wake::wake`].
    pub fn clear(&self) {
        // Fails if nobody woke: then there is nothing to clear.
        let _ = (&*self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn wakes_a_waiting_thread() {
        let wake = Wake::new().unwrap();
        let waiter = wake.clone();
        let thread = std::thread::spawn(move || {
            let mut readiness = sys::Readiness::new([waiter.as_fd()]);
            readiness.wait().unwrap();
            assert!(readiness.is_ready(0));
        });
        std::thread::sleep(Duration::from_millis(10));
        wake.wake();
        thread.join().unwrap();
    }

    #[test]
    fn several_calls_are_one() {
        let wake = Wake::new().unwrap();
        wake.wake();
        wake.wake();
        wake.clear();
        assert_eq!((&*wake.0).read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
