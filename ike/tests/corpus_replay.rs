//! Replays the fuzz corpus, and keeps its seeds up to date.
//!
//! The seeds are made by our own emitters in `seeds`; what fuzzing finds is added to the same folders. To write the seeds
//! after a change, run this test with `CYGNET_WRITE_SEEDS=1`.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};

use cygnet_ike::fuzzing;
use seeds::Seed;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 8] = [
    ("header", fuzzing::header),
    ("message", fuzzing::message),
    ("inner", fuzzing::inner),
    ("engine", fuzzing::engine),
    ("sites", fuzzing::sites),
    ("v1_message", fuzzing::v1_message),
    ("v1_attributes", fuzzing::v1_attributes),
    ("v1_engine", fuzzing::v1_engine),
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn replays_the_corpus_of_every_target() {
    for (target, run) in TARGETS {
        let mut replayed = 0;
        for entry in fs::read_dir(folder(target)).expect("every target has a corpus") {
            let path = entry.expect("readable folder").path();
            run(&fs::read(&path).expect("readable file"));
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {target} is empty");
    }
}

#[test]
fn seeds_are_current() {
    let write = std::env::var_os("CYGNET_WRITE_SEEDS").is_some();
    for Seed { target, name, bytes } in seeds::all() {
        let path = folder(target).join(name);
        if write {
            fs::create_dir_all(folder(target)).expect("writable folder");
            fs::write(&path, &bytes).expect("writable file");
        }
        assert_eq!(fs::read(&path).ok(), Some(bytes), "{target}/{name} differs; see the head of this file");
    }
}

#[test]
fn survives_every_truncation_and_every_changed_byte_of_the_seeds() {
    for (target, run) in TARGETS {
        for Seed { bytes, .. } in seeds::all().into_iter().filter(|seed| seed.target == target) {
            for at in 0..bytes.len() {
                run(&bytes[..at]);
                for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1] {
                    let mut changed = bytes.clone();
                    changed[at] = value;
                    run(&changed);
                }
            }
        }
    }
}
