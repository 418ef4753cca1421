//! Who may call, what for, and how much: virtual keys and their lists, rates, budgets and prices. Leaves to `catalog`
//! what a model's name means; knows no HTTP, and is told the time.

mod account;
mod billed;
mod file;
mod governor;
mod key;
mod ledger;
mod ledgers;
mod limits;
mod moment;
mod price;
mod prompt;
mod shared;
mod sizes;
mod spending;
mod window;

pub use account::{Account, Exceeded, Kind, Member, Reservation, Standing, Subject};
pub use billed::Billed;
pub use file::{CounterFile, StateError};
pub use governor::Governor;
pub use key::{Callers, Denied, VirtualKey, digest};
pub use ledger::{Demand, Estimate, Excess, Ledger, Room, Used, What};
pub use ledgers::{Ledgers, Saved};
pub use limits::{Limits, Measure, Period, Span};
pub use moment::{Clock, Moment};
pub use price::{AS_OF, Price, Prices, Tokens};
pub use prompt::Prompt;
pub use shared::{BadAddress, Health, Hold, Shared, Worker, check_address};
pub use sizes::Sizes;
