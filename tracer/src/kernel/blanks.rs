//! Filling in the blanks of the BPF object: offsets of kernel fields and settings, written into the instructions.
//!
//! See [`tracer_ebpf::abi::blanks`]. The kernel would take the same constants from a frozen map, for two instructions
//! more each time one is used; an event uses some fifty.

use object::{Endianness, Object as _, ObjectSection as _, SectionKind};
use tracer_ebpf::abi::{
    Config, FIELDS, FieldOffsets, POISON,
    blanks::{field_of, value, value_of},
    tune,
};
use zerocopy::IntoBytes as _;

/// An object whose blanks cannot be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlankError {
    /// It is no object file.
    #[error("it is no object file: {0}")]
    Object(String),
    /// A blank that this program knows nothing of.
    #[error("instruction {at:#x} of section {section} has the unknown blank {blank:#x}")]
    Unknown {
        /// Name of the section.
        section: String,
        /// Bytes from its start.
        at: usize,
        /// The operand.
        blank: i32,
    },
}

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;
/// `BPF_LDX | BPF_MEM`, the size left out.
const LOAD: u8 = 0x61;
/// Bits of an opcode that say its class and mode.
const CLASS_AND_MODE: u8 = 0xe7;
/// `BPF_ALU64 | BPF_MOV | BPF_K`.
const MOVE: u8 = 0xb7;
/// `BPF_ALU64 | BPF_RSH | BPF_K`.
const SHIFT: u8 = 0x77;
/// `BPF_JMP | BPF_JA`, by nothing.
const NOTHING: [u8; INSTRUCTION] = [0x05, 0, 0, 0, 0, 0, 0, 0];
/// `BPF_LD | BPF_IMM | BPF_DW`: takes the place of two instructions.
const WIDE_MOVE: u8 = 0x18;

/// Fills in every blank of an object; returns how many there were.
///
/// # Errors
///
/// Bytes that are no object file, or a blank that is not known.
pub fn fill(object: &mut [u8], config: &Config, offsets: &FieldOffsets) -> Result<usize, BlankError> {
    let values = Values { config, offsets };
    let mut filled = 0;
    for (name, start, length) in code(object)? {
        let Some(section) = object.get_mut(start..start.saturating_add(length)) else { continue };
        let (instructions, _) = section.as_chunks_mut::<INSTRUCTION>();
        let mut wide = false;
        for (index, instruction) in instructions.iter_mut().enumerate() {
            // The second half of a wide move is an operand, not an instruction.
            let operand = wide;
            wide = !operand && instruction[0] == WIDE_MOVE;
            if operand {
                continue;
            }
            filled += usize::from(values.fill_one(instruction).map_err(|blank| BlankError::Unknown {
                section: name.clone(),
                at: index * INSTRUCTION,
                blank,
            })?);
        }
    }
    Ok(filled)
}

/// Name, place and length of each section with instructions.
fn code(object: &[u8]) -> Result<Vec<(String, usize, usize)>, BlankError> {
    let file = object::File::parse(object).map_err(|error| BlankError::Object(error.to_string()))?;
    if file.endianness() != Endianness::Little {
        return Err(BlankError::Object("it is big-endian".to_owned()));
    }
    let sections = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let places = sections.filter_map(|section| {
        let (start, length) = section.file_range()?;
        let name = section.name().unwrap_or("?").to_owned();
        Some((name, usize::try_from(start).ok()?, usize::try_from(length).ok()?))
    });
    Ok(places.collect())
}

/// What the blanks stand for.
struct Values<'a> {
    config: &'a Config,
    offsets: &'a FieldOffsets,
}

