//! The `cygnet` command: one file per verb.
//!
//! Exit codes: 0 it worked, 1 it did not, 2 the command line is wrong. A reader that goes away (`| head`) is no error.
//! Every verb that prints something has `--json`.

mod check;
mod console;
mod explain;
mod init;
mod kick;
mod password;
mod rekey;
mod reload;
mod run;
mod site;
mod status;
mod terminal;
mod units;
mod up;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;

use crate::config::{self, Settings, Surroundings};
use crate::control::client::Client;
use crate::io::clock::Clock;
use console::{ColorChoice, Console};

/// VPN gateway for the clients that devices have built in.
#[derive(Parser)]
#[command(name = "cygnet", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(clap::Args)]
struct Global {
    /// The configuration file.
    #[arg(long, short, global = true, env = "CYGNET_CONFIG", value_name = "FILE", default_value = config::defaults::CONFIG_FILE)]
    config: PathBuf,
    /// The control socket of the daemon; by default the one that the configuration names.
    #[arg(long, global = true, env = "CYGNET_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// When to use colours; NO_COLOR is respected.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a first configuration, with certificate and user, and print the steps for each client.
    Init(init::Args),
    /// Check the configuration.
    Check(check::Args),
    /// Run the gateway in the foreground.
    Run(run::Args),
    /// Show clients and sites. IN and OUT are seen from the gateway: IN comes from the other side.
    Status(status::Args),
    /// Say why a client or a site could not connect, and what to change.
    Explain(explain::Args),
    /// End the sessions of a user, site or address; who is kicked may come back.
    Kick(kick::Args),
    /// Bring the tunnel of a site up, and wait until it is.
    Up(up::Args),
    /// Close the tunnel of a site until `cygnet up`; its peer is not let in meanwhile.
    Down(up::DownArgs),
    /// Renew the keys of a site or client now.
    Rekey(rekey::Args),
    /// Print the configuration for the other end of a site.
    Site(site::Args),
    /// Add, change, remove and list users; takes effect at once.
    User(user::Args),
    /// Have the daemon read its configuration again; a mistake in it changes nothing.
    Reload(reload::Args),
}

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It did not work, and why has been printed.
    Failed,
}

/// The command line is right for clap but makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Runs the command that the process was started with. `gateway` runs the daemon until it is told to stop.
pub fn main(gateway: impl FnOnce(Settings) -> anyhow::Result<()>) -> ExitCode {
    let cli = Cli::parse();
    let mut console = Console::standard(cli.global.color);
    match dispatch(cli, &mut console, gateway).and_then(|outcome| console.flush().map(|()| outcome)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) if console::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(
    cli: Cli,
    console: &mut Console,
    gateway: impl FnOnce(Settings) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let global = &cli.global;
    match cli.verb {
        Verb::Init(args) => init::run(&args, global, console),
        Verb::Check(args) => check::run(&args, global, console),
        Verb::Run(args) => run::run(args, global, console, gateway),
        Verb::Status(args) => status::run(&args, global, console),
        Verb::Explain(args) => explain::run(&args, global, console),
        Verb::Kick(args) => kick::run(&args, global, console),
        Verb::Up(args) => up::run(&args, global, console),
        Verb::Down(args) => up::run_down(&args, global, console),
        Verb::Rekey(args) => rekey::run(&args, global, console),
        Verb::Site(args) => site::run(&args, global, console),
        Verb::User(args) => user::run(&args, global, console),
        Verb::Reload(args) => reload::run(&args, global, console),
    }
}

impl Global {
    fn client(&self) -> Client {
        let socket = self.socket.clone().unwrap_or_else(|| config::control_socket(&self.config));
        Client::new(&socket)
    }

    fn surroundings() -> Surroundings {
        Surroundings::of_this_machine(wall_clock())
    }
}

fn wall_clock() -> Timestamp {
    Clock::start().wall()
}

/// Runs one question to the daemon to its end.
fn block_on<T>(question: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(question))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_follow_the_verb() {
        let cli = Cli::try_parse_from(["cygnet", "status", "alice", "--config", "/x.toml", "--socket", "/s"]).unwrap();
        assert_eq!(cli.global.config, PathBuf::from("/x.toml"));
        assert!(matches!(cli.verb, Verb::Status(_)));
    }
}
