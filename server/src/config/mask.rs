//! Hides literal secrets in a configuration text that is about to be shown.
//!
//! Works on lines, not on parsed values, since the text may be one that does not parse: in doubt it hides more. What stands
//! right of a key that nobody knows is hidden, since it may be the mistyped name of a secret. Byte offsets stay as they are,
//! so that a report still points to the right column.

use super::keys;

/// Keys whose values are secrets, in any table.
const SECRET_KEYS: [&str; 5] = ["psk", "password", "nt_hash", "secret", "key_password"];
/// Tables whose keys are free and whose values are secrets.
const SECRET_TABLES: [&str; 3] = ["users", "psk", "ppk"];
/// A string with one of these prefixes says where a secret is, not what it is.
const REFERENCES: [&str; 3] = ["file:", "env:", "cred:"];
/// Every kind of string; the longer quotes first.
const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// `text` with every character of its literal secrets replaced by `*`, at the same byte offsets.
pub(super) fn mask_secrets(text: &str) -> String {
    let mut masker =
        Masker { direct: false, long_string: None, list: None, inline: false, out: String::with_capacity(text.len()) };
    text.split_inclusive('\n').for_each(|line| masker.line(line));
    masker.out
}

struct Masker {
    /// In `[users]`, `[psk]` and `[ppk]`, what stands right of the first `=` is a secret unless it is a table.
    direct: bool,
    /// The quotes that end a secret which spans lines.
    long_string: Option<&'static str>,
    /// Within a list: whether its items are secrets.
    list: Option<bool>,
    /// Within a table in braces, which has one line.
    inline: bool,
    out: String,
}

