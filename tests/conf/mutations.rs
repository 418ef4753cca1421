//! Whatever bytes a file holds, loading it ends in a configuration or in problems that have a place.

use proptest::prelude::*;

use crate::surroundings::Surroundings;

fn check(text: &str) {
    let lines = text.split('\n').count();
    if let Err(problems) = Surroundings::azure().parse(text) {
        assert!(!problems.is_empty());
        for problem in problems.iter() {
            assert!(problem.line >= 1 && problem.column >= 1 && problem.line <= lines, "{problem}");
            assert!(!problem.message.is_empty() && !problem.to_string().contains('\n'), "{problem}");
            assert!(!problem.to_string().contains("azure-secret"), "{problem}");
        }
    }
}

fn sample() -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/azgate.json")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_changed(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_piece_cut_out_or_doubled(from in any::<prop::sample::Index>(), length in 1..200usize, double in any::<bool>()) {
        let bytes = sample();
        let from = from.index(bytes.len());
        let to = (from + length).min(bytes.len());
        let middle = if double { [&bytes[from..to], &bytes[from..to]].concat() } else { Vec::new() };
        check(&String::from_utf8_lossy(&[&bytes[..from], &middle, &bytes[to..]].concat()));
    }

    /// Keeps the document well-formed, so that decoding and validation are reached.
    #[test]
    fn any_value_replaced(at in any::<prop::sample::Index>(), with in prop::sample::select(vec![
        "null", "true", "-1", "0", "1e400", "0.5", "18446744073709551616", "\"\"", "\"env.\"", "\"cred.x\"", "\"file./x\"",
        "\"\\ud83d\\ude00\"", "[]", "[null]", "{}", "{\"x\":1}", "\"https://[::1\"", "\"*\"",
    ])) {
        let text = String::from_utf8(sample()).unwrap();
        let starts: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).filter(|at| !"{[".contains(&text[*at..=*at])).collect();
        let start = starts[at.index(starts.len())];
        let end = start + text[start..].find(['\n', ',']).unwrap();
        let end = if text[start..end].ends_with(" }") { end - 2 } else { end };
        check(&format!("{}{with}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn any_text(text in "[\\[\\]{}:,\"a-z0-9 \\n\\\\é\u{feff}-]{0,60}") {
        check(&text);
    }
}
