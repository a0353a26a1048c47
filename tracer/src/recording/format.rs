//! What a recording looks like: the columns, the kinds of rows, the limits.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::Facts;
use crate::event::{Columns, Width};

/// Version of the format; it goes up when an older reader would misunderstand a newer file.
pub const VERSION: u32 = 2;
/// That of a recording without collisions by kind, whose counts an older reader would take for ports that were asked for.
const PLAIN: u32 = 1;

/// The version that a recording needs.
pub(super) const fn version(facts: &Facts) -> u32 {
    if facts.collisions { VERSION } else { PLAIN }
}

/// The member of the schema's metadata that says which format it is.
pub(super) const VERSION_KEY: &str = "portscope.recording";
/// The one that holds the opening.
pub(super) const OPENING_KEY: &str = "portscope.opening";

/// The kind of a row that is a note; `note` holds its JSON, or the last part of it.
pub(super) const NOTE: u8 = 200;
/// The kind of a row that holds a part of a note which goes on in the next row.
pub(super) const PART: u8 = 201;

/// Names of the columns that are not those of [`Columns`].
pub(super) const TIME: &str = "dt_ns";
pub(super) const SOCKET: &str = "socket";
pub(super) const TEXT: &str = "note";

/// Rows that a batch may have.
pub(super) const MOST_BATCH_ROWS: usize = 1 << 17;
/// Bytes of the metadata of a message: those of the opening have the header in them.
pub(super) const MOST_METADATA: usize = 16 << 20;
/// Bytes of the body of a message, as they are in the file and when they are unpacked.
pub(super) const MOST_BODY: usize = 128 << 20;
/// Bytes of a note.
pub(super) const MOST_NOTE: usize = 512 << 20;
/// Bytes of a part of a note.
pub(super) const PART_BYTES: usize = 1 << 20;

/// The type of values of this width.
pub(super) const fn data_type(width: Width) -> DataType {
    match width {
        Width::U8 => DataType::UInt8,
        Width::U16 => DataType::UInt16,
        Width::U32 => DataType::UInt32,
        Width::U64 => DataType::UInt64,
        Width::Bytes => DataType::FixedSizeBinary(16),
    }
}

/// The schema, with this metadata.
pub(super) fn schema(metadata: HashMap<String, String>) -> SchemaRef {
    let own = [
        Field::new(TIME, DataType::Int32, false),
        Field::new(SOCKET, DataType::UInt32, true),
        Field::new(TEXT, DataType::Utf8, true),
    ];
    let of_record =
        Columns::FIELDS.iter().map(|field| Field::new(field.name, data_type(field.width), field.seen != 0));
    Arc::new(Schema::new_with_metadata(of_record.chain(own).collect::<Vec<_>>(), metadata))
}
