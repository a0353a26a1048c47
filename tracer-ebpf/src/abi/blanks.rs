//! Blanks in the instructions: constants that userspace writes into the programs before they load.
//!
//! A program names a constant by a blank, an operand that no compiler makes by itself. Userspace finds the blanks in the
//! object and fills them in, so that an offset costs no instruction and a switch that is off costs one: the verifier
//! takes the constant as known and drops the code behind it. A shift by nothing becomes no instruction.
//!
//! Two kinds of instructions have blanks (Documentation/bpf/standardization/instruction-set.rst):
//!
//! - a load (`BPF_LDX | BPF_MEM`) whose 16-bit offset is [`offset_blank`] of a field;
//! - a move or shift by a constant (`BPF_ALU64 | BPF_MOV | BPF_K`, `BPF_ALU64 | BPF_RSH | BPF_K`) whose 32-bit immediate
//!   is [`value_blank`] of a value.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "constants, evaluated when they are compiled; fields are fewer than a hundred"
)]

use super::offsets::FIELDS;

/// First offset that is a blank: no structure, stack or map value of ours reaches so far.
pub const FIRST_OFFSET: i16 = 0x7000;
/// The upper half of an immediate that is a blank.
pub const VALUE_MARK: i32 = 0x5afe_0000;

/// The offset that stands for a field, or for the word of it that lies `word` times eight bytes further.
///
/// # Panics
///
/// There is no such field, or `word` is above 1.
#[must_use]
pub const fn offset_blank(field: usize, word: usize) -> i16 {
    assert!(field < FIELDS.len() && word < 2);
    FIRST_OFFSET + (field as i16) * 2 + word as i16
}

/// The field and the word of an offset that is a blank.
#[must_use]
pub const fn field_of(offset: i16) -> Option<(usize, usize)> {
    if offset < FIRST_OFFSET {
        return None;
    }
    let number = (offset - FIRST_OFFSET) as usize;
    if number / 2 < FIELDS.len() { Some((number / 2, number % 2)) } else { None }
}

/// The immediate that stands for a value, one of [`value`].
#[must_use]
pub const fn value_blank(value: u16) -> i32 {
    VALUE_MARK | value as i32
}

/// The value of an immediate that is a blank.
#[must_use]
pub const fn value_of(immediate: i32) -> Option<u16> {
    if immediate & !0xffff == VALUE_MARK { Some((immediate & 0xffff) as u16) } else { None }
}

/// What an immediate may stand for.
pub mod value {
    /// Offset of the field of this number, 0 where it is absent: 0 to 0x1ff.
    #[must_use]
    pub const fn offset(field: usize) -> u16 {
        field as u16
    }

    /// How far the field of this number is to be shifted right, for its first bit to be the lowest: 0x200 to 0x3ff.
    #[must_use]
    pub const fn shift(field: usize) -> u16 {
        0x200 + field as u16
    }

    /// Whether this kernel has the field of this number, 0 or 1: 0x400 to 0x5ff.
    #[must_use]
    pub const fn presence(field: usize) -> u16 {
        0x400 + field as u16
    }

    /// Whether a bit of [`super::super::tune`] is set, 0 or 1.
    #[must_use]
    pub const fn tune(bit: u32) -> u16 {
        0x800 + bit.trailing_zeros() as u16
    }

    /// The number of the bit of `bind_address_no_port` in the 32-bit word at the byte of `freebind`.
    pub const NO_PORT_SHIFT: u16 = 0x903;
    /// Whether records can be written in the ring, 0 or 1: nothing judges or keeps them before.
    pub const DIRECT: u16 = 0x905;
    /// Whether nothing but the number of choices is wanted, of all of them, 0 or 1.
    pub const TIMELESS: u16 = 0x906;
    /// Bits from the first to the last port of the range of a namespace.
    pub const NET_RANGE_SHIFT: u16 = 0x904;
    /// Bits from the first to the last port of the range of a socket.
    pub const SOCKET_RANGE_SHIFT: u16 = 0x907;
    /// [`super::super::FilterConfig::active`].
    pub const FILTERS: u16 = 0x900;
    /// [`super::super::Config::connect_ret`].
    pub const CONNECT_RET: u16 = 0x901;
    /// [`super::super::Config::check_ret`].
    pub const CHECK_RET: u16 = 0x908;
    /// [`super::super::Config::conflict_ret`].
    pub const CONFLICT_RET: u16 = 0x909;
    /// [`super::super::Config::wake_bytes`], at most `i32::MAX`.
    pub const WAKE_BYTES: u16 = 0x902;
}
