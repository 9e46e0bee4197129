//! `cygnet run`: the daemon, in the foreground.

use super::console::Console;
use super::{Global, Outcome};
use crate::config::{self, LogFormat, Settings};
use crate::logging;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What to log, instead of log.level of the configuration: error, warn, info, debug, trace, or "info,cygnet_ike=debug".
    #[arg(long, env = "CYGNET_LOG", value_name = "LEVEL", value_parser = log_level)]
    log_level: Option<String>,
    /// The shape of log lines, instead of log.format of the configuration.
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn log_level(text: &str) -> Result<String, String> {
    logging::parse_filter(text).map(|_| text.to_owned())
}

pub(super) fn run(
    args: Args,
    global: &Global,
    console: &mut Console,
    gateway: impl FnOnce(Settings) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut settings = match config::load(&global.config, &Global::surroundings()) {
        Ok(settings) => settings,
        Err(error) => {
            console.note(&error.to_string());
            return Ok(Outcome::Failed);
        }
    };
    if let Some(level) = args.log_level {
        settings.logging.filter = level;
    }
    if let Some(format) = args.log_format {
        settings.logging.format = match format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
    }
    if let Some(socket) = &global.socket {
        settings.daemon.control_socket.clone_from(socket);
    }
    let _guard = logging::init(&settings.logging)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    gateway(settings)?;
    Ok(Outcome::Done)
}
