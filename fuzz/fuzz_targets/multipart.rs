//! However a form is cut, its fields are the same; a replaced model changes no other field and no byte of a file.
#![no_main]

mod words;

use azgate::dialect::multipart::{Form, FormError, Kind, Multipart};
use azgate::dialect::splice::apply;
use azgate::dialect::{Edits, Members};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const WORDS: &[&[u8]] = &[
    b"--b",
    b"--b\r\n",
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"\r\n",
    b"\r\n\r\n",
    b"Content-Disposition: form-data; name=\"model\"\r\n\r\n",
    b"Content-Disposition: form-data; name=model",
    b"Content-Disposition: form-data; name=x; filename=y\r\n\r\n",
    b"Content-Disposition: form-data",
    b"; name=",
    b"; filename=\"",
    b"{\"body\":{\"model\":\"m\"}}\n",
    b"{\"body\":",
    b"\"model\":",
];

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Form, FormError> {
    let mut form = Multipart::new("multipart/form-data; boundary=b")?;
    for chunk in chunks {
        form.feed(chunk)?;
    }
    form.finish()
}

/// The form with every model replaced, those in the lines of its only file too.
fn replaced(form: &Form, members: &Members, body: &[u8]) -> Vec<u8> {
    let mut edits = Edits::new(members);
    for member in members.all("model") {
        edits.replace(member, "changed");
    }
    for (place, _) in form.only_file().map_or(&[][..], |_| &form.models) {
        edits.replace_part(place.clone(), Bytes::from_static(b"\"changed\""));
    }
    let pieces = edits.pieces(body.len() as u64);
    let changed = apply(&pieces, &[Bytes::copy_from_slice(body)]).concat();
    assert_eq!(changed.len() as u64, edits.length_after(body.len() as u64));
    changed
}

fuzz_target!(|data: &[u8]| {
    let Some((size, rest)) = data.split_first() else { return };
    let body = words::spelled(rest, WORDS);
    let whole = read(std::iter::once(&body[..]));
    for size in [usize::from(*size).max(1), 1] {
        let parts = read(body.chunks(size));
        match (&whole, &parts) {
            (Ok(whole), Ok(parts)) => {
                assert_eq!(whole.fields, parts.fields);
                assert_eq!((whole.start, &whole.models), (parts.start, &parts.models));
            }
            (Err(whole), Err(parts)) => assert_eq!(whole, parts),
            _ => panic!("{whole:?} in one piece, {parts:?} in several"),
        }
    }

    let Ok(before) = whole else { return };
    let members = before.members(&["model"]);
    let changed = replaced(&before, &members, &body);
    let after = read(std::iter::once(&changed[..])).expect("the edited form is one");
    assert_eq!(before.fields.len(), after.fields.len());
    // A file called `model` is replaced whole.
    let lines = before.only_file().filter(|file| file.name != "model");
    if lines.is_some() {
        assert_eq!(before.models.len(), after.models.len());
        assert!(after.models.iter().all(|(_, name)| name == "changed"));
    }
    for (old, new) in before.fields.iter().zip(&after.fields) {
        let content = |range: &std::ops::Range<u64>, of: &[u8]| of[range.start as usize..range.end as usize].to_vec();
        assert_eq!((&old.name, old.kind), (&new.name, new.kind));
        if old.name == "model" {
            assert_eq!(content(&new.value, &changed), b"changed");
            assert_eq!(new.text.as_deref(), Some("changed").filter(|_| old.kind != Kind::File));
        } else if Some(old) != lines {
            assert_eq!(content(&old.value, &body), content(&new.value, &changed));
        }
    }
});
