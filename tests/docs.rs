//! What is generated from the configuration's structures is up to date: the schema, and the reference in the README.
//! A test that finds a difference writes the new text and fails, so that the next run passes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use azgate::config::reference::{reference_markdown, schema};

const BEGIN: &str = "<!-- configuration reference: begin -->\n";
const END: &str = "<!-- configuration reference: end -->";

fn in_tree(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn expect_file(name: &str, wanted: &str) {
    let path = in_tree(name);
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found != wanted {
        fs::write(&path, wanted).unwrap();
        panic!("{name} was out of date and has been written again; commit it");
    }
}

#[test]
fn the_schema_is_that_of_the_structures() {
    expect_file("conf/azgate.schema.json", &format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap()));
}

#[test]
fn the_readme_has_the_reference_of_the_structures() {
    let Ok(readme) = fs::read_to_string(in_tree("README.md")) else { return };
    let Some((before, rest)) = readme.split_once(BEGIN) else { return };
    let (_, after) = rest.split_once(END).expect("the end marker of the configuration reference");
    expect_file("README.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", reference_markdown().trim_end()));
}

#[test]
fn the_reference_names_every_field_once_with_its_meaning() {
    let text = reference_markdown();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
    }
    for heading in ["### `providers.*.keys[]`", "### `providers.*.network_config`", "### `governance.virtual_keys[]`"] {
        assert_eq!(text.matches(&format!("{heading}\n")).count(), 1, "{heading}");
    }
    assert!(text.contains("| `retry_backoff_initial` | number or string | `100` |"));
}
