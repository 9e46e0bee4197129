//! Passwords and pre-shared keys: typed, piped in, or made.

use std::io::{self, Write};

use zeroize::Zeroizing;

use super::{Usage, terminal};

/// Letters and digits that nobody takes for another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Five bits per character: 100 bits, nobody guesses that.
const PASSWORD_GROUPS: usize = 4;
/// 150 bits: a pre-shared key can be attacked offline.
const PSK_GROUPS: usize = 6;
/// Characters between two hyphens.
const GROUP: usize = 5;

/// Where a password comes from.
#[derive(clap::Args)]
pub(super) struct PasswordArgs {
    /// Read the password from standard input (one line).
    #[arg(long)]
    password_stdin: bool,
    /// Make a password and print it.
    #[arg(long, conflicts_with = "password_stdin")]
    generate: bool,
}

/// A password, and whether it has to be told to the operator since we made it.
pub(super) struct Password {
    pub(super) text: Zeroizing<String>,
    pub(super) generated: bool,
}

impl PasswordArgs {
    /// Gets the password for `user` the way the arguments say; asks for it if they say nothing.
    pub(super) fn obtain(&self, user: &str) -> anyhow::Result<Password> {
        if self.generate {
            return Ok(Password { text: generate(PASSWORD_GROUPS)?, generated: true });
        }
        let text = if self.password_stdin {
            terminal::read_secret_line(&mut io::stdin().lock())?
        } else if terminal::is_interactive() {
            ask_twice(user)?
        } else {
            let text = "there is no terminal to ask for a password; use --password-stdin or --generate";
            return Err(Usage(text.to_owned()).into());
        };
        anyhow::ensure!(!text.is_empty(), "the password is empty");
        Ok(Password { text, generated: false })
    }
}

fn ask_twice(user: &str) -> anyhow::Result<Zeroizing<String>> {
    loop {
        let first = terminal::ask_password(&format!("Password for {user}"))?;
        anyhow::ensure!(!first.is_empty(), "no password given; --generate makes one");
        let second = terminal::ask_password("Once more")?;
        if first == second {
            return Ok(first);
        }
        io::stderr().write_all(b"These are different, please try again.\n")?;
    }
}

/// A password that can be read aloud: `k3fx9-...`.
pub(super) fn generate_password() -> anyhow::Result<Zeroizing<String>> {
    generate(PASSWORD_GROUPS)
}

/// A pre-shared key.
pub(super) fn generate_psk() -> anyhow::Result<Zeroizing<String>> {
    generate(PSK_GROUPS)
}

fn generate(groups: usize) -> anyhow::Result<Zeroizing<String>> {
    let mut random = Zeroizing::new(vec![0u8; groups * GROUP]);
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers from the system: {error}"))?;
    let mut text = Zeroizing::new(String::with_capacity(groups * (GROUP + 1)));
    for (n, byte) in random.iter().enumerate() {
        if n > 0 && n % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_readable_and_differ() {
        let password = generate_password().unwrap();
        assert_eq!(password.len(), 23);
        assert!(password.split('-').all(|group| group.len() == 5));
        assert!(password.bytes().all(|c| c == b'-' || ALPHABET.contains(&c)));
        assert_ne!(password, generate_password().unwrap());
        assert_eq!(generate_psk().unwrap().len(), 35);
    }

    #[test]
    fn the_alphabet_has_no_letter_twice_and_none_that_misleads() {
        let mut letters = ALPHABET.to_vec();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), 32);
        assert!(b"01lo".iter().all(|c| !ALPHABET.contains(c)));
    }
}
