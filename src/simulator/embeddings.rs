//! Embeddings: vectors of unit length that depend on the words of a text alone, so that similar texts lie close.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::answer::Reply;
use super::body::Fields;
use super::errors::Refusal;
use super::resource::Call;
use super::words::{self, Seed};

const KNOWN: [&str; 6] = ["input", "model", "encoding_format", "dimensions", "user", "input_type"];

/// Texts in one request.
const MOST_INPUTS: usize = 2048;

/// Words of a text that shape its vector; the rest only counts.
const SHAPING: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Float,
    Base64,
}

/// One text, as it was given.
#[derive(Clone, Debug)]
enum Input<'a> {
    Text(&'a str),
    Tokens(Vec<u64>),
}

/// A request that was understood.
pub struct EmbeddingRequest<'a> {
    model: &'a str,
    inputs: Vec<Input<'a>>,
    encoding: Encoding,
    dimensions: usize,
    tokens: usize,
}

impl<'a> EmbeddingRequest<'a> {
    pub fn read(call: &Call<'a>) -> Result<Self, Refusal> {
        let fields = Fields::of_body(call.body);
        fields.only(&KNOWN)?;
        fields.text("user")?;
        let inputs = inputs(&fields)?;
        let encoding = match fields.choice("encoding_format", &["float", "base64"])? {
            Some("base64") => Encoding::Base64,
            _ => Encoding::Float,
        };
        let model = call.deployment.model.as_str();
        let dimensions = dimensions(&fields, model)?;
        let tokens = inputs.iter().map(Input::tokens).sum();
        Ok(Self { model, inputs, encoding, dimensions, tokens })
    }

    /// Tokens charged on admission.
    pub fn cost(&self) -> usize {
        self.tokens
    }

    pub fn answer(&self) -> Reply {
        let one = |(index, input): (usize, &Input<'_>)| {
            let vector = vector(input, self.dimensions);
            let embedding = match self.encoding {
                Encoding::Float => json!(vector),
                Encoding::Base64 => {
                    json!(BASE64.encode(&vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()))
                }
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        };
        let data: Vec<Value> = self.inputs.iter().enumerate().map(one).collect();
        let usage = json!({"prompt_tokens": self.tokens, "total_tokens": self.tokens});
        Reply::Json(json!({"object": "list", "data": data, "model": self.model, "usage": usage}).to_string())
    }
}

impl Input<'_> {
    fn tokens(&self) -> usize {
        match self {
            Self::Text(text) => words::count(text),
            Self::Tokens(tokens) => tokens.len(),
        }
    }

    fn seeds(&self) -> Vec<Seed> {
        match self {
            Self::Text(text) => {
                let words = words::pieces(text).into_iter().take(SHAPING);
                words.map(|word| Seed::of(&word.trim().to_lowercase())).collect()
            }
            Self::Tokens(tokens) => tokens.iter().take(SHAPING).map(|token| Seed::of(&token.to_string())).collect(),
        }
    }
}

fn inputs<'a>(fields: &Fields<'a>) -> Result<Vec<Input<'a>>, Refusal> {
    let value = fields.required("input")?;
    let wrong = || {
        Refusal::invalid(
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
            None,
            None,
        )
    };
    let tokens =
        |list: &[Value]| list.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>().filter(|list| !list.is_empty());
    match value {
        Value::String(text) if !text.is_empty() => Ok(vec![Input::Text(text)]),
        Value::Array(list) if list.is_empty() => Err(fields.empty_array("input")),
        Value::Array(list) if list[0].is_number() => Ok(vec![Input::Tokens(tokens(list).ok_or_else(wrong)?)]),
        Value::Array(list) if list.len() > MOST_INPUTS => {
            let message = format!("Too many inputs. The max number of inputs is {MOST_INPUTS}.");
            Err(Refusal::invalid(message, None, None))
        }
        Value::Array(list) => {
            let one = |item: &'a Value| match item {
                Value::String(text) if !text.is_empty() => Ok(Input::Text(text)),
                Value::Array(list) => tokens(list).map(Input::Tokens).ok_or_else(wrong),
                _ => Err(wrong()),
            };
            list.iter().map(one).collect()
        }
        _ => Err(wrong()),
    }
}

fn dimensions(fields: &Fields<'_>, model: &str) -> Result<usize, Refusal> {
    let most = if model.contains("3-large") { 3072 } else { 1536 };
    let Some(wanted) = fields.get("dimensions") else { return Ok(most) };
    if !model.starts_with("text-embedding-3") {
        return Err(Refusal::invalid("This model does not support specifying dimensions.", None, None));
    }
    let number = wanted.as_i64().ok_or_else(|| fields.wrong_type("dimensions", "an integer", wanted))?;
    if number < 1 {
        return Err(Refusal::invalid(format!("{number} is less than the minimum of 1 - 'dimensions'"), None, None));
    }
    usize::try_from(number).ok().filter(|number| *number <= most).ok_or_else(|| {
        let message = format!("Invalid value for 'dimensions' = {number}. Must be less than or equal to {most}.");
        Refusal::invalid(message, None, None)
    })
}

/// The sum of one pseudo-random direction per word, brought to length 1.
#[expect(clippy::cast_possible_truncation, reason = "vectors are made of 32-bit numbers")]
fn vector(input: &Input<'_>, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f64; dimensions];
    for mut seed in input.seeds() {
        sum.iter_mut().for_each(|number| *number += seed.fraction() - 0.5);
    }
    let length = sum.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    sum.into_iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &str, b: &str) -> f32 {
        let (a, b) = (vector(&Input::Text(a), 512), vector(&Input::Text(b), 512));
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_similar_texts_lie_close() {
        assert!((dot("a cat sat", "a cat sat") - 1.0).abs() < 1e-5);
        assert!(dot("a cat sat", "a cat ran") > 0.4);
        assert!(dot("a cat sat", "rain tomorrow").abs() < 0.3);
    }
}
