//! The columns: their types, and how a value of an event gets into its array.

use std::sync::Arc;

use arrow_array::{
    ArrayRef,
    builder::{
        ArrayBuilder, BooleanBuilder, ListBuilder, StringBuilder, StringDictionaryBuilder, StructBuilder,
        TimestampNanosecondBuilder, UInt16Builder, UInt32Builder, UInt64Builder,
    },
    types::Int32Type,
};
use arrow_schema::{DataType, Field as ArrowField, Fields, TimeUnit};

use crate::{
    enrich::Rfc3339,
    output::{Field, Observation, plain, records::Holder, value::Value},
};

/// The zone of times.
const UTC: &str = "UTC";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    U16,
    U32,
    U64,
    /// Nanoseconds since 1970.
    Time,
    /// Words that come again: a dictionary.
    Word,
    Words,
    Holders,
}

/// Where its values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Of(Field),
    RangeLow,
    RangeHigh,
    Holders,
}

/// The array of a column that is being filled.
enum Builder {
    Bool(BooleanBuilder),
    U16(UInt16Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    Time(TimestampNanosecondBuilder),
    Word(StringDictionaryBuilder<Int32Type>),
    Words(ListBuilder<StringBuilder>),
    Holders(ListBuilder<StructBuilder>),
}

/// A column that is being filled.
pub(super) struct Column {
    source: Source,
    builder: Builder,
    /// Room for a word.
    text: Vec<u8>,
}

/// Source, name, type and whether it may be null, in the order of the records.
fn table() -> impl Iterator<Item = (Source, &'static str, Kind, bool)> {
    let fields = Field::ALL.iter().flat_map(|field| match field {
        Field::Range => {
            vec![
                (Source::RangeLow, "range_low", Kind::U16, true),
                (Source::RangeHigh, "range_high", Kind::U16, true),
            ]
        }
        field => vec![(Source::Of(*field), field.name(), kind(*field), !is_always_there(*field))],
    });
    fields.chain([(Source::Holders, "holders", Kind::Holders, true)])
}

const fn kind(field: Field) -> Kind {
    match field {
        Field::Ts => Kind::Time,
        Field::MonoUs | Field::CgroupId | Field::Socket | Field::HeldUs => Kind::U64,
        Field::Pid
        | Field::Tid
        | Field::Uid
        | Field::Netns
        | Field::SearchNs
        | Field::Candidates
        | Field::Collisions
        | Field::BucketCollisions
        | Field::TupleCollisions
        | Field::TimeWaitCollisions => Kind::U32,
        Field::LocalPort | Field::RequestedPort | Field::RemotePort => Kind::U16,
        Field::KernelSocket
        | Field::SearchExact
        | Field::CandidatesExact
        | Field::CrossedHalf
        | Field::TimeWaitReused => Kind::Bool,
        Field::Options => Kind::Words,
        Field::Type
        | Field::Site
        | Field::Result
        | Field::Error
        | Field::Cause
        | Field::Proto
        | Field::Family
        | Field::Comm
        | Field::ThreadComm
        | Field::Exe
        | Field::Unit
        | Field::Container
        | Field::Pod
        | Field::LocalAddr
        | Field::RemoteAddr
        | Field::Range
        | Field::State => Kind::Word,
    }
}

const fn is_always_there(field: Field) -> bool {
    matches!(field, Field::Type | Field::Ts | Field::MonoUs | Field::Proto | Field::Pid | Field::Tid)
}

/// The fields of the schema.
pub(super) fn fields() -> Vec<ArrowField> {
    table().map(|(_, name, kind, may_be_null)| ArrowField::new(name, data_type(kind), may_be_null)).collect()
}

/// The columns, empty.
pub(super) fn all() -> Vec<Column> {
    table().map(|(source, _, kind, _)| Column { source, builder: builder(kind), text: Vec::new() }).collect()
}

fn word_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn item(of: DataType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("item", of, false))
}

fn holder_fields() -> Fields {
    let fields = [
        ("pid", DataType::UInt32, true),
        ("comm", DataType::Utf8, true),
        ("since", DataType::Utf8, true),
        ("since_basis", DataType::Utf8, true),
        ("remote_addr", DataType::Utf8, true),
        ("remote_port", DataType::UInt16, true),
        ("state", DataType::Utf8, false),
    ];
    fields.into_iter().map(|(name, of, may_be_null)| ArrowField::new(name, of, may_be_null)).collect()
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 => DataType::UInt64,
        Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
        Kind::Word => word_type(),
        Kind::Words => DataType::List(item(DataType::Utf8)),
        Kind::Holders => DataType::List(item(DataType::Struct(holder_fields()))),
    }
}

