//! Reading kernel structures, in the two ways that the kernel allows.

#[cfg(target_arch = "bpf")]
use core::arch::asm;
use core::{mem::MaybeUninit, ptr};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
#[cfg(target_arch = "bpf")]
use tracer_ebpf::abi::blanks;

use super::globals::{Field, ruled_out, shifted, tuned};

/// What one read can fetch.
pub(crate) trait Word: Copy {
    /// A value to overwrite.
    const ZERO: Self;

    /// Loads a field through a pointer whose type the verifier knows: its offset is a blank of the load itself.
    ///
    /// # Safety
    ///
    /// `base` is such a pointer, and the kernel has the field.
    unsafe fn load<const F: usize>(base: *const u8) -> Self;
}

macro_rules! words {
    ($($word:ident)*) => {$(
        impl Word for $word {
            const ZERO: Self = 0;

            // SAFETY: what it asks for is said on the trait.
            #[inline(always)]
            unsafe fn load<const F: usize>(base: *const u8) -> Self {
                // SAFETY: as the caller says.
                let value = unsafe { load_word::<F, 0, { size_of::<$word>() }>(base) };
                // SAFETY: a load fills the upper bits with zeros.
                unsafe { core::hint::assert_unchecked(value >> ($word::BITS - 1) <= 1) };
                value as $word
            }
        }
    )*};
}

words! { u8 u16 u32 u64 }

impl Word for [u64; 2] {
    const ZERO: Self = [0; 2];

    // SAFETY: what it asks for is said on the trait.
    #[inline(always)]
    unsafe fn load<const F: usize>(base: *const u8) -> Self {
        // SAFETY: as the caller says.
        let first = unsafe { load_word::<F, 0, 8>(base) };
        // SAFETY: as the caller says.
        let second = unsafe { load_word::<F, 1, 8>(base) };
        [first, second]
    }
}

/// One load of `SIZE` bytes at a field, or `WORD` times eight bytes behind it.
///
/// # Safety
///
/// As [`Word::load`].
#[inline(always)]
unsafe fn load_word<const F: usize, const WORD: usize, const SIZE: usize>(base: *const u8) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let value: u64;
        macro_rules! load {
            ($size:literal) => {
                // SAFETY: the verifier checks offset and size against the type of the pointer; the load itself
                // cannot fault in a tracing program (PROBE_MEM): if the page is gone it gives 0.
                unsafe {
                    asm!(
                        concat!("{value} = *(", $size, " *)({base} + {blank})"),
                        value = out(reg) value,
                        base = in(reg) base,
                        blank = const blanks::offset_blank(F, WORD),
                        options(pure, readonly, nostack, preserves_flags),
                    )
                }
            };
        }
        match SIZE {
            1 => load!("u8"),
            2 => load!("u16"),
            4 => load!("u32"),
            _ => load!("u64"),
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = base;
        (F + WORD + SIZE) as u64
    }
}

/// A kernel structure whose fields can be read.
pub(crate) trait Fields {
    /// A field; `None` where this kernel lacks it, or the read failed.
    fn read<T: Word, const F: usize>(&self, field: Field<F>) -> Option<T>;

    /// A field; 0 where this kernel lacks it, or the read failed.
    #[inline(always)]
    fn or_zero<T: Word, const F: usize>(&self, field: Field<F>) -> T {
        self.read(field).unwrap_or(T::ZERO)
    }

    /// Some bits of a bit field: `bits` counts from its first one.
    #[inline(always)]
    fn bits<const F: usize>(&self, field: Field<F>, bits: u8) -> Option<u64> {
        let byte: u8 = self.read(field)?;
        Some(field.shifted(byte.into()) & u64::from(bits))
    }

    /// Two 16-bit numbers that lie within eight bytes, the second one `SHIFT` bits behind the first, a constant of
    /// [`blanks::value`]; 0 where this kernel lacks them, or the read failed.
    #[inline(always)]
    fn pair_or_zero<const LOW: usize, const HIGH: usize, const SHIFT: u16>(
        &self,
        low: Field<LOW>,
        high: Field<HIGH>,
    ) -> (u16, u16) {
        if high.is_absent() {
            ruled_out();
            return (0, 0);
        }
        let both: u64 = self.or_zero(low);
        (both as u16, shifted::<SHIFT>(both) as u16)
    }
}

