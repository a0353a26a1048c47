//! A dump of 30,000 sockets: understood, and made into pools.
#![forbid(unsafe_code)]

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portscope::{
    event::{NetnsId, PortRange, Protocol, Reserved},
    stock::{
        Ground, MOST_POOLS, MOST_SOCKETS, NetnsConfig, Pools, PortSet, Settings, Socket, Sockets, Stock,
        TimeWaitReuse, Wanted, read_reply,
    },
};

const SOCKETS: u32 = 30_000;
const SEQUENCE: u32 = 7;
/// Messages that fit the 32 KiB of one datagram.
const MESSAGES: u32 = 330;

/// One message: TIME_WAITs and connections from 10.0.0.1 to `destinations` destinations.
fn message(number: u32, destinations: u32) -> Vec<u8> {
    let is_over = number.is_multiple_of(3);
    let port = u16::try_from(32_768 + number % 28_232).unwrap_or(0);
    let mut ends = [0_u8; 48];
    ends[..2].copy_from_slice(&port.to_be_bytes());
    ends[2..4].copy_from_slice(&443_u16.to_be_bytes());
    ends[4..8].copy_from_slice(&[10, 0, 0, 1]);
    ends[20..24].copy_from_slice(&(0x0b00_0000 + number % destinations).to_be_bytes());
    let (state, timer, inode) = if is_over { (6, 3, 0) } else { (1, 0, 1_000_000 + number) };
    let words = [number, 0, 0, 0, inode].map(u32::to_ne_bytes).concat();
    let attributes: &[u8] = &[5, 0, 8, 0, 0, 0, 0, 0];
    let body = [&[2, state, timer, 0], ends.as_slice(), &words, attributes].concat();
    let length = u32::try_from(body.len() + 16).unwrap_or(0);
    let kind_flags = [20_u16, 2].map(u16::to_ne_bytes).concat();
    let sequence_port = [SEQUENCE, 1].map(u32::to_ne_bytes).concat();
    [&length.to_ne_bytes(), kind_flags.as_slice(), &sequence_port, &body].concat()
}

fn datagrams(destinations: u32) -> Vec<Vec<u8>> {
    let starts = (0..SOCKETS).step_by(MESSAGES as usize);
    let datagram =
        |start: u32| (start..SOCKETS.min(start + MESSAGES)).flat_map(|n| message(n, destinations)).collect();
    starts.map(datagram).collect()
}

fn parsed(datagrams: &[Vec<u8>]) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for datagram in datagrams {
        black_box(read_reply(datagram, Protocol::Tcp, SEQUENCE, MOST_SOCKETS, &mut sockets)).ok();
    }
    assert_eq!(sockets.len(), SOCKETS as usize);
    sockets
}

fn config() -> Option<NetnsConfig> {
    Some(NetnsConfig {
        id: NetnsId::new(1)?,
        range: PortRange::new(32_768, 60_999)?,
        reserved: Reserved::default(),
        reserved_text: String::new(),
        step_width: None,
    })
}

fn stock(criterion: &mut Criterion) {
    let Some(config) = config() else { return };
    let settings = Settings {
        tcp_tw_reuse: Some(TimeWaitReuse::Loopback),
        tcp_timestamps: Some(1),
        ..Settings::default()
    };
    let binders = PortSet::default();
    let mut group = criterion.benchmark_group("stock");
    group.throughput(Throughput::Elements(u64::from(SOCKETS)));
    for destinations in [1, 10_000] {
        let datagrams = datagrams(destinations);
        group.bench_function(format!("parse, {destinations} destinations"), |bencher| {
            bencher.iter(|| black_box(parsed(&datagrams)));
        });
        let sockets = parsed(&datagrams);
        let ground = Ground { sockets: &sockets, config: &config, settings: &settings, binders: &binders };
        group.bench_function(format!("pools, {destinations} destinations"), |bencher| {
            bencher.iter(|| black_box(Pools::of(&ground, MOST_POOLS)));
        });
    }
    group.finish();
    // Whatever this machine has just now.
    let mut group = criterion.benchmark_group("this machine");
    let proc_root = Path::new("/proc");
    group.bench_function("sockets", |bencher| {
        bencher.iter(|| black_box(Sockets::here(proc_root, &[Protocol::Tcp], MOST_SOCKETS)));
    });
    group.bench_function("stock", |bencher| {
        bencher.iter(|| black_box(Stock::take(proc_root, &Wanted::default())));
    });
    group.finish();
}

criterion_group!(benches, stock);
criterion_main!(benches);