fn builder(kind: Kind) -> Builder {
    match kind {
        Kind::Bool => Builder::Bool(BooleanBuilder::new()),
        Kind::U16 => Builder::U16(UInt16Builder::new()),
        Kind::U32 => Builder::U32(UInt32Builder::new()),
        Kind::U64 => Builder::U64(UInt64Builder::new()),
        Kind::Time => Builder::Time(TimestampNanosecondBuilder::new().with_timezone(UTC)),
        Kind::Word => Builder::Word(StringDictionaryBuilder::new()),
        Kind::Words => {
            Builder::Words(ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8)))
        }
        Kind::Holders => {
            let fields = holder_fields();
            let of_one = StructBuilder::from_fields(fields.clone(), 0);
            Builder::Holders(ListBuilder::new(of_one).with_field(item(DataType::Struct(fields))))
        }
    }
}

impl Column {
    /// Adds the value of an event.
    pub(super) fn push(&mut self, seen: &Observation<'_>) {
        let Self { source, builder, text } = self;
        let value = match source {
            Source::Of(field) => Value::of(*field, seen),
            Source::RangeLow | Source::RangeHigh => Value::of(Field::Range, seen),
            Source::Holders => Value::Null,
        };
        match builder {
            Builder::Bool(builder) => builder.append_option(match value {
                Value::Bool(answer) => Some(answer),
                _ => None,
            }),
            Builder::U16(builder) => builder.append_option(match (value, *source) {
                (Value::Range(range), Source::RangeLow) => Some(range.low()),
                (Value::Range(range), _) => Some(range.high()),
                (value, _) => number(&value).and_then(|number| number.try_into().ok()),
            }),
            Builder::U32(builder) => {
                builder.append_option(number(&value).and_then(|number| number.try_into().ok()));
            }
            Builder::U64(builder) => builder.append_option(number(&value)),
            Builder::Time(builder) => builder.append_option(match value {
                Value::Time(time) => Some(time.0),
                _ => None,
            }),
            Builder::Word(builder) => word(builder, &value, text),
            Builder::Words(builder) => {
                if let Value::Options(options) = value {
                    options.iter().for_each(|option| builder.values().append_value(option.name));
                    builder.append(true);
                } else {
                    builder.append(false);
                }
            }
            Builder::Holders(builder) => {
                for holder in seen.holders.into_iter().flatten() {
                    one(builder.values(), holder);
                }
                builder.append(seen.holders.is_some());
            }
        }
    }

    /// The array, and begins another one.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Bool(builder) => ArrayBuilder::finish(builder),
            Builder::U16(builder) => ArrayBuilder::finish(builder),
            Builder::U32(builder) => ArrayBuilder::finish(builder),
            Builder::U64(builder) => ArrayBuilder::finish(builder),
            Builder::Time(builder) => ArrayBuilder::finish(builder),
            Builder::Word(builder) => ArrayBuilder::finish(builder),
            Builder::Words(builder) => ArrayBuilder::finish(builder),
            Builder::Holders(builder) => ArrayBuilder::finish(builder),
        }
    }
}

const fn number(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Number(number) | Value::BigNumber(number) | Value::Hex(number) => Some(*number),
        _ => None,
    }
}

fn word(builder: &mut StringDictionaryBuilder<Int32Type>, value: &Value<'_>, text: &mut Vec<u8>) {
    match value {
        Value::Null => builder.append_null(),
        Value::Word(word) => builder.append_value(word),
        Value::Text(text) => builder.append_value(text),
        other => {
            text.clear();
            plain::value(&mut Rfc3339::default(), other, text);
            // Addresses and names of errnos are ASCII.
            builder.append_option(str::from_utf8(text).ok());
        }
    }
}

fn one(builder: &mut StructBuilder, holder: &Holder) {
    let Holder { pid, comm, since, since_basis, remote_addr, remote_port, state } = holder;
    let addr = remote_addr.map(|addr| addr.to_string());
    let texts =
        [(1, comm.as_deref()), (2, since.as_deref()), (3, since_basis.as_deref()), (4, addr.as_deref())];
    for (at, text) in texts.into_iter().chain([(6, Some(state.as_str()))]) {
        if let Some(builder) = builder.field_builder::<StringBuilder>(at) {
            builder.append_option(text);
        }
    }
    if let Some(builder) = builder.field_builder::<UInt32Builder>(0) {
        builder.append_option(*pid);
    }
    if let Some(builder) = builder.field_builder::<UInt16Builder>(5) {
        builder.append_option(*remote_port);
    }
    builder.append(true);
}
