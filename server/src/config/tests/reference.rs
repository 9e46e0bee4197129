//! The reference page describes exactly the keys that the parser knows.

use std::collections::BTreeSet;

use crate::config::keys::{self, Table};

const PAGE: &str = include_str!("../../../../docs/configuration.md");
const SITES: &str = include_str!("../../../../docs/site-to-site.md");
const README: &str = include_str!("../../../../README.md");

/// `table.key` of every row of the page that begins with a key, by the heading above it.
fn described() -> BTreeSet<String> {
    let mut table = None;
    let mut keys = BTreeSet::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.strip_prefix("`[").and_then(|name| name.strip_suffix("]`"));
        }
        if let (Some(table), Some(key)) = (table, line.strip_prefix("| `").and_then(|row| row.split('`').next())) {
            keys.insert(format!("{table}.{key}"));
        }
    }
    keys
}

fn known() -> BTreeSet<String> {
    let of = |table: &Table| table.keys.iter().map(|key| format!("{}.{key}", table.name)).collect::<Vec<_>>();
    let tables =
        [&keys::REMOTE, &keys::SITE, &keys::SITE_CHILD, &keys::SITE_PPK, &keys::USER, &keys::DAEMON, &keys::LOG];
    tables.into_iter().flat_map(of).collect()
}

#[test]
fn the_reference_page_lists_exactly_the_keys_of_the_parser() {
    assert_eq!(described(), known());
    for table in keys::TOP.keys {
        let headings = [format!("## `[{table}]`"), format!("## `[{table}.NAME]`")];
        assert!(headings.iter().any(|heading| PAGE.contains(heading)), "[{table}] has no heading");
    }
}

#[test]
fn the_examples_of_the_pages_are_accepted() {
    let blocks = [PAGE, SITES, README].into_iter().flat_map(|page| page.split("\n```toml").skip(1));
    // Behind the language there may be a title.
    let blocks = blocks.filter_map(|rest| rest.split("\n```").next()?.split_once('\n').map(|(_, block)| block));
    let mut checked = 0;
    for block in blocks {
        let report = super::machine().report(block);
        let unrelated = |line: &str| {
            // The files that an example names are not there, and what follows from that.
            line.contains("no such file or directory") || line.contains("is not set") || line.contains("credentials")
        };
        let errors: Vec<_> = report.lines().filter(|l| l.starts_with("error") && !unrelated(l)).collect();
        assert!(errors.is_empty(), "{errors:?}\n{block}");
        checked += 1;
    }
    assert!(checked >= 10, "{checked} examples");
}

/// Words in backquotes of the second column, by the kind in the first.
fn algorithms() -> BTreeSet<String> {
    let section =
        PAGE.split("\n## Algorithms\n").nth(1).expect("the section").split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.filter_map(|row| row.split('|').nth(2))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reference_page_lists_the_algorithms_that_can_be_configured() {
    use cygnet_ike::proposal::{Policy, PolicyName};
    let written = algorithms();
    let help: BTreeSet<String> = crate::config::fields::ALGORITHMS
        .split([' ', ';'])
        .filter(|word| !["", "ciphers", "integrity", "groups"].contains(word))
        .map(str::to_owned)
        .collect();
    assert_eq!(written, help, "the page and the help of a mistake");
    let policy = Policy::named(&PolicyName::ALL);
    for word in &written {
        let entry = format!("aes256-sha256-ecp256-{word}");
        assert!(policy.clone().with_ike(&[&entry]).is_ok(), "{word}");
    }
    for offered in
        policy.ike().iter().flat_map(|offer| offer.to_string().split([',', ';']).map(str::to_owned).collect::<Vec<_>>())
    {
        let word = offered.trim();
        assert!(written.contains(word) || word == "3des", "{word} is missing");
    }
}
