//! Typed access to a parsed TOML table: each wrong type, unknown key or bad value is reported where it was written.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Table};
use super::nearest::meant;
use super::problem::{FileId, Located, Problem, Problems, Spot};

/// A table whose keys are known.
pub(super) struct Section<'a> {
    problems: &'a Problems,
    file: FileId,
    keys: &'static Table,
    /// What it is called in this file: `site.berlin` where the keys are those of `site.NAME`.
    path: String,
    table: &'a DeTable<'a>,
    /// The whole table or its header.
    pub(super) spot: Spot,
}

impl<'a> Section<'a> {
    /// Wraps `table` and reports every key that is not in `keys`.
    pub(super) fn new(
        problems: &'a Problems,
        file: FileId,
        keys: &'static Table,
        table: &'a DeTable<'a>,
        spot: Spot,
    ) -> Self {
        Self { problems, file, keys, path: keys.name.to_owned(), table, spot }.checked()
    }

    /// After a report of every key that is not known.
    fn checked(self) -> Self {
        for key in self.table.keys() {
            self.check_key(key.get_ref(), Spot::new(self.file, key.span()));
        }
        self
    }

    /// The value of `key`, which must be one of the table's known keys.
    pub(super) fn value(&self, key: &'static str) -> Option<Value<'a>> {
        assert!(self.keys.keys.contains(&key), "`{key}` is missing in keys.rs");
        let (name, value) = self.table.get_key_value(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let key_spot = Spot::new(self.file, name.span());
        Some(Value { problems: self.problems, path, key_spot, ..Value::of(self.problems, self.file, value) })
    }

    /// What the table is called in this file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    fn check_key(&self, key: &str, spot: Spot) {
        if self.keys.keys.contains(&key) {
            return;
        }
        let place = if self.keys.name.is_empty() { String::new() } else { format!(" in [{}]", self.keys.name) };
        if let Some((_, what)) = self.keys.planned.iter().find(|(name, _)| *name == key) {
            let title = format!("`{key}`{place} is not supported yet");
            let help = format!("{what} will come with a later version; remove the key for now");
            return self.problems.report(Problem::error(title).at(spot, "not in this version").help(help));
        }
        let help = match meant(key, self.keys.keys) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.keys.name == keys::SITE.name && self.is_table(key) => format!(
                "the name of a site has no dots: [site.NAME]; further networks of one site are [[{}.child]]",
                self.keys.name
            ),
            None => format!("known keys: {}", self.keys.keys.join(", ")),
        };
        self.problems.report(Problem::error(format!("unknown key `{key}`{place}")).at(spot, "").help(help));
    }
}

/// `30s`, `1m30s`, `2 hours`, `1d`, `1 day 12h`.
fn parse_duration(text: &str) -> Option<Duration> {
    let parse = |text: &str| text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    let text = text.trim();
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let after_days = ["days", "day", "d"].iter().find_map(|unit| rest.trim_start().strip_prefix(unit));
    let Some(rest) = after_days else { return parse(text) };
    let days = number.parse::<u64>().ok().and_then(|days| days.checked_mul(86_400)).map(Duration::from_secs)?;
    match rest.trim_start() {
        "" => Some(days),
        rest => days.checked_add(parse(rest)?),
    }
}

/// `500`, `500M`, `10 GB`, `10GiB`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start();
    let unit = unit.strip_suffix('B').unwrap_or(unit);
    let (prefix, step) = unit.strip_suffix('i').map_or((unit, 1_000_u64), |prefix| (prefix, 1_024));
    let power = match prefix {
        "" if step == 1_000 => 0,
        "K" | "k" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(step.checked_pow(power)?)
}

/// A value, not yet known to be of the right type.
#[derive(Clone)]
pub(super) struct Value<'a> {
    problems: &'a Problems,
    file: FileId,
    path: String,
    inner: &'a DeValue<'a>,
    /// Where the key was written; the value itself for an item of a list.
    pub(super) key_spot: Spot,
    /// Where the value was written.
    pub(super) spot: Spot,
}

impl<'a> Value<'a> {
    fn of(problems: &'a Problems, file: FileId, value: &'a Spanned<DeValue<'a>>) -> Self {
        let spot = Spot::new(file, value.span());
        Self { problems, file, path: String::new(), inner: value.get_ref(), key_spot: spot, spot }
    }

