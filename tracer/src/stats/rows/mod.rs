//! Rows: what one process, or one destination, did. Bounded tables of them, with a bound on what they missed.

mod destinations;
mod evicted;
mod group;
mod identity;
mod ports;
mod processes;
mod row;
mod table;

pub(super) use destinations::Destinations;
pub use destinations::{Destination, DestinationKey};
pub use group::{By, Group};
pub use identity::Identity;
pub use processes::ProcessKey;
pub(super) use processes::ProcessRows;
pub use row::Row;
use table::Entry;

/// Rows of a table, if nothing else is asked for.
pub const MOST_ROWS: usize = 16_384;