impl Masker {
    fn line(&mut self, line: &str) {
        if let Some(quotes) = self.long_string {
            return self.inside_long_string(line, quotes);
        }
        let Some((header, rest)) = table_header(line) else { return self.pairs(line) };
        self.direct = holds_secrets(header);
        self.list = None;
        self.out.push_str(line.strip_suffix(rest).unwrap_or(line));
        if !rest.trim().is_empty() {
            return self.pairs(rest);
        }
        self.out.push_str(rest);
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

    /// Looks at each `key = value` of a line, and at each item of a list.
    fn pairs(&mut self, line: &str) {
        let mut rest = line;
        let mut first = true;
        self.inline = false;
        if self.list == Some(false) && line.trim_start().starts_with(char::is_alphabetic) {
            // The list before has no end.
            self.list = None;
        }
        loop {
            if self.list == Some(true) {
                rest = self.secret_items(rest);
            }
            let (key, value) = self.key(rest, first);
            if value.is_empty() {
                return;
            }
            let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
            let (blank, value) = value.split_at(blank);
            self.out.push_str(blank);
            rest = match is_secret(key, value, self.direct && first) {
                true => self.secret_value(value),
                false => self.plain_value(value),
            };
            first = false;
        }
    }

    /// Copies what stands left of the next `=`, or `:` as others write it; gives back that and what follows. Without any,
    /// nothing follows, and what is neither the first word nor an item of a list is hidden.
    fn key<'a>(&mut self, text: &'a str, first: bool) -> (&'a str, &'a str) {
        let (mut at, mut shown) = (0, 0);
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let (before, after) = text.split_at(at);
            match c {
                '=' | ':' => {
                    let (key, value) = text.split_at(at + 1);
                    self.out.push_str(key.get(shown..).unwrap_or(""));
                    return (key, value);
                }
                '#' => {
                    self.left_over(before.get(shown..).unwrap_or(""), first && shown == 0);
                    self.comment(after);
                    return (text, "");
                }
                '"' | '\'' => {
                    let end = at + string_length(after, 1);
                    let is_key = text.get(end..).is_some_and(|rest| rest.trim_start().starts_with(['=', ':', '.']));
                    if !is_key && self.list != Some(false) {
                        self.words(before.get(shown..).unwrap_or(""), first && shown == 0);
                        self.hide_string(after.get(..end - at).unwrap_or(after));
                        shown = end;
                    }
                    at = end;
                    continue;
                }
                ']' if self.list.is_some() => {
                    self.out.push_str(text.get(shown..=at).unwrap_or(""));
                    (shown, self.list) = (at + 1, None);
                }
                '}' if self.inline => {
                    self.words(before.get(shown..).unwrap_or(""), false);
                    self.out.push(c);
                    (shown, self.inline) = (at + 1, false);
                }
                '{' => self.inline = true,
                _ => {}
            }
            at += c.len_utf8();
        }
        self.left_over(text.get(shown..).unwrap_or(""), first && shown == 0);
        (text, "")
    }

    /// What stands behind the last pair: items of a list, or words.
    fn left_over(&mut self, text: &str, first: bool) {
        match self.list {
            Some(false) => self.out.push_str(text),
            _ => self.words(text, first),
        }
    }

    /// Words that belong to no pair: the first one may be shown if it could be a key.
    fn words(&mut self, text: &str, first: bool) {
        let mut left = usize::from(first);
        for part in text.split_inclusive(|c: char| c.is_whitespace()) {
            let word = part.trim_end();
            if word.chars().any(char::is_alphanumeric) && left == 0 {
                self.hide(word);
                self.out.push_str(part.get(word.len()..).unwrap_or(""));
            } else {
                left -= usize::from(!word.is_empty() && left > 0);
                self.out.push_str(part);
            }
        }
    }

    /// A remark; one that may be a pair which somebody has switched off is hidden.
    fn comment(&mut self, text: &str) {
        match text.contains(['=', ':', '"', '\'']) {
            true => {
                self.out.push('#');
                self.hide(text.get(1..).unwrap_or(""));
            }
            false => self.out.push_str(text),
        }
    }

    /// Hides a value, gives back what follows it.
    fn secret_value<'a>(&mut self, value: &'a str) -> &'a str {
        if let Some(items) = value.strip_prefix('[') {
            self.out.push('[');
            self.list = Some(true);
            return self.secret_items(items);
        }
        let mut rest = value;
        if let Some(quotes) = QUOTES.into_iter().find(|quotes| value.starts_with(quotes)) {
            let body = value.get(quotes.len()..).unwrap_or("");
            let (string, after) = value.split_at(string_length(value, quotes.len()));
            if end_of_string(body, quotes).is_none() && quotes.len() == 3 {
                self.long_string = Some(quotes);
            }
            self.hide_string(string);
            rest = after;
        }
        // What follows a string without a comma, or has no quotes: a mistake, but possibly a secret all the same.
        let blank = rest.len() - rest.trim_start().len();
        let is_comment = blank > 0 && rest.trim_start().starts_with('#');
        let end = match rest.find([',', '}']) {
            _ if is_comment => blank,
            Some(end) if self.inline => end,
            _ => rest.len(),
        };
        let (secret, rest) = rest.split_at(end);
        self.hide_word(secret);
        rest
    }

    /// Hides the items of a list up to its end, gives back what follows it.
    fn secret_items<'a>(&mut self, text: &'a str) -> &'a str {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = match c {
                '"' | '\'' => string_length(rest, 1),
                _ => c.len_utf8(),
            };
            let (item, after) = rest.split_at(length);
            rest = after;
            match c {
                '"' | '\'' => self.hide_string(item),
                ']' => {
                    self.list = None;
                    self.out.push(c);
                    return rest;
                }
                c if c.is_whitespace() || c == ',' => self.out.push(c),
                _ => self.hide(item),
            }
        }
        rest
    }

    /// Copies a value that is no secret, gives back what follows it: an `=` in a string starts no pair.
    fn plain_value<'a>(&mut self, value: &'a str) -> &'a str {
        match value.chars().next() {
            Some('[') => self.list = Some(false),
            Some('{') => self.inline = true,
            _ => {}
        }
        let end = match value.chars().next() {
            Some('"' | '\'') => string_length(value, 1),
            Some('[' | '{') => 1,
            _ => value.find(|c: char| c.is_whitespace() || [',', '}', ']', '#'].contains(&c)).unwrap_or(value.len()),
        };
        let (copied, rest) = value.split_at(end);
        self.out.push_str(copied);
        rest
    }

    /// Hides what stands between quotes, unless it only says where the secret is.
    fn hide_string(&mut self, string: &str) {
        let quotes = QUOTES.into_iter().find(|quotes| string.starts_with(quotes)).unwrap_or("");
        let body = string.get(quotes.len()..).unwrap_or("");
        if REFERENCES.iter().any(|prefix| body.starts_with(prefix)) {
            return self.out.push_str(string);
        }
        let (secret, end) = body.split_at(end_of_string(body, quotes).unwrap_or(body.len()));
        self.out.push_str(quotes);
        self.hide(secret);
        self.out.push_str(end);
    }

    /// Hides a text but for the blanks at its ends.
    fn hide_word(&mut self, text: &str) {
        let trimmed = text.trim();
        let (before, after) = text.split_once(trimmed).filter(|_| !trimmed.is_empty()).unwrap_or((text, ""));
        self.out.push_str(before);
        self.hide(trimmed);
        self.out.push_str(after);
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

/// The octets of a string with its quotes, `quotes` of them at each end; of one without an end, up to that of the line.
fn string_length(string: &str, quotes: usize) -> usize {
    let (opening, body) = string.split_at(quotes);
    match end_of_string(body, opening) {
        Some(end) => end + 2 * quotes,
        None => quotes + body.trim_end_matches(['\n', '\r']).len(),
    }
}

/// What stands in the brackets of a table's header, and what follows them.
fn table_header(line: &str) -> Option<(&str, &str)> {
    let inside = line.trim_start().strip_prefix('[')?;
    let (name, rest) = inside.split_once(']').unwrap_or((inside, ""));
    Some((name.trim_matches(['[', ' ', '"', '\'', '\r', '\n']), rest.trim_start_matches(']')))
}

/// Whether the values of a table are secrets: those of `[users]`, `[psk]`, `[ppk]`, and of a table that may be meant as one.
fn holds_secrets(header: &str) -> bool {
    let mut segments = header.split('.').map(str::trim);
    let first = segments.next().unwrap_or("");
    match segments.next_back() {
        Some(last) => last == "psk" || (first == "remote" && SECRET_TABLES.contains(&last)),
        None => !keys::TOP.keys.contains(&first) || SECRET_TABLES.contains(&first),
    }
}

/// Whether `value` has to be hidden, given what stands before it.
fn is_secret(before: &str, value: &str, direct: bool) -> bool {
    let key = before.rsplit(['{', ',']).next().unwrap_or(before).trim_end_matches(['=', ':']);
    let segments: Vec<&str> = key.split('.').map(|part| part.trim().trim_matches(['"', '\''])).collect();
    let last = segments.last().copied().unwrap_or("");
    let word = last.rsplit(char::is_whitespace).next().unwrap_or(last);
    let is_table = value.starts_with('{');
    let free = direct || matches!(segments.as_slice(), [table, _] if SECRET_TABLES.contains(table));
    let is_word = |value: &str| ["true", "false"].contains(&value.trim_end_matches([' ', '}', '\r', '\n']));
    match word {
        _ if SECRET_KEYS.contains(&word) => true,
        "users" => is_table,
        _ if is_table => false,
        "ppk" => true,
        _ => free || !(is_known(word) || is_word(value)),
    }
}

/// Whether the reader knows this key, in any table.
fn is_known(key: &str) -> bool {
    let tables = [
        &keys::TOP,
        &keys::REMOTE,
        &keys::SITE,
        &keys::SITE_CHILD,
        &keys::SITE_PPK,
        &keys::USER,
        &keys::DAEMON,
        &keys::LOG,
    ];
    tables.iter().any(|table| table.keys.contains(&key))
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

    #[test]
    fn hides_what_a_mistyped_key_holds() {
        for key in
            ["pks", "PSK", "preshared_key", "pre-shared-key", "key_pasword", "Password", "site.b.pks", "\"p s k\""]
        {
            assert_masked(&format!("{key} = \"SECRET\"\n"), &format!("{key} = \"******\"\n"));
            assert_masked(&format!("{key}: \"SECRET\"\n"), &format!("{key}: \"******\"\n"));
            assert_masked(&format!("{key}=SECRET\n"), &format!("{key}=******\n"));
        }
        assert_masked("psk: \"SECRET\"\nppk = \"SECRET\"\n", "psk: \"******\"\nppk = \"******\"\n");
        assert_masked("ppk = { id = \"x\", secert = \"SECRET\" }\n", "ppk = { id = \"x\", secert = \"******\" }\n");
        assert_masked(
            "[users]\nalice = { pasword = \"SECRET\", devices = 2 }\n",
            "[users]\nalice = { pasword = \"******\", devices = 2 }\n",
        );
        assert_masked("[user]\nname = \"SECRET\"\n", "[user]\nname = \"******\"\n");
        assert_masked("pks = \"file:psk\"\n", "pks = \"file:psk\"\n");
    }

    #[test]
    fn hides_secrets_in_lists_tables_and_remarks() {
        assert_masked(
            "pks = [\n  \"ONE\", # x\n  \"TWO\"]\nmtu = 5\n",
            "pks = [\n  \"***\", * *\n  \"***\"]\nmtu = 5\n",
        );
        assert_masked("users = { name = \"ONE\" }\n", "users = ****************\n");
        assert_masked("psk = { id = \"ONE\" }\n", "psk = **************\n");
        assert_masked("mtu = 5 # psk = \"ONE\"\n", "mtu = 5 #************\n");
        assert_masked("# pre-shared: ONE\n", "#****************\n");
    }

    #[test]
    fn hides_what_stands_where_no_value_can() {
        assert_masked("psk \"SECRET\"\n", "psk \"******\"\n");
        assert_masked("psk SECRET\n", "psk ******\n");
        assert_masked("local = [\"x\"\npsk SECRET\n", "local = [\"x\"\npsk ******\n");
        assert_masked("psk = \"SEC\"RET\"\n", "psk = \"***\"****\n");
        assert_masked("mtu = 5 psk = \"SECRET\"\n", "mtu = 5 psk = \"******\"\n");
        assert_masked("local = [\"10.1.0.0/16\"\npsk = \"SECRET\"\n", "local = [\"10.1.0.0/16\"\npsk = \"******\"\n");
    }

    #[test]
    fn shows_what_is_no_secret() {
        for text in [
            "peer = 198.51.100.10\n",
            "peer = fd00::1\n",
            "[remote]\nlisten = [\"[::]:500\", \"192.0.2.1:500\"] # both\nid = \"keyid:a=b\"\n",
            "local = [\n  \"10.1.0.0/16 tcp/443\", # web\n  \"fd01::/64\",\n]\nmtu = 1400\n",
            "[[site.b.child]]\nname = \"x\"\nchild = [{ name = \"x\", local = \"fd01::/64\" }]\n",
            "[site.b]\r\nrequird = true\r\npeer = \"x\"\r\n",
            "[site.b]\nppk = { id = \"x\", secret = \"file:ppk\", required = true }\n",
        ] {
            assert_masked(text, text);
        }
    }

    #[test]
    fn keeps_the_length_of_any_text() {
        let words =
            ["psk", " = ", "\"", "'", "\"\"\"", "[", "]", "{", "}", "#", "\n", ",", ":", ".", "\\", "ä", "file:", " "];
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 40).unwrap()
            };
            let text: String = (0..next() % 12).map(|_| words[next() % words.len()]).collect();
            assert_eq!(mask_secrets(&text).len(), text.len(), "{text:?}");
        }
    }
}
