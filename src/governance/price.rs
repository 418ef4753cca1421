//! What tokens cost. Money is counted in whole micro-dollars, prices in picodollars per token, so that nothing is lost
//! in rounding before the end.

mod table;

use std::collections::HashMap;

pub use table::AS_OF;

/// Picodollars in a micro-dollar.
const PICO: u128 = 1_000_000;

/// Price of one token of each kind, in picodollars: the same number as millionths of a dollar per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
    /// What changes with a long prompt.
    pub long: Option<Long>,
}

/// What all tokens of a request cost whose input is larger, in percent of the usual price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Long {
    /// Input tokens, cached ones included.
    pub above: u64,
    pub input_percent: u64,
    pub output_percent: u64,
}

/// Tokens of one request. `cached_input` and `cache_write` are parts of `input`; `reasoning` is a part of `output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// Prices by model: those of the configuration, then the built-in ones.
#[derive(Debug)]
pub struct Prices {
    by_model: HashMap<Box<str>, Price>,
}

impl Tokens {
    /// Input and output together, which is what limits of tokens count.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// Micro-dollars, rounded up once: a request is never cheaper than its tokens.
    pub fn cost(&self, tokens: &Tokens) -> u64 {
        let Tokens { input, cached_input, cache_write, output, reasoning } = *tokens;
        let plain = input.saturating_sub(cached_input).saturating_sub(cache_write);
        let spoken = output.saturating_sub(reasoning);
        let long = self.long.filter(|long| input > long.above);
        let (inward, outward) = long.map_or((100, 100), |long| (long.input_percent, long.output_percent));
        let kinds = [
            (plain, self.input, inward),
            (cached_input, self.cached_input, inward),
            (cache_write, self.cache_write, inward),
            (spoken, self.output, outward),
            (reasoning, self.reasoning, outward),
        ];
        let part =
            |(count, price, percent): (u64, u64, u64)| u128::from(count) * u128::from(price) * u128::from(percent);
        let hundredths: u128 = kinds.into_iter().map(part).fold(0, u128::saturating_add);
        u64::try_from(hundredths.div_ceil(PICO * 100)).unwrap_or(u64::MAX)
    }
}

impl Prices {
    /// `own` are the prices of the configuration, by model in any case of letters.
    pub fn new(own: impl IntoIterator<Item = (String, Price)>) -> Self {
        let built_in = table::BUILT_IN.iter().map(|(model, [input, cached_input, cache_write, output], long)| {
            let (input, cached_input, cache_write, long) = (*input, *cached_input, *cache_write, *long);
            (Box::from(*model), Price { input, cached_input, cache_write, output: *output, reasoning: *output, long })
        });
        let own = own.into_iter().map(|(model, price)| (model.to_ascii_lowercase().into_boxed_str(), price));
        Self { by_model: built_in.chain(own).collect() }
    }

    /// The price of the first of these names that has one. A version at the end of a name (`-2024-11-20`, `-20250929`)
    /// matters only where it has a price of its own.
    pub fn find<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<&Price> {
        names.into_iter().find_map(|name| {
            let name = name.to_ascii_lowercase();
            let bare = without_version(&name);
            self.by_model.get(name.as_str()).or_else(|| self.by_model.get(bare))
        })
    }
}

