//! The counters of the kernel half, summed over their blocks: exact whatever became of the ring.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
pub use tracer_ebpf::abi::{CELLS, Protocol, ResultClass};
use tracer_ebpf::abi::{
    COUNTER_BLOCKS, CounterBlock, Record, TallyKey, TallyValue, cell, flags, names, present,
};
use zerocopy::FromBytes as _;

use super::{KernelError, attach::chain};

/// Counters of all blocks together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    total: CounterBlock,
    pub(super) skipped: Option<u64>,
    pub(super) kernel_ns: Option<u64>,
    pub(super) inner_calls: Option<u64>,
    pub(super) inner_missed: Option<u64>,
}

/// Events of one kind, protocol and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// A value of [`tracer_ebpf::abi::kind`].
    pub kind: u8,
    /// The protocol.
    pub protocol: Protocol,
    /// The result.
    pub result: ResultClass,
    /// How many.
    pub count: u64,
}

impl Cell {
    /// Its place among the counters.
    #[must_use]
    pub fn index(&self) -> usize {
        cell(self.kind, self.protocol, self.result)
    }
}

/// Events that the ring did not carry, of one process and cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Kernel thread-group id.
    pub pid: u32,
    /// Name of the thread that was counted first.
    pub comm: [u8; 16],
    /// What they were, and how many.
    pub cell: Cell,
}

impl Counts {
    /// Sums the blocks of the counters.
    #[must_use]
    pub fn sum(blocks: impl IntoIterator<Item = CounterBlock>) -> Self {
        let mut total = CounterBlock::ZERO;
        for block in blocks {
            for (sum, part) in total.events.iter_mut().zip(block.events) {
                *sum += part;
            }
            total.filtered += block.filtered;
            total.lost += block.lost;
            total.tally_full += block.tally_full;
            total.entered += block.entered;
            total.exited += block.exited;
            total.no_entry += block.no_entry;
            total.spilled += block.spilled;
            total.spill_full += block.spill_full;
            total.read_failed += block.read_failed;
            total.live_full += block.live_full;
            total.inner_calls += block.inner_calls;
            total.calls_full += block.calls_full;
        }
        Self { total, skipped: None, inner_calls: None, inner_missed: None, kernel_ns: None }
    }

    /// Those of a recording: cells with what they count, and events that were kept out and lost. No choice was
    /// missed but `missed`.
    #[must_use]
    pub fn told(
        cells: &[(usize, u64)],
        filtered: u64,
        lost: u64,
        missed: Option<u64>,
        [inner_calls, inner_missed]: [Option<u64>; 2],
    ) -> Self {
        let mut total = CounterBlock { filtered, lost, ..CounterBlock::ZERO };
        for (at, count) in cells {
            if let Some(cell) = total.events.get_mut(*at) {
                *cell += count;
            }
        }
        Self { total, skipped: missed, inner_calls, inner_missed, kernel_ns: None }
    }

    /// Events that passed the filters.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.total.events.iter().sum()
    }

    /// Events that were kept out, lost, and so on.
    #[must_use]
    pub fn raw(&self) -> &CounterBlock {
        &self.total
    }

    /// Choices whose exit never came, where entries are counted.
    #[must_use]
    pub fn unended(&self) -> u64 {
        self.total.entered.saturating_sub(self.total.exited)
    }

    /// Calls of a program that the kernel skipped because it was still running on that CPU: each can have cost a
    /// choice. None where it does not tell (before Linux 5.12).
    #[must_use]
    pub fn skipped(&self) -> Option<u64> {
        self.skipped
    }

    /// Time that the programs ran in the kernel, nanoseconds. None where it is not measured.
    #[must_use]
    pub fn kernel_ns(&self) -> Option<u64> {
        self.kernel_ns
    }

    /// Calls inside of searches that were looked at to count collisions; none where none are counted.
    #[must_use]
    pub fn inner_calls(&self) -> Option<u64> {
        self.inner_calls
    }

    /// Calls of the same that the kernel skipped; none where none are counted, or it does not tell.
    #[must_use]
    pub fn inner_missed(&self) -> Option<u64> {
        self.inner_missed
    }

    /// The cells that are not empty.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.total
            .events
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count != 0)
            .map(|(at, &count)| cell_at(at, count))
    }
}

