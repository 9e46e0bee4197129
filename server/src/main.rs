//! The `cygnet` command. Everything is in the library; this is the door.

use std::process::ExitCode;

fn main() -> ExitCode {
    cygnet_server::cli::main(cygnet_server::daemon::run)
}