/// A pointer whose type the verifier knows (an argument of an fentry program, or reached from one).
///
/// A load through it costs one instruction; the kernel fixes it up to zero if the page is gone.
#[derive(Clone, Copy)]
pub(crate) struct Typed(pub(crate) *const u8);

impl Fields for Typed {
    #[inline(always)]
    fn read<T: Word, const F: usize>(&self, field: Field<F>) -> Option<T> {
        if field.is_absent() {
            return None;
        }
        // SAFETY: the pointer is typed, and the field is there.
        Some(unsafe { T::load::<F>(self.0) })
    }

    #[inline(always)]
    fn or_zero<T: Word, const F: usize>(&self, field: Field<F>) -> T {
        if field.is_absent() {
            ruled_out();
            return T::ZERO;
        }
        // SAFETY: the pointer is typed, and the field is there.
        unsafe { T::load::<F>(self.0) }
    }

    /// By a load each: of two fields the verifier allows no load of both.
    #[inline(always)]
    fn pair_or_zero<const LOW: usize, const HIGH: usize, const SHIFT: u16>(
        &self,
        low: Field<LOW>,
        high: Field<HIGH>,
    ) -> (u16, u16) {
        (self.or_zero(low), self.or_zero(high))
    }
}

/// A bare kernel address.
#[derive(Clone, Copy)]
pub(crate) struct Probed(pub(crate) *const u8);

impl Probed {
    /// What lies `offset` bytes behind the address.
    #[inline(always)]
    pub(crate) fn at<T: Word>(self, offset: u32) -> Option<T> {
        if !tuned!(PROBE_READ) {
            ruled_out();
            return None;
        }
        fetched(self.0, offset)
    }
}

impl Fields for Probed {
    #[inline(always)]
    fn read<T: Word, const F: usize>(&self, field: Field<F>) -> Option<T> {
        if field.is_absent() {
            ruled_out();
            return None;
        }
        self.at(field.offset())
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

/// Kernel memory as a value; `None` when the address cannot be read.
#[inline(always)]
pub(crate) fn fetched<T: Word>(base: *const u8, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let field = base.wrapping_add(offset as usize);
    // SAFETY: the helper checks the address itself and writes the size of `value`, with zeros where it cannot read.
    let status =
        unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, field.cast()) };
    // SAFETY: the helper has written it, and any bytes make a word.
    (status == 0).then(|| unsafe { value.assume_init() })
}

/// A bare kernel address with a stretch of its structure fetched at once: one call instead of one a field.
pub(crate) struct Block<const WORDS: usize> {
    address: *const u8,
    base: u32,
    bytes: [MaybeUninit<u64>; WORDS],
}

impl<const WORDS: usize> Block<WORDS> {
    /// Fetches the stretch that starts `base` bytes into the structure at `address`.
    #[inline(always)]
    pub(crate) fn fetch(address: *const u8, base: u32) -> Option<Self> {
        if !tuned!(PROBE_READ) {
            return None;
        }
        // The helper writes all of it, with zeros where it cannot read.
        let mut bytes = [const { MaybeUninit::uninit() }; WORDS];
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
    fn read<T: Word, const F: usize>(&self, field: Field<F>) -> Option<T> {
        if field.is_absent() {
            return None;
        }
        let inside = field.offset().wrapping_sub(self.base) as usize;
        if inside <= WORDS * 8 - size_of::<T>() {
            let start = (&raw const self.bytes).cast::<u8>();
            // SAFETY: the field lies inside the block, by the comparison above.
            let field = unsafe { start.add(inside) };
            // SAFETY: as above.
            return Some(unsafe { ptr::read_volatile(field.cast::<T>()) });
        }
        Probed(self.address).read(field)
    }
}
