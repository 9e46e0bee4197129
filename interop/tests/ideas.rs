//! The tables of README.md that tell which test covers which idea, and which scenario of strongSwan: each has one, or the reason why
//! not; every test named there exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const IDEAS: usize = 49;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("interop is a folder of the repository")
}

/// Cells of the lines `| NUMBER | idea | tests |`.
fn table() -> Vec<(usize, String)> {
    let readme = fs::read_to_string(repository().join("interop/README.md")).expect("README.md exists");
    let cells = |line: &str| line.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    let numbered = |cells: Vec<String>| Some((cells.get(1)?.parse().ok()?, cells.get(3)?.clone()));
    readme.lines().map(cells).filter_map(numbered).collect()
}

/// Words in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What can be named: rows of the suite, and functions of all crates.
fn known() -> BTreeSet<String> {
    let suite = fs::read_to_string(repository().join("interop/suite.toml")).expect("suite.toml exists");
    let mut known: BTreeSet<String> =
        suite.lines().filter_map(|line| Some(quoted(line.strip_prefix("name = ")?))).collect();
    for folder in ["ike", "esp", "l2tp", "ppp", "server"] {
        functions(&repository().join(folder), &mut known);
    }
    known
}

fn quoted(value: &str) -> String {
    value.trim_matches('"').to_owned()
}

fn functions(folder: &Path, known: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a readable folder").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "target") {
            functions(&entry, known);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&entry).expect("a source file");
            let name = |line: &str| Some(line.trim().strip_prefix("fn ")?.split('(').next()?.to_owned());
            known.extend(source.lines().filter_map(name));
        }
    }
}

/// Cells of the lines `| scenarios | tests |` below the heading of that section.
fn scenarios() -> Vec<(String, String)> {
    let readme = fs::read_to_string(repository().join("interop/README.md")).expect("README.md exists");
    let section = readme.split("## A yardstick").nth(1).and_then(|rest| rest.split("\n## ").next());
    let lines = section.expect("the section exists").lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = |line: &str| line.split('|').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    lines.map(cells).map(|cells| (cells[1].clone(), cells[2].clone())).collect()
}

#[test]
fn every_scenario_of_the_yardstick_has_a_test_or_a_reason() {
    let (scenarios, known) = (scenarios(), known());
    assert!(scenarios.len() > 50, "{} lines", scenarios.len());
    for (scenario, cell) in &scenarios {
        assert!(cell.starts_with("not supported") || names(cell).next().is_some(), "{scenario} has no test");
        for name in names(cell) {
            assert!(known.contains(name), "{scenario}: there is no test or row {name}");
        }
    }
}

#[test]
fn every_idea_has_a_test_that_exists() {
    let (table, known) = (table(), known());
    let numbers: Vec<usize> = table.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=IDEAS).collect::<Vec<_>>());
    for (number, cell) in &table {
        assert!(names(cell).next().is_some(), "idea {number} has no test");
        for name in names(cell) {
            assert!(known.contains(name), "idea {number}: there is no test or row {name}");
        }
    }
}
