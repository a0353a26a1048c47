//! The switch, and what programs tell each other: a global that userspace writes while they run.

use core::{cell::UnsafeCell, ptr};

use tracer_ebpf::abi::{Control, Mode};

/// A global that programs on all CPUs and userspace share, word by word.
#[repr(transparent)]
struct Shared(UnsafeCell<Control>);

// SAFETY: each access is a volatile one of a single word, which BPF makes whole; no reference to the inside is made.
unsafe impl Sync for Shared {}

/// The switch, in a section of its own: its map is called like it.
#[unsafe(link_section = ".data.control")]
static CONTROL: Shared =
    Shared(UnsafeCell::new(Control { mode: Mode::Off as u32, self_pid: 0, perturb: 0, woken_ns: 0 }));

macro_rules! word {
    ($(#[$doc:meta])* $read:ident $field:ident $type:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $read() -> $type {
            // SAFETY: the pointer is that of a static; no reference is made.
            let word = unsafe { &raw const (*CONTROL.0.get()).$field };
            // SAFETY: as above.
            unsafe { ptr::read_volatile(word) }
        }
    };
    ($(#[$doc:meta])* $read:ident $(#[$set_doc:meta])* $write:ident $field:ident $type:ty) => {
        word! { $(#[$doc])* $read $field $type }

        $(#[$set_doc])*
        #[inline(always)]
        pub(crate) fn $write(value: $type) {
            // SAFETY: the pointer is that of a static; no reference is made.
            let word = unsafe { &raw mut (*CONTROL.0.get()).$field };
            // SAFETY: as above.
            unsafe { ptr::write_volatile(word, value) }
        }
    };
}

word! {
    /// A value of [`Mode`].
    mode mode u32
}
word! {
    /// Thread-group id of the tracer.
    self_pid self_pid u32
}
word! {
    /// Address of `table_perturb`, 0 before it is known.
    perturb_table
    /// Notes it.
    set_perturb_table perturb u64
}
word! {
    /// When the reader was last woken for a new process.
    woken_ns
    /// Notes that it is woken.
    set_woken_ns woken_ns u64
}

/// Whether nothing is to be recorded.
#[inline(always)]
pub(crate) fn is_off() -> bool {
    mode() == Mode::Off as u32
}

/// Whether the tracer tests itself: what is seen is not counted.
#[inline(always)]
pub(crate) fn is_self_test() -> bool {
    mode() == Mode::SelfTest as u32
}
