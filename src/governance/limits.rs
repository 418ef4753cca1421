//! What may be limited, and the limits of one subject.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    Requests,
    /// Input and output together.
    Tokens,
}

/// Over what time a rate is counted. Windows slide: there is no moment at which all of it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    Minute,
    Hour,
    Day,
}

/// For what time a budget is. Days, weeks (from Monday) and months are those of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    Day,
    Week,
    Month,
    /// Never renewed.
    Total,
}

/// Limits of one subject. What is `None` does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// By [`Measure`] and [`Span`], in the order of their variants.
    pub rates: [[Option<u64>; 3]; 2],
    /// Requests at the same time.
    pub concurrent: Option<u64>,
    /// Micro-dollars by [`Period`], in the order of its variants.
    pub budgets: [Option<u64>; 4],
}

impl Measure {
    pub const ALL: [Self; 2] = [Self::Requests, Self::Tokens];
}

impl Span {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    pub const fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

impl Period {
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Total];
}

impl Limits {
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    pub fn rate(&self, measure: Measure, span: Span) -> Option<u64> {
        self.rates[measure as usize][span as usize]
    }

    pub fn budget(&self, period: Period) -> Option<u64> {
        self.budgets[period as usize]
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "per day",
            Self::Week => "per week",
            Self::Month => "per month",
            Self::Total => "in total",
        })
    }
}
