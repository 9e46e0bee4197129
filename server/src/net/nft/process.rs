//! The program nft as a child process.
//!
//! No shell, no arguments from outside: rules go in by standard input.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::net::NetError;
use crate::net::error::NEED_NET_ADMIN;

/// nft takes milliseconds; it waits only for the kernel's own lock.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Longest part of nft's complaint that is shown, characters.
const SHOWN_MAX: usize = 600;

/// The usual places, for services whose PATH lacks the system directories.
const PROGRAMS: [&str; 4] = ["nft", "/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft"];

/// Performs one transaction.
pub(super) async fn transact(action: &'static str, commands: &str) -> Result<(), NetError> {
    run(action, &["-f", "-"], commands).await.map(|_| ())
}

/// Runs nft and returns its output.
pub(super) async fn run(action: &'static str, arguments: &[&str], input: &str) -> Result<Vec<u8>, NetError> {
    let finished = tokio::time::timeout(TIME_LIMIT, output_of(arguments, input)).await;
    let output = finished.unwrap_or_else(|_| Err(NetError::NftBroken(io::ErrorKind::TimedOut.into())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let message: String = complaint.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN_MAX).collect();
    let hint = hint(&message);
    Err(NetError::Nft { action, message, hint })
}

async fn output_of(arguments: &[&str], input: &str) -> Result<std::process::Output, NetError> {
    let mut child = spawn(arguments)?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let feed = async {
        let written = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        written
    };
    // nft may complain, and exit, before it has read everything: its complaint is the better error.
    let (_, output) = tokio::join!(feed, child.wait_with_output());
    output.map_err(NetError::NftBroken)
}

fn spawn(arguments: &[&str]) -> Result<Child, NetError> {
    for program in PROGRAMS {
        match command(program, arguments).spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(NetError::NftBroken(error)),
            Ok(child) => return Ok(child),
        }
    }
    Err(NetError::NftMissing)
}

/// A signal to our whole group, such as an impatient second Ctrl-C, is not for the child: what it is about would be left behind.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").kill_on_drop(true).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn hint(message: &str) -> Option<&'static str> {
    let says = |text: &str| message.contains(text);
    if says("Operation not permitted") {
        Some(NEED_NET_ADMIN)
    } else if says("cache initialization failed") || says("Protocol not supported") {
        Some("the kernel has no nftables (module nf_tables, CONFIG_NF_TABLES)")
    } else if says("masquerade") && (says("No such file") || says("not supported")) {
        Some("the kernel cannot translate addresses (modules nft_masq and nf_nat); load them or set nat = false")
    } else if says("notrack") || says("ct state") || says("fib ") || says("maxseg") {
        Some(
            "a kernel module is missing (nft_ct, nft_fib_inet, nft_rt, nft_exthdr); load it or use the distribution's full kernel",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_child_has_a_group_of_its_own() {
        let child = command("cat", &[]).spawn().unwrap();
        let pid = child.id().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        assert_eq!(after_name.split_whitespace().nth(2), Some(pid.to_string().as_str()), "{stat}");
    }

    #[test]
    fn complaints_lead_to_advice() {
        assert_eq!(hint("Operation not permitted (you must be root)"), Some(NEED_NET_ADMIN));
        let masquerade = "Error: Could not process rule: No such file or directory ip saddr @translated4 masquerade";
        assert!(hint(masquerade).unwrap().contains("nft_masq"));
        assert_eq!(hint("syntax error, unexpected end of file"), None);
    }
}
