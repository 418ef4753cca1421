//! Broken files: every problem of each, word for word. The cases are in `broken.txt`: a line `## where: what`, the text,
//! and a line `=> line:column: path: problem; remedy` per problem. `where` says what stands around the text.

use crate::surroundings::Surroundings;

/// Head and tail of the file around a case. The text of the case begins at line 2, unless it is the whole file.
fn around(place: &str) -> (&'static str, &'static str) {
    match place {
        "Whole" => ("", ""),
        "Root" => (r#"{"providers":{"azure":{"keys":[{"name":"k","azure_key_config":{"endpoint":"acme"}}]}},"#, "}"),
        "Provider" => {
            (r#"{"providers":{"azure":{"keys":[{"name":"k","azure_key_config":{"endpoint":"acme"}}],"#, "}}}")
        }
        "Key" => (r#"{"providers":{"azure":{"keys":[{"name":"k","azure_key_config":{"endpoint":"acme"},"#, "}]}}}"),
        "Azure" => (r#"{"providers":{"azure":{"keys":[{"name":"k","azure_key_config":{"endpoint":"acme","#, "}}]}}}"),
        other => panic!("nothing is known of `{other}`"),
    }
}

fn problems(text: &str) -> Vec<String> {
    let surroundings = Surroundings::default().variable("EMPTY", "").variable("SECRET", "secret-6");
    let problems = surroundings.parse(text).map(|_| ()).unwrap_err();
    problems.iter().map(|problem| problem.to_string().replacen("c.json:", "", 1)).collect()
}

#[test]
fn each_broken_file_gets_all_its_problems_word_for_word() {
    let (mut count, mut wrong) = (0, String::new());
    for case in include_str!("broken.txt").split("## ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (place, _) = title.split_once(": ").unwrap();
        let (expected, text): (Vec<&str>, Vec<&str>) =
            rest.trim_end().split('\n').partition(|line| line.starts_with("=> "));
        let (head, tail) = around(place);
        let break_line = if head.is_empty() { "" } else { "\n" };
        let found = problems(&format!("{head}{break_line}{}{break_line}{tail}", text.join("\n")));
        let expected: Vec<&str> = expected.iter().map(|line| &line[3..]).collect();
        count += 1;
        if found != expected {
            wrong.push_str(&format!("## {title}\nexpected {expected:#?}\nfound {found:#?}\n"));
        }
        assert!(!found.iter().any(|problem| problem.contains("secret-")), "{title} shows a secret");
    }
    assert!(count >= 60, "only {count} cases were read");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn invisible_characters_are_seen() {
    assert_eq!(
        problems("\u{feff}{}"),
        ["1:1: providers: this section is missing; name at least one provider, such as `azure`, with its keys"]
    );
    let (head, tail) = around("Root");
    assert_eq!(
        problems(&format!("{head}\n\"server\": {{\"state_directory\": \"/x\ty\"}}{tail}")),
        [
            "2:31: server.state_directory: this string holds a raw control character; write it as an escape such as `\\n`"
        ]
    );
}

#[test]
fn a_large_file_full_of_mistakes_ends_soon() {
    let key = r#"{"name":1,"value":2,"weight":"x","models":"y","azure_key_config":{"endpoint":"http://a.b"}}"#;
    let text = format!(r#"{{"providers":{{"azure":{{"keys":[{}]}}}}}}"#, vec![key; 2_000].join(","));
    let start = std::time::Instant::now();
    let found = problems(&text);
    assert!(found.len() > 500, "{}", found.len());
    assert_eq!(found[0], "1:1: more is wrong than is listed here; correct these and check again");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.json");
    let binary = directory.path().join("binary.json");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    for (path, reason) in [
        (directory.path(), "it is a directory"),
        (missing.as_path(), "it does not exist"),
        (binary.as_path(), "it is not UTF-8 text"),
    ] {
        let problems = azgate::config::load(path).unwrap_err().to_string();
        let expected =
            format!("{}:1:1: the configuration cannot be read: {reason}; name a readable JSON file", path.display());
        assert_eq!(problems, expected);
    }
}

#[test]
fn problems_serialise_for_machines() {
    let problems = Surroundings::default().parse("{\"providers\": {\"azure\": {\"keyz\": []}}}").unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!([{
            "file": "c.json", "line": 1, "column": 26, "path": "providers.azure.keyz",
            "message": "unknown field", "hint": "did you mean `keys`?"
        }])
    );
}
