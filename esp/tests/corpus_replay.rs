//! Runs the fuzz targets over the committed corpus.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "only {} inputs in {}", paths.len(), folder.display());
    for path in paths {
        run(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
}

#[test]
fn open_keeps_its_promises_on_the_corpus() {
    replay("open", cygnet_esp::fuzzing::open);
}

#[test]
fn inner_keeps_its_promises_on_the_corpus() {
    replay("inner", cygnet_esp::fuzzing::inner);
}

#[test]
fn model_keeps_its_promises_on_the_corpus() {
    replay("model", cygnet_esp::fuzzing::model);
}
