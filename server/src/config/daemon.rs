//! `[daemon]` and `[log]`: the process itself.

use super::names::check_interface;
use super::nearest::nearest;
use super::reader::{Section, Value};
use super::source::Source;
use super::{Daemon, LogFormat, Logging, defaults};

/// Reads `[daemon]`; without it everything is as by default.
pub(super) fn read_daemon(source: &Source<'_>, section: Option<&Section<'_>>) -> Daemon {
    let value = |key| section.and_then(|s| s.value(key));
    let path = |key, default: &str| {
        let written = value(key).and_then(|v| v.text().map(|t| t.value));
        source.resolve(written.unwrap_or(default))
    };
    Daemon {
        state_dir: path("state_dir", defaults::STATE_DIR),
        control_socket: path("socket", defaults::CONTROL_SOCKET),
        users_file: path("users_file", defaults::USERS_FILE),
        interface: value("interface").and_then(|v| interface(&v)).unwrap_or_else(|| defaults::INTERFACE.to_owned()),
        workers: value("workers").and_then(|v| v.integer(defaults::WORKERS_RANGE, "threads")).map(usize::from),
    }
}

/// Reads `[log]`; without it everything is as by default.
pub(super) fn read_logging(section: Option<&Section<'_>>) -> Logging {
    let value = |key| section.and_then(|s| s.value(key));
    Logging {
        filter: value("level").and_then(|v| filter(&v)).unwrap_or_else(|| defaults::LOG_FILTER.to_owned()),
        format: value("format").and_then(|v| format(&v)).unwrap_or(LogFormat::Text),
    }
}

fn interface(value: &Value<'_>) -> Option<String> {
    let name = value.text()?.value;
    match check_interface(name) {
        Ok(()) => Some(name.to_owned()),
        Err(reason) => value.error(format!("an interface cannot be called \"{name}\": {reason}"), "", None),
    }
}

fn filter(value: &Value<'_>) -> Option<String> {
    let text = value.text()?.value;
    match crate::logging::parse_filter(text) {
        Ok(_) => Some(text.to_owned()),
        Err(reason) => {
            let help = "error, warn, info, debug or trace; or for a part only: \"info,cygnet_ike=debug\"";
            value.error(reason, "", Some(help.into()))
        }
    }
}

fn format(value: &Value<'_>) -> Option<LogFormat> {
    match value.text()?.value {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        other => {
            let help = match nearest(other, ["text", "json"]) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "\"text\" or \"json\"".to_owned(),
            };
            value.error(format!("unknown log format \"{other}\""), "", Some(help))
        }
    }
}
