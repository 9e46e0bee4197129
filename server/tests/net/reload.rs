//! A reload of the running daemon: all of it or nothing.

use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::Duration;

use cygnet_server::net::routes::ROUTE_PROTOCOL;

use crate::netns::Namespace;

const KEY: &str = "a key that is long enough for anybody";
const SITE_KEY: &str = "another one that is long enough";

/// `cygnet run` in a namespace.
struct Daemon {
    host: Namespace,
    folder: tempfile::TempDir,
    process: Child,
}

impl Daemon {
    fn start(config: &str) -> Self {
        let (host, folder) = (Namespace::new(), tempfile::tempdir().unwrap());
        write(&folder, config);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &host.name, env!("CARGO_BIN_EXE_cygnet"), "--config"]);
        let process = command.arg(config_of(&folder)).arg("run").spawn().unwrap();
        let this = Self { host, folder, process };
        for _ in 0..600 {
            if this.ask(&["status"]).status.success() {
                return this;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the daemon does not come up");
    }

    fn ask(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cygnet"));
        command.arg("--config").arg(config_of(&self.folder)).args(words).output().unwrap()
    }

    fn reload(&self, config: &str) -> Result<String, String> {
        write(&self.folder, config);
        let done = self.ask(&["reload"]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    fn status(&self) -> String {
        String::from_utf8(self.ask(&["status", "--json"]).stdout).unwrap()
    }

    fn stop(&mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already where the test has come to its end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config_of(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("cygnet.toml")
}

fn write(folder: &tempfile::TempDir, config: &str) {
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (state, socket, users) = (place("state"), place("control.sock"), place("users"));
    let daemon = format!("[daemon]\nstate_dir = {state:?}\nsocket = {socket:?}\nusers_file = {users:?}\n");
    std::fs::write(config_of(folder), format!("{daemon}{config}")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(config_of(folder), private).unwrap();
}

fn config(pool: &str, more: &str) -> String {
    let site = "[site.berlin]\npeer = \"198.51.100.7\"\nlocal = [\"10.1.0.0/16\"]\nremote = [\"10.2.0.0/16\"]\n";
    format!("[remote]\nname = \"192.0.2.1\"\npool = \"{pool}\"\npsk = \"{KEY}\"\n{site}psk = \"{SITE_KEY}\"\n{more}")
}

fn lyon() -> String {
    let networks =
        "local = [\"10.1.0.0/16\"]\nremote = [\"10.9.0.0/16\"]\nmode = \"interface\"\ninterface = \"vpn-lyon\"";
    format!("[site.lyon]\npeer = \"198.51.100.8\"\npsk = \"another key that is long enough\"\n{networks}\n")
}

#[test]
fn a_reload_that_the_machine_refuses_changes_nothing() {
    let mut daemon = Daemon::start(&config("10.20.0.0/24", ""));
    let host = |words: &str, daemon: &Daemon| daemon.host.ip(words);
    daemon.host.ip("tuntap add dev other0 mode tun");
    daemon.host.ip("link set other0 up");
    daemon.host.ip("route add 10.9.0.0/16 dev other0");
    let before = host("route show", &daemon);

    let told = daemon.reload(&config("10.30.0.0/24", &lyon())).unwrap_err();
    assert!(told.contains("cannot add the route to 10.9.0.0/16"), "{told}");
    assert_eq!(host("route show", &daemon), before);
    assert!(!host("link show", &daemon).contains("vpn-lyon"));
    let addresses = host("address show", &daemon);
    assert!(addresses.contains("10.20.0.1/32") && !addresses.contains("10.30.0.1"), "{addresses}");
    let status = daemon.status();
    assert!(status.contains("10.20.0.0/24") && status.contains("berlin") && !status.contains("lyon"), "{status}");

    daemon.host.ip("route del 10.9.0.0/16");
    let told = daemon.reload(&config("10.30.0.0/24", &lyon())).unwrap();
    assert!(told.contains("changed: site lyon added") && told.contains("changed: pool changed"), "{told}");
    assert!(host("route show", &daemon).contains("10.9.0.0/16 dev vpn-lyon"));
    assert!(host("address show", &daemon).contains("10.30.0.1/32"));
    let told = daemon.reload(&config("10.30.0.0/24", "")).unwrap();
    assert!(told.contains("changed: site lyon removed"), "{told}");
    assert!(!host("link show", &daemon).contains("vpn-lyon") && !host("route show", &daemon).contains("10.9.0.0/16"));

    daemon.stop();
    assert_eq!(host(&format!("route show proto {ROUTE_PROTOCOL}"), &daemon), "");
}
