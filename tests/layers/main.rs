//! Holds `src/` to the map of ARCHITECTURE.md: who may import whom, which outside crate belongs to which room, what a file
//! looks like. It reads source text and knows nothing of what the code does; the compiler and clippy judge the rest.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod source;

use source::Source;

const NOUNS: &[&str] = &[
    "azure",
    "base",
    "catalog",
    "dialect",
    "governance",
    "objects",
    "policy",
    "pool",
    "provider",
    "routing",
    "telemetry",
    "upstream",
    "usage",
];

/// What a folder of `src/` may import besides itself.
enum May {
    Import(&'static [&'static str]),
    /// Every noun folder, and these.
    Nouns(&'static [&'static str]),
    /// Everything but these.
    AllBut(&'static [&'static str]),
}

const DIRECTIONS: &[(&str, May)] = &[
    ("base", May::Import(&[])),
    ("dialect", May::Import(&["base"])),
    ("catalog", May::Import(&["base"])),
    ("azure", May::Import(&["base"])),
    ("provider", May::Import(&["base"])),
    ("governance", May::Import(&["base"])),
    ("objects", May::Import(&["base"])),
    ("usage", May::Import(&["base"])),
    ("telemetry", May::Import(&["base"])),
    ("routing", May::Import(&["base", "catalog"])),
    ("pool", May::Import(&["base"])),
    ("policy", May::Import(&["base", "dialect"])),
    ("upstream", May::Import(&["base"])),
    ("snapshot", May::Nouns(&[])),
    ("config", May::Nouns(&["snapshot"])),
    ("proxy", May::Nouns(&["snapshot"])),
    ("admin", May::Nouns(&["snapshot"])),
    ("simulator", May::Import(&["base", "dialect"])),
    ("server", May::AllBut(&["cli"])),
    ("cli", May::AllBut(&[])),
    ("main", May::Import(&["cli"])),
    ("lib", May::Import(&[])),
];

/// Names that belong to some rooms only. A name ends at an identifier's end, or in `*`.
const FENCES: &[(&str, &[&str])] = &[
    ("pingora*", &["proxy", "server", "admin", "upstream", "pool/health"]),
    ("redis", &["governance/shared"]),
    ("azure_identity", &["azure/credential"]),
    ("azure_core", &["azure/credential"]),
    ("hyper*", &["simulator", "admin", "azure/credential"]),
    ("clap*", &["cli"]),
];

/// These decide and translate: no I/O, no clock, no runtime. Time is an argument.
const PURE: &[&str] = &["dialect", "catalog", "routing"];
const IMPURE: &[&str] = &["tokio", "net", "fs", "env", "thread", "Instant::now", "SystemTime::now"];

const BANNED: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "handler", "handlers", "service",
    "services",
];

const MAX_LINES: usize = 400;
/// Files that are long for a reason: (path, reason).
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn imports_follow_the_map() {
    assert_clean(&sources("src"), wrong_imports);
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    assert_clean(&sources("src"), wrong_crates);
}

#[test]
fn pure_folders_have_no_input_output_or_clock() {
    assert_clean(&sources("src"), impurities);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for root in ["src", "tests", "benches"] {
        assert_clean(&sources(root), missing_doc);
    }
}

#[test]
fn no_name_means_anything_and_nothing() {
    assert_clean(&sources("src"), banned_names);
}

#[test]
fn files_are_short() {
    assert_clean(&sources("src"), too_long);
}

#[test]
fn the_list_of_long_files_is_current() {
    for (path, _) in LONG_FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        assert!(fs::read_to_string(&path).is_ok_and(|text| text.lines().count() > MAX_LINES), "`{}`", path.display());
    }
}

fn assert_clean(sources: &[Source], check: impl Fn(&Source) -> Vec<String>) {
    let problems: Vec<String> = sources.iter().flat_map(check).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn wrong_imports(source: &Source) -> Vec<String> {
    let folder = source.folder();
    let Some((_, may)) = DIRECTIONS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{}: folder `{folder}` is not in the map: add it to DIRECTIONS", source.path)];
    };
    let allowed = |target: &str| {
        target == folder
            || match may {
                May::Import(names) => names.contains(&target),
                May::Nouns(more) => NOUNS.contains(&target) || more.contains(&target),
                May::AllBut(names) => !names.contains(&target),
            }
    };
    let is_folder = |target: &str| DIRECTIONS.iter().any(|(name, _)| *name == target);
    source
        .imports()
        .into_iter()
        .filter(|(_, target)| !(is_folder(target) && allowed(target)))
        .map(|(line, target)| format!("{}:{line}: `{folder}` must not import `{target}`", source.path))
        .collect()
}

