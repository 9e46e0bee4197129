//! Network namespaces with a wire between them, and programs that run inside.
//!
//! Everything has the process id in its name and is taken away on drop. A test that fails says first what its namespaces counted.

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
    fn named(name: String) -> Self {
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// A new one.
    fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let uid = std::fs::metadata("/proc/self").expect("/proc is mounted").uid();
        assert_eq!(uid, 0, "these tests make network namespaces and TUN devices: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("cygnet-{}-{number}{role}", std::process::id()))
    }

    /// Joins this one and another by a cable: the ends are new interfaces with these names, up.
    fn join(&self, own: &str, other: &Self, others: &str) {
        run(
            "ip",
            &["-n", &self.name, "link", "add", own, "type", "veth", "peer", "name", others, "netns", &other.name],
        );
        self.ip(&format!("link set {own} up"));
        other.ip(&format!("link set {others} up"));
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

    /// Runs a program inside and tells whether it succeeded.
    pub(crate) fn succeeds(&self, program: &str, words: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(words.split_whitespace());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.unwrap_or_else(|error| panic!("{program}: {error}")).success()
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
        if thread::panicking() {
            eprintln!("{}:", self.name);
            for words in ["ip -s address", "ip neigh", "ip route", "tc -s qdisc", "ss -uanm", "nstat -as"] {
                let command = Command::new("ip").args(["netns", "exec", &self.name]).args(words.split(' ')).output();
                let printed = command.map_or_else(|error| error.to_string().into(), |output| output.stdout);
                eprintln!("{}", String::from_utf8_lossy(&printed));
            }
        }
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
    let [left, right] = ["l", "r"].map(Namespace::new);
    left.join("wire", &right, "wire");
    for (namespace, last) in [(&left, 1), (&right, 2)] {
        namespace.ip(&format!("addr add 192.0.2.{last}/24 dev wire"));
        namespace.ip(&format!("addr add 192.0.2.{}/24 dev wire", last + 100));
        namespace.ip(&format!("addr add 2001:db8::{last}/64 dev wire nodad"));
    }
    [left, right]
}

/// Addresses of the ends of [`routed_pair`].
pub(crate) const ROUTED_V4: [&str; 2] = ["192.0.2.1", "198.51.100.1"];
pub(crate) const ROUTED_V6: [&str; 2] = ["2001:db8:1::1", "2001:db8:2::1"];

/// Two namespaces with a router between them, whose right wire takes packets of `mtu` octets only.
pub(crate) fn routed_pair(mtu: u32) -> ([Namespace; 2], Namespace) {
    let ([left, right], router) = (["l", "r"].map(Namespace::new), Namespace::new("m"));
    for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        router
            .inside(|| std::fs::write(format!("/proc/sys/net/{path}"), "1").expect("the namespace has /proc/sys/net"));
    }
    for (side, end, link) in [(0, &left, "left"), (1, &right, "right")] {
        end.join("wire", &router, link);
        let [v4, v6] = [ROUTED_V4[side], ROUTED_V6[side]];
        let [gate4, gate6] =
            [v4, v6].map(|address| format!("{}fe", &address[..address.len() - 1]).replace(".fe", ".254"));
        for (host, interface, addresses) in [(end, "wire", [v4, v6]), (&router, link, [gate4.as_str(), gate6.as_str()])]
        {
            host.ip(&format!("addr add {}/24 dev {interface}", addresses[0]));
            host.ip(&format!("addr add {}/64 dev {interface} nodad", addresses[1]));
        }
        end.ip(&format!("route add default via {gate4}"));
        end.ip(&format!("-6 route add default via {gate6}"));
    }
    right.ip(&format!("link set wire mtu {mtu}"));
    router.ip(&format!("link set right mtu {mtu}"));
    ([left, right], router)
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
