//! Runs the fuzz targets over the committed corpus and over random input.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the corpus is committed")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "only {} inputs for {target}", paths.len());
    for path in paths {
        run(&fs::read(path).expect("a readable file"));
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

proptest! {
    #[test]
    fn model_keeps_its_promises_on_random_operations(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        cygnet_esp::fuzzing::model(&data);
    }

    #[test]
    fn open_and_inner_keep_their_promises_on_random_octets(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        cygnet_esp::fuzzing::open(&data);
        cygnet_esp::fuzzing::inner(&data);
    }
}
