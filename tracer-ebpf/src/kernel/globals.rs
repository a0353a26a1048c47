//! What userspace fills in before the programs load: blanks in the instructions, and a frozen global.
//!
//! Both are constants to the verifier: a branch on a field that this kernel lacks, or on a filter that is off, is removed
//! before the program runs. A blank is part of its instruction and costs nothing; the global is for what is long, or
//! wider than an immediate.

#[cfg(target_arch = "bpf")]
use core::arch::asm;
use core::ptr;

use tracer_ebpf::abi::{
    Config, FIELDS, FilterConfig, MAX_NAMES, MAX_RANGES, NamePattern, Need, PortRange, blanks,
};

/// Settings that are not blanks.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config {
    socket_key: [0; 2],
    table_perturb: 0,
    wake_bytes: 0,
    tune: 0,
    connect_ret: 0,
    check_ret: 0,
    conflict_ret: 0,
    filter: FilterConfig {
        active: 0,
        kinds: 0,
        protocols: 0,
        cgroup_level: 0,
        cgroup_id: 0,
        local_count: 0,
        remote_count: 0,
        name_count: 0,
        reserved: 0,
        local_ports: [PortRange { low: 0, high: 0 }; MAX_RANGES],
        remote_ports: [PortRange { low: 0, high: 0 }; MAX_RANGES],
        names: [NamePattern { name: [0; 2], mask: [0; 2] }; MAX_NAMES],
    },
};

/// Reads a value in a way that the compiler cannot fold: userspace has replaced it, or the verifier must
/// see it come from a map.
#[inline(always)]
pub(crate) fn frozen<T: Copy>(value: &T) -> T {
    // SAFETY: a volatile read of what a reference points to is as valid as a plain one.
    unsafe { ptr::read_volatile(value) }
}

/// A constant of [`blanks::value`]. It is moved to a register where it is asked for: not declared `pure`, or the compiler
/// would keep it on the stack until it is asked for again.
#[inline(always)]
pub(crate) fn value<const VALUE: u16>() -> i64 {
    #[cfg(target_arch = "bpf")]
    {
        let value: i64;
        // SAFETY: one move of a constant to a register.
        unsafe {
            asm!(
                "{value} = {blank}",
                value = out(reg) value,
                blank = const blanks::value_blank(VALUE),
                options(nomem, nostack, preserves_flags),
            );
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        i64::from(blanks::value_blank(VALUE))
    }
}

/// A word shifted right by a blank.
macro_rules! shifted_by {
    ($word:ident, $blank:expr) => {{
        #[cfg(target_arch = "bpf")]
        {
            let mut word: u64 = $word;
            // SAFETY: one instruction on a register; userspace writes less than 32 there.
            unsafe {
                asm!(
                    "{word} >>= {blank}",
                    word = inout(reg) word,
                    blank = const $blank,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            word
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            $word.wrapping_shr($blank as u32)
        }
    }};
}

/// A word shifted right by a constant of [`blanks::value`].
#[inline(always)]
pub(crate) fn shifted<const VALUE: u16>(word: u64) -> u64 {
    shifted_by!(word, blanks::value_blank(VALUE))
}

/// Marks a way that the constants of this run may rule out. Where one branches off and joins the others again without
/// an instruction of its own, the verifier finds nothing that is never run, and leaves the test.
#[inline(always)]
pub(crate) fn ruled_out() {
    #[cfg(target_arch = "bpf")]
    {
        let _unused: u64;
        // SAFETY: one move to a register.
        unsafe { asm!("{unused} = 0", unused = out(reg) _unused) };
    }
}

/// Keeps the compiler from merging what comes before with what other ways do at their end: to do one store for two,
/// it would pack their values, carry them along and unpack them again.
#[inline(always)]
pub(crate) fn apart() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: no instruction at all.
    unsafe {
        asm!("");
    }
}

/// A word of which the compiler knows nothing: adjacent stores of zeros become a `memset` else, which is a loop in BPF.
#[inline(always)]
pub(crate) fn opaque(word: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut word = word;
        // SAFETY: no instruction at all.
        unsafe {
            asm!("/* {word} */", word = inout(reg) word, options(pure, nomem, nostack, preserves_flags))
        };
        word
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        word
    }
}

/// What lies behind a reference, of which the compiler knows nothing any more.
#[inline(always)]
pub(crate) fn reopened<T>(value: &mut T) -> &mut T {
    let pointer = ptr::from_mut(value);
    #[cfg(target_arch = "bpf")]
    let pointer = {
        let mut pointer = pointer;
        // SAFETY: no instruction at all.
        unsafe { asm!("/* {pointer} */", pointer = inout(reg) pointer) };
        pointer
    };
    // SAFETY: the pointer is that of the reference.
    unsafe { &mut *pointer }
}

/// Whether a constant of [`blanks::value`] is not 0.
#[inline(always)]
pub(crate) fn is_set<const VALUE: u16>() -> bool {
    value::<VALUE>() != 0
}

/// Whether a bit of [`Config::tune`] is set.
macro_rules! tuned {
    ($bit:ident) => {
        $crate::kernel::globals::is_set::<
            { tracer_ebpf::abi::blanks::value::tune(tracer_ebpf::abi::tune::$bit) },
        >()
    };
}
pub(crate) use tuned;

/// The filters that are on, bits of [`tracer_ebpf::abi::filter`].
#[inline(always)]
pub(crate) fn filters() -> u32 {
    value::<{ blanks::value::FILTERS }>() as u32
}

/// One field of a kernel structure, by its number in [`FIELDS`].
#[derive(Clone, Copy)]
pub(crate) struct Field<const F: usize>;

/// One field of [`FIELDS`].
macro_rules! offset {
    ($name:ident) => {
        $crate::kernel::globals::Field::<{ tracer_ebpf::abi::FieldNumber::$name as usize }>
    };
}
pub(crate) use offset;

/// Makes a constant of a number of [`FIELDS`].
macro_rules! field_value {
    ($($(#[$doc:meta])* $name:ident $kind:ident $most:literal;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(self) -> u32 {
            #[cfg(target_arch = "bpf")]
            {
                let value: u64;
                // SAFETY: one move of a constant to a register.
                unsafe {
                    asm!(
                        "{value} = {blank}",
                        value = out(reg) value,
                        blank = const blanks::value_blank(blanks::value::$kind(F)),
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                // SAFETY: userspace writes no more there.
                unsafe { core::hint::assert_unchecked(value <= $most) };
                value as u32
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                blanks::value_blank(blanks::value::$kind(F)) as u32 & $most
            }
        }
    )*};
}

impl<const F: usize> Field<F> {
    field_value! {
        /// Its offset, where this kernel has it.
        offset offset 0xffff;
        /// Whether this kernel has it, 0 or 1.
        presence presence 1;
    }

    /// A word of which its byte is the lowest, shifted so that its first bit is.
    #[inline(always)]
    pub(crate) fn shifted(self, word: u64) -> u64 {
        let Self = self;
        shifted_by!(word, blanks::value_blank(blanks::value::shift(F)))
    }

    /// Whether this kernel lacks it; never asked of one that every kernel has.
    #[inline(always)]
    pub(crate) fn is_absent(self) -> bool {
        if const { matches!(FIELDS[F].need, Need::Required) } { false } else { self.presence() == 0 }
    }
}
