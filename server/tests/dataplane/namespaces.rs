//! Network namespaces with a wire between them, and programs that run inside.
//!
//! Everything has the process id in its name and is taken away on drop.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// A namespace of its own with an `lo` that is up.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    fn new(name: String) -> Self {
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` with these words inside.
    pub(crate) fn ip(&self, words: &str) {
        self.run("ip", words);
    }

    /// Runs a program inside and returns what it printed.
    pub(crate) fn run(&self, program: &str, words: &str) -> String {
        let mut all = vec!["netns", "exec", &self.name, program];
        all.extend(words.split_whitespace());
        run("ip", &all)
    }

    /// Starts a program inside that ends when the result is dropped.
    pub(crate) fn start(&self, program: &str, words: &str) -> Running {
        // `ip netns exec` becomes the program, so that its process id is the one to end.
        let command = Command::new("ip")
            .args(["netns", "exec", &self.name, program])
            .args(words.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Running(command.unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    /// Does something on a thread inside; threads that it starts are inside, too.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/var/run/netns/{}", self.name);
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&namespace);
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A program that runs.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two namespaces with a wire between them. The left one has the addresses that end in 1, the right one those in 2.
pub(crate) fn wired_pair() -> [Namespace; 2] {
    static PAIRS: AtomicU32 = AtomicU32::new(0);
    let uid = std::fs::metadata("/proc/self").expect("/proc is mounted").uid();
    assert_eq!(uid, 0, "these tests make network namespaces and TUN devices: run them as root");
    let pair = PAIRS.fetch_add(1, Ordering::Relaxed);
    let [left, right] = ["l", "r"].map(|side| Namespace::new(format!("cygnet-{}-{pair}{side}", std::process::id())));
    run("ip", &["-n", &left.name, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", &right.name]);
    for (namespace, last) in [(&left, 1), (&right, 2)] {
        namespace.ip("link set wire up");
        namespace.ip(&format!("addr add 192.0.2.{last}/24 dev wire"));
        namespace.ip(&format!("addr add 192.0.2.{}/24 dev wire", last + 100));
        namespace.ip(&format!("addr add 2001:db8::{last}/64 dev wire nodad"));
    }
    [left, right]
}

#[expect(unsafe_code, reason = "std cannot change a thread's network namespace")]
fn enter(namespace: &File) {
    // SAFETY: no pointers; the descriptor is open. Only the calling thread changes.
    let outcome = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(outcome, 0, "setns: {}", std::io::Error::last_os_error());
}

fn run(program: &str, words: &[&str]) -> String {
    let output =
        Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program} {words:?}: {error}"));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{program} {}: {}\n{out}{err}", words.join(" "), output.status);
    out
}
