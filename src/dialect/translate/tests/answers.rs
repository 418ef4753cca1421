//! What an answer says in one dialect is read again as it was meant, whole or as a stream.

use proptest::prelude::*;

use super::super::answer::{Failure, Piece, Stop, Tell};
use super::super::{chat, messages, responses};
use super::*;

fn voice() -> voice::Voice {
    reply(Protocol::Chat, Protocol::Chat).voice
}

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z\u{e4}\u{1F980}\"\\\\\n ]{1,8}"
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        words().prop_map(Piece::Text),
        (words(), "[a-zA-Z]{1,6}").prop_map(|(text, content)| {
            let proof = Proof::Encrypted { origin: ORIGIN.to_owned(), id: "rs_1".to_owned(), content };
            Piece::Thinking { text, proof: Some(proof) }
        }),
        words().prop_map(|text| Piece::Call {
            id: String::new(),
            name: "f".to_owned(),
            arguments: serde_json::json!({"a": text}).to_string(),
        }),
    ]
}

fn answer() -> impl Strategy<Value = Collected> {
    let usage = (0..500_u64, 0..100_u64, 0..900_u64, any::<bool>());
    (prop::collection::vec(piece(), 1..6), usage).prop_map(|(mut pieces, (fresh, cached, output, limited))| {
        let mut answer = Collected::default();
        for (index, piece) in pieces.iter_mut().enumerate() {
            if let Piece::Call { id, .. } = piece {
                *id = format!("call_{index}");
            }
        }
        pieces.iter().for_each(|piece| tell(piece, &mut answer));
        let stop = match (limited, answer.calls()) {
            (true, _) => Stop::Limit,
            (false, true) => Stop::Calls,
            (false, false) => Stop::End,
        };
        answer.finish(stop, Some(Usage { input: fresh + cached, cached_input: cached, output, ..Usage::default() }));
        answer
    })
}

/// Letter by letter, as a model says it.
fn tell(piece: &Piece, to: &mut dyn Tell) {
    let letters = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    match piece {
        Piece::Text(text) => letters(text).iter().for_each(|letter| to.text(letter)),
        Piece::Refusal(text) => to.refusal(text),
        Piece::Thinking { text, proof } => {
            letters(text).iter().for_each(|letter| to.thinking(letter));
            return proof.iter().for_each(|proof| to.proof(proof.clone()));
        }
        Piece::Call { id, name, arguments } => {
            to.call(id, name);
            letters(arguments).iter().for_each(|letter| to.arguments(letter));
        }
    }
    to.close();
}

/// What a dialect can say of an answer: Chat Completions has one text, in front of the calls, and no thoughts. A proof is
/// read as its upstream's own: Responses has given the item another id, and in Messages it is a signature.
fn sayable(answer: &Collected, dialect: Protocol) -> (Vec<Piece>, Stop, Usage) {
    let mut pieces = answer.pieces.clone();
    for (index, piece) in pieces.iter_mut().enumerate() {
        let Piece::Thinking { proof: Some(proof), .. } = piece else { continue };
        match (dialect, &mut *proof) {
            (Protocol::Messages, _) => *proof = Proof::Signature(proof::to_signature(proof).unwrap()),
            (Protocol::Responses, Proof::Encrypted { id, .. }) => *id = format!("{}_{index}", voice().id("rs_")),
            _ => {}
        }
    }
    if dialect == Protocol::Chat {
        pieces.retain(|piece| matches!(piece, Piece::Call { .. }));
        let text = answer.text();
        if !text.is_empty() {
            pieces.insert(0, Piece::Text(text));
        }
    }
    (pieces, answer.stop.clone(), answer.usage)
}

fn whole(answer: &Collected, dialect: Protocol) -> Collected {
    let mut read = Collected::default();
    let done = match dialect {
        Protocol::Chat => {
            chat::answer_read::Reader::default().whole(&chat::answer_write::whole(answer, &voice()), &mut read)
        }
        Protocol::Responses => responses::answer_read::Reader::new(ORIGIN)
            .whole(&responses::answer_write::whole(answer, &voice()), &mut read),
        Protocol::Messages => {
            messages::answer_read::Reader::new(None).whole(&messages::answer_write::whole(answer, &voice()), &mut read)
        }
    };
    done.unwrap();
    read
}

/// The same as a stream, which is read event by event.
fn streamed(answer: &Collected, dialect: Protocol) -> Collected {
    let mut writer: Box<dyn Write> = match dialect {
        Protocol::Chat => Box::new(chat::answer_write::Writer::new(voice())),
        Protocol::Responses => Box::new(responses::answer_write::Writer::new(voice())),
        Protocol::Messages => Box::new(messages::answer_write::Writer::new(voice())),
    };
    let mut reader: Box<dyn Read> = match dialect {
        Protocol::Chat => Box::new(chat::answer_read::Reader::default()),
        Protocol::Responses => Box::new(responses::answer_read::Reader::new(ORIGIN)),
        Protocol::Messages => Box::new(messages::answer_read::Reader::new(None)),
    };
    writer.start(None);
    answer.pieces.iter().for_each(|piece| tell(piece, &mut *writer));
    writer.finish(answer.stop.clone(), Some(answer.usage));
    let (mut read, mut ended) = (Collected::default(), false);
    for line in String::from_utf8(writer.take()).unwrap().lines() {
        if let Some(data) = line.strip_prefix("data: ") {
            assert!(!ended, "nothing comes behind the end");
            ended = reader.event(data.as_bytes(), &mut read).unwrap().ended;
        }
    }
    assert!(ended);
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read_as_it_was_meant(answer in answer()) {
        for dialect in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
            // The text of Chat Completions is one only where nothing was called in between, so the stream says the same parts.
            let expected = sayable(&answer, dialect);
            let read = whole(&answer, dialect);
            prop_assert_eq!(&(read.pieces, read.stop, read.usage), &expected, "{:?}", dialect);
            let read = streamed(&answer, dialect);
            let (mut pieces, stop, usage) = (read.pieces.clone(), read.stop.clone(), read.usage);
            if dialect == Protocol::Chat {
                pieces = sayable(&read, dialect).0;
            }
            prop_assert_eq!(&(pieces, stop, usage), &expected, "{:?}, streamed", dialect);
        }
    }
}

#[test]
fn a_failure_is_read_as_one_in_every_dialect() {
    let failure =
        Failure { status: 429, code: Some("rate_limit_exceeded".to_owned()), message: "slow down".to_owned() };
    for (dialect, mut writer) in [
        (Protocol::Chat, Box::new(chat::answer_write::Writer::new(voice())) as Box<dyn Write>),
        (Protocol::Responses, Box::new(responses::answer_write::Writer::new(voice())) as Box<dyn Write>),
        (Protocol::Messages, Box::new(messages::answer_write::Writer::new(voice())) as Box<dyn Write>),
    ] {
        writer.start(None);
        writer.fail(&failure);
        let text = String::from_utf8(writer.take()).unwrap();
        let mut stream = reply(Protocol::Chat, dialect).stream();
        let mut out = Vec::new();
        stream.push(text.into(), &mut out).unwrap();
        stream.finish(&mut out);
        assert!(stream.progress().error.is_some() && !stream.progress().ended, "{dialect:?}");
        assert!(String::from_utf8(out.concat()).unwrap().contains("slow down"), "{dialect:?}");
    }
}
