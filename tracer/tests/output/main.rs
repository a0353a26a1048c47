//! What the outputs write: against committed files, and against the records as a serializer sees them.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

mod again;
mod cases;
mod diff;
mod golden;
mod map;
mod metrics;
mod names;
#[cfg(feature = "otlp")]
mod otlp;
mod page;
#[cfg(feature = "parquet")]
mod parquet;
mod referee;
mod report;
mod schema;
mod top;
mod top_keys;
