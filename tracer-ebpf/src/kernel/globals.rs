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

/// A constant of [`blanks::value`].
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
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        i64::from(blanks::value_blank(VALUE))
    }
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
        /// The first of its bits alone, in its byte.
        mask mask 0x80;
        /// Whether this kernel has it, 0 or 1.
        presence presence 1;
    }

    /// Whether this kernel lacks it; never asked of one that every kernel has.
    #[inline(always)]
    pub(crate) fn is_absent(self) -> bool {
        if const { matches!(FIELDS[F].need, Need::Required) } { false } else { self.presence() == 0 }
    }
}
