//! Offsets of kernel fields, and facts about kernel functions, from the kernel's own type information.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use btfparse::{Error, ErrorKind, Integer32Value, Offset, Readable, TypeInformation, TypeVariant};
use tracer_ebpf::abi::{FIELDS, FieldKind, FieldOffsets, FieldSpec, Need, POISON};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::KernelError;

/// Where a kernel tells its types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What the programs need to know of this kernel's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTypes {
    /// The file it came from.
    pub path: PathBuf,
    /// Where each field lies.
    pub offsets: FieldOffsets,
    /// Optional fields that this kernel lacks.
    pub absent: Vec<&'static str>,
    /// Each function asked for that exists.
    pub functions: HashMap<String, Signature>,
}

/// What is known of a kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Number of parameters.
    pub parameters: usize,
    /// It returns nothing.
    pub is_void: bool,
}

impl KernelTypes {
    /// Reads the type information of the running kernel, or `file` in its place, and keeps what is needed:
    /// the parsed form takes some 50 MB and is dropped here.
    ///
    /// # Errors
    ///
    /// The file cannot be read or parsed, or lacks a field that is required.
    pub fn read(file: Option<&Path>, functions: &[&str]) -> Result<Self, KernelError> {
        let path = file.unwrap_or(Path::new(KERNEL_BTF)).to_owned();
        let failed = |reason: String| KernelError::Btf { path: path.clone(), reason, named: file.is_some() };
        let bytes = fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let types =
            TypeInformation::new(&Bytes(&bytes)).map_err(|error| failed(error.message().to_owned()))?;
        let index = Index::new(&types, functions);
        let mut offsets = FieldOffsets::UNRESOLVED;
        let mut absent = Vec::new();
        for field in FIELDS {
            match index.resolve(field) {
                Ok(found) => put(&mut offsets, field, found),
                Err(reason) if field.need == Need::Required => {
                    let field =
                        field.paths.first().map_or(field.name.to_owned(), |(of, at, _)| format!("{of}.{at}"));
                    return Err(KernelError::Field { path, field, reason });
                }
                Err(_) => absent.push(field.name),
            }
        }
        // They are read as one byte.
        if offsets.skc_reuse.byte != offsets.skc_reuseport.byte {
            (offsets.skc_reuse.byte, offsets.skc_reuseport.byte) = (POISON, POISON);
        }
        Ok(Self { path, offsets, absent, functions: index.functions })
    }
}

/// A BTF file in memory.
struct Bytes<'a>(&'a [u8]);

impl Readable for Bytes<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(buffer.len());
        match self.0.get(start..end) {
            Some(found) => {
                buffer.copy_from_slice(found);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::EOF, "it ends too early")),
        }
    }
}

/// A resolved field: byte, and the bit in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    byte: u32,
    shift: u32,
}

fn put(offsets: &mut FieldOffsets, field: &FieldSpec, found: Found) {
    let mut words: Vec<u32> = offsets.as_bytes().chunks_exact(4).map(word).collect();
    let at = field.at / 4;
    if let Some(slot) = words.get_mut(at) {
        *slot = found.byte;
    }
    if field.bits
        && let Some(slot) = words.get_mut(at + 1)
    {
        *slot = found.shift;
    }
    if let Ok(filled) = FieldOffsets::read_from_bytes(words.as_bytes()) {
        *offsets = filled;
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(POISON, u32::from_ne_bytes)
}

/// Structures, enumerators and functions by name. A name may stand for a type, a function and a variable
/// at once, so each has a map of its own.
struct Index<'a> {
    types: &'a TypeInformation,
    structs: HashMap<String, u32>,
    enumerators: HashMap<String, u32>,
    functions: HashMap<String, Signature>,
}

impl<'a> Index<'a> {
    fn new(types: &'a TypeInformation, wanted: &[&str]) -> Self {
        let structures: Vec<&str> =
            FIELDS.iter().flat_map(|field| field.paths).map(|(of, _, _)| *of).collect();
        let flags: Vec<&str> =
            FIELDS.iter().flat_map(|field| field.paths).filter_map(|path| flag(path.2)).collect();
        let mut index =
            Self { types, structs: HashMap::new(), enumerators: HashMap::new(), functions: HashMap::new() };
        for (&id, kind) in types.get() {
            match kind {
                TypeVariant::Struct(found) => {
                    if let Some(name) = found.name().as_deref().filter(|name| structures.contains(name)) {
                        index.structs.entry(name.to_owned()).or_insert(id);
                    }
                }
                TypeVariant::Enum(found) => {
                    for value in found.named_value_list() {
                        if flags.contains(&value.name.as_str()) {
                            index.enumerators.insert(value.name.clone(), number(value.value));
                        }
                    }
                }
                TypeVariant::Func(found) => {
                    if let Some(name) = found.name().as_deref().filter(|name| wanted.contains(name))
                        && let Some(TypeVariant::FuncProto(proto)) = types.from_id(*found.prototype_tid())
                    {
                        let (parameters, is_void) = (proto.parameter_list().len(), *proto.return_tid() == 0);
                        index.functions.insert(name.to_owned(), Signature { parameters, is_void });
                    }
                }
                _ => {}
            }
        }
        index
    }

    fn resolve(&self, field: &FieldSpec) -> Result<Found, String> {
        let mut last = "no such member".to_owned();
        for (of, at, kind) in field.paths {
            match self.resolve_path(of, at, *kind) {
                Ok(found) => return Ok(found),
                Err(reason) => last = reason,
            }
        }
        Err(last)
    }

    fn resolve_path(&self, of: &str, at: &str, kind: FieldKind) -> Result<Found, String> {
        let id = self.structs.get(of).ok_or_else(|| format!("no struct {of}"))?;
        let (member, offset) = self.types.offset_of(*id, at).map_err(|error| error.message().to_owned())?;
        let size = || self.types.size_of(member).map_err(|error| error.message().to_owned());
        match (kind, offset) {
            (FieldKind::Bytes(expected), Offset::ByteOffset(byte)) => {
                let size = size()?;
                if size == expected as usize {
                    Ok(Found { byte, shift: 0 })
                } else {
                    Err(format!("it is {size} bytes, not {expected}"))
                }
            }
            (FieldKind::Bits, Offset::BitOffsetAndSize(bit, _)) => {
                Ok(Found { byte: bit / 8, shift: bit % 8 })
            }
            (FieldKind::Bits, Offset::ByteOffset(byte)) => Ok(Found { byte, shift: 0 }),
            (FieldKind::FlagBit(name), Offset::ByteOffset(byte)) => {
                let bit = self.enumerators.get(name).ok_or_else(|| format!("no enumerator {name}"))?;
                Ok(Found { byte: byte + bit / 8, shift: bit % 8 })
            }
            (FieldKind::Pair(index), Offset::ByteOffset(byte)) => match size()? {
                8 => Ok(Found { byte: byte + 4 * index, shift: 0 }),
                4 => Ok(Found { byte: byte + 2 * index, shift: 0 }),
                other => Err(format!("a pair of ports in {other} bytes")),
            },
            (_, Offset::BitOffsetAndSize(..)) => Err("it is a bit field".to_owned()),
        }
    }
}

fn flag(kind: FieldKind) -> Option<&'static str> {
    if let FieldKind::FlagBit(name) = kind { Some(name) } else { None }
}

fn number(value: Integer32Value) -> u32 {
    match value {
        Integer32Value::Unsigned(value) => value,
        Integer32Value::Signed(value) => value.unsigned_abs(),
    }
}
