//! Where a member lies and how large a type is: walks from type to type, each with an end whatever the types say.

use std::collections::HashSet;

use super::{
    blob::{Array, Kind, Malformed, Member},
    index::Index,
};

/// Types that may lie one under another: typedefs, qualifiers, arrays of arrays.
const DEPTH: usize = 64;
/// Of the kernels that this program runs on.
const POINTER_BYTES: u64 = 8;

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first bit, from the start of the outermost structure.
    pub(super) bit: u32,
    /// Its type.
    pub(super) of: u32,
    /// It does not fill its type.
    pub(super) is_bit_field: bool,
}

impl Index<'_> {
    /// Follows a path of names with dots; members without a name are looked into.
    pub(super) fn member(&self, structure: u32, path: &str) -> Result<Place, Malformed> {
        let mut place = Place { bit: 0, of: structure, is_bit_field: false };
        for name in path.split('.') {
            place = self.named(place, name)?;
        }
        Ok(place)
    }

    /// The member of this name, also inside members without a name. No structure is looked into twice: a blob in
    /// which structures contain themselves ends the search, too.
    fn named(&self, within: Place, name: &str) -> Result<Place, Malformed> {
        let mut open = vec![within];
        let mut seen = HashSet::new();
        while let Some(within) = open.pop() {
            let id = self.bare(within.of)?;
            let record = self.record(id)?;
            if record.kind != Kind::Composite || !seen.insert(id) {
                continue;
            }
            for member in record.rest::<Member>() {
                let place = within.inner(member, record.head.has_bit_fields());
                if member.name == 0 {
                    open.extend(place);
                } else if self.is_called(member, name) {
                    return place.ok_or(Malformed::Endless);
                }
            }
        }
        Err(Malformed::NoMember)
    }

    /// The type under typedefs, qualifiers and tags.
    fn bare(&self, mut id: u32) -> Result<u32, Malformed> {
        for _ in 0..DEPTH {
            let record = self.record(id)?;
            if record.kind != Kind::Alias {
                return Ok(id);
            }
            id = record.head.size_or_type;
        }
        Err(Malformed::Endless)
    }

    /// Bytes of a type.
    pub(super) fn size_of(&self, mut id: u32) -> Result<u64, Malformed> {
        let mut times = 1_u64;
        for _ in 0..DEPTH {
            let record = self.record(id)?;
            let size = match record.kind {
                Kind::Alias => {
                    id = record.head.size_or_type;
                    continue;
                }
                Kind::Array => {
                    let array = record.rest::<Array>().next().ok_or(Malformed::Short)?;
                    times = times.checked_mul(array.count.into()).ok_or(Malformed::Endless)?;
                    id = array.of;
                    continue;
                }
                Kind::Pointer => POINTER_BYTES,
                Kind::Int | Kind::Composite | Kind::Enum | Kind::Enum64 | Kind::Float => {
                    record.head.size_or_type.into()
                }
                _ => return Err(Malformed::NoSize(id)),
            };
            return times.checked_mul(size).ok_or(Malformed::Endless);
        }
        Err(Malformed::Endless)
    }
}

impl Place {
    /// A member of what lies here; `None` beyond any memory.
    fn inner(self, member: Member, has_bit_fields: bool) -> Option<Self> {
        // With bit fields: their size in the upper eight bits, 0 for a whole member (linux/btf.h).
        let (size, offset) = if has_bit_fields {
            (member.offset >> 24, member.offset & 0xff_ffff)
        } else {
            (0, member.offset)
        };
        let bit = self.bit.checked_add(offset)?;
        Some(Self { bit, of: member.of, is_bit_field: size != 0 || bit % 8 != 0 })
    }
}