impl Values<'_> {
    /// Fills in an instruction if it has a blank, and tells whether it had; an unknown one is an error.
    fn fill_one(&self, instruction: &mut [u8; INSTRUCTION]) -> Result<bool, i32> {
        let [opcode, _, offset_low, offset_high, a, b, c, d] = *instruction;
        if opcode & CLASS_AND_MODE == LOAD {
            let blank = i16::from_le_bytes([offset_low, offset_high]);
            if blank < tracer_ebpf::abi::blanks::FIRST_OFFSET {
                return Ok(false);
            }
            let (field, word) = field_of(blank).ok_or(i32::from(blank))?;
            let [low, high] = self.load_offset(field, word).to_le_bytes();
            (instruction[2], instruction[3]) = (low, high);
            return Ok(true);
        }
        if opcode != MOVE && opcode != SHIFT {
            return Ok(false);
        }
        let immediate = i32::from_le_bytes([a, b, c, d]);
        let Some(number) = value_of(immediate) else { return Ok(false) };
        let value = self.value(number).ok_or(immediate)?;
        if opcode == SHIFT && value == 0 {
            // A jump to the next instruction, which the verifier takes out.
            *instruction = NOTHING;
        } else {
            instruction[4..].copy_from_slice(&value.to_le_bytes());
        }
        Ok(true)
    }

    /// The offset of a load. One of a field that is absent is never run: the test of its offset sees to that.
    fn load_offset(&self, field: usize, word: usize) -> i16 {
        let offset = self.words(field).and_then(|(offset, _)| present(offset)).unwrap_or(0);
        let word = u32::try_from(word * 8).unwrap_or(0);
        i16::try_from(offset.saturating_add(word)).unwrap_or(0)
    }

    fn value(&self, number: u16) -> Option<i32> {
        let config = self.config;
        match number {
            0..0x200 => Some(present(self.words(number.into())?.0).unwrap_or(0).cast_signed()),
            0x200..0x400 => Some((self.words(usize::from(number) - 0x200)?.1 & 7).cast_signed()),
            0x400..0x600 => Some(i32::from(present(self.words(usize::from(number) - 0x400)?.0).is_some())),
            0x800..0x820 => Some((config.tune >> (number - 0x800) & 1).cast_signed()),
            value::FILTERS => Some(config.filter.active.cast_signed()),
            value::CONNECT_RET => Some(config.connect_ret.cast_signed()),
            value::CHECK_RET => Some(config.check_ret.cast_signed()),
            value::CONFLICT_RET => Some(config.conflict_ret.cast_signed()),
            value::NO_PORT_SHIFT => {
                let (word, bit) = (self.offsets.freebind, self.offsets.bind_address_no_port);
                let apart = bit.byte.wrapping_sub(word.byte) & 3;
                Some(((apart * 8 + bit.shift) & 31).cast_signed())
            }
            value::DIRECT => {
                let kept = tune::COUNT_ONLY | tune::RELEASES | tune::COLLISIONS | tune::STACKS;
                let kept = config.tune & kept != 0;
                Some(i32::from(!kept && config.filter.active == 0))
            }
            value::TIMELESS => {
                let counts = config.tune & tune::COUNT_ONLY != 0;
                Some(i32::from(counts && config.filter.active == 0))
            }
            value::NET_RANGE_SHIFT => Some(apart(self.offsets.net_range_low, self.offsets.net_range_high)),
            value::SOCKET_RANGE_SHIFT => {
                Some(apart(self.offsets.socket_range_low, self.offsets.socket_range_high))
            }
            value::WAKE_BYTES => Some(i32::try_from(config.wake_bytes).unwrap_or(i32::MAX)),
            _ => None,
        }
    }

    /// Offset and first bit of a field, by its number.
    fn words(&self, field: usize) -> Option<(u32, u32)> {
        let spec = FIELDS.get(field)?;
        let (words, _) = self.offsets.as_bytes().as_chunks::<4>();
        let word = |at: usize| words.get(at).map(|word| u32::from_ne_bytes(*word));
        let at = spec.at / 4;
        Some((word(at)?, if spec.bits { word(at + 1)? } else { 0 }))
    }
}

/// Bits from one field to another that lies less than eight bytes behind it.
fn apart(first: u32, second: u32) -> i32 {
    ((second.wrapping_sub(first) & 7) * 8).cast_signed()
}

