//! The list of mutants: what is to be changed must still be there, once, or the run that it is for tests nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn list(name: &str) -> Vec<BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/mutants")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_mutant_changes_one_place_of_its_file() {
    let mut seen = BTreeSet::new();
    for mutant in list("mutants.json") {
        let [file, what, before, after] =
            ["file", "what", "before", "after"].map(|field| mutant[field].as_str());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let places = text.matches(before).count();
        assert_eq!(
            places, 1,
            "{file}: `{before}` ({what}) occurs {places} times"
        );
        assert_ne!(before, after, "{file}: {what}");
        assert!(
            seen.insert((file.to_owned(), before.to_owned(), after.to_owned())),
            "{file}: {what}, twice"
        );
    }
}

#[test]
fn every_shader_and_every_file_of_the_twin_has_mutants() {
    let files: BTreeSet<String> = list("mutants.json")
        .into_iter()
        .map(|mutant| mutant["file"].clone())
        .collect();
    for folder in ["shaders", "shaders/shared", "shaders/decode", "src/cpu"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            assert!(
                entry.path().is_dir() || files.contains(&name),
                "{name} has none"
            );
        }
    }
}

#[test]
fn whoever_survives_is_a_mutant_and_has_a_reason() {
    let mutants = list("mutants.json");
    for survivor in list("survivors.json") {
        let is_meant = |mutant: &BTreeMap<String, String>| {
            ["file", "before", "after"]
                .iter()
                .all(|field| mutant[*field] == survivor[*field])
        };
        assert!(mutants.iter().any(is_meant), "{survivor:?}");
        assert!(survivor["why"].len() > 40, "{survivor:?}");
    }
}
