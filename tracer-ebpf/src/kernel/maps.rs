//! The maps, and the counters in them.

use core::{cell::UnsafeCell, mem::MaybeUninit};

use aya_ebpf::{
    bindings::{bpf_map_def, bpf_map_type::BPF_MAP_TYPE_STACK_TRACE},
    helpers::generated::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, RingBuf},
};
use tracer_ebpf::abi::{
    self, CELLS, COUNTER_BLOCKS, CallKey, CallValue, CounterBlock, Record, RemoteKey, TallyKey, TallyValue,
};

use super::{inflight::Slot, syscall::Pending};

/// In-flight slots; a power of two.
pub(crate) const SLOT_COUNT: u32 = 8192;
/// Entries of the kernel's `table_perturb` (`INET_TABLE_PERTURB_SIZE`).
pub(crate) const PERTURB_COUNT: usize = 65536;

/// The ring; userspace sets its size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 22, 0);
/// Events that the ring did not carry, by process.
#[map]
pub(crate) static TALLY: HashMap<TallyKey, TallyValue> = HashMap::with_max_entries(16384, 0);
/// A table whose place the programs know: an index is an addition, where a map would take a look-up. Each lies in a
/// section of its own, which its map is called like.
#[repr(transparent)]
pub(crate) struct Table<T, const N: usize>(UnsafeCell<[MaybeUninit<T>; N]>);

// SAFETY: only pointers to the entries are handed out; programs on all CPUs share them as they share any map.
unsafe impl<T, const N: usize> Sync for Table<T, N> {}

impl<T, const N: usize> Table<T, N> {
    /// A table of zeros.
    const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self(UnsafeCell::new([const { MaybeUninit::zeroed() }; N]))
    }

    /// The entry at an index, which is taken modulo the length.
    #[inline(always)]
    pub(crate) fn at(&'static self, index: u64) -> *mut T {
        let first = self.0.get().cast::<T>();
        // SAFETY: the index is below the length.
        unsafe { first.add(below::<N>(index)) }
    }
}

/// An index modulo a power of two. The compiler may know that it is less and leave the mask out; verifiers do not.
#[inline(always)]
fn below<const N: usize>(index: u64) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut index = index;
        // SAFETY: one instruction on a register.
        unsafe {
            core::arch::asm!(
                "{i} &= {mask}",
                i = inout(reg) index,
                mask = const N - 1,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        index as usize
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        index as usize & (N - 1)
    }
}

/// Counters, in blocks: threads that run at the same time seldom share one.
#[unsafe(link_section = ".bss.counters")]
static COUNTERS: Table<CounterBlock, COUNTER_BLOCKS> = Table::new();
/// Searches under way, by thread.
#[unsafe(link_section = ".bss.slots")]
pub(crate) static SLOTS: Table<Slot, { SLOT_COUNT as usize }> = Table::new();
/// Searches whose slot was taken.
#[map]
pub(crate) static SPILL: HashMap<u32, Slot> = HashMap::with_max_entries(1024, 0);
/// System calls under way, by thread (tracepoint backend).
#[map]
pub(crate) static PENDING: Array<Pending> = Array::with_max_entries(SLOT_COUNT, 0);
/// Port of each datagram socket that was seen to be bound automatically, by inode (tracepoint backend).
#[map]
pub(crate) static AUTOBOUND: LruHashMap<u64, u16> = LruHashMap::with_max_entries(8192, 0);
/// Searches by entry of `table_perturb`: started in the upper half, in flight in the lower.
#[unsafe(link_section = ".bss.perturb")]
pub(crate) static PERTURB: Table<u64, PERTURB_COUNT> = Table::new();
/// Sockets and TIME_WAITs that hold a port the kernel chose; userspace makes it small where no release is
/// wanted. Preallocated: 5.10 warns of tracing programs that allocate.
#[map]
pub(crate) static LIVE: HashMap<u64, Record> = HashMap::with_max_entries(131_072, 0);
/// When the processes that were seen lately started, by id. Two that share an entry and a start are one to it: what
/// that costs is a wake-up.
#[unsafe(link_section = ".bss.recent")]
pub(crate) static RECENT: Table<u32, { SLOT_COUNT as usize }> = Table::new();
/// Start of each process whose first thread was named already.
#[map]
pub(crate) static LEADERS: LruHashMap<u32, u32> = LruHashMap::with_max_entries(8192, 0);
/// Callers and how often they called; userspace makes both small where no stack is wanted.
#[map]
pub(crate) static CALLS: HashMap<CallKey, CallValue> = HashMap::with_max_entries(abi::CALLS, 0);
/// Their stacks.
#[map]
pub(crate) static STACKS: Stacks = Stacks::new();
/// Process ids to show.
#[map]
pub(crate) static FILTER_PIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);
/// User ids to show.
#[map]
pub(crate) static FILTER_UIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);
/// Network namespaces to show.
#[map]
pub(crate) static FILTER_NETNS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 0);
/// Remote networks to show.
#[map]
pub(crate) static FILTER_REMOTE: LpmTrie<RemoteKey, u8> = LpmTrie::with_max_entries(1024, 0);

