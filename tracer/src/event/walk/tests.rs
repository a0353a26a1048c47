//! The arithmetic against a simulation of the kernel's loops, candidate by candidate.

use proptest::prelude::*;

use super::*;

/// The candidates of `__inet_hash_connect` in order, reserved ones included.
fn kernel_connect(start: u32, low: u32, high: u32, every: bool) -> Vec<u16> {
    let high = high + 1;
    let mut remaining = high - low;
    if !every && remaining > 1 {
        remaining &= !1;
    }
    let step = if every { 1 } else { 2 };
    let mut offset = start % remaining;
    if !every {
        offset &= !1;
    }
    let mut seen = Vec::new();
    loop {
        let mut port = low + offset;
        let mut i = 0;
        while i < remaining {
            if port >= high {
                port -= remaining;
            }
            seen.push(u16::try_from(port).unwrap());
            i += step;
            port += step;
        }
        if every {
            return seen;
        }
        offset += 1;
        if !(offset & 1 == 1 && remaining > 1) {
            return seen;
        }
    }
}

/// The formulas of KERNEL.md §2.2.
fn formula(start: u32, port: u32, low: u32, high: u32) -> i64 {
    let n = i64::from(high) + 1 - i64::from(low);
    let rem = if n > 1 { n & !1 } else { n };
    let s = (i64::from(start) % rem) & !1;
    let away = i64::from(port) - i64::from(low);
    if away % 2 == 0 {
        (away - s).rem_euclid(rem) / 2 + 1
    } else {
        rem / 2 + (away - s - 1).rem_euclid(rem) / 2 + 1
    }
}

fn check(start: u32, range: PortRange, step: Step, reserved: &Reserved) {
    let (low, high) = (u32::from(range.low()), u32::from(range.high()));
    let order = kernel_connect(start, low, high, step == Step::Every);
    let mut skipped = 0;
    for (index, port) in order.iter().enumerate() {
        let candidates = u32::try_from(index + 1).unwrap();
        skipped += u32::from(reserved.contains(*port));
        let got = examined(start, *port, range, step, Some(reserved));
        assert_eq!(
            got,
            Some(Examined { candidates, reserved: Some(skipped) }),
            "{start} {port} {range:?} {step:?}"
        );
        if step == Step::Parity {
            assert_eq!(
                formula(start, u32::from(*port), low, high),
                i64::from(candidates),
                "{start} {port} {range:?}"
            );
        }
    }
    let all = Examined { candidates: u32::try_from(order.len()).unwrap(), reserved: Some(skipped) };
    assert_eq!(examined_in_vain(start, range, step, Some(reserved)), all, "{start} {range:?} {step:?}");
    for port in range.low()..=range.high() {
        let meets = examined(start, port, range, step, None).is_some();
        assert_eq!(meets, order.contains(&port), "{start} {port} {range:?} {step:?}");
    }
}

#[test]
fn every_start_and_port_of_small_ranges_agrees_with_the_kernels_loop() {
    let reserved = Reserved::from_ports([3, 4, 8, 9, 10, 11, 15, 32_769, 65_535, 65_530]);
    for low in [0_u16, 1, 2, 3, 32_768, 65_500, 65_523] {
        for ports in 1..=13 {
            let Some(range) = low.checked_add(ports - 1).and_then(|high| PortRange::new(low, high)) else {
                continue;
            };
            for start in (0..29).chain([u32::MAX, u32::MAX - 1, 0x8000_0000]) {
                check(start, range, Step::Parity, &reserved);
                check(start, range, Step::Every, &reserved);
            }
        }
    }
}

#[test]
fn the_default_range_agrees_at_both_ends() {
    let range = PortRange::new(32_768, 60_999).unwrap();
    let first = |start, port| examined(start, port, range, Step::Parity, None).unwrap().candidates;
    assert_eq!(
        (first(0, 32_768), first(0, 60_998), first(0, 32_769), first(0, 60_999)),
        (1, 14_116, 14_117, 28_232)
    );
    assert_eq!((first(28_230, 60_998), first(28_230, 32_768), first(28_231, 60_999)), (1, 2, 14_117));
}

#[test]
fn a_port_outside_the_range_was_never_a_candidate() {
    let range = PortRange::new(100, 200).unwrap();
    for port in [0, 99, 201, u16::MAX] {
        assert_eq!(examined(5, port, range, Step::Parity, None), None);
        assert_eq!(examined(5, port, range, Step::Every, None), None);
    }
}

#[test]
fn a_range_of_three_never_reaches_its_last_port() {
    let range = PortRange::new(100, 102).unwrap();
    for start in 0..9 {
        assert_eq!(examined(start, 102, range, Step::Parity, None), None);
        assert_eq!(examined_in_vain(start, range, Step::Parity, None).candidates, 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_range_agrees_with_the_kernels_loop(
        start in any::<u32>(), low in any::<u16>(), ports in 1_u16..600, every in any::<bool>(),
        holes in proptest::collection::vec((0_u16..700, 1_u16..40), 0..4),
    ) {
        let range = PortRange::new(low, low.saturating_add(ports - 1)).unwrap();
        let reserved = Reserved::from_ports(holes.into_iter().flat_map(|(at, count)| {
            (0..count).filter_map(move |more| low.checked_add(at)?.checked_add(more))
        }));
        check(start, range, if every { Step::Every } else { Step::Parity }, &reserved);
    }
}
