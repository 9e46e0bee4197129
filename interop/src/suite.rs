//! The list of rows: `suite.toml`.
//!
//! Does: read it, check it against the recipes and drivers that exist. Does not: run anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Seconds for a row that names no limit of its own. A row takes 5 to 40 s on an idle machine of two cores and up to
/// three times as long on a loaded one.
const TIME_LIMIT: u32 = 240;

/// Where the clients of a row have their ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    /// In userspace; no guest kernel, fast.
    Userspace,
    /// In the kernel of a User-Mode Linux guest.
    Guest,
}

/// One run of a recipe with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// Unique; also the name of the output folder.
    pub(crate) name: String,
    /// A file in `recipes/`, without `.sh`.
    pub(crate) recipe: String,
    /// Where the clients have their ESP.
    pub(crate) group: Group,
    /// The driver in `servers/` that proves the recipe itself; `None` if only Cygnet can do what the row is about.
    pub(crate) reference: Option<String>,
    /// One sentence for people.
    pub(crate) proves: String,
    /// Parameters of the recipe.
    #[serde(default)]
    pub(crate) args: BTreeMap<String, String>,
    /// Seconds.
    #[serde(default = "default_time_limit")]
    pub(crate) time_limit: u32,
}

fn default_time_limit() -> u32 {
    TIME_LIMIT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    row: Vec<Row>,
}

/// Reads `suite.toml` of the interop folder.
///
/// # Errors
/// When it is not readable, or a row is not unique or names a recipe or driver that does not exist.
pub(crate) fn load(interop: &Path) -> Result<Vec<Row>> {
    let path = interop.join("suite.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let suite: Suite = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    for (index, row) in suite.row.iter().enumerate() {
        check(interop, row).with_context(|| format!("row {} of {}", row.name, path.display()))?;
        if suite.row[..index].iter().any(|other| other.name == row.name) {
            bail!("two rows are called {}", row.name);
        }
    }
    Ok(suite.row)
}

fn check(interop: &Path, row: &Row) -> Result<()> {
    ensure!(interop.join(format!("recipes/{}.sh", row.recipe)).is_file(), "there is no recipe {}", row.recipe);
    if let Some(driver) = &row.reference {
        ensure!(interop.join(format!("servers/{driver}.sh")).is_file(), "there is no driver {driver}");
    }
    let is_parameter = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    for name in row.args.keys() {
        ensure!(is_parameter(name), "{name} is not the name of a parameter");
    }
    Ok(())
}

/// The rows that one of `filters` is part of the name of, all if there is no filter; of one group, if given.
pub(crate) fn select(rows: Vec<Row>, filters: &[String], group: Option<Group>) -> Vec<Row> {
    let named = |row: &Row| filters.is_empty() || filters.iter().any(|filter| row.name.contains(filter));
    rows.into_iter().filter(|row| named(row) && group.is_none_or(|group| group == row.group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interop() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn names(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn every_row_has_its_recipe_and_reference() {
        let rows = load(interop()).expect("the suite of this repository is valid");
        assert!(rows.len() > 20, "{} rows", rows.len());
    }

    #[test]
    fn readme_says_what_every_row_proves() {
        let readme = fs::read_to_string(interop().join("README.md")).expect("README.md exists");
        for row in load(interop()).expect("valid") {
            let line = format!("| `{}` | {} |", row.name, row.proves);
            assert!(readme.contains(&line), "README.md lacks the line: {line}");
        }
    }

    #[test]
    fn filters_match_parts_of_names() {
        let rows = load(interop()).expect("valid");
        let chosen = select(rows.clone(), &["uml-esn".into(), "probe-v2".into()], None);
        assert_eq!(names(&chosen), ["probe-v2", "ikev2-uml-esn"]);
        let guests = select(rows.clone(), &[], Some(Group::Guest));
        assert!(!guests.is_empty() && guests.iter().all(|row| row.group == Group::Guest));
        assert_eq!(select(rows.clone(), &[], None).len(), rows.len());
    }

    #[test]
    fn a_row_with_an_unknown_recipe_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let row = "[[row]]\nname = 'x'\nrecipe = 'nowhere'\ngroup = 'guest'\nreference = 'y'\nproves = 'z'\n";
        fs::write(folder.path().join("suite.toml"), row).expect("writable");
        let error = format!("{:#}", load(folder.path()).expect_err("no such recipe"));
        assert!(error.contains("there is no recipe nowhere"), "{error}");
    }
}
