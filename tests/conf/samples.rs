//! The files in `conf/`.

use std::{fs, path::Path};

use azgate::config::reference::{Outline, schema};
use serde_json::Value;

use crate::surroundings::Surroundings;

/// What the sample of all fields must set, because there is no default or none that works.
const SET: [&str; 4] = ["$schema", "providers.azure.type", "providers.azure.keys.0.name", "providers.azure.keys"];

fn sample(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)).unwrap()
}

#[test]
fn every_sample_loads_with_two_variables_set() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".json") || name == "azgate.schema.json" {
            continue;
        }
        if let Err(problems) = Surroundings::azure().parse(&sample(&name)) {
            panic!("{name}:\n{problems}");
        }
    }
}

#[test]
fn the_minimal_sample_serves_without_a_warning() {
    let loaded = Surroundings::azure().parse(&sample("minimal.json")).unwrap();
    assert_eq!(loaded.warnings, []);
    let key = &loaded.file.providers.get("azure").unwrap().keys[0];
    assert_eq!(key.value.as_ref().unwrap().expose(), "azure-secret");
}

#[test]
fn the_full_sample_names_every_field_at_its_default() {
    let full: Value = serde_json::from_str(&sample("azgate.json")).unwrap();
    let schema = schema();
    compare(&Outline::of(&schema), &full, "");
    for (section, default) in [
        ("server", serde_json::to_value(azgate::config::file::Server::default()).unwrap()),
        ("client", serde_json::to_value(azgate::config::file::Client::default()).unwrap()),
        ("logs_store", serde_json::to_value(azgate::config::file::LogsStore::default()).unwrap()),
    ] {
        for (name, value) in default.as_object().unwrap() {
            if !value.is_object() {
                assert_eq!(&full[section][name], value, "{section}.{name}");
            }
        }
    }
}

fn compare(outline: &Outline<'_>, value: &Value, path: &str) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) if outline.values().is_none() => {
            for (name, field) in outline.properties() {
                if field.is_deprecated() {
                    continue;
                }
                let path = below(name);
                let value = members.get(name).unwrap_or_else(|| panic!("{path} is not in the sample"));
                compare(&field, value, &path);
                let leaf = !value.is_object() && !outline.is_required(name) && !SET.contains(&path.as_str());
                if leaf && !path.ends_with("keys.0.value") {
                    assert_eq!(*value, field.default(), "{path}");
                }
            }
            for name in members.keys() {
                assert!(outline.property(name).is_some(), "{} is no field", below(name));
            }
        }
        Value::Object(members) => {
            let values = outline.values().unwrap();
            members.iter().for_each(|(name, value)| compare(&values, value, &below(name)));
        }
        Value::Array(elements) => {
            let outline = outline.elements().unwrap();
            elements.iter().enumerate().for_each(|(index, value)| compare(&outline, value, &below(&index.to_string())));
        }
        _ => {}
    }
}

#[test]
fn a_typo_is_named_with_its_path_and_what_was_meant() {
    let text = sample("azgate.json").replacen("\"weight\"", "\"wieght\"", 1);
    let problems = Surroundings::azure().parse(&text).unwrap_err().to_string();
    assert!(
        problems.ends_with(": providers.azure.keys[0].wieght: unknown field; did you mean `weight`?"),
        "{problems}"
    );
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn both_sample_variables_are_needed() {
    let problems = Surroundings::default().parse(&sample("minimal.json")).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["providers.azure.keys[0].value", "providers.azure.keys[0].azure_key_config.endpoint"]);
}
