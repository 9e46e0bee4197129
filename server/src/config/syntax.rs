//! Mistakes of TOML's grammar: of each file the first one, with what is probably meant.
//!
//! What follows a missing quote or bracket means nothing, so that further errors would only hide the first. Does not: parse.

use toml::de::DeTable;

use super::mask::mask_secrets;
use super::problem::{FileId, Problem, Problems, Spot};

/// The text as a table; a syntax error becomes a problem, and then there is no table.
pub(super) fn parse<'a>(text: &'a str, file: FileId, problems: &Problems) -> Option<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    let Some(first) = errors.iter().min_by_key(|error| place(error).start) else { return Some(table.into_inner()) };
    let problem = Problem::error(format!("this is not TOML: {}", first.message()));
    let problem = problem.at(Spot::new(file, place(first)), "");
    problems.report(match help(text, place(first).start, first.message()) {
        Some(help) => problem.help(help),
        None => problem,
    });
    None
}

fn help(text: &str, at: usize, message: &str) -> Option<String> {
    let line = text.get(..at)?.matches('\n').count();
    match message {
        "duplicate key" => twice(text, line),
        _ => unclosed(text, line).or_else(|| unquoted(text, line)),
    }
}

/// What stands in the text for the second time, and where it stands first.
fn twice(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let header = (0..=line).rev().find(|&n| lines.get(n).is_some_and(|line| line.starts_with('[')));
    if let Some(second) = header {
        let name = lines.get(second).and_then(|line| line.split(']').next())?;
        let same = |line: &&str| line.split(']').next() == Some(name);
        let first = lines.iter().take(second).position(same);
        if let (Some(first), false) = (first, name.starts_with("[[")) {
            return Some(format!("{name}] stands twice, first in line {}: put all of it into one place", first + 1));
        }
    }
    let key = lines.get(line)?.split_once('=')?.0.trim();
    let begin = header.unwrap_or(0);
    let same = |line: &&str| line.split_once('=').is_some_and(|(other, _)| other.trim() == key);
    let first = begin + lines.iter().take(line).skip(begin).position(same)?;
    Some(format!("`{key}` stands twice, first in line {}: keep one of them", first + 1))
}

/// A list that begins before `line` and does not end before the next key.
fn unclosed(text: &str, line: usize) -> Option<String> {
    let before = |n: usize, line: &str| {
        let value = line.split_once('=')?.1.split('#').next()?.trim();
        (value.starts_with('[') && !value.contains(']')).then_some(n)
    };
    let begin = text.lines().enumerate().take(line + 1).filter_map(|(n, line)| before(n, line)).last()?;
    let between = text.lines().skip(begin + 1).take(line.saturating_sub(begin + 1));
    let closed = between.into_iter().any(|line| line.contains(']'));
    (!closed).then(|| format!("the list that begins in line {} has no `]`", begin + 1))
}

/// Text without quotes.
fn unquoted(text: &str, line: usize) -> Option<String> {
    let written = text.lines().nth(line)?;
    let (key, value) = written.split_once('=')?;
    let value = value.split('#').next()?.trim();
    if !value.starts_with(|c: char| c.is_alphanumeric() || c == '/' || c == ':') || value.contains(['"', '\'']) {
        return None;
    }
    // What may be a secret is not repeated.
    let is_shown = mask_secrets(text).lines().nth(line) == Some(written);
    Some(format!("put text in quotes:  {} = \"{}\"", key.trim(), if is_shown { value } else { "..." }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let problems = Problems::default();
        let file = problems.add_file(std::path::Path::new("cygnet.toml"), text);
        assert!(parse(text, file, &problems).is_none(), "{text}");
        assert_eq!(problems.counts(), (1, 0), "one error for {text}");
        problems.render(false)
    }

    #[test]
    fn text_without_quotes_gets_them() {
        for value in ["198.51.100.10", "gw.example.org", "fd00::1"] {
            let report = told(&format!("[site.berlin]\npeer = {value}\npsk = \"file:psk\"\n"));
            let expected = format!("help: put text in quotes:  peer = \"{value}\"");
            assert!(report.contains("cygnet.toml:2:") && report.contains(&expected), "{report}");
        }
        let report = told("[remote]\npsk = sesame\nname = \"x\"\n");
        assert!(report.contains("psk = \"...\"") && !report.contains("sesame"), "{report}");
    }

    #[test]
    fn what_stands_twice_is_told_with_its_first_place() {
        let site = "[site.berlin]\npeer = \"x\"\npsk = \"file:psk\"\n";
        let report = told(&format!("{site}[site.lyon]\npeer = \"y\"\n{site}"));
        assert!(report.contains("help: [site.berlin] stands twice, first in line 1"), "{report}");
        let report = told(&format!("{site}peer = \"y\"\n"));
        assert!(report.contains("help: `peer` stands twice, first in line 2"), "{report}");
    }

    #[test]
    fn a_list_without_an_end_is_one_mistake() {
        let report = told("[site.berlin]\nlocal = [\"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\npeer = \"x\"\n");
        assert!(report.contains("help: the list that begins in line 2 has no `]`"), "{report}");
    }
}
