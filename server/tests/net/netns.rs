//! Network namespaces for tests: made with `ip netns`, removed when dropped, also after a panic.
//!
//! A socket belongs to the namespace of the thread that makes it, so sockets made inside [`Namespace::enter`] can be
//! used from anywhere.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// A new namespace with its loopback up, without duplicate address detection.
    pub(crate) fn new() -> Self {
        let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        assert!(root, "this test makes network namespaces: run it as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("cygnet-test-{}-{number}", std::process::id()) };
        run("ip", &["netns", "add", &namespace.name], "");
        namespace.ip("link set lo up");
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0");
        namespace
    }

    /// Runs `f` on a thread inside.
    pub(crate) fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            join(&File::open(format!("/run/netns/{}", self.name)).unwrap());
            f()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs an async test inside.
    pub(crate) fn block_on<T: Send>(&self, f: impl AsyncFnOnce() -> T + Send) -> T {
        self.enter(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()))
    }

    /// Runs `ip` with these words and returns what it prints.
    pub(crate) fn ip(&self, words: &str) -> String {
        let mut arguments = vec!["-n", self.name.as_str()];
        arguments.extend(words.split_whitespace());
        run("ip", &arguments, "")
    }

    /// Runs `nft -f -` inside and returns what it prints.
    pub(crate) fn nft(&self, commands: &str) -> String {
        run("ip", &["netns", "exec", &self.name, "nft", "-f", "-"], commands)
    }

    /// Runs a program inside; whether it succeeded.
    pub(crate) fn succeeds(&self, words: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).args(words.split_whitespace());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Sets a value below /proc/sys.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.enter(|| std::fs::write(format!("/proc/sys/{path}"), value).unwrap());
    }

    /// Reads a value below /proc/sys.
    pub(crate) fn read_sysctl(&self, path: &str) -> String {
        self.enter(|| std::fs::read_to_string(format!("/proc/sys/{path}")).unwrap().trim().to_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let deleted = Command::new("ip").args(["netns", "del", &self.name]).status();
        assert!(deleted.is_ok_and(|s| s.success()) || std::thread::panicking(), "{} was not removed", self.name);
    }
}

/// Joins two namespaces by a cable: `a`'s end and `b`'s end are new interfaces with these names, up.
pub(crate) fn cable(a: (&Namespace, &str), b: (&Namespace, &str)) {
    let far = format!("peer name {} netns {}", b.1, b.0.name);
    a.0.ip(&format!("link add {} type veth {far}", a.1));
    a.0.ip(&format!("link set {} up", a.1));
    b.0.ip(&format!("link set {} up", b.1));
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {program}: {e}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Moves the calling thread into a network namespace.
#[expect(unsafe_code, reason = "setns has no safe wrapper in our dependencies")]
fn join(namespace: &File) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, and the call changes nothing but the calling thread's network namespace.
    let joined = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(joined, 0, "cannot join a network namespace: {}", std::io::Error::last_os_error());
}
