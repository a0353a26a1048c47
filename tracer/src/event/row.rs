//! Records as columns of plain numbers, for whoever keeps them outside of the ring.

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{MonoNs, Pid, StartTime};

/// A record of the ring as it came: its bytes decode to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(Record);

impl Row {
    /// Takes the bytes of a record; none where they are none.
    #[must_use]
    #[inline]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Record::read_from_bytes(bytes).ok().map(Self)
    }

    /// The bytes of the record, aligned as the ring has them.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// When it ended.
    #[must_use]
    #[inline]
    pub const fn mono(&self) -> MonoNs {
        MonoNs(self.0.mono_ns)
    }

    /// The number of its socket, 0 for none.
    #[must_use]
    #[inline]
    pub const fn socket(&self) -> u64 {
        self.0.socket
    }

    /// The process and its start, which together name it.
    #[must_use]
    #[inline]
    pub const fn process(&self) -> (Pid, Option<StartTime>) {
        let start = if self.0.present & present::START == 0 { None } else { Some(StartTime(self.0.start)) };
        (Pid(self.0.pid), start)
    }

    /// The same with another time and another number of the socket.
    #[must_use]
    #[inline]
    pub const fn with(self, mono: MonoNs, socket: u64) -> Self {
        let Self(record) = self;
        Self(Record { mono_ns: mono.0, socket, ..record })
    }
}

/// The values of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Of 8 bits.
    U8(Vec<u8>),
    /// Of 16 bits.
    U16(Vec<u16>),
    /// Of 32 bits.
    U32(Vec<u32>),
    /// Of 64 bits.
    U64(Vec<u64>),
    /// 16 bytes in their order.
    Bytes(Vec<i128>),
}

/// How wide the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits.
    U64,
    /// 16 bytes.
    Bytes,
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldOf {
    /// Its name.
    pub name: &'static str,
    /// Its width.
    pub width: Width,
    /// The bit of the column `present` that says that it was seen; 0 where every event has it.
    pub seen: u16,
}

/// A number of a record that makes a column.
trait Cell: Copy + Sized {
    /// What a column holds of it.
    type Kept: Copy;
    const WIDTH: Width;
    fn keep(self) -> Self::Kept;
    fn give(kept: Self::Kept) -> Self;
    fn wrap(values: Vec<Self::Kept>) -> Column;
    fn unwrap(column: Column) -> Option<Vec<Self::Kept>>;
}

macro_rules! cell {
    ($($of:ty, $kept:ty, $width:ident, $keep:expr, $give:expr;)*) => {$(
        impl Cell for $of {
            type Kept = $kept;
            const WIDTH: Width = Width::$width;

            #[inline]
            fn keep(self) -> $kept {
                $keep(self)
            }

            #[inline]
            fn give(kept: $kept) -> Self {
                $give(kept)
            }

            fn wrap(values: Vec<$kept>) -> Column {
                Column::$width(values)
            }

            fn unwrap(column: Column) -> Option<Vec<$kept>> {
                match column {
                    Column::$width(values) => Some(values),
                    _ => None,
                }
            }
        }
    )*};
}

const fn same<T: Copy>(value: T) -> T {
    value
}

cell! {
    u8, u8, U8, same, same;
    u16, u16, U16, same, same;
    u32, u32, U32, same, same;
    u64, u64, U64, same, same;
    [u8; 16], i128, Bytes, i128::from_ne_bytes, i128::to_ne_bytes;
}

macro_rules! columns {
    ($($name:ident: $type:ty, $seen:expr;)*) => {
        /// Records, but for their time and their socket, by columns of one length.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Columns {
            $($name: Vec<<$type as Cell>::Kept>,)*
        }

        impl Columns {
            /// The columns in their order; `kind` first.
            pub const FIELDS: &[FieldOf] =
                &[$(FieldOf { name: stringify!($name), width: <$type as Cell>::WIDTH, seen: $seen },)*];

            /// Appends a record.
            #[inline]
            pub fn push(&mut self, row: &Row) {
                $(self.$name.push(row.0.$name.keep());)*
            }

            /// A record, at time 0 and without a socket; none behind the last.
            #[must_use]
            #[inline]
            pub fn row(&self, at: usize) -> Option<Row> {
                Some(Row(Record { mono_ns: 0, socket: 0, $($name: Cell::give(*self.$name.get(at)?),)* }))
            }

            /// Takes all values out, in the order of [`Columns::FIELDS`].
            #[must_use]
            pub fn take(&mut self) -> Vec<Column> {
                vec![$(<$type as Cell>::wrap(std::mem::take(&mut self.$name)),)*]
            }

            /// Puts columns together; none where they are not those of [`Columns::FIELDS`].
            #[must_use]
            pub fn of(columns: Vec<Column>) -> Option<Self> {
                let mut columns = columns.into_iter();
                Some(Self { $($name: <$type as Cell>::unwrap(columns.next()?)?,)* })
            }
        }
    };
}

columns! {
    kind: u8, 0;
    pid: u32, 0;
    tid: u32, 0;
    start: u32, present::START;
    uid: u32, present::UID;
    comm: [u8; 16], present::COMM;
    cgroup_id: u64, present::CGROUP;
    netns: u32, present::NETNS;
    protocol: u8, 0;
    family: u8, 0;
    local_addr: [u8; 16], present::LOCAL_ADDR;
    local_port: u16, 0;
    requested_port: u16, 0;
    remote_addr: [u8; 16], present::REMOTE;
    remote_port: u16, present::REMOTE;
    error: u8, present::ERROR;
    search_ns: u32, present::SEARCH_NS;
    search_start: u32, present::SEARCH_START;
    range_low: u16, present::RANGE;
    range_high: u16, present::RANGE;
    options: u16, 0;
    flags: u8, 0;
    state: u8, 0;
    present: u16, 0;
}

impl Columns {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    /// Appends a row that is no record: of a kind that no record has, everything else 0.
    pub fn push_other(&mut self, kind: u8) {
        self.push(&Row(Record { kind, ..Record::default() }));
    }

    /// The kind of a row.
    #[must_use]
    #[inline]
    pub fn kind(&self, at: usize) -> Option<u8> {
        self.kind.get(at).copied()
    }

    /// What was seen of each record, bits as in [`FieldOf::seen`].
    #[must_use]
    pub fn seen(&self) -> &[u16] {
        &self.present
    }
}

/// Kinds of records are below this.
pub const KINDS: usize = kind::COUNT;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back_as_they_were(bytes in proptest::collection::vec(any::<[u8; 8]>(), 15 * 3)) {
            let rows: Vec<Row> =
                bytes.chunks(15).map(|record| Row::of(&record.concat()).unwrap()).collect();
            let mut columns = Columns::default();
            for row in &rows {
                columns.push(row);
            }
            let again = Columns::of(columns.take()).unwrap();
            for (at, row) in rows.iter().enumerate() {
                let found = again.row(at).unwrap().with(row.mono(), row.socket());
                prop_assert_eq!(found.bytes(), row.bytes());
            }
            prop_assert_eq!((again.len(), again.row(3)), (3, None));
        }
    }

    #[test]
    fn columns_of_another_order_are_refused() {
        let mut columns = Columns::default().take();
        columns.swap(0, 1);
        assert_eq!(Columns::of(columns), None);
    }
}
