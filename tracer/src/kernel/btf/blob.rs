//! A BTF blob: its header, its strings, and its type records one after another (linux/btf.h).

use zerocopy::{FromBytes, Immutable, KnownLayout};

const MAGIC: u16 = 0xeb9f;

/// Whether bytes begin as type information of this machine's byte order does.
pub(super) fn has_magic(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| u16::from_ne_bytes(*magic) == MAGIC)
}

/// What is wrong with a blob. Its sentences follow on the name of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it ends too early")]
    Short,
    #[error("it is no BTF: it does not begin with its magic number")]
    Magic,
    #[error("it is of a machine with another byte order")]
    ByteOrder,
    #[error("it is BTF of version {0}, and only 1 is known")]
    Version(u8),
    #[error("its sections do not fit its header")]
    Sections,
    #[error("it has the types of a module alone, which build on those of its kernel (split BTF)")]
    Split,
    #[error("type {id} is of kind {kind}, which is not known")]
    Kind { id: u32, kind: u32 },
    #[error("type {0} is not there")]
    NoType(u32),
    #[error("no such member")]
    NoMember,
    #[error("type {0} has no size")]
    NoSize(u32),
    #[error("its types go round in circles, or are larger than any memory")]
    Endless,
}

#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    magic: u16,
    version: u8,
    flags: u8,
    hdr_len: u32,
    type_off: u32,
    type_len: u32,
    str_off: u32,
    str_len: u32,
}

/// What all type records begin with (`struct btf_type`).
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Head {
    /// Where its name lies among the strings; 0 for none.
    pub(super) name: u32,
    info: u32,
    /// Its size, or the type that it refers to.
    pub(super) size_or_type: u32,
}

impl Head {
    /// How many records of its kind follow.
    pub(super) const fn count(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// What bit 31 says depends on the kind: here, that members carry the sizes of bit fields.
    pub(super) const fn has_bit_fields(self) -> bool {
        self.info >> 31 != 0
    }

    pub(super) fn kind(self) -> Option<Kind> {
        Some(match self.info >> 24 & 0x1f {
            1 => Kind::Int,
            2 => Kind::Pointer,
            3 => Kind::Array,
            4 | 5 => Kind::Composite,
            6 => Kind::Enum,
            7 => Kind::Forward,
            8..=11 | 18 => Kind::Alias,
            12 => Kind::Function,
            13 => Kind::Prototype,
            14 => Kind::Variable,
            15 => Kind::Section,
            16 => Kind::Float,
            17 => Kind::DeclarationTag,
            19 => Kind::Enum64,
            _ => return None,
        })
    }
}

/// `BTF_KIND_…`, those that are read alike taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Pointer,
    Array,
    /// A structure or union.
    Composite,
    Enum,
    Forward,
    /// A typedef, qualifier or type tag: another type under it.
    Alias,
    Function,
    Prototype,
    Variable,
    Section,
    Float,
    DeclarationTag,
    Enum64,
}

impl Kind {
    /// Bytes that follow the head: once, and for each that the head counts.
    const fn tail(self) -> (usize, usize) {
        match self {
            Self::Pointer | Self::Forward | Self::Alias | Self::Function | Self::Float => (0, 0),
            Self::Int | Self::Variable | Self::DeclarationTag => (4, 0),
            Self::Array => (12, 0),
            Self::Composite | Self::Section | Self::Enum64 => (0, 12),
            Self::Enum | Self::Prototype => (0, 8),
        }
    }
}

/// `struct btf_array`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Array {
    /// Type of its elements.
    pub(super) of: u32,
    index: u32,
    pub(super) count: u32,
}

/// `struct btf_member`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) of: u32,
    pub(super) offset: u32,
}

/// `struct btf_enum`.
#[derive(Clone, Copy, Debug, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Enumerator {
    pub(super) name: u32,
    pub(super) value: u32,
}

/// A type record: its head, and the bytes that belong to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) head: Head,
    pub(super) kind: Kind,
    tail: &'a [u8],
}

impl<'a> Record<'a> {
    /// What follows the head, as records of `T`.
    pub(super) fn rest<T: FromBytes>(self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut rest = self.tail;
        std::iter::from_fn(move || {
            let (first, after) = T::read_from_prefix(rest).ok()?;
            rest = after;
            Some(first)
        })
    }
}

/// The two sections of a blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Blob<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if let Some(magic) = bytes.first_chunk() {
            match u16::from_ne_bytes(*magic) {
                MAGIC => {}
                other if other == MAGIC.swap_bytes() => return Err(Malformed::ByteOrder),
                _ => return Err(Malformed::Magic),
            }
        }
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_short| Malformed::Short)?;
        if header.version != 1 {
            return Err(Malformed::Version(header.version));
        }
        let after = bytes.get(header.hdr_len as usize..).ok_or(Malformed::Short)?;
        if (header.hdr_len as usize) < size_of::<Header>() {
            return Err(Malformed::Sections);
        }
        let section = |offset: u32, length: u32| {
            let (start, length) = (offset as usize, length as usize);
            after.get(start..).and_then(|rest| rest.get(..length)).ok_or(Malformed::Short)
        };
        let types = section(header.type_off, header.type_len)?;
        let strings = section(header.str_off, header.str_len)?;
        // The strings of a whole kernel begin with the empty one; those of a module go on behind its kernel's.
        if strings.first().is_some_and(|first| *first != 0) {
            return Err(Malformed::Split);
        }
        // So that every string in it ends.
        if strings.last() != Some(&0) {
            return Err(Malformed::Sections);
        }
        Ok(Self { types, strings })
    }

    /// Each type with its position, in the order of their ids, which begin at 1.
    pub(super) fn types(self) -> impl Iterator<Item = Result<(u32, Record<'a>), Malformed>> {
        let mut at = 0;
        let mut id = 0;
        std::iter::from_fn(move || {
            if at == self.types.len() {
                return None;
            }
            id += 1;
            let record = self.record(at, id);
            let here = u32::try_from(at).map_err(|_far| Malformed::Endless);
            at = match &record {
                Ok(record) => at + size_of::<Head>() + record.tail.len(),
                Err(_) => self.types.len(),
            };
            Some(record.and_then(|record| Ok((here?, record))))
        })
    }

    /// The record at a position; `id` is for the message.
    pub(super) fn record(self, at: usize, id: u32) -> Result<Record<'a>, Malformed> {
        let here = self.types.get(at..).ok_or(Malformed::Short)?;
        let (head, rest) = Head::read_from_prefix(here).map_err(|_short| Malformed::Short)?;
        let kind = head.kind().ok_or(Malformed::Kind { id, kind: head.info >> 24 & 0x1f })?;
        let (once, each) = kind.tail();
        let tail = rest.get(..once + each * head.count()).ok_or(Malformed::Short)?;
        Ok(Record { head, kind, tail })
    }

    /// Whether the string at an offset is this one.
    pub(super) fn is_named(self, offset: u32, name: &str) -> bool {
        let here = self.strings.get(offset as usize..).unwrap_or_default();
        here.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}
