//! Traces as text, JSON Lines, CSV and Parquet.
//!
//! This room is given events, what is known of them, and a buffer; it never writes to a file, and knows
//! nothing of the kernel half.

pub mod check;
pub mod closing;
mod csv;
pub mod diff;
mod digits;
pub mod explain;
mod fields;
mod hosts;
pub mod html;
mod json;
pub mod map;
pub mod metrics;
#[cfg(feature = "parquet")]
mod parquet;
pub mod past;
mod plain;
pub mod records;
pub mod report;
mod screen;
mod terminal;
mod text;
mod value;
pub mod whatif;
pub mod who;

pub use csv::CsvOutput;
pub use fields::{Field, FieldError};
pub use hosts::{HostOutput, HostStyle};
pub use json::{JsonOutput, to_json, to_json_pretty};
#[cfg(feature = "parquet")]
pub use parquet::ParquetOutput;
use records::{Footer, Header, Holder};
pub use screen::wrapped;
pub use terminal::{escape, harmless};
pub use text::{Columns, Heading, TextOutput, cells, headings};

use crate::{
    enrich::{Process, UtcNs},
    event::{Event, Search},
};

/// An event with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The event.
    pub event: &'a Event,
    /// What its search went through.
    pub search: Search,
    /// When it ended, as time of day.
    pub utc: UtcNs,
    /// The process that asked.
    pub process: &'a Process,
    /// Of a failed explicit bind: who holds the port; none where nobody was asked.
    pub holders: Option<&'a [Holder]>,
}

/// Something that turns a trace into bytes.
///
/// Everything is appended to a buffer that the caller empties when it likes, to where it likes.
pub trait TraceOutput {
    /// Appends what comes before the events.
    fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Result<(), OutputError>;
    /// Appends one event.
    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>);
    /// Keeps a remark beside the events, where the format has room for such.
    fn remark(&mut self, _name: &str, _text: &str) {}
    /// Appends what comes after the events.
    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError>;
}

/// A header or a footer that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It does not fit JSON.
    #[error("cannot write the {record} as JSON")]
    Json {
        /// Which record.
        record: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// Parquet cannot be encoded.
    #[cfg(feature = "parquet")]
    #[error("cannot encode Parquet: {0}")]
    Parquet(#[source] ::parquet::errors::ParquetError),
}
