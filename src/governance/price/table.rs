//! The built-in prices: list prices of global deployments on Azure, in US dollars. Checked on the day below against public
//! pages, none of them an invoice: Claude against `platform.claude.com/docs/en/about-claude/pricing` and reports of October
//! 2026 that had read it (Sonnet 5.5 and Haiku 5.5); GPT-5.4 and later against reports of September to November 2026 that
//! quote `developers.openai.com/api/docs/pricing`, and one of October that Azure charges the same. Models before those had
//! no change that anybody reported. Where sources differ (cached input of the `pro` models) the higher price stands here.
//! Other regions, data zones, priority processing and contracts differ: `pricing` in the configuration goes first.

use super::Long;

/// The day of the check.
pub const AS_OF: &str = "2026-11-29";

/// The same price however long the prompt is.
const EVEN: Option<Long> = None;
const OVER_272K: Option<Long> = Some(Long { above: 272_000, input_percent: 200, output_percent: 150 });
const OVER_200K: Option<Long> = Some(Long { above: 200_000, input_percent: 200, output_percent: 150 });
const OVER_100K: Option<Long> = Some(Long { above: 100_000, input_percent: 500, output_percent: 500 });

/// Model, and picodollars per token (a millionth of a dollar per million tokens) of input, cached input, cache writes and
/// output, and what long prompts cost. Where the list names no price of its own for a kind of input, it is the price of
/// input. Cache writes are those for five minutes.
pub const BUILT_IN: &[(&str, [u64; 4], Option<Long>)] = &[
    ("gpt-6.1-sol", [2_000_000, 100_000, 2_500_000, 10_000_000], OVER_272K),
    ("gpt-6.1-terra", [1_000_000, 50_000, 1_250_000, 5_000_000], OVER_272K),
    ("gpt-6-astra", [10_000_000, 1_000_000, 12_500_000, 50_000_000], OVER_272K),
    ("gpt-6-sol", [2_000_000, 200_000, 2_500_000, 10_000_000], OVER_272K),
    ("gpt-6-luna", [100_000, 10_000, 125_000, 500_000], OVER_272K),
    ("gpt-5.6", [4_000_000, 400_000, 5_000_000, 20_000_000], OVER_272K),
    ("gpt-5.6-sol", [4_000_000, 400_000, 5_000_000, 20_000_000], OVER_272K),
    ("gpt-5.6-terra", [2_000_000, 200_000, 2_500_000, 12_000_000], OVER_272K),
    ("gpt-5.6-luna", [200_000, 20_000, 250_000, 1_200_000], OVER_272K),
    ("gpt-5.5", [5_000_000, 500_000, 5_000_000, 30_000_000], OVER_272K),
    ("gpt-5.5-pro", [30_000_000, 30_000_000, 30_000_000, 180_000_000], OVER_272K),
    ("gpt-5.4", [2_500_000, 250_000, 2_500_000, 15_000_000], OVER_272K),
    ("gpt-5.4-pro", [30_000_000, 30_000_000, 30_000_000, 180_000_000], OVER_272K),
    ("gpt-5.4-mini", [750_000, 75_000, 750_000, 4_500_000], EVEN),
    ("gpt-5.4-nano", [200_000, 20_000, 200_000, 1_250_000], EVEN),
    ("gpt-5.3-chat", [1_750_000, 175_000, 1_750_000, 14_000_000], EVEN),
    ("gpt-5.3-codex", [1_750_000, 175_000, 1_750_000, 14_000_000], EVEN),
    ("gpt-5.2", [1_750_000, 175_000, 1_750_000, 14_000_000], EVEN),
    ("gpt-5.2-chat", [1_750_000, 175_000, 1_750_000, 14_000_000], EVEN),
    ("gpt-5.2-codex", [1_750_000, 175_000, 1_750_000, 14_000_000], EVEN),
    ("gpt-5.2-pro", [21_000_000, 21_000_000, 21_000_000, 168_000_000], EVEN),
    ("gpt-5.1", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5.1-chat", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5.1-codex", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5.1-codex-max", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5.1-codex-mini", [250_000, 25_000, 250_000, 2_000_000], EVEN),
    ("gpt-5", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5-chat", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5-codex", [1_250_000, 125_000, 1_250_000, 10_000_000], EVEN),
    ("gpt-5-mini", [250_000, 25_000, 250_000, 2_000_000], EVEN),
    ("gpt-5-nano", [50_000, 5_000, 50_000, 400_000], EVEN),
    ("gpt-5-pro", [15_000_000, 15_000_000, 15_000_000, 120_000_000], EVEN),
    ("gpt-4.5-preview", [75_000_000, 37_500_000, 75_000_000, 150_000_000], EVEN),
    ("gpt-4.1", [2_000_000, 500_000, 2_000_000, 8_000_000], EVEN),
    ("gpt-4.1-mini", [400_000, 100_000, 400_000, 1_600_000], EVEN),
    ("gpt-4.1-nano", [100_000, 25_000, 100_000, 400_000], EVEN),
    ("gpt-4o", [2_500_000, 1_250_000, 2_500_000, 10_000_000], EVEN),
    ("gpt-4o-2024-05-13", [5_000_000, 5_000_000, 5_000_000, 15_000_000], EVEN),
    ("gpt-4o-mini", [150_000, 75_000, 150_000, 600_000], EVEN),
    ("gpt-4-turbo", [10_000_000, 10_000_000, 10_000_000, 30_000_000], EVEN),
    ("gpt-4-0125-preview", [10_000_000, 10_000_000, 10_000_000, 30_000_000], EVEN),
    ("gpt-4-1106-preview", [10_000_000, 10_000_000, 10_000_000, 30_000_000], EVEN),
    ("gpt-4", [30_000_000, 30_000_000, 30_000_000, 60_000_000], EVEN),
    ("gpt-4-32k", [60_000_000, 60_000_000, 60_000_000, 120_000_000], EVEN),
    ("gpt-35-turbo", [500_000, 500_000, 500_000, 1_500_000], EVEN),
    ("gpt-35-turbo-16k", [3_000_000, 3_000_000, 3_000_000, 4_000_000], EVEN),
    ("gpt-35-turbo-instruct", [1_500_000, 1_500_000, 1_500_000, 2_000_000], EVEN),
    ("gpt-3.5-turbo", [500_000, 500_000, 500_000, 1_500_000], EVEN),
    ("gpt-3.5-turbo-instruct", [1_500_000, 1_500_000, 1_500_000, 2_000_000], EVEN),
    ("o1", [15_000_000, 7_500_000, 15_000_000, 60_000_000], EVEN),
    ("o1-preview", [15_000_000, 7_500_000, 15_000_000, 60_000_000], EVEN),
    ("o1-mini", [1_100_000, 550_000, 1_100_000, 4_400_000], EVEN),
    ("o3", [2_000_000, 500_000, 2_000_000, 8_000_000], EVEN),
    ("o3-pro", [20_000_000, 20_000_000, 20_000_000, 80_000_000], EVEN),
    ("o3-deep-research", [10_000_000, 2_500_000, 10_000_000, 40_000_000], EVEN),
    ("o3-mini", [1_100_000, 550_000, 1_100_000, 4_400_000], EVEN),
    ("o4-mini", [1_100_000, 275_000, 1_100_000, 4_400_000], EVEN),
    ("codex-mini", [1_500_000, 375_000, 1_500_000, 6_000_000], EVEN),
    ("computer-use-preview", [3_000_000, 3_000_000, 3_000_000, 12_000_000], EVEN),
    ("gpt-oss-120b", [150_000, 150_000, 150_000, 600_000], EVEN),
    ("text-embedding-3-large", [130_000, 130_000, 130_000, 0], EVEN),
    ("text-embedding-3-small", [20_000, 20_000, 20_000, 0], EVEN),
    ("text-embedding-ada-002", [100_000, 100_000, 100_000, 0], EVEN),
    ("claude-fable-5-1", [10_000_000, 250_000, 12_500_000, 50_000_000], EVEN),
    ("claude-mythos-5-1", [10_000_000, 250_000, 12_500_000, 50_000_000], EVEN),
    ("claude-fable-5", [10_000_000, 1_000_000, 12_500_000, 50_000_000], EVEN),
    ("claude-mythos-5", [10_000_000, 1_000_000, 12_500_000, 50_000_000], EVEN),
    ("claude-opus-5-5", [4_000_000, 200_000, 5_000_000, 20_000_000], EVEN),
    ("claude-opus-5", [5_000_000, 500_000, 6_250_000, 25_000_000], EVEN),
    ("claude-opus-4-8", [5_000_000, 500_000, 6_250_000, 25_000_000], EVEN),
    ("claude-opus-4-7", [5_000_000, 500_000, 6_250_000, 25_000_000], EVEN),
    ("claude-opus-4-6", [5_000_000, 500_000, 6_250_000, 25_000_000], EVEN),
    ("claude-opus-4-5", [5_000_000, 500_000, 6_250_000, 25_000_000], EVEN),
    ("claude-opus-4-1", [15_000_000, 1_500_000, 18_750_000, 75_000_000], EVEN),
    ("claude-opus-4", [15_000_000, 1_500_000, 18_750_000, 75_000_000], EVEN),
    ("claude-sonnet-5-5", [2_000_000, 100_000, 2_500_000, 10_000_000], EVEN),
    ("claude-sonnet-5", [2_000_000, 200_000, 2_500_000, 10_000_000], EVEN),
    ("claude-sonnet-4-6", [3_000_000, 300_000, 3_750_000, 15_000_000], EVEN),
    ("claude-sonnet-4-5", [3_000_000, 300_000, 3_750_000, 15_000_000], OVER_200K),
    ("claude-sonnet-4", [3_000_000, 300_000, 3_750_000, 15_000_000], OVER_200K),
    ("claude-haiku-5-5", [100_000, 10_000, 125_000, 500_000], OVER_100K),
    ("claude-haiku-4-5", [1_000_000, 100_000, 1_250_000, 5_000_000], EVEN),
    ("claude-3-7-sonnet", [3_000_000, 300_000, 3_750_000, 15_000_000], EVEN),
    ("claude-3-5-haiku", [800_000, 80_000, 1_000_000, 4_000_000], EVEN),
];
