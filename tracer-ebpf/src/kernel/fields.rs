//! Reading kernel structures, in the two ways that the kernel allows.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use tracer_ebpf::abi::{BitOffset, POISON, tune};

use super::globals::tuned;

/// What one read can fetch.
pub(crate) trait Word: Copy {
    /// A value to overwrite.
    const ZERO: Self;
}

impl Word for u8 {
    const ZERO: Self = 0;
}
impl Word for u16 {
    const ZERO: Self = 0;
}
impl Word for u32 {
    const ZERO: Self = 0;
}
impl Word for u64 {
    const ZERO: Self = 0;
}
impl Word for [u64; 2] {
    const ZERO: Self = [0; 2];
}

/// A kernel structure whose fields can be read at resolved offsets.
pub(crate) trait Fields {
    /// The field at `offset`; `None` where this kernel lacks it, or the read failed.
    fn read<T: Word>(&self, offset: u32) -> Option<T>;

    /// The low bits of the byte at a bit offset, shifted down.
    #[inline(always)]
    fn bits(&self, offset: BitOffset, mask: u8) -> Option<u8> {
        let byte: u8 = self.read(offset.byte)?;
        Some((byte >> (offset.shift & 7)) & mask)
    }

    /// Two 16-bit numbers that lie within eight bytes.
    #[inline(always)]
    fn pair(&self, low: u32, high: u32) -> Option<(u16, u16)> {
        Some((self.read(low)?, self.read(high)?))
    }

    /// One bit.
    #[inline(always)]
    fn bit(&self, offset: BitOffset) -> Option<bool> {
        Some(self.bits(offset, 1)? != 0)
    }
}

/// A pointer whose type the verifier knows (an argument of an fentry program, or reached from one).
///
/// A load through it costs one instruction; the kernel fixes it up to zero if the page is gone.
#[derive(Clone, Copy)]
pub(crate) struct Typed(pub(crate) *const u8);

impl Fields for Typed {
    #[inline(always)]
    fn read<T: Word>(&self, offset: u32) -> Option<T> {
        if offset == POISON {
            return None;
        }
        // SAFETY: the offset is a constant to the verifier, which checks it against the type of the pointer.
        let field = unsafe { self.0.add(offset as usize) };
        // SAFETY: as above; the load itself cannot fault in a tracing program (PROBE_MEM).
        Some(unsafe { ptr::read_volatile(field.cast::<T>()) })
    }
}

/// A bare kernel address.
#[derive(Clone, Copy)]
pub(crate) struct Probed(pub(crate) *const u8);

impl Fields for Probed {
    #[inline(always)]
    fn read<T: Word>(&self, offset: u32) -> Option<T> {
        if offset == POISON || !tuned(tune::PROBE_READ) {
            return None;
        }
        let mut value = T::ZERO;
        fetch(self.0, offset, &mut value).then_some(value)
    }

    #[inline(always)]
    fn pair(&self, low: u32, high: u32) -> Option<(u16, u16)> {
        if high == POISON {
            return None;
        }
        let both: u64 = self.read(low)?;
        Some((both as u16, (both >> ((high.wrapping_sub(low) & 7) * 8)) as u16))
    }
}

/// Copies kernel memory into `value`; false when the address cannot be read.
#[inline(always)]
pub(crate) fn fetch<T>(base: *const u8, offset: u32, value: &mut T) -> bool {
    let field = base.wrapping_add(offset as usize);
    // SAFETY: the helper checks the address itself and writes at most the size of `value`.
    let status =
        unsafe { bpf_probe_read_kernel(ptr::from_mut(value).cast(), size_of::<T>() as u32, field.cast()) };
    status == 0
}

/// A bare kernel address with a stretch of its structure fetched at once: one call instead of one a field.
pub(crate) struct Block<const WORDS: usize> {
    address: *const u8,
    base: u32,
    bytes: [u64; WORDS],
}

impl<const WORDS: usize> Block<WORDS> {
    /// Fetches the stretch that starts `base` bytes into the structure at `address`.
    #[inline(always)]
    pub(crate) fn fetch(address: *const u8, base: u32) -> Option<Self> {
        if base == POISON || !tuned(tune::PROBE_READ) {
            return None;
        }
        let mut bytes = [0; WORDS];
        fetch(address, base, &mut bytes).then_some(Self { address, base, bytes })
    }

    /// The structure itself.
    #[inline(always)]
    pub(crate) fn address(&self) -> *const u8 {
        self.address
    }
}

impl<const WORDS: usize> Fields for Block<WORDS> {
    #[inline(always)]
    fn read<T: Word>(&self, offset: u32) -> Option<T> {
        if offset == POISON {
            return None;
        }
        let inside = offset.wrapping_sub(self.base) as usize;
        if inside <= WORDS * 8 - size_of::<T>() {
            let start = (&raw const self.bytes).cast::<u8>();
            // SAFETY: the field lies inside the block, by the comparison above.
            let field = unsafe { start.add(inside) };
            // SAFETY: as above.
            return Some(unsafe { ptr::read_volatile(field.cast::<T>()) });
        }
        Probed(self.address).read(offset)
    }
}
