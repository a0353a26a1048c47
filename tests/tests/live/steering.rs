//! Choices before which a program of the cgroup has bound the socket (`bpf_bind`): past the hooks of bind, in a connect.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::programs::{CgroupAttachMode, CgroupSockAddr};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use portscope_tests::backend::Backend;
use portscope_tests::cgroups::Cgroups;
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::operation::{Operation, Proto, Site};
use portscope_tests::per_backend;
use portscope_tests::steering::{ADDRESS, PORT, Steering};
use portscope_tests::trace::Capture;
use portscope_tests::workload::{Truth, Workload};
use rustix::process::{Resource, Rlimit, setrlimit};

per_backend! {
    an_address_that_a_program_names_leaves_one_choice_to_connect,
    ports_that_a_program_names_are_explicit_binds_where_the_choosing_functions_are_seen,
}

/// The name of the program.
const NAME: &str = "steer";

/// One instruction of BPF: its code, its registers, where it jumps or what it addresses, its constant.
fn insn(code: u8, into: u8, from: u8, offset: i16, constant: u32) -> [u8; 8] {
    let ([o0, o1], [c0, c1, c2, c3]) = (offset.to_le_bytes(), constant.to_le_bytes());
    [code, (from << 4) | into, o0, o1, c0, c1, c2, c3]
}

/// The program: it binds what connects to one of the two addresses, and forbids the connect where it cannot.
fn instructions() -> Vec<u8> {
    // Codes of include/uapi/linux/bpf_common.h and bpf.h.
    const MOVE: u8 = 0xbf;
    const SET: u8 = 0xb7;
    const ADD: u8 = 0x07;
    const LOAD_WORD: u8 = 0x61;
    const STORE_WORD: u8 = 0x62;
    const STORE_DOUBLE: u8 = 0x7a;
    const IF_EQUAL: u8 = 0x15;
    const IF_NOT: u8 = 0x55;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const BPF_FUNC_BIND: u32 = 64;
    const FRAME: u8 = 10;
    /// Of `struct bpf_sock_addr`, its `user_ip4`.
    const USER_IP4: i16 = 4;
    /// Where a `struct sockaddr_in` of 16 bytes lies in the frame.
    const SOCKADDR: i16 = -16;
    let word = |ip: Ipv4Addr| u32::from_le_bytes(ip.octets());
    // The family and the port, in the order of the network.
    let head = |by: Steering| 2 | (u32::from(by.source.port().to_be()) << 16);
    [
        insn(MOVE, 6, 1, 0, 0),
        insn(LOAD_WORD, 7, 6, USER_IP4, 0),
        insn(STORE_DOUBLE, FRAME, 0, SOCKADDR + 8, 0),
        insn(STORE_WORD, FRAME, 0, SOCKADDR + 4, word(*ADDRESS.source.ip())),
        insn(STORE_WORD, FRAME, 0, SOCKADDR, head(ADDRESS)),
        insn(IF_EQUAL, 7, 0, 2, word(ADDRESS.to)),
        insn(IF_NOT, 7, 0, 9, word(PORT.to)),
        insn(STORE_WORD, FRAME, 0, SOCKADDR, head(PORT)),
        insn(MOVE, 1, 6, 0, 0),
        insn(MOVE, 2, FRAME, 0, 0),
        insn(ADD, 2, 0, 0, i32::from(SOCKADDR).cast_unsigned()),
        insn(SET, 3, 0, 0, 16),
        insn(CALL, 0, 0, 0, BPF_FUNC_BIND),
        insn(IF_EQUAL, 0, 0, 2, 0),
        insn(SET, 0, 0, 0, 0),
        insn(EXIT, 0, 0, 0, 0),
        insn(SET, 0, 0, 0, 1),
        insn(EXIT, 0, 0, 0, 0),
    ]
    .concat()
}

/// The same as a file that a loader reads.
fn as_object() -> Result<Vec<u8>> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let text = file.add_section(Vec::new(), b"cgroup/connect4".to_vec(), SectionKind::Text);
    let code = instructions();
    let program = Symbol {
        name: NAME.as_bytes().to_vec(),
        value: 0,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(text),
        flags: SymbolFlags::None,
    };
    file.add_symbol(program);
    file.append_section_data(text, &code, 8);
    Ok(file.write()?)
}

/// Loads the program; it goes with the answer.
fn load(cgroup: &Path) -> Result<Ebpf> {
    // Before 5.11 programs count against it. Where it may not be raised, the kernel says whether that matters.
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).ok();
    let mut loaded = Ebpf::load(&as_object()?)?;
    let program: &mut CgroupSockAddr = loaded.program_mut(NAME).context("no program")?.try_into()?;
    program.load()?;
    program.attach(File::open(cgroup)?, CgroupAttachMode::Single)?;
    Ok(loaded)
}

/// Traces a workload whose connects the program steers.
fn traced(live: &Live, tracer: &[&str]) -> Result<(Truth, Capture)> {
    let cgroup = Cgroups::make()?;
    let _program = load(cgroup.path())?;
    let workload = Workload::ready(&["--netns", "own", "steered"])?;
    cgroup.put("", workload.hello().pid)?;
    let tracer = live.tracer(tracer)?;
    let truth = workload.go()?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    Ok((truth, capture))
}

/// Whether the program has named the port, or tried to.
fn is_named_by_program(done: &Operation) -> bool {
    done.site == Site::Bind && done.local_addr == Some(IpAddr::V4(*PORT.source.ip()))
}

/// What a backend tells of that.
fn as_told(live: &Live, operations: Vec<Operation>) -> Vec<Operation> {
    if live.backend() != Backend::Tracepoint {
        return operations;
    }
    operations.into_iter().filter(is_told_by_tracepoints).collect()
}

/// The hook behind bind is not run for a program's (`BIND_FROM_BPF` of `__inet_bind`, net/ipv4/af_inet.c). A datagram
/// socket is looked at when its system call ends: there is a port that was named meanwhile, and no trace of a refusal.
fn is_told_by_tracepoints(done: &Operation) -> bool {
    !is_named_by_program(done) || (done.proto == Proto::Udp && done.ok)
}

/// Whether the program has named the address alone, and the kernel chosen the port.
fn is_from_address(done: &Operation, proto: Proto) -> bool {
    done.is_allocation() && done.proto == proto && done.local_addr == Some(IpAddr::V4(*ADDRESS.source.ip()))
}

fn an_address_that_a_program_names_leaves_one_choice_to_connect(live: &Live) -> Result<()> {
    let (truth, capture) = traced(live, &[])?;
    for proto in [Proto::Tcp, Proto::Udp] {
        let had = truth.only(|done| is_from_address(done, proto));
        ensure!(had.len() == 1, "{} choices of {} from the address", had.len(), proto.word());
    }
    let told = as_told(live, truth.operations).into_iter().filter(Operation::is_shown_by_default);
    compare(&told.collect::<Vec<_>>(), &capture)
}

fn ports_that_a_program_names_are_explicit_binds_where_the_choosing_functions_are_seen(
    live: &Live,
) -> Result<()> {
    let (truth, capture) = traced(live, &["--explicit"])?;
    for proto in [Proto::Tcp, Proto::Udp] {
        let named = truth.only(|done| is_named_by_program(done) && done.proto == proto);
        let had: Vec<_> = named.iter().map(|done| done.ok).collect();
        ensure!(had == [true, false], "the program had ports of {}: {had:?}", proto.word());
    }
    compare(&as_told(live, truth.operations), &capture)
}
