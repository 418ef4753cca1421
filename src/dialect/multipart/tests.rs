//! Forms as SDKs write them and as nobody should, in any splitting.

use proptest::prelude::*;

use super::super::peek::tests::split;
use super::*;

const TYPE: &str = "multipart/form-data; charset=x; boundary=\"a b\"";

fn form() -> Vec<u8> {
    let part = |head: &str, content: &[u8]| [b"--a b\r\n", head.as_bytes(), b"\r\n\r\n", content, b"\r\n"].concat();
    let lines = b"{\"custom_id\":\"1\",\"body\":{\"model\":\"gpt\",\"x\":{\"model\":\"no\"}}}\n{\"body\":{\"model\" : \"Other\"}}\n";
    [
        b"\r\n".to_vec(),
        part("Content-Disposition: form-data; name=\"purpose\"", b"batch"),
        part(
            "content-disposition: form-data; filename=\"a; name=x.jsonl\"; name=file\r\ncontent-type: application/json",
            lines,
        ),
        part("Content-Disposition: form-data; name=\"image\"; filename=\"i.png\"", b"\r\n--a \r\n\0\xff--a b\r\n\r\n-"),
        part("Content-Disposition: form-data; name=\"model\"", b""),
        part("Content-Disposition: form-data; name=\"model\"", b"azure/img"),
        b"--a b-- \r\n\r\n".to_vec(),
    ]
    .concat()
}

fn read(bytes: &[u8], sizes: &[usize]) -> Result<Form, FormError> {
    let mut multipart = Multipart::new(TYPE)?;
    for chunk in split(bytes, sizes) {
        multipart.feed(&chunk)?;
    }
    multipart.finish()
}

impl Form {
    /// The last field of that name which is no file.
    fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|field| field.name == name && field.kind != Kind::File)?.text.as_deref()
    }
}

#[test]
fn fields_are_found_where_they_stand() {
    let bytes = form();
    let form = read(&bytes, &[usize::MAX]).unwrap();
    let names: Vec<_> = form.fields.iter().map(|field| (field.name.as_str(), field.kind == Kind::File)).collect();
    assert_eq!(names, [("purpose", false), ("file", true), ("image", true), ("model", false), ("model", false)]);
    assert_eq!((form.text("purpose"), form.text("model"), form.text("file")), (Some("batch"), Some("azure/img"), None));
    let content = |index: usize| &bytes[form.fields[index].value.start as usize..form.fields[index].value.end as usize];
    assert_eq!((content(0), content(3), content(4)), (&b"batch"[..], &b""[..], &b"azure/img"[..]));
    assert_eq!(content(2), b"\r\n--a \r\n\0\xff--a b\r\n\r\n-");
    assert_eq!(&bytes[form.start as usize..form.start as usize + 5], b"--a b");
    let models: Vec<_> = form
        .models
        .iter()
        .map(|(place, name)| (&bytes[place.start as usize..place.end as usize], name.as_str()))
        .collect();
    assert_eq!(models, [(&b"\"gpt\""[..], "gpt"), (&b"\"Other\""[..], "Other")]);
}

#[test]
fn fields_stand_in_for_members_and_one_can_be_added() {
    let bytes = form();
    let form = read(&bytes, &[usize::MAX]).unwrap();
    let members = form.members(&["model"]);
    assert_eq!(members.last("model").unwrap().as_str().unwrap(), "azure/img");
    let (front, back) = bytes.split_at(form.start as usize);
    let more = read(&[front, &form.field("stream", "true"), back].concat(), &[usize::MAX]).unwrap();
    assert_eq!((more.text("stream"), more.fields.len()), (Some("true"), form.fields.len() + 1));
    assert_eq!(more.members(&["stream"]).last("stream").unwrap().as_bool(), Some(true));
}