/// A table of stacks of fewer frames than the kernel allows by default: it makes none that is deeper than
/// `kernel.perf_event_max_stack` says, which an administrator may have lowered.
#[repr(transparent)]
pub(crate) struct Stacks(UnsafeCell<bpf_map_def>);

// SAFETY: nothing but its address is handed out.
unsafe impl Sync for Stacks {}

impl Stacks {
    const fn new() -> Self {
        Self(UnsafeCell::new(bpf_map_def {
            type_: BPF_MAP_TYPE_STACK_TRACE,
            key_size: 4,
            value_size: 8 * abi::FRAMES as u32,
            max_entries: abi::CALLS,
            map_flags: 0,
            id: 0,
            pinning: 0,
        }))
    }
}

/// Adds to a counter that process and softirq context of one CPU, or several CPUs, share.
///
/// # Safety
///
/// `counter` points into a map value.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, by: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: one `BPF_XADD` on a map value; the caller vouches for the pointer.
    unsafe {
        core::arch::asm!("lock *(u64 *)({p} + 0) += {v}", p = in(reg) counter, v = in(reg) by);
    }
    #[cfg(not(target_arch = "bpf"))]
    let (_, _) = (counter, by);
}

/// A block of the counters.
#[derive(Clone, Copy)]
pub(crate) struct Counters(*mut CounterBlock);

macro_rules! bump {
    ($($(#[$doc:meta])* $name:ident)*) => {
        impl Counters {
            $($(#[$doc])*
            #[inline(always)]
            pub(crate) fn $name(self) {
                // SAFETY: the pointer is to an entry of a table.
                let counter = unsafe { &raw mut (*self.0).$name };
                // SAFETY: it points into that entry.
                unsafe { add(counter, 1) };
            })*
        }
    };
}

bump! { filtered lost tally_full entered exited no_entry spilled spill_full read_failed live_full inner_calls calls_full }

impl Counters {
    /// The block of a thread, by its id; what lies above the lower half is left out.
    #[inline(always)]
    pub(crate) fn of(thread: u64) -> Self {
        Self(COUNTERS.at(thread))
    }

    /// One that no other CPU uses now, most of the time; for where the thread is not at hand.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        // SAFETY: the helper has no preconditions.
        Self::of(unsafe { bpf_get_smp_processor_id() }.into())
    }

    /// Counts one event that passed the filters; returns how many were counted in its cell about now.
    #[inline(always)]
    pub(crate) fn event(self, cell: usize) -> u64 {
        // SAFETY: the pointer is to an entry of a table.
        let events = unsafe { &raw mut (*self.0).events };
        // SAFETY: the index is below the length.
        let counter = unsafe { events.cast::<u64>().add(below::<CELLS>(cell as u64)) };
        // SAFETY: it points into that entry.
        unsafe { add(counter, 1) };
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(counter) }
    }
}
