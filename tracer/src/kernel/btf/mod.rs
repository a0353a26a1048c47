//! Offsets of kernel fields, and facts about kernel functions, from the kernel's own type information.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use tracer_ebpf::abi::{FIELDS, FieldKind, FieldOffsets, FieldSpec, Need, POISON};
use zerocopy::{FromBytes as _, IntoBytes as _};

use self::{
    blob::{Blob, Malformed},
    index::{Index, Wanted},
};
use super::KernelError;

mod blob;
mod file;
mod index;
mod members;
#[cfg(test)]
mod tests;

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
    /// Reads the type information of the running kernel, or what `named` has in its place, and keeps what is needed.
    ///
    /// What is named may be type information itself, an ELF file with a section of it (vmlinux), either of them in an
    /// archive of BTFHub, or a directory with such files of many kernels.
    ///
    /// # Errors
    ///
    /// It cannot be read or parsed, lacks a field that is required, or is of another kernel than the running one.
    pub fn read(named: Option<&Path>, functions: &[&str]) -> Result<Self, KernelError> {
        let own = |named| Self::from_file(Path::new(KERNEL_BTF), named, functions);
        let Some(named) = named else { return own(false) };
        let path =
            file::locate(named, &file::Kernel::running()).map_err(|error| unusable(named, true, &error))?;
        let types = Self::from_file(&path, true, functions)?;
        match own(false) {
            Ok(own) => types.must_be_as(&own)?,
            // It is what the file stands in for.
            Err(error) => log::debug!("the kernel's own types: {error}"),
        }
        Ok(types)
    }

    /// Whether the user named where they are.
    #[must_use]
    pub fn are_named(&self) -> bool {
        self.path != Path::new(KERNEL_BTF)
    }

    fn from_file(path: &Path, named: bool, functions: &[&str]) -> Result<Self, KernelError> {
        let bytes = file::load(path).map_err(|error| match error {
            // That says nothing of the type information.
            file::Unreadable::Io(source) if source.kind() == io::ErrorKind::OutOfMemory => {
                KernelError::Read { path: path.to_owned(), source }
            }
            error => unusable(path, named, &error),
        })?;
        match Self::parse(path, &bytes, functions) {
            Ok(types) => types,
            Err(malformed) => Err(unusable(path, named, &malformed)),
        }
    }

    /// Two readings of one kernel agree in all that is used.
    fn must_be_as(&self, own: &Self) -> Result<(), KernelError> {
        let (here, there) = (self.offsets.as_bytes(), own.offsets.as_bytes());
        let at = here.chunks(4).zip(there.chunks(4)).position(|(one, other)| one != other);
        let moved = at.and_then(|word| {
            let holds =
                |field: &&FieldSpec| (field.at / 4..=field.at / 4 + usize::from(field.bits)).contains(&word);
            FIELDS.iter().find(holds).map(|field| format!("`{}` lies elsewhere there", field.name))
        });
        let differs = |name: &&String| self.functions.get(*name) != own.functions.get(*name);
        let changed = || {
            let mut names: Vec<_> =
                self.functions.keys().chain(own.functions.keys()).filter(differs).collect();
            names.sort_unstable();
            names.first().map(|name| format!("`{name}` is not the same function there"))
        };
        match moved.or_else(changed) {
            Some(difference) => Err(KernelError::OtherKernel { path: self.path.clone(), difference }),
            None => Ok(()),
        }
    }

    /// Any bytes as type information; whether they are.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read_any(bytes: &[u8]) -> bool {
        let functions = ["__inet_hash_connect", "inet_csk_get_port", "udp_lib_get_port"];
        file::load_any(bytes) | Self::parse(Path::new("any"), bytes, &functions).is_ok()
    }

    /// The outer error: it is no type information; the inner one: it is that of another kernel.
    fn parse(path: &Path, bytes: &[u8], functions: &[&str]) -> Result<Result<Self, KernelError>, Malformed> {
        let blob = Blob::parse(bytes)?;
        let index = Index::new(&blob, &Wanted::new(functions))?;
        let mut offsets = FieldOffsets::UNRESOLVED;
        let mut absent = Vec::new();
        for field in FIELDS {
            match resolve(&index, field) {
                Ok(found) => put(&mut offsets, field, found),
                Err(reason) if field.need == Need::Required => {
                    let field =
                        field.paths.first().map_or(field.name.to_owned(), |(of, at, _)| format!("{of}.{at}"));
                    return Ok(Err(KernelError::Field { path: path.to_owned(), field, reason }));
                }
                Err(_) => absent.push(field.name),
            }
        }
        // The programs read both in one byte.
        if offsets.skc_reuse.byte != offsets.skc_reuseport.byte {
            let reason = "it does not share a byte with skc_reuse".to_owned();
            let field = "sock.__sk_common.skc_reuseport".to_owned();
            return Ok(Err(KernelError::Field { path: path.to_owned(), field, reason }));
        }
        Ok(Ok(Self { path: path.to_owned(), offsets, absent, functions: index.functions() }))
    }
}

fn unusable(path: &Path, named: bool, reason: &dyn std::error::Error) -> KernelError {
    KernelError::Btf { path: path.to_owned(), reason: reason.to_string(), named }
}

/// A resolved field: byte, and the bit in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    byte: u32,
    shift: u32,
}

impl Found {
    const fn bit(bit: u32) -> Self {
        Self { byte: bit / 8, shift: bit % 8 }
    }

    const fn byte(byte: u32) -> Self {
        Self { byte, shift: 0 }
    }
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

/// The first of a field's paths that leads somewhere.
fn resolve(index: &Index<'_>, field: &FieldSpec) -> Result<Found, String> {
    let mut last = "no such member".to_owned();
    for (of, at, kind) in field.paths {
        match resolve_path(index, of, at, *kind) {
            Ok(found) => return Ok(found),
            Err(reason) => last = reason,
        }
    }
    Err(last)
}

fn resolve_path(index: &Index<'_>, of: &str, at: &str, kind: FieldKind) -> Result<Found, String> {
    let structure = index.structure(of).ok_or_else(|| format!("no struct {of}"))?;
    let member = index.member(structure, at).map_err(|error| error.to_string())?;
    let byte = member.bit / 8;
    let size = || index.size_of(member.of).map_err(|error| error.to_string());
    match kind {
        FieldKind::Bits => Ok(Found::bit(member.bit)),
        _ if member.is_bit_field => Err("it is a bit field".to_owned()),
        FieldKind::Bytes(expected) => match size()? {
            found if found == u64::from(expected) => Ok(Found::byte(byte)),
            found => Err(format!("it is {found} bytes, not {expected}")),
        },
        FieldKind::FlagBit(name) => {
            let bit = index.enumerator(name).ok_or_else(|| format!("no enumerator {name}"))?;
            let first = Found::bit(bit);
            Ok(Found { byte: byte.saturating_add(first.byte), ..first })
        }
        FieldKind::Pair(at) => match size()? {
            8 => Ok(Found::byte(byte + 4 * at)),
            4 => Ok(Found::byte(byte + 2 * at)),
            other => Err(format!("a pair of ports in {other} bytes")),
        },
    }
}
