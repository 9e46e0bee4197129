//! Hides literal secrets in a configuration text that is about to be shown.
//!
//! Works on lines, not on parsed values, since the text may be one that does not parse. Byte offsets stay as they are.

/// Keys whose values are secrets, in any table.
const SECRET_KEYS: [&str; 3] = ["psk", "password", "nt_hash"];
/// Tables in which every string may be a secret.
const SECRET_TABLES: [&str; 2] = ["users", "psk"];
/// A string with one of these prefixes says where a secret is, not what it is.
const REFERENCES: [&str; 3] = ["file:", "env:", "cred:"];

/// `text` with every character of its literal secrets replaced by `*`, at the same byte offsets.
pub(super) fn mask_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_secret_table = false;
    let mut in_long_string = false;
    for line in text.split_inclusive('\n') {
        if let Some(header) = table_header(line) {
            in_secret_table =
                header.split('.').any(|part| SECRET_TABLES.contains(&part.trim().trim_matches(['"', '\''])));
            out.push_str(line);
            continue;
        }
        let opens_long = line.matches("\"\"\"").count() + line.matches("'''").count();
        if in_secret_table || in_long_string || mentions_secret_key(line) {
            mask_line(line, in_long_string || opens_long > 0, &mut out);
            in_long_string ^= opens_long % 2 == 1;
        } else {
            out.push_str(line);
        }
    }
    out
}

fn table_header(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix('[')?.split(']').next()?;
    (!inside.contains('=')).then_some(inside)
}

fn mentions_secret_key(line: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| SECRET_KEYS.contains(&word))
}

/// Masks what stands right of the first `=`: what is between quotes, or everything when `all`.
fn mask_line(line: &str, all: bool, out: &mut String) {
    let (key, value) = match line.split_once('=') {
        Some((key, _)) if !all => line.split_at(key.len() + 1),
        _ => ("", line),
    };
    out.push_str(key);
    let mut quote: Option<char> = None;
    let mut hidden = all;
    for (at, c) in value.char_indices() {
        match quote {
            None if c == '"' || c == '\'' => {
                let body = value.get(at + c.len_utf8()..).unwrap_or("");
                quote = Some(c);
                hidden = all || !REFERENCES.iter().any(|prefix| body.starts_with(prefix));
                out.push(c);
            }
            Some(q) if c == q => {
                quote = None;
                out.push(c);
            }
            Some(_) if hidden => push_stars(c, out),
            None if all => push_stars(c, out),
            _ => out.push(c),
        }
    }
}

fn push_stars(c: char, out: &mut String) {
    if c == '\n' || c == '\r' {
        out.push(c);
    } else {
        out.extend(std::iter::repeat_n('*', c.len_utf8()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_passwords_and_keys_but_not_references() {
        let text = "[remote]\nname = \"vpn\"\npsk = \"sesame\"\n[users]\nalice = \"häsli\"\nbob = { password = \"file:bob\", devices = 2 }\n";
        let masked = mask_secrets(text);
        assert_eq!(
            masked,
            "[remote]\nname = \"vpn\"\npsk = \"******\"\n[users]\nalice = \"******\"\nbob = { password = \"file:bob\", devices = 2 }\n"
        );
        assert_eq!(masked.len(), text.len());
    }

    #[test]
    fn hides_the_rest_of_a_line_whose_quote_is_never_closed() {
        assert_eq!(mask_secrets("psk = \"open sesame\nname = \"vpn\"\n"), "psk = \"***********\nname = \"vpn\"\n");
    }

    #[test]
    fn hides_all_of_a_secret_that_spans_lines() {
        assert_eq!(mask_secrets("psk = \"\"\"\none\ntwo\"\"\"\nname = \"x\"\n").matches("one").count(), 0);
        assert_eq!(mask_secrets("psk = \"\"\"\none\ntwo\"\"\"\nname = \"x\"\n").matches("two").count(), 0);
        assert!(mask_secrets("psk = \"\"\"\none\ntwo\"\"\"\nname = \"x\"\n").contains("name = \"x\""));
    }

    #[test]
    fn knows_quoted_and_nested_table_names() {
        assert_eq!(mask_secrets("[users.\"al.ice\"]\nx = \"abc\"\n"), "[users.\"al.ice\"]\nx = \"***\"\n");
    }
}