fn wrong_crates(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, rooms) in FENCES {
        if rooms.iter().any(|room| source.is_in(room)) {
            continue;
        }
        let belongs = |word: &str| match name.strip_suffix('*') {
            Some(prefix) => word == prefix || word.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_')),
            None => word == *name,
        };
        for (line, word) in source.words().filter(|(_, word)| belongs(word)) {
            problems.push(format!("{}:{line}: `{word}` belongs to {rooms:?} only", source.path));
        }
    }
    problems
}

fn impurities(source: &Source) -> Vec<String> {
    // Tests of a pure folder may read recordings.
    if !PURE.contains(&source.folder().as_str()) || source.path.ends_with("/tests.rs") {
        return Vec::new();
    }
    let paths = source.paths();
    let impure = |path: &str| {
        IMPURE.iter().find(|name| match name.split_once("::") {
            Some(_) => path.ends_with(*name),
            None => {
                path == **name || path.starts_with(&format!("{name}::")) || path.starts_with(&format!("std::{name}"))
            }
        })
    };
    paths
        .into_iter()
        .filter(|(_, path)| impure(path).is_some())
        .map(|(line, path)| format!("{}:{line}: `{path}` in a pure folder: pass it in", source.path))
        .collect()
}

fn missing_doc(source: &Source) -> Vec<String> {
    if source.text.starts_with("//!") { vec![] } else { vec![format!("{}: does not begin with `//!`", source.path)] }
}

fn banned_names(source: &Source) -> Vec<String> {
    let files = source.path.split('/').map(|part| part.trim_end_matches(".rs").to_owned());
    let names: BTreeSet<String> = files.chain(source.modules()).collect();
    names
        .into_iter()
        .filter(|name| BANNED.contains(&name.as_str()))
        .map(|name| format!("{}: `{name}` says nothing; name the module after what it knows", source.path))
        .collect()
}

fn too_long(source: &Source) -> Vec<String> {
    let lines = source.lines_without_tests();
    if lines <= MAX_LINES || LONG_FILES.iter().any(|(path, _)| *path == source.path) {
        return vec![];
    }
    vec![format!("{}: {lines} lines without tests; at most {MAX_LINES}", source.path)]
}

fn sources(root: &str) -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&top.join(root), &mut files);
    let read = |file: &PathBuf| {
        let name = file.strip_prefix(top).expect("the file was found under the top").to_string_lossy().into_owned();
        Source::new(&name, &fs::read_to_string(file).unwrap_or_else(|error| panic!("`{name}`: {error}")))
    };
    let sources: Vec<Source> = files.iter().map(read).collect();
    assert!(root != "src" || sources.len() > 3, "found {} files in `src`", sources.len());
    sources
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.ends_with("node_modules") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The checks must be able to fail.
mod checks {
    use super::*;

    fn imports(path: &str, text: &str) -> Vec<String> {
        wrong_imports(&Source::new(path, text))
    }

