//! The host network integration against a real kernel, each test in network namespaces of its own. Needs root.
#![expect(clippy::unwrap_used, reason = "tests: clippy knows this file's helpers only as ordinary functions")]
#![expect(clippy::panic, reason = "tests")]

mod conntrack;
mod firewall;
mod forwarding;
mod host;
mod netns;
mod reload;
mod routes;
mod sites;
mod traffic;