/// The cell at an index of the counters.
#[must_use]
pub fn cell_at(index: usize, count: u64) -> Cell {
    let protocol = Protocol::ALL.get((index >> 3) & 7).copied().unwrap_or(Protocol::Other);
    let result = ResultClass::ALL.get(index & 7).copied().unwrap_or(ResultClass::Other);
    Cell { kind: u8::try_from(index >> 6 & 7).unwrap_or(0), protocol, result, count }
}

/// The cell under which the kernel half counts a record; none for bytes that are no record.
#[must_use]
pub fn cell_of(record: &[u8]) -> Option<usize> {
    let record = Record::ref_from_bytes(record).ok()?;
    let errno = if record.present & present::ERROR != 0 { record.error } else { u8::MAX };
    Some(cell(record.kind, Protocol::of(record.protocol), ResultClass::of(errno)))
}

/// Whether the kernel half counts a record: not those of the self-test, nor those that carry a name only.
#[must_use]
pub fn is_event(record: &[u8]) -> bool {
    let uncounted = flags::SELF_TEST | flags::LEADER_NAME;
    Record::ref_from_bytes(record).is_ok_and(|record| record.flags & uncounted == 0)
}

/// Reads the counters.
///
/// # Errors
///
/// The kernel refuses to show the map.
pub fn read(ebpf: &Ebpf) -> Result<Counts, KernelError> {
    let map: Array<&MapData, [u8; COUNTER_BLOCKS * size_of::<CounterBlock>()]> =
        map(ebpf, names::COUNTERS)?.try_into().map_err(|error| broken(names::COUNTERS, &error))?;
    let bytes = map.get(&0, 0).map_err(|error| broken(names::COUNTERS, &error))?;
    let (blocks, _) = bytes.as_chunks::<{ size_of::<CounterBlock>() }>();
    let blocks =
        blocks.iter().map(|block| CounterBlock::read_from_bytes(block).unwrap_or(CounterBlock::ZERO));
    Ok(Counts::sum(blocks))
}

/// Reads what the ring did not carry, by process.
///
/// # Errors
///
/// The kernel refuses to show the map.
pub fn tallies(ebpf: &Ebpf) -> Result<Vec<Tally>, KernelError> {
    let map: HashMap<&MapData, [u8; size_of::<TallyKey>()], [u8; size_of::<TallyValue>()]> =
        map(ebpf, names::TALLY)?.try_into().map_err(|error| broken(names::TALLY, &error))?;
    let mut found = Vec::new();
    for entry in &map {
        let (key, value) = entry.map_err(|error| broken(names::TALLY, &error))?;
        let key = TallyKey::read_from_bytes(&key).unwrap_or_default();
        let value = TallyValue::read_from_bytes(&value).unwrap_or_default();
        let index = usize::try_from(key.cell).unwrap_or(0) % CELLS;
        found.push(Tally { pid: key.pid, comm: value.comm, cell: cell_at(index, value.count) });
    }
    Ok(found)
}

/// A map of the object.
pub(super) fn map<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a aya::maps::Map, KernelError> {
    ebpf.map(name).ok_or_else(|| KernelError::Map { map: name, reason: "it is not in the object".to_owned() })
}

/// A map that failed.
pub(super) fn broken(map: &'static str, error: &dyn std::error::Error) -> KernelError {
    KernelError::Map { map, reason: chain(error) }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::kind;

    use super::*;

    #[test]
    fn a_cell_index_is_undone() {
        for protocol in Protocol::ALL {
            for result in ResultClass::ALL {
                let index = cell(kind::AUTOBIND, protocol, result);
                assert_eq!(cell_at(index, 3), Cell { kind: kind::AUTOBIND, protocol, result, count: 3 });
            }
        }
    }

    #[test]
    fn blocks_are_summed() {
        let mut one = CounterBlock::ZERO;
        one.events[cell(kind::BIND, Protocol::Udp, ResultClass::Ok)] = 2;
        one.entered = 5;
        one.exited = 3;
        let counts = Counts::sum([one, one]);
        assert_eq!((counts.passed(), counts.unended()), (4, 4));
        assert_eq!(counts.cells().count(), 1);
    }
}