#[test]
fn lines_that_hide_a_model_are_known_for_it() {
    let flaw = |lines: &str| {
        let head = "Content-Disposition: form-data; name=file; filename=x";
        read(format!("--a b\r\n{head}\r\n\r\n{lines}\r\n--a b--").as_bytes(), &[usize::MAX]).unwrap().flaw
    };
    assert_eq!(flaw(r#"{"body":{"model":"a","x":{"Model":"b"}}}"#), None);
    for lines in [
        r#"{"body":{"model":"\u0061"}}"#,
        r#"{"body":{"model":7}}"#,
        r#"{"body":{"model":"a","mod\u0065l":"b"}}"#,
        r#"{"body":{"model":"a"},"b\u006fdy":{"model":"b"}}"#,
        r#"{"body":{"model":"a","Model":"b"}}"#,
        r#"{"BODY":{"model":"b"}}"#,
        &format!(r#"{{"body":{{"model":"{}"}}}}"#, "x".repeat(LONGEST_MODEL)),
    ] {
        assert_eq!(flaw(lines), Some(Flaw::Disguised), "{lines}");
    }
    for lines in [
        "{\"body\":{\"model\":\"a\"}}\n}\n{\"body\":{\"model\":\"b\"}}",
        "{\"body\":{\"model\":\"a\"}}\n{\"x\":\n{\"body\":{\"model\":\"b\"}}\n}",
        "{\"body\":{\"model\":\"a\"}}\r{\"x\":\r{\"body\":{\"model\":\"b\"}}",
        "{\"body\":{\"model\":\"a\"},\"x\":/*,\"y\":\"*/0,body:{model:'b'},z:\"}",
        "{\"body\":{\"model\":\"a\"}}\x0c{\"body\":{\"model\":\"b\"}}",
    ] {
        assert_eq!(flaw(lines), Some(Flaw::NotJson), "{lines}");
    }
    for lines in ["", "\r\n"] {
        assert_eq!(flaw(lines), None, "{lines:?}");
    }
    assert_eq!(flaw("{\"body\":{\"model\":\"a\"}}\n\n{\"body\":{}}"), Some(Flaw::Unnamed));
    assert_eq!(flaw("{\"body\":{\"model\":\"a\"}}\r\n \n{\"body\":{\"model\":\"b\"}}\n"), None);
}

#[test]
fn a_form_may_begin_at_once() {
    let bytes = b"--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--";
    let form = read(bytes, &[1]).unwrap();
    assert_eq!((form.start, form.text("x"), form.fields[0].value.clone()), (0, Some("1"), 49..50));
}

#[test]
fn what_is_no_form_is_said_to_be_none() {
    for wrong in [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=\"a\\b\"",
        "multipart/form-data; boundary=a; boundary*=utf-8''b",
        "multipart/form-data; boundary=a,b",
        "multipart/form-data; boundary=\"a \"",
        "multipart/form-data; Xboundary=b; boundary=a",
        "multipart/form-data; x=\"; boundary=b\"; boundary=a",
    ] {
        assert_eq!(Multipart::new(wrong).err(), Some(FormError::NoBoundary), "{wrong}");
    }
    let long = format!("--a b\r\nX: {}", "x".repeat(LONGEST_HEAD));
    for (bytes, error) in [
        ("", FormError::Unfinished),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a", FormError::Unfinished),
        ("--a b\r\nContent-Type: x\r\n\r\n1\r\n--a b--", FormError::NoName),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\n--a b--", FormError::LooseBoundary),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n--a b--\r\n", FormError::LooseBoundary),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a bc\r\n", FormError::LooseBoundary),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--x\r\n", FormError::LooseBoundary),
        ("x--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--\r\n", FormError::Around),
        ("x\r\n--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--\r\n", FormError::Around),
        ("\r\n\r\n--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--\r\n", FormError::Around),
        ("--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--\r\n--a b\r\n", FormError::Around),
        (
            "--a b\r\ncontent-transfer-encoding: base64\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--",
            FormError::Encoded,
        ),
        (long.as_str(), FormError::HeadTooLong),
    ] {
        assert_eq!(read(bytes.as_bytes(), &[usize::MAX]).err(), Some(error), "{bytes:.40}");
    }
    let part = "--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n";
    assert_eq!(read(part.repeat(300).as_bytes(), &[900]).err(), Some(FormError::TooManyParts));
}

#[test]
fn a_part_has_one_name_to_whoever_reads_it() {
    for head in [
        "name=x; name=model",
        "name=x; name*=UTF-8''model",
        "filename=y",
        "name=x\r\nContent-Disposition: form-data; name=model",
        "name=x\r\nX: y\nContent-Disposition: form-data; name=model",
        "name=x;\r\n name=model",
        "name=x; filename=a; filename=\"\"",
        "name=x; filename=\"a; name=model",
        "name=\"x\"y; filename=a",
        "name=\"x\" name=model",
        "name=x; y; name=model",
        "name=x; =y",
        "name=\"\"",
        "name=\"=?utf-8?B?bW9kZWw=?=\"",
        "name=x; name*0=model",
        "name=x;\u{a0}filename=f",
        "name=x;\u{b}filename=f",
        "name=\"x\\\"; filename=\";a=b.jsonl\"",
        "filename=\"a\\\"; name=model; x=\\\"\"; name=x",
        "name=x\r\nX: \u{7f}",
    ] {
        let bytes = format!("--a b\r\nContent-Disposition: form-data; {head}\r\n\r\n1\r\n--a b--\r\n");
        assert_eq!(read(bytes.as_bytes(), &[usize::MAX]).err(), Some(FormError::NoName), "{head}");
    }
}

#[test]
fn a_field_that_some_servers_would_read_is_not_passed_over() {
    let part =
        |head: &str, content: &str| format!("--a b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    let bytes = [
        part("name=model", "mine"),
        part("name=model", &"x".repeat(LONGEST_TEXT + 1)),
        part("name=Model", "other"),
        part("name=model; filename=\"\"", "third"),
        part("name=model; filename=m", "a file"),
        part("name=model; filename*=x", "a text to some"),
        "--a b--".to_owned(),
    ]
    .concat();
    let form = read(bytes.as_bytes(), &[usize::MAX]).unwrap();
    let members = form.members(&["model"]);
    let models: Vec<_> = members.all("model").map(|member| &member.raw[..]).collect();
    assert_eq!(models, [&b"\"mine\""[..], b"null", b"\"third\"", b"null", b"null"]);
    assert_eq!(members.look_alikes("model").count(), 1);
}

#[test]
fn a_file_is_the_only_one_where_no_other_part_could_be_taken_for_it() {
    let only = |heads: &[&str]| {
        let part = |head: &&str| format!("--a b\r\nContent-Disposition: form-data; {head}\r\n\r\n1\r\n");
        let form = read((heads.iter().map(part).collect::<String>() + "--a b--").as_bytes(), &[usize::MAX]).unwrap();
        form.only_file().is_some()
    };
    assert!(only(&["name=purpose", "name = file ;filename = \"a\" ;", "name=model"]));
    for heads in [
        &["name=purpose"][..],
        &["name=file"],
        &["name=file; filename=\"\""],
        &["name=file; filename=a", "name=x; filename=a"],
        &["name=x; filename=\"\"", "name=file; filename=a"],
        &["name=File", "name=file; filename=a"],
    ] {
        assert!(!only(heads), "{heads:?}");
    }
}

#[test]
fn memory_does_not_grow_with_a_file() {
    let mut multipart = Multipart::new(TYPE).unwrap();
    multipart.feed(b"--a b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n").unwrap();
    for _ in 0..1000 {
        multipart.feed(&[b'\r'; 10_000]).unwrap();
        assert!(multipart.window.len() < 100 && multipart.window.capacity() < 50_000);
    }
}

proptest! {
    #[test]
    fn traps_31_no_splitting_changes_anything(sizes in prop::collection::vec(1..60_usize, 1..8)) {
        let (whole, parts) = (read(&form(), &[usize::MAX]).unwrap(), read(&form(), &sizes).unwrap());
        prop_assert_eq!((whole.fields, whole.models, whole.start), (parts.fields, parts.models, parts.start));
    }

    #[test]
    fn no_input_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "--a b", "\r\n", "--", "Content-Disposition: form-data; name=x", "; filename=\"", "\"", "\r", "\n", "x", "{\"body\":", "{\"model\":\"m\"}}",
    ]), 0..40), sizes in prop::collection::vec(1..9_usize, 1..6)) {
        let bytes = parts.concat().into_bytes();
        let fields = |form: Result<Form, FormError>| form.map(|form| form.fields).map_err(|error| format!("{error}"));
        prop_assert_eq!(fields(read(&bytes, &sizes)), fields(read(&bytes, &[usize::MAX])));
    }
}
