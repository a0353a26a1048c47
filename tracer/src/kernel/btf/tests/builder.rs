//! BTF made to measure.

use std::collections::BTreeMap;

use tracer_ebpf::abi::{FIELDS, FieldKind};

pub(super) const INT: u32 = 1;
pub(super) const POINTER: u32 = 2;
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
pub(super) const ENUM: u32 = 6;
pub(super) const TYPEDEF: u32 = 8;
pub(super) const CONST: u32 = 10;
pub(super) const FUNCTION: u32 = 12;
pub(super) const PROTOTYPE: u32 = 13;
/// Bit 31 of a structure: its members carry the sizes of bit fields.
pub(super) const BIT_FIELDS: u32 = 1 << 31;

/// A blob that grows.
pub(super) struct Builder {
    types: Vec<u32>,
    strings: Vec<u8>,
    last: u32,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], last: 0 }
    }

    /// The id that the next type will have.
    pub(super) fn next(&self) -> u32 {
        self.last + 1
    }

    pub(super) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// A type of `kind` (with bit 31 where it is set), and what follows its head in records of so many words.
    pub(super) fn add(&mut self, name: &str, kind: u32, size_or_type: u32, rest: &[&[u32]]) -> u32 {
        let name = self.string(name);
        let counted = !matches!(kind & 0x1f, INT | ARRAY);
        let count = if counted { u32::try_from(rest.len()).unwrap() } else { 0 };
        self.types.extend([name, (kind & 0x1f) << 24 | kind & BIT_FIELDS | count, size_or_type]);
        self.types.extend(rest.iter().copied().flatten());
        self.last += 1;
        self.last
    }

    pub(super) fn int(&mut self, bytes: u32) -> u32 {
        self.add("int", INT, bytes, &[&[bytes * 8]])
    }

    pub(super) fn array(&mut self, of: u32, count: u32) -> u32 {
        self.add("", ARRAY, 0, &[&[of, of, count]])
    }

    /// A structure of members: name, type, offset.
    pub(super) fn structure(&mut self, name: &str, flags: u32, members: &[(&str, u32, u32)]) -> u32 {
        let members: Vec<[u32; 3]> =
            members.iter().map(|(name, of, offset)| [self.string(name), *of, *offset]).collect();
        let members: Vec<&[u32]> = members.iter().map(<[u32; 3]>::as_slice).collect();
        self.add(name, STRUCT | flags, 4096, &members)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() * 4, self.strings.len());
        let mut bytes = vec![];
        bytes.extend(0xeb9f_u16.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::try_from(word).unwrap().to_ne_bytes());
        }
        self.types.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes.extend(&self.strings);
        bytes
    }
}

#[derive(Default)]
struct Node {
    kind: Option<FieldKind>,
    inner: BTreeMap<&'static str, Node>,
}

/// A kernel that has every field, each 64 bytes behind the one before, and one function of five parameters.
pub(super) fn kernel() -> Builder {
    kernel_with("skc_reuse")
}

/// The same, but for two bits that do not share a byte.
pub(super) fn kernel_with_bits_apart() -> Builder {
    kernel_with("skc_reuseport")
}

/// A kernel whose `skc_reuseport` lies in the byte of this member.
fn kernel_with(reuseport_in: &str) -> Builder {
    let mut structures: BTreeMap<&str, Node> = BTreeMap::new();
    for field in FIELDS {
        let (of, path, kind) = field.paths[0];
        let mut node = structures.entry(of).or_default();
        for name in path.split('.') {
            node = node.inner.entry(name).or_default();
        }
        node.kind = Some(kind);
    }
    let mut builder = Builder::new();
    for (name, node) in &structures {
        node.write(&mut builder, name, reuseport_in);
    }
    let parameters: [&[u32]; 5] = [&[0, 1]; 5];
    let prototype = builder.add("", PROTOTYPE, 1, &parameters);
    builder.add("choose", FUNCTION, prototype, &[]);
    builder
}

impl Node {
    fn write(&self, builder: &mut Builder, name: &str, reuseport_in: &str) -> u32 {
        match self.kind {
            Some(FieldKind::Bytes(8)) => builder.add("", POINTER, 0, &[]),
            Some(FieldKind::Bytes(size)) => {
                let byte = builder.int(1);
                builder.array(byte, size)
            }
            Some(FieldKind::Pair(_)) => {
                let int = builder.int(4);
                builder.array(int, 2)
            }
            Some(FieldKind::Bits | FieldKind::FlagBit(_)) => builder.int(8),
            None => {
                // Both are bits of one byte, as in every kernel.
                let place = |name: &str| if name == "skc_reuseport" { reuseport_in } else { name }.to_owned();
                let names: Vec<&str> = self.inner.keys().copied().collect();
                let bit_of = |name: &str| names.iter().position(|one| *one == place(name)).unwrap_or(0) * 512;
                let members: Vec<_> = (self.inner.iter())
                    .map(|(name, node)| {
                        (*name, node.write(builder, "", reuseport_in), u32::try_from(bit_of(name)).unwrap())
                    })
                    .collect();
                builder.structure(name, 0, &members)
            }
        }
    }
}
