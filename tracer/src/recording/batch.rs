//! Rows to and from Arrow's arrays.

use std::sync::Arc;

use arrow_array::{
    Array as _, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, PrimitiveArray, RecordBatch, StringArray,
    builder::StringBuilder,
    types::{Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, SchemaRef};

use crate::event::{Column, Columns, Width};

/// The value of a socket that is none, in a column of them.
pub(super) const NO_SOCKET: u32 = u32::MAX;

/// Rows that are to be written.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// All but time, socket and text.
    pub(super) columns: Columns,
    /// Nanoseconds since the row before.
    pub(super) times: Vec<i32>,
    /// How far back the socket was first seen, or [`NO_SOCKET`].
    pub(super) sockets: Vec<u32>,
    /// Texts, with the rows they are in.
    pub(super) texts: Vec<(usize, String)>,
}

impl Rows {
    /// Makes a batch of all rows, and forgets them.
    pub(super) fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let rows = self.columns.len();
        let nulls = |is_there: &dyn Fn(usize) -> bool| {
            let nulls = NullBuffer::new(BooleanBuffer::collect_bool(rows, is_there));
            (nulls.null_count() != 0).then_some(nulls)
        };
        let seen = self.columns.seen().to_vec();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (field, column) in Columns::FIELDS.iter().zip(self.columns.take()) {
            let nulls = match field.seen {
                0 => None,
                bit => nulls(&|at| seen.get(at).is_some_and(|seen| seen & bit != 0)),
            };
            arrays.push(array(column, nulls)?);
        }
        let none = nulls(&|at| self.sockets.get(at).is_some_and(|back| *back != NO_SOCKET));
        let sockets = std::mem::take(&mut self.sockets);
        arrays.push(Arc::new(PrimitiveArray::<Int32Type>::new(std::mem::take(&mut self.times).into(), None)));
        arrays.push(Arc::new(PrimitiveArray::<UInt32Type>::try_new(sockets.into(), none)?));
        arrays.push(Arc::new(texts(rows, &std::mem::take(&mut self.texts))));
        RecordBatch::try_new(Arc::clone(schema), arrays)
    }
}

fn array(column: Column, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    Ok(match column {
        Column::U8(values) => Arc::new(PrimitiveArray::<UInt8Type>::try_new(values.into(), nulls)?),
        Column::U16(values) => Arc::new(PrimitiveArray::<UInt16Type>::try_new(values.into(), nulls)?),
        Column::U32(values) => Arc::new(PrimitiveArray::<UInt32Type>::try_new(values.into(), nulls)?),
        Column::U64(values) => Arc::new(PrimitiveArray::<UInt64Type>::try_new(values.into(), nulls)?),
        Column::Bytes(values) => {
            Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from_vec(values), nulls)?)
        }
    })
}

fn texts(rows: usize, texts: &[(usize, String)]) -> StringArray {
    let bytes = texts.iter().map(|(_, text)| text.len()).sum();
    let mut all = StringBuilder::with_capacity(rows, bytes);
    let mut next = 0_usize;
    for (at, text) in texts {
        all.append_nulls(at.saturating_sub(next));
        all.append_value(text);
        next = at.saturating_add(1);
    }
    all.append_nulls(rows.saturating_sub(next));
    all.finish()
}

/// Rows that were read.
#[derive(Debug)]
pub(super) struct ReadRows {
    pub(super) columns: Columns,
    pub(super) times: ScalarBuffer<i32>,
    sockets: PrimitiveArray<UInt32Type>,
    texts: StringArray,
}

impl ReadRows {
    /// Takes a batch; none where it does not have the columns of a recording.
    pub(super) fn of(batch: &RecordBatch) -> Option<Self> {
        let mut columns = Vec::with_capacity(Columns::FIELDS.len());
        for (at, field) in Columns::FIELDS.iter().enumerate() {
            let array = batch.columns().get(at)?;
            columns.push(match field.width {
                Width::U8 => Column::U8(values::<UInt8Type>(array)?.to_vec()),
                Width::U16 => Column::U16(values::<UInt16Type>(array)?.to_vec()),
                Width::U32 => Column::U32(values::<UInt32Type>(array)?.to_vec()),
                Width::U64 => Column::U64(values::<UInt64Type>(array)?.to_vec()),
                Width::Bytes => {
                    let array = array.as_any().downcast_ref::<FixedSizeBinaryArray>()?;
                    let (values, _) = array.value_data().as_chunks::<16>();
                    Column::Bytes(values.iter().map(|value| i128::from_ne_bytes(*value)).collect())
                }
            });
        }
        let [.., times, sockets, texts] = batch.columns() else { return None };
        Some(Self {
            columns: Columns::of(columns)?,
            times: values::<Int32Type>(times)?.clone(),
            sockets: sockets.as_any().downcast_ref::<PrimitiveArray<UInt32Type>>()?.clone(),
            texts: texts.as_any().downcast_ref::<StringArray>()?.clone(),
        })
    }

    /// How far back the socket of a row was first seen; none where it has none.
    pub(super) fn socket(&self, at: usize) -> Option<u32> {
        (at < self.sockets.len() && self.sockets.is_valid(at)).then(|| self.sockets.value(at))
    }

    /// The text of a row.
    pub(super) fn text(&self, at: usize) -> Option<&str> {
        (at < self.texts.len() && self.texts.is_valid(at)).then(|| self.texts.value(at))
    }
}

fn values<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&ScalarBuffer<T::Native>> {
    Some(array.as_any().downcast_ref::<PrimitiveArray<T>>()?.values())
}