    #[test]
    fn a_wrong_direction_is_found_however_it_is_written() {
        for text in [
            "use crate::proxy::Gateway;",
            "pub(crate) use crate::{base::Secret, proxy};",
            "use crate::{\n    base::{ids::{self, RequestId}, Secret},\n    proxy::{Gateway},\n};",
            "fn f() { let _ = crate::proxy::start(); }",
            "use super::super::proxy;",
            "mod inner { use super::super::super::proxy; }",
            "const A: char = '\"'; use crate::proxy::B; const C: &str = \"\";",
            "fn f<'a>(a: &'a str) { crate::proxy::go(a) }",
            "use crate::*;",
            "use crate::unheard_of;",
        ] {
            assert_eq!(imports("src/pool/weighted.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_the_map_allows_and_what_is_no_code_passes() {
        for text in [
            "use crate::base::Secret;\nuse crate::pool::Gate;",
            "// use crate::proxy::Gateway;\n/* crate::proxy /* nested crate::proxy */ crate::proxy */",
            "const A: &str = \"crate::proxy\"; const B: &str = r#\"\"crate::proxy\"#; const C: &[u8] = b\"crate::proxy\";",
            "pub(in crate::pool) fn f() {}",
            "use super::gate::Gate;",
            "mod tests { use super::super::gate::Gate; }",
        ] {
            assert_eq!(imports("src/pool/weighted.rs", text), Vec::<String>::new(), "{text}");
        }
        assert!(imports("src/proxy/pick.rs", "use crate::{azure, snapshot::Snapshot, telemetry, usage};").is_empty());
        assert!(imports("src/server/mod.rs", "use crate::{config, proxy, simulator};").is_empty());
    }

    #[test]
    fn each_room_has_its_own_rule() {
        for (path, target, problems) in [
            ("src/base/ids.rs", "dialect", 1),
            ("src/dialect/sse.rs", "base", 0),
            ("src/snapshot.rs", "config", 1),
            ("src/config/build.rs", "snapshot", 0),
            ("src/config/build.rs", "proxy", 1),
            ("src/proxy/mod.rs", "config", 1),
            ("src/admin/router.rs", "proxy", 1),
            ("src/simulator/chat.rs", "azure", 1),
            ("src/server/mod.rs", "cli", 1),
            ("src/cli/run.rs", "server", 0),
            ("src/attic/mod.rs", "base", 1),
        ] {
            let text = format!("use crate::{target}::Thing;");
            assert_eq!(imports(path, &text).len(), problems, "{path} -> {target}");
        }
        assert_eq!(imports("src/main.rs", "use azgate::cli;"), Vec::<String>::new());
        assert_eq!(imports("src/main.rs", "use azgate::server;").len(), 1);
    }

    #[test]
    fn a_crate_outside_its_room_is_found() {
        let problems = |path, text| wrong_crates(&Source::new(path, text)).len();
        assert_eq!(problems("src/pool/weighted.rs", "use pingora_core::Error;"), 1);
        assert_eq!(problems("src/pool/weighted.rs", "// like pingora does\nlet a = \"pingora\";"), 0);
        assert_eq!(problems("src/pool/health.rs", "use pingora_load_balancing::Backend;"), 0);
        assert_eq!(problems("src/pool/health/tls.rs", "use pingora::prelude::*;"), 0);
        assert_eq!(problems("src/azure/target.rs", "use azure_identity::X;"), 1);
        assert_eq!(problems("src/azure/target.rs", "let hyperbole = 1;"), 0);
    }

    #[test]
    fn input_output_in_a_pure_folder_is_found() {
        let problems = |path, text| impurities(&Source::new(path, text)).len();
        for text in
            ["use tokio::time;", "use std::fs;", "use std::{fs, mem};", "let a = Instant::now();", "std::env::var(x)"]
        {
            assert_eq!(problems("src/dialect/sse.rs", text), 1, "{text}");
            assert_eq!(problems("src/pool/gate.rs", text), 0, "{text}");
        }
        assert_eq!(problems("src/routing/next.rs", "use std::time::{Duration, Instant}; let net = fs;"), 0);
    }

    #[test]
    fn a_file_out_of_shape_is_found() {
        assert_eq!(missing_doc(&Source::new("src/pool/a.rs", "use std::fmt;\n//! late")).len(), 1);
        for (path, text) in [
            ("src/pool/utils.rs", ""),
            ("src/common/mod.rs", ""),
            ("src/proxy/a.rs", "mod handler;"),
            ("src/proxy/a.rs", "pub mod service {}"),
        ] {
            assert_eq!(banned_names(&Source::new(path, text)).len(), 1, "{path} {text}");
        }
        assert!(banned_names(&Source::new("src/pool/a.rs", "fn handler() {}")).is_empty());
    }

    #[test]
    fn inline_tests_do_not_count_as_length() {
        let body = "const A: u8 = 1;\n".repeat(MAX_LINES);
        let tests = "#[cfg(test)]\nmod tests {\n    fn a() {}\n}\n";
        assert!(too_long(&Source::new("src/pool/a.rs", &format!("{body}{tests}"))).is_empty());
        assert_eq!(too_long(&Source::new("src/pool/a.rs", &format!("{body}{tests}{body}"))).len(), 1);
        assert_eq!(too_long(&Source::new("src/pool/a.rs", &format!("{body}\n"))).len(), 1);
    }
}
