//! Maps of ports over made-up pools, against committed files.

use std::fmt::Write as _;

use portscope::{
    event::{Port, PortRange, Protocol},
    output::map::{Look, text},
    stock::{Parity, PoolKey, PortMap, PortSet},
};

use crate::golden::assert_file;

const BLOCKS: Look = Look { columns: 110, unicode: true, color: false };

fn connect() -> PoolKey {
    PoolKey::Connect {
        proto: Protocol::Tcp,
        laddr: "10.0.3.14".parse().unwrap(),
        raddr: "10.0.9.2".parse().unwrap(),
        rport: Port::new(6379).unwrap(),
    }
}

fn empty(low: u16, high: u16) -> PortMap {
    PortMap {
        key: None,
        range: PortRange::new(low, high).unwrap(),
        first: Some(Parity::of(low)),
        reserved: PortSet::default(),
        barred: PortSet::default(),
        time_wait: PortSet::default(),
        reusable: 0,
        listening: PortSet::default(),
    }
}

/// The first half full of TIME_WAITs in its upper part, the second taken up to a third, some reserved, one listened on.
fn busy() -> PortMap {
    let ports = |keep: fn(u16) -> bool| (32_768..=60_999).filter(|port| keep(*port)).collect::<PortSet>();
    let reserved = ports(|port| (40_000..41_000).contains(&port));
    let even = ports(|port| port.is_multiple_of(2));
    let some_odd = ports(|port| port % 6 == 1 && port < 50_000);
    let barred = even.or(&some_odd).without(&reserved);
    PortMap {
        key: Some(connect()),
        time_wait: ports(|port| port.is_multiple_of(2) && port > 45_000).without(&reserved),
        listening: ports(|port| port == 50_051),
        reusable: 12,
        reserved,
        barred,
        ..empty(32_768, 60_999)
    }
}

#[test]
fn a_pool_is_drawn_at_every_width_in_blocks_and_in_ascii() {
    let mut drawn = String::new();
    for (columns, unicode) in [(110, true), (80, true), (80, false), (40, false)] {
        let picture = text(&busy(), "prod", Look { columns, unicode, color: false });
        let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns, "{widest} columns of {columns}:\n{picture}");
        assert!(unicode || picture.is_ascii(), "{picture}");
        writeln!(drawn, "{columns} columns\n{picture}").unwrap();
    }
    assert_file("tests/output/golden/map.txt", &drawn);
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = text(&busy(), "prod", BLOCKS);
    let colored = text(&busy(), "prod", Look { color: true, ..BLOCKS });
    let mut bare = String::new();
    let mut rest = colored.as_str();
    while let Some((before, code)) = rest.split_once("\x1b[") {
        bare.push_str(before);
        rest = code.split_once('m').unwrap().1;
    }
    bare.push_str(rest);
    assert_eq!(bare, plain);
    assert!(colored.lines().all(|line| !line.contains('\x1b') || line.ends_with("\x1b[0m")), "{colored:?}");
}

#[test]
fn small_empty_and_odd_ranges_are_drawn() {
    let mut drawn = String::new();
    let one = PortMap { key: Some(connect()), barred: PortSet::from_iter([50_051]), ..empty(50_051, 50_051) };
    let udp = PortMap {
        key: Some(PoolKey::Bind { proto: Protocol::Udp, laddr: "::".parse().unwrap() }),
        first: None,
        barred: (1025..1100).collect(),
        ..empty(1024, 1999)
    };
    let widest = PortMap { reserved: (0..1024).collect(), ..empty(0, 65_535) };
    for map in [one, udp, empty(40_001, 40_010), widest] {
        drawn.push_str(&text(&map, "host", BLOCKS));
        drawn.push('\n');
    }
    assert_file("tests/output/golden/map-others.txt", &drawn);
}

#[test]
fn every_port_has_its_cell_and_no_other() {
    // One held port at a time: exactly one cell of a small range may show it.
    for port in 40_000..=40_031 {
        let map =
            PortMap { key: Some(connect()), barred: PortSet::from_iter([port]), ..empty(40_000, 40_031) };
        let picture = text(&map, "host", BLOCKS);
        let rows: Vec<&str> = picture.lines().filter(|line| line.starts_with("  40")).collect();
        let row = rows[usize::from(port % 2)];
        let cells: Vec<char> = row.chars().skip(13).collect();
        assert_eq!(cells.len(), 16, "{picture}");
        assert_eq!(
            cells.iter().position(|cell| *cell == '█'),
            Some(usize::from((port - 40_000) / 2)),
            "{picture}"
        );
        assert_eq!(picture.matches('█').count(), 2, "one cell and the legend: {picture}");
    }
}
