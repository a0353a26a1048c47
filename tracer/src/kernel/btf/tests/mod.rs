use std::path::Path;

use proptest::prelude::*;

use self::builder::{
    BIT_FIELDS, Builder, CONST, ENUM, FUNCTION, INT, POINTER, PROTOTYPE, TYPEDEF, kernel,
    kernel_with_bits_apart,
};
use super::{members::Place, *};

mod builder;

/// The types of a kernel that has everything.
pub(super) fn any_kernel() -> Vec<u8> {
    kernel().bytes()
}

fn parse(bytes: &[u8]) -> Result<Result<KernelTypes, KernelError>, Malformed> {
    KernelTypes::parse(Path::new("vmlinux"), bytes, &["choose", "missing"])
}

/// Looks up a member of `sock`, the structure that the builder's blobs are about.
fn member(builder: &Builder, path: &str) -> Result<Place, Malformed> {
    let bytes = builder.bytes();
    let blob = Blob::parse(&bytes).unwrap();
    let index = Index::new(&blob, &Wanted::new(&[])).unwrap();
    index.member(index.structure("sock").unwrap(), path)
}

fn size_of(builder: &Builder, id: u32) -> Result<u64, Malformed> {
    let bytes = builder.bytes();
    Index::new(&Blob::parse(&bytes).unwrap(), &Wanted::new(&[])).unwrap().size_of(id)
}

#[test]
fn a_kernel_that_has_every_field_is_read_whole() {
    let types = parse(&kernel().bytes()).unwrap().unwrap();
    assert_eq!(types.absent, [""; 0]);
    let words: Vec<u32> = types.offsets.as_bytes().chunks_exact(4).map(word).collect();
    assert!(!words.contains(&POISON), "{:?}", types.offsets);
    assert_eq!(types.offsets.net_range_high, types.offsets.net_range_low + 4);
    assert_eq!(types.functions.len(), 1);
    assert_eq!(types.functions["choose"], Signature { parameters: 5, is_void: false });
}

#[test]
fn a_field_that_is_required_and_of_another_size_is_named() {
    let mut builder = Builder::new();
    let int = builder.int(8);
    let common = builder.structure("", 0, &[("skc_daddr", int, 0)]);
    builder.structure("sock", 0, &[("__sk_common", common, 0)]);
    let error = parse(&builder.bytes()).unwrap().unwrap_err().to_string();
    assert!(error.contains("`sock.__sk_common.skc_daddr` (it is 8 bytes, not 4)"), "{error}");
}

#[test]
fn bits_that_are_read_as_one_byte_must_share_it() {
    let error = parse(&kernel_with_bits_apart().bytes()).unwrap().unwrap_err().to_string();
    assert!(error.contains("skc_reuseport") && error.contains("share a byte"), "{error}");
}

#[test]
fn members_without_a_name_are_looked_into() {
    let mut builder = Builder::new();
    let int = builder.int(4);
    let inner = builder.structure("", 0, &[("other", int, 0), ("wanted", int, 32)]);
    let renamed = builder.add("inner_t", TYPEDEF, inner, &[]);
    let outer = builder.structure("", 0, &[("", renamed, 64)]);
    builder.structure("sock", 0, &[("first", int, 0), ("", outer, 128), ("deep", outer, 256)]);
    let place = |bit| Ok(Place { bit, of: int, is_bit_field: false });
    assert_eq!(member(&builder, "wanted"), place(128 + 64 + 32));
    assert_eq!(member(&builder, "deep.wanted"), place(256 + 64 + 32));
    assert_eq!(member(&builder, "deep.absent"), Err(Malformed::NoMember));
    assert_eq!(member(&builder, "first.wanted"), Err(Malformed::NoMember));
}

#[test]
fn bit_fields_are_told_from_whole_members() {
    let mut builder = Builder::new();
    let int = builder.int(4);
    let bits = |size: u32, offset: u32| size << 24 | offset;
    let members = [("whole", int, bits(0, 32)), ("four", int, bits(4, 64)), ("one", int, bits(1, 68))];
    builder.structure("sock", BIT_FIELDS, &members);
    let found = |path| member(&builder, path).map(|place| (place.bit, place.is_bit_field)).unwrap();
    assert_eq!(found("whole"), (32, false));
    assert_eq!(found("four"), (64, true));
    assert_eq!(found("one"), (68, true));
}

