//! Questions to the person at the terminal, passwords without echo.
//!
//! The only `unsafe` of the command line: reading and setting the terminal's modes.

use std::io::{self, BufRead, IsTerminal, Write};

use zeroize::Zeroizing;

/// Whether there is somebody to ask.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line; an empty answer means `default`.
pub(super) fn ask(question: &str, default: Option<&str>) -> io::Result<String> {
    let hint = default.map(|d| format!(" [{d}]")).unwrap_or_default();
    write!(io::stderr(), "{question}{hint}: ")?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.unwrap_or_default() } else { answer }.to_owned())
}

/// Asks a question with yes or no; an empty answer means no.
pub(super) fn confirm(question: &str) -> io::Result<bool> {
    let answer = ask(&format!("{question} (y/n)"), Some("n"))?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a password; what is typed does not show.
pub(super) fn ask_password(question: &str) -> io::Result<Zeroizing<String>> {
    write!(io::stderr(), "{question}: ")?;
    let silence = echo::Silence::begin()?;
    let line = read_secret_line(&mut io::stdin().lock());
    drop(silence);
    writeln!(io::stderr())?;
    line
}

/// Reads one line without its end.
pub(super) fn read_secret_line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    if input.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

mod echo {
    #![expect(unsafe_code, reason = "terminal modes have no safe interface in the standard library")]

    use std::io;
    use std::mem::MaybeUninit;

    /// Standard input without echo, until dropped.
    pub(super) struct Silence {
        before: libc::termios,
    }

    impl Silence {
        pub(super) fn begin() -> io::Result<Self> {
            let mut modes = MaybeUninit::<libc::termios>::uninit();
            // SAFETY: the pointer is valid for one termios, which the call fills in when it returns 0.
            if unsafe { libc::tcgetattr(libc::STDIN_FILENO, modes.as_mut_ptr()) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: tcgetattr returned 0.
            let before = unsafe { modes.assume_init() };
            let mut silent = before;
            silent.c_lflag &= !libc::ECHO;
            set(&silent)?;
            Ok(Self { before })
        }
    }

    impl Drop for Silence {
        fn drop(&mut self) {
            // A terminal that has gone away needs no echo.
            let _ = set(&self.before);
        }
    }

    fn set(modes: &libc::termios) -> io::Result<()> {
        // SAFETY: the pointer comes from a reference to an initialized termios.
        match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, modes) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_keeps_its_spaces_and_loses_its_line_end() {
        assert_eq!(read_secret_line(&mut &b" two words \r\nrest"[..]).unwrap().as_str(), " two words ");
        assert_eq!(read_secret_line(&mut &b"no end"[..]).unwrap().as_str(), "no end");
        assert!(read_secret_line(&mut &b""[..]).is_err());
    }
}