/// An offset, none where the field is absent.
fn present(offset: u32) -> Option<u32> {
    (offset != POISON).then_some(offset)
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{
        FieldNumber, FilterConfig,
        blanks::{offset_blank, value_blank},
    };
    use zerocopy::FromZeros as _;

    use super::*;

    fn instruction(opcode: u8, offset: i16, immediate: i32) -> [u8; INSTRUCTION] {
        let mut bytes = [opcode, 0x21, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&offset.to_le_bytes());
        bytes[4..].copy_from_slice(&immediate.to_le_bytes());
        bytes
    }

    fn filled(mut instruction: [u8; INSTRUCTION]) -> Result<[u8; INSTRUCTION], i32> {
        let config = Config { tune: tune::RELEASES, wake_bytes: 77, ..Config::new_zeroed() };
        let mut offsets = FieldOffsets::UNRESOLVED;
        offsets.task_comm = 2976;
        offsets.skc_reuse.byte = 19;
        offsets.skc_reuse.shift = 4;
        Values { config: &config, offsets: &offsets }.fill_one(&mut instruction)?;
        Ok(instruction)
    }

    #[test]
    fn a_load_gets_the_offset_of_its_field_and_word() {
        let comm = FieldNumber::task_comm as usize;
        for (word, offset) in [(0, 2976), (1, 2984)] {
            assert_eq!(
                filled(instruction(0x79, offset_blank(comm, word), 0)),
                Ok(instruction(0x79, offset, 0))
            );
        }
        assert_eq!(filled(instruction(0x71, 24, 0)), Ok(instruction(0x71, 24, 0)));
        // A store has the same field for its offset, and no blank.
        let store = instruction(0x63, offset_blank(comm, 0), 0);
        assert_eq!(filled(store), Ok(store));
    }

    #[test]
    fn a_move_gets_its_value() {
        let reuse = FieldNumber::skc_reuse as usize;
        let table = [
            (value::offset(reuse), 19),
            (value::shift(reuse), 4),
            (value::presence(reuse), 1),
            (value::presence(FieldNumber::tw_tb as usize), 0),
            (value::tune(tune::RELEASES), 1),
            (value::tune(tune::EXPLICIT), 0),
            (value::WAKE_BYTES, 77),
            (value::FILTERS, 0),
        ];
        for (number, expected) in table {
            let blank = instruction(MOVE, 0, value_blank(number));
            assert_eq!(filled(blank), Ok(instruction(MOVE, 0, expected)), "{number:#x}");
        }
    }

    #[test]
    fn a_shift_gets_its_distance_and_none_at_all_is_no_instruction() {
        let shift = |field| instruction(SHIFT, 0, value_blank(value::shift(field)));
        let reuse = FieldNumber::skc_reuse as usize;
        assert_eq!(filled(shift(reuse)), Ok(instruction(SHIFT, 0, 4)));
        let reuseport = FieldNumber::skc_reuseport as usize;
        let mut offsets = FieldOffsets::UNRESOLVED;
        offsets.skc_reuseport.shift = 0;
        let mut none = shift(reuseport);
        let config = Config::new_zeroed();
        assert_eq!(Values { config: &config, offsets: &offsets }.fill_one(&mut none), Ok(true));
        assert_eq!(none, NOTHING);
    }

    #[test]
    fn an_unknown_blank_is_an_error() {
        assert!(filled(instruction(MOVE, 0, value_blank(0xffff))).is_err());
        assert!(filled(instruction(0x79, i16::MAX, 0)).is_err());
    }

    #[test]
    fn the_embedded_object_has_blanks_and_none_is_left_or_unknown() {
        let mut object = crate::kernel::object::bytes().unwrap().into_owned();
        let config = Config { filter: FilterConfig::new_zeroed(), ..Config::new_zeroed() };
        let offsets = FieldOffsets::UNRESOLVED;
        let count = fill(&mut object, &config, &offsets).unwrap();
        assert!(count > 500, "{count}");
        assert_eq!(fill(&mut object, &config, &offsets), Ok(0));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(fill(&mut [], &Config::new_zeroed(), &FieldOffsets::UNRESOLVED).is_err());
        assert!(fill(&mut [0x7f; 64], &Config::new_zeroed(), &FieldOffsets::UNRESOLVED).is_err());
    }
}