    /// What the value is called in this file: `site.berlin.peer`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn text(&self) -> Option<Located<&'a str>> {
        match self.inner {
            DeValue::String(text) => Some(self.located(text.as_ref())),
            _ => self.wrong_type("a string"),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.inner {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// A whole number in `range`; `unit` goes into the message.
    pub(super) fn integer<T>(&self, range: RangeInclusive<T>, unit: &str) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let DeValue::Integer(number) = self.inner else { return self.wrong_type("a whole number") };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok().and_then(|n| T::try_from(n).ok());
        match parsed {
            Some(n) if range.contains(&n) => Some(n),
            _ => {
                let expected = format!("expected {} to {} {unit}", range.start(), range.end());
                self.error(format!("`{}` is out of range", self.path), expected, None)
            }
        }
    }

    /// Seconds as a number, or a text such as `30s` or `1m30s`.
    pub(super) fn duration(&self) -> Option<Duration> {
        match self.inner {
            DeValue::Integer(_) => {
                self.integer(0..=i64::from(u32::MAX), "seconds").map(|s| Duration::from_secs(s.unsigned_abs()))
            }
            DeValue::String(text) => parse_duration(text).or_else(|| {
                let help = "the units are s, m, h and d: \"90s\", \"1h30m\", \"1d\"";
                let title = format!("`{}` is not a duration", self.path);
                self.error(title, "expected something like 30s or 1m30s", Some(help.into()))
            }),
            _ => self.wrong_type("seconds or a text such as \"30s\""),
        }
    }

    /// Octets as a number, or a text such as `500M`, `10GB` (steps of 1000) or `10GiB` (steps of 1024).
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        if !self.is_text() {
            return self.integer(range, "bytes");
        }
        let text = self.text()?.value;
        match parse_size(text) {
            Some(bytes) if range.contains(&bytes) => Some(bytes),
            Some(_) => {
                let expected = format!("expected {} to {} bytes", range.start(), range.end());
                self.error(format!("`{}` is out of range", self.path), expected, None)
            }
            None => {
                let help = "K, M, G and T count in steps of 1000, Ki, Mi, Gi and Ti in steps of 1024";
                let title = format!("`{}` is not a size", self.path);
                self.error(title, "expected something like 500M or 10G", Some(help.into()))
            }
        }
    }

    /// A string that parses as `T`; `what` names it: "an IP address".
    pub(super) fn parse<T: FromStr>(&self, what: &str) -> Option<Located<T>> {
        let text = self.text()?;
        match text.value.parse() {
            Ok(value) => Some(Located { value, spot: text.spot }),
            Err(_) => self.error(format!("\"{}\" is not {what}", text.value), format!("expected {what}"), None),
        }
    }

    /// One value or a list of them.
    pub(super) fn items(&self) -> Vec<Value<'a>> {
        let DeValue::Array(array) = self.inner else { return vec![self.clone()] };
        array
            .iter()
            .map(|item| Value { path: self.path.clone(), ..Value::of(self.problems, self.file, item) })
            .collect()
    }

    pub(super) fn datetime(&self) -> Option<toml::value::Datetime> {
        match self.inner {
            DeValue::Datetime(value) => Some(*value),
            _ => self.wrong_type("a date such as 2027-01-31 (without quotes)"),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        self.inner.is_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.inner.is_table()
    }

    pub(super) fn is_list(&self) -> bool {
        self.inner.is_array()
    }

    pub(super) fn is_boolean(&self) -> bool {
        self.inner.is_bool()
    }

    /// A table with known keys.
    pub(super) fn section(&self, keys: &'static Table) -> Option<Section<'a>> {
        match self.inner {
            DeValue::Table(table) => {
                let path = if self.path.is_empty() { keys.name.to_owned() } else { self.path.clone() };
                let (problems, file, spot) = (self.problems, self.file, self.key_spot);
                Some(Section { problems, file, keys, path, table, spot }.checked())
            }
            _ => self.wrong_type("a table"),
        }
    }

    /// A table whose keys are free, such as user names: each key and its value, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(Located<&'a str>, Value<'a>)> {
        let DeValue::Table(table) = self.inner else {
            self.wrong_type::<()>("a table");
            return Vec::new();
        };
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &Spanned<std::borrow::Cow<'a, str>> = key;
            let spot = Spot::new(self.file, key.span());
            let path = format!("{}.{}", self.path, key.get_ref());
            let value = Value { path, key_spot: spot, ..Value::of(self.problems, self.file, value) };
            (Located { value: key.get_ref().as_ref(), spot }, value)
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(key, _)| key.spot);
        entries
    }

    /// Reports an error about this value and gives back `None`.
    pub(super) fn error<T>(
        &self,
        title: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        let problem = Problem::error(title).at(self.spot, label);
        self.problems.report(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.inner {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("`{}` has the wrong type", self.path), format!("expected {expected}, found {found}"), None)
    }

    fn located<T>(&self, value: T) -> Located<T> {
        Located { value, spot: self.spot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_take_the_usual_units() {
        for (text, seconds) in
            [("30s", 30), ("1m30s", 90), ("2h", 7200), ("1d", 86_400), ("1 day", 86_400), ("2 days 1h", 176_400)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "1x", "-1s", "1dd", "99999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for (text, bytes) in
            [("7", 7), ("500M", 500_000_000), ("5GB", 5_000_000_000), ("10 GiB", 10 << 30), ("1Ki", 1024), ("3B", 3)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "G", "1.5G", "1iB", "10X", "99999999999T"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