#[test]
fn a_flag_is_the_bit_that_its_enumerator_numbers() {
    let mut builder = kernel();
    let flags = builder.int(8);
    builder.structure("unrelated", 0, &[("inet_flags", flags, 0)]);
    let name = builder.string("INET_FLAGS_FREEBIND");
    builder.add("", ENUM, 4, &[&[name, 11]]);
    let bytes = builder.bytes();
    let index = Index::new(&Blob::parse(&bytes).unwrap(), &Wanted::new(&[])).unwrap();
    assert_eq!(index.enumerator("INET_FLAGS_FREEBIND"), Some(11));
    let kind = FieldKind::FlagBit("INET_FLAGS_FREEBIND");
    let at = resolve_path(&index, "inet_sock", "freebind", FieldKind::Bits).unwrap().byte;
    let found = resolve_path(&index, "inet_sock", "freebind", kind);
    assert_eq!(found, Ok(Found { byte: at + 1, shift: 3 }));
}

#[test]
fn sizes_go_through_names_and_arrays() {
    let mut builder = Builder::new();
    let int = builder.int(2);
    let fixed = builder.add("", CONST, int, &[]);
    let row = builder.array(fixed, 3);
    let table = builder.array(row, 5);
    let pointer = builder.add("", POINTER, table, &[]);
    assert_eq!(size_of(&builder, table), Ok(30));
    assert_eq!(size_of(&builder, pointer), Ok(8));
    assert_eq!(size_of(&builder, 0), Err(Malformed::NoType(0)));
    assert_eq!(size_of(&builder, 99), Err(Malformed::NoType(99)));
}

#[test]
fn a_function_that_returns_nothing_is_void() {
    let mut builder = kernel();
    let prototype = builder.add("", PROTOTYPE, 0, &[]);
    builder.add("missing", FUNCTION, prototype, &[]);
    let types = parse(&builder.bytes()).unwrap().unwrap();
    assert_eq!(types.functions["missing"], Signature { parameters: 0, is_void: true });
}

#[test]
fn types_that_go_round_in_circles_end() {
    let mut builder = Builder::new();
    let first = builder.next();
    builder.add("a", TYPEDEF, first + 1, &[]);
    builder.add("b", TYPEDEF, first, &[]);
    let endless = builder.next();
    builder.array(endless, 2);
    let itself = builder.next();
    builder.structure("", 0, &[("", itself, 8), ("", itself, 16), ("", itself, 24)]);
    builder.structure("sock", 0, &[("", itself, 0)]);
    assert_eq!(size_of(&builder, first), Err(Malformed::Endless));
    assert_eq!(size_of(&builder, endless), Err(Malformed::Endless));
    assert_eq!(member(&builder, "wanted"), Err(Malformed::NoMember));
}

#[test]
fn numbers_beyond_any_memory_are_refused() {
    let mut builder = Builder::new();
    let mut array = builder.int(4);
    for _ in 0..3 {
        array = builder.array(array, u32::MAX);
    }
    let far = builder.structure("", 0, &[("far", array, u32::MAX - 7)]);
    builder.structure("sock", 0, &[("near", far, 64)]);
    assert_eq!(size_of(&builder, array), Err(Malformed::Endless));
    assert_eq!(member(&builder, "near.far"), Err(Malformed::Endless));
}

#[test]
fn what_is_no_btf_is_told_apart() {
    let good = kernel().bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes).map(|_types| ()).unwrap_err()
    };
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    assert_eq!(parse(&swapped).map(|_types| ()).unwrap_err(), Malformed::ByteOrder);
    assert_eq!(with(0, b'#'), Malformed::Magic);
    assert_eq!(with(2, 9), Malformed::Version(9));
    assert_eq!(with(good.len() - 1, b'x'), Malformed::Sections);
    assert_eq!(with(24 + 4 + 3, 0x1f), Malformed::Kind { id: 1, kind: 0x1f });
    let mut unknown = Builder::new();
    unknown.add("", INT, 4, &[&[32]]);
    let error = parse(&unknown.bytes()).unwrap().unwrap_err().to_string();
    assert!(error.contains("no struct sock"), "{error}");
}

#[test]
fn a_blob_that_is_cut_at_any_byte_is_refused() {
    let good = kernel().bytes();
    for length in 0..good.len() {
        assert_eq!(parse(&good[..length]).map(|_types| ()).unwrap_err(), Malformed::Short, "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_changed_make_an_answer(changes in prop::collection::vec((0_usize..1 << 14, any::<u8>()), 1..8)) {
        let mut bytes = kernel().bytes();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        drop(parse(&bytes));
    }

    #[test]
    fn any_types_make_an_answer(words in prop::collection::vec(any::<u32>(), 0..200), kinds in any::<u32>()) {
        let mut builder = kernel();
        for (at, word) in words.iter().enumerate() {
            let kind = (kinds.rotate_left(u32::try_from(at).unwrap()) & 0x1f).min(19);
            let next = builder.next();
            builder.add("sock", kind, word % (2 * next), &[&[*word, word % (2 * next), *word]]);
        }
        drop(parse(&builder.bytes()));
    }
}