/// A model's name without the date of its version.
fn without_version(name: &str) -> &str {
    let dated = |form: &str| {
        let (bare, tail) = name.split_at_checked(name.len().checked_sub(form.len())?)?;
        let fits = |(form, byte): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { form == byte };
        (!bare.is_empty() && form.bytes().zip(tail.bytes()).all(fits)).then_some(bare)
    };
    ["-0000-00-00", "-00000000", "-0000"].into_iter().find_map(dated).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(counts: [u64; 5]) -> Tokens {
        let [input, cached_input, cache_write, output, reasoning] = counts;
        Tokens { input, cached_input, cache_write, output, reasoning }
    }

    #[test]
    fn all_five_kinds_have_their_price_and_the_sum_is_rounded_up_once() {
        let price = Price {
            input: 2_500_000,
            cached_input: 1_250_000,
            cache_write: 3_000_000,
            output: 10_000_000,
            reasoning: 20_000_000,
            long: None,
        };
        // 800 plain, 100 cached, 100 written; 40 spoken, 10 thought: 2000 + 125 + 300 + 400 + 200.
        assert_eq!(price.cost(&tokens([1_000, 100, 100, 50, 10])), 3_025);
        let small = Price { input: 1, cached_input: 0, cache_write: 0, output: 1, reasoning: 0, long: None };
        assert_eq!(small.cost(&tokens([1, 0, 0, 1, 0])), 1);
        assert_eq!(small.cost(&Tokens::default()), 0);
        assert_eq!(price.cost(&tokens([u64::MAX, 0, 0, u64::MAX, 0])), u64::MAX);
        // Counts that contradict each other do not wrap.
        assert_eq!(price.cost(&tokens([10, 20, 0, 0, 0])), 25);
    }

    #[test]
    fn long_prompts_cost_more_from_the_first_token_on() {
        let prices = Prices::new([]);
        let cost = |model, input| prices.find([model]).unwrap().cost(&tokens([input, 100_000, 0, 1_000, 0]));
        // 172,000 plain at 2 dollars a million, 100,000 cached at 20 cents, 1,000 out at 10 dollars.
        assert_eq!(cost("gpt-6-sol", 272_000), 344_000 + 20_000 + 10_000);
        assert_eq!(cost("gpt-6-sol", 272_001), 2 * (344_002 + 20_000) + 15_000);
        assert_eq!(cost("claude-haiku-5-5", 100_001), 1 + 5_000 + 2_500);
        assert_eq!(cost("claude-sonnet-5-5", 1_000_000), 1_800_000 + 10_000 + 10_000);
    }

    #[test]
    fn names_are_found_in_any_case_and_with_their_versions() {
        let prices = Prices::new([(
            "My-Model".to_owned(),
            Price { input: 7, cached_input: 7, cache_write: 7, output: 7, reasoning: 7, long: None },
        )]);
        let input = |name: &str| prices.find([name]).map(|price| price.input);
        assert_eq!(input("GPT-4o"), Some(2_500_000));
        assert_eq!(input("gpt-4o-2024-11-20"), Some(2_500_000));
        assert_eq!(input("gpt-4o-2024-05-13"), Some(5_000_000), "a version with a price of its own");
        assert_eq!(input("claude-sonnet-4-5-20250929"), Some(3_000_000));
        assert_eq!(input("claude-sonnet-4-6"), Some(3_000_000));
        assert_eq!(input("my-model"), Some(7));
        assert_eq!(input("my-deployment"), None);
        assert_eq!(prices.find(["my-deployment", "gpt-5"]).map(|price| price.output), Some(10_000_000));
        for odd in ["", "-2024-11-20", "é-2024-11-20", "2024-11-20", "-0000"] {
            assert_eq!(input(odd), None, "{odd}");
        }
    }

    #[test]
    fn own_prices_go_before_the_built_in_ones() {
        let own = Price { input: 1, cached_input: 1, cache_write: 1, output: 1, reasoning: 1, long: None };
        let prices = Prices::new([("gpt-4o".to_owned(), own)]);
        assert_eq!(prices.find(["gpt-4o-2024-11-20"]), Some(&own));
    }

    #[test]
    fn the_list_names_each_model_once_and_its_date() {
        let mut names: Vec<_> = table::BUILT_IN.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!((names.len(), AS_OF.parse::<jiff::civil::Date>().is_ok()), (count, true));
        for (name, [input, cached, ..], _) in table::BUILT_IN {
            assert!(cached <= input && *input > 0 && *name == name.to_ascii_lowercase(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_cost_is_exact_to_the_micro_dollar(input in 0..10_000_000_u64, output in 0..10_000_000_u64, price in 0..200_000_000_u64) {
            let price = Price { input: price, cached_input: 0, cache_write: 0, output: price, reasoning: 0, long: None };
            let exact = (u128::from(input) + u128::from(output)) * u128::from(price.input);
            let cost = u128::from(price.cost(&Tokens { input, output, ..Tokens::default() }));
            prop_assert!(cost * PICO >= exact && cost * PICO < exact + PICO);
        }
    }
}
