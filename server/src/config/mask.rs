//! Hides literal secrets in a configuration text that is about to be shown.
//!
//! Works on lines, not on parsed values, since the text may be one that does not parse: in doubt it hides more. Byte offsets
//! stay as they are, so that a report still points to the right column.

/// Keys whose values are secrets, in any table.
const SECRET_KEYS: [&str; 5] = ["psk", "password", "nt_hash", "secret", "key_password"];
/// A string with one of these prefixes says where a secret is, not what it is.
const REFERENCES: [&str; 3] = ["file:", "env:", "cred:"];

/// `text` with every character of its literal secrets replaced by `*`, at the same byte offsets.
pub(super) fn mask_secrets(text: &str) -> String {
    let mut masker =
        Masker { direct_values_are_secret: false, long_string: None, out: String::with_capacity(text.len()) };
    text.split_inclusive('\n').for_each(|line| masker.line(line));
    masker.out
}

struct Masker {
    /// In `[users]`, `[psk]` and `[ppk]`, what stands right of the first `=` is a secret unless it is a table.
    direct_values_are_secret: bool,
    /// The quotes that end a secret which spans lines.
    long_string: Option<&'static str>,
    out: String,
}

impl Masker {
    fn line(&mut self, line: &str) {
        if let Some(quotes) = self.long_string {
            return self.inside_long_string(line, quotes);
        }
        if let Some(header) = table_header(line) {
            self.direct_values_are_secret = ["users", "psk", "ppk"].contains(&header);
            return self.out.push_str(line);
        }
        self.pairs(line);
    }

    fn inside_long_string(&mut self, line: &str, quotes: &'static str) {
        match line.find(quotes) {
            Some(end) => {
                self.long_string = None;
                self.hide(line.get(..end).unwrap_or(line));
                self.out.push_str(line.get(end..).unwrap_or(""));
            }
            None => self.hide(line),
        }
    }

    /// Looks at each `key = value` of a line.
    fn pairs(&mut self, line: &str) {
        let mut rest = line;
        let mut first = true;
        while let Some(equals) = rest.find('=') {
            let (key, value) = rest.split_at(equals + 1);
            self.out.push_str(key);
            let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
            let (blank, value) = value.split_at(blank);
            self.out.push_str(blank);
            let direct = first && (self.direct_values_are_secret || key.trim_start().starts_with("users."));
            let secret = is_secret_key(key) || (direct && !value.starts_with('{'));
            rest = if secret { self.secret_value(value) } else { self.plain_value(value) };
            first = false;
        }
        self.out.push_str(rest);
    }

    /// Hides a value, gives back what follows it.
    fn secret_value<'a>(&mut self, value: &'a str) -> &'a str {
        for quotes in ["\"\"\"", "'''", "\"", "'"] {
            let Some(body) = value.strip_prefix(quotes) else { continue };
            self.out.push_str(quotes);
            if REFERENCES.iter().any(|prefix| body.starts_with(prefix)) {
                return body;
            }
            let end = end_of_string(body, quotes);
            if end.is_none() && quotes.len() == 3 {
                self.long_string = Some(quotes);
            }
            let (secret, rest) = body.split_at(end.unwrap_or(body.len()));
            self.hide(secret);
            return rest;
        }
        // No quotes: a mistake, but possibly a secret all the same.
        let (secret, rest) = value.split_at(value.find([',', '}']).unwrap_or(value.len()));
        self.hide(secret);
        rest
    }

    /// Copies a string that is no secret, gives back what follows it: an `=` in it starts no pair.
    fn plain_value<'a>(&mut self, value: &'a str) -> &'a str {
        let Some(quote) = ["\"", "'"].into_iter().find(|quote| value.starts_with(quote)) else { return value };
        let end = value.get(1..).and_then(|body| end_of_string(body, quote)).map_or(value.len(), |end| end + 1);
        let (copied, rest) = value.split_at(end);
        self.out.push_str(copied);
        rest
    }

    fn hide(&mut self, secret: &str) {
        for c in secret.chars() {
            match c {
                '\n' | '\r' => self.out.push(c),
                _ => self.out.extend(std::iter::repeat_n('*', c.len_utf8())),
            }
        }
    }
}

/// Where a string ends that begins before `body`; quotes after a backslash do not count.
fn end_of_string(body: &str, quotes: &str) -> Option<usize> {
    let ends = body.match_indices(quotes).map(|(at, _)| at);
    let escaped = |at: usize| {
        let backslashes = body.get(..at).unwrap_or("").bytes().rev().take_while(|b| *b == b'\\').count();
        quotes.starts_with('"') && backslashes % 2 == 1
    };
    ends.into_iter().find(|at| !escaped(*at))
}

fn table_header(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix('[')?.split(']').next()?;
    Some(inside.trim_matches(['[', ' ', '"', '\'']))
}

/// Whether the last word before an `=` is the name of a secret.
fn is_secret_key(before_value: &str) -> bool {
    let word = before_value.trim_end_matches('=').trim_end().trim_matches(['"', '\'']);
    let word = word.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("");
    SECRET_KEYS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_masked(text: &str, expected: &str) {
        assert_eq!(mask_secrets(text), expected);
        assert_eq!(mask_secrets(text).len(), text.len(), "offsets are kept");
    }

    #[test]
    fn hides_passwords_and_keys_but_nothing_else() {
        assert_masked(
            "[remote]\nname = \"vpn\"\npsk = \"sesame\" # why\n[users]\nalice = \"häsli\"\n\
             bob = { password = \"a, b = c\", address = \"10.0.0.1\" }\ncarol = { nt_hash = \"ab\", devices = 2 }\n[psk]\n\"a@b\" = 'x'\n",
            "[remote]\nname = \"vpn\"\npsk = \"******\" # why\n[users]\nalice = \"******\"\n\
             bob = { password = \"********\", address = \"10.0.0.1\" }\ncarol = { nt_hash = \"**\", devices = 2 }\n[psk]\n\"a@b\" = '*'\n",
        );
    }

    #[test]
    fn shows_where_a_secret_is() {
        let text = "psk = \"file:psk\"\n[users]\na = \"env:X\"\nb = { password = \"cred:y\" }\n";
        assert_masked(text, text);
    }

    #[test]
    fn hides_what_is_written_wrong() {
        assert_masked("psk = \"open sesame\nname = \"vpn\"\n", "psk = \"***********\nname = \"vpn\"\n");
        assert_masked("[users]\nalice = correct horse\n", "[users]\nalice = *************\n");
        assert_masked(
            "[users]\na = { password = horse, devices = 1 }\n",
            "[users]\na = { password = *****, devices = 1 }\n",
        );
    }

    #[test]
    fn hides_all_of_a_secret_that_spans_lines() {
        assert_masked("psk = \"\"\"\none\ntwo\"\"\"\nname = \"x\"\n", "psk = \"\"\"\n***\n***\"\"\"\nname = \"x\"\n");
    }

    #[test]
    fn is_not_misled_by_escaped_quotes_or_sub_tables() {
        assert_masked("psk = \"a\\\"b\"\n", "psk = \"****\"\n");
        assert_masked("psk = 'a\\'\nname = 'b'\n", "psk = '**'\nname = 'b'\n");
        assert_masked(
            "[users.alice]\npassword = \"x\"\naddress = \"y\"\n",
            "[users.alice]\npassword = \"*\"\naddress = \"y\"\n",
        );
        assert_masked("users.alice = \"x\"\n", "users.alice = \"*\"\n");
    }
}
