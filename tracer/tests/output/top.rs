//! The screens of `top` over a made-up host, against committed files, and names that strangers chose.

use std::{collections::BTreeMap, sync::Arc};

use portscope::{
    event::{Port, PortRange, Protocol},
    output::records::{
        Accounting, CommandRecord, FindingRecord, ForecastRecord, HalfRecord, HalvesRecord, LineRecord,
        PoolHolderRecord, PoolRecord, ProcessRecord, Report, RowRecord, SearchTimes,
    },
    stock::{Parity, PoolKey, PortMap, PortSet},
    tui::{
        Commanded, EventRow, Look, Picture, PoolId, Rate, Screen, Seen, Ui, Victim, Victims, View, draw,
        frame,
    },
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent},
    style::{Color, Modifier},
};

use crate::{golden::assert_file, report};

const HOST: u32 = 4_026_531_840;
const SHOP: u32 = 4_026_532_200;

fn holder(comm: &str, pid: u32, ports: u32, time_wait: u32) -> PoolHolderRecord {
    PoolHolderRecord {
        pid: Some(pid),
        processes: 1,
        comm: Some(comm.to_owned()),
        exe: None,
        unit: None,
        container: None,
        pod: None,
        ports,
        time_wait,
    }
}

/// A pool that is full and refuses.
fn full() -> PoolRecord {
    let forecast = ForecastRecord {
        estimate: Some(0.0),
        low: Some(0.0),
        high: Some(0.0),
        levels_off_at: None,
        basis: "stock".to_owned(),
    };
    PoolRecord {
        netns: SHOP,
        range: [40_000, 40_999],
        effective: 1_000,
        utilisation: Some(1.0),
        held: BTreeMap::from([("ESTABLISHED".to_owned(), 700), ("TIME_WAIT".to_owned(), 300)]),
        halves: Some(HalvesRecord {
            first: "even".to_owned(),
            even: HalfRecord { of: 500, barred: 500 },
            odd: HalfRecord { of: 500, barred: 500 },
        }),
        failures: Some(116),
        exhausted_in_s: Some(forecast),
        holders: vec![holder("php-fpm", 812, 700, 0), holder("curl", 9_001, 300, 300)],
        ..report::pool(1_000)
    }
}

/// One that is on its way.
pub(crate) fn filling() -> PoolRecord {
    PoolRecord {
        local_addr: "2001:db8::17".parse().unwrap(),
        remote_addr: Some("2001:db8:9::2".parse().unwrap()),
        remote_port: Some(443),
        halves: Some(HalvesRecord {
            first: "even".to_owned(),
            even: HalfRecord { of: 14_116, barred: 14_116 },
            odd: HalfRecord { of: 14_116, barred: 1_500 },
        }),
        exhausted_in_s: Some(ForecastRecord {
            estimate: Some(312.0),
            low: Some(200.0),
            high: Some(500.0),
            levels_off_at: None,
            basis: "two stocks".to_owned(),
        }),
        holders: vec![holder("envoy", 77, 15_616, 0)],
        ..report::pool(15_616)
    }
}

fn bind() -> PoolRecord {
    PoolRecord {
        remote_addr: None,
        remote_port: None,
        local_addr: "0.0.0.0".parse().unwrap(),
        ..report::pool(42)
    }
}

fn finding() -> FindingRecord {
    let line = |label: &str, text: &str| LineRecord { label: label.to_owned(), text: text.to_owned() };
    FindingRecord {
        id: "PS001".to_owned(),
        severity: "critical".to_owned(),
        lint: false,
        takes_in: Vec::new(),
        title: "10.0.3.14 > 10.0.9.2:6379: 116 of 6,110 connects refused (EADDRNOTAVAIL)".to_owned(),
        evidence: BTreeMap::new(),
        lines: vec![
            line("held by", "1,000 of 1,000: 700 ESTAB, 300 TIME_WAIT; php-fpm 70.0 %, curl 30.0 %"),
            line("refused to", "php-fpm 116; other destinations fine (next fullest 55.3 %)"),
            line(
                "why",
                "611/s asked, 1,000 ports are all that one destination can have at once from one address",
            ),
        ],
        advice: vec!["keep connections open (pool, keep-alive) in php-fpm".to_owned()],
        wont_help: Vec::new(),
        commands: vec![CommandRecord {
            netns: Some(SHOP),
            run: "nsenter --net=/run/netns/shop sysctl -w net.ipv4.ip_local_port_range=\"15000 60999\""
                .to_owned(),
            persist: None,
            undo: Some(
                "nsenter --net=/run/netns/shop sysctl -w net.ipv4.ip_local_port_range=\"40000 40999\""
                    .to_owned(),
            ),
            risk: None,
        }],
    }
}

fn process(comm: &str, pid: Option<u32>, allocations: u64, failures: u64) -> ProcessRecord {
    ProcessRecord {
        pid,
        processes: if pid.is_some() { 1 } else { 12 },
        comm: Some(comm.to_owned()),
        exe: None,
        unit: pid.is_none().then(|| "cron.service".to_owned()),
        container: None,
        pod: None,
        row: RowRecord {
            allocations,
            failures,
            churn_mean: Some(60.0),
            churn_peak: 90,
            distinct_ports: Some(700),
            search_ns: SearchTimes::default(),
            ..RowRecord::default()
        },
        bound_connects: 0,
        time_wait_made: None,
    }
}

fn event(failed: bool, comm: &str) -> EventRow {
    let ret = if failed { "EADDRNOTAVAIL" } else { "ok" };
    let port = if failed { "*" } else { "40132" };
    let cells = [
        "12:00:01.250",
        "812",
        comm,
        "4026532200",
        "tcp",
        "connect",
        "10.0.3.14",
        port,
        "10.0.9.2",
        "6379",
        ret,
        "40.1",
        "500",
        "-",
    ];
    EventRow { cells: cells.map(str::to_owned).to_vec(), failed }
}

fn picture(pool: &PoolRecord) -> Picture {
    let map = PortMap {
        key: Some(PoolKey::Connect {
            proto: Protocol::Tcp,
            laddr: pool.local_addr,
            raddr: pool.remote_addr.unwrap(),
            rport: Port::new(pool.remote_port.unwrap()).unwrap(),
        }),
        range: PortRange::new(40_000, 40_999).unwrap(),
        first: Some(Parity::Even),
        reserved: PortSet::default(),
        barred: (40_000..=40_999).collect(),
        time_wait: (40_700..=40_999).collect(),
        reusable: 0,
        listening: PortSet::default(),
    };
    Picture { pool: PoolId::of(pool), map }
}

fn view_of(report: Report) -> View {
    let pool = full();
    let victims = Victims {
        pool: PoolId::of(&pool),
        error: Some("EADDRNOTAVAIL".to_owned()),
        count: 116,
        attempts: 6_110,
        rows: vec![Victim { name: "php-fpm (pid 812)".to_owned(), count: 116 }],
    };
    View {
        report: Some(Arc::new(report)),
        seen: Arc::new(Seen {
            names: BTreeMap::from([(HOST, "host".to_owned()), (SHOP, "shop".to_owned())]),
            victims: vec![victims],
            picture: Some(picture(&pool)),
        }),
        rates: (0..60)
            .map(|at| Rate { asked: 600 + at % 7, refused: if at < 40 { 0 } else { at - 39 } })
            .collect(),
        accounting: Accounting {
            seen: 12_345,
            emitted: 12_000,
            filtered: 300,
            lost: 45,
            missed: Some(0),
            kernel_ns: None,
            inner_calls: None,
            inner_missed: None,
        },
        time: "12:00:02".to_owned(),
        age_s: 0,
        events: (0..100).map(|at| event(at % 9 == 4, "php-fpm")).collect(),
        command: None,
        played: None,
    }
}

pub(crate) fn exhausted() -> View {
    let report = report::report("EXHAUSTED", Some("PS001"), vec![full(), filling(), bind()]);
    view_of(Report {
        findings: vec![
            finding(),
            FindingRecord {
                title: "10.0.3.15 > 10.0.9.9:443: 7 of 90 connects refused".to_owned(),
                ..finding()
            },
        ],
        processes: vec![process("php-fpm", Some(812), 5_000, 116), process("curl", None, 1_110, 0)],
        ..report
    })
}

pub(crate) fn ui(columns: u16, rows: u16) -> Ui {
    Ui::new(Look { color: true, unicode: true }, (columns, rows))
}

fn golden(name: &str, view: &View, ui: &Ui) {
    let text = frame(view, ui);
    for line in text.lines() {
        assert!(line.chars().count() <= ui.size.0.into(), "{line}");
    }
    assert!(text.lines().count() <= ui.size.1.into(), "{text}");
    assert_file(&format!("tests/output/golden/top-{name}.txt"), &text);
}

#[test]
fn the_first_screen_in_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (20, 5)] {
        golden(&format!("{columns}x{rows}"), &exhausted(), &ui(columns, rows));
    }
}

#[test]
fn the_other_screens() {
    let view = exhausted();
    golden("pools", &view, &Ui { screen: Screen::Pools, ..ui(110, 24) });
    golden("pool", &view, &Ui { screen: Screen::Pools, opened: Some(PoolId::of(&full())), ..ui(110, 40) });
    golden("events", &view, &Ui { screen: Screen::Events, paused: true, ..ui(80, 24) });
    golden("help", &view, &Ui { help: true, ..ui(80, 24) });
    golden("text", &view, &Ui { plain: true, ..Ui::new(Look::default(), (110, 40)) });
    golden("idle", &view_of(report::report("OK", None, Vec::new())), &ui(80, 24));
    golden("first", &View::default(), &ui(80, 24));
}

#[test]
fn a_command_beside_it_is_told_with_its_output_and_what_q_does() {
    let told = |is_interrupted| {
        let command =
            Commanded { name: "a\x1b[2Jb".to_owned(), output: "/tmp/x.log".to_owned(), is_interrupted };
        frame(&View { command: Some(command), ..exhausted() }, &ui(200, 60))
    };
    assert!(told(false).contains("output in /tmp/x.log") && told(false).contains("q End the command"));
    let interrupted = told(true);
    assert!(interrupted.contains("was interrupted and has not ended; q again leaves it alone"));
    assert!(!interrupted.contains('\x1b'), "{interrupted}");
}

fn every_ui(columns: u16, rows: u16) -> Vec<Ui> {
    let opened = Some(PoolId::of(&full()));
    let all = [
        ui(columns, rows),
        Ui { screen: Screen::Pools, ..ui(columns, rows) },
        Ui { screen: Screen::Pools, opened, scroll: 7, ..ui(columns, rows) },
        Ui { screen: Screen::Events, back: 3, ..ui(columns, rows) },
        Ui { help: true, ..ui(columns, rows) },
        Ui {
            prompt: Some(portscope::tui::Prompt { text: "pid=x".to_owned(), error: Some("no".to_owned()) }),
            ..ui(columns, rows)
        },
    ];
    all.to_vec()
}

#[test]
fn every_size_is_drawn_and_the_smallest_say_so() {
    let view = exhausted();
    for columns in [1, 2, 5, 9, 11, 12, 13, 20, 33, 59, 60, 79, 81, 300] {
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 23, 100] {
            for mut ui in every_ui(columns, rows) {
                let drawn = frame(&view, &ui);
                assert!(!drawn.trim().is_empty(), "{columns}x{rows}");
                for code in [KeyCode::PageDown, KeyCode::End, KeyCode::Up, KeyCode::Home] {
                    ui.key(KeyEvent::from(code), &view);
                }
            }
        }
    }
    assert_eq!(frame(&view, &ui(11, 9)), "too small\n");
}

#[test]
fn colours_are_those_of_the_terminal_and_no_background_is_set() {
    let look = |color| {
        let mut terminal = Terminal::new(TestBackend::new(120, 40)).unwrap();
        let view = exhausted();
        let ui = Ui { look: Look { color, unicode: true }, ..ui(120, 40) };
        terminal.draw(|frame| draw(frame, &view, &ui)).unwrap();
        terminal.backend().buffer().clone()
    };
    let (colored, plain) = (look(true), look(false));
    assert_eq!(colored[(1, 0)].fg, Color::Red);
    assert!(colored[(1, 0)].modifier.contains(Modifier::REVERSED));
    assert!(colored.content.iter().all(|cell| cell.bg == Color::Reset));
    assert!(
        !colored
            .content
            .iter()
            .any(|cell| matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_) | Color::White | Color::Black))
    );
    assert!(plain.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
    assert!(plain[(1, 0)].modifier.contains(Modifier::REVERSED));
    assert!(plain.content.iter().zip(&colored.content).all(|(one, other)| one.symbol() == other.symbol()));
}

#[test]
fn names_that_strangers_chose_are_shown_and_break_nothing() {
    let script = "<script>alert(1)</script>";
    for hostile in ["\x1b[2J\x1b[31mgone", "a\r\nb\tc", "\u{9b}31m", "\u{202e}evil", script] {
        let pool = PoolRecord { holders: vec![holder(hostile, 1, 1_000, 0)], ..full() };
        let mut finding = finding();
        hostile.clone_into(&mut finding.title);
        hostile.clone_into(&mut finding.lines[0].text);
        hostile.clone_into(&mut finding.advice[0]);
        hostile.clone_into(&mut finding.commands[0].run);
        let mut report = report::report("EXHAUSTED", None, vec![pool]);
        hostile.clone_into(&mut report.verdict.reason);
        hostile.clone_into(&mut report.header.host);
        report.findings = vec![finding];
        report.processes = vec![process(hostile, None, 9, 9)];
        report.processes[0].unit = Some(hostile.to_owned());
        let mut view = view_of(report);
        view.seen = Arc::new(Seen {
            names: BTreeMap::from([(HOST, hostile.to_owned()), (SHOP, hostile.to_owned())]),
            ..(*view.seen).clone()
        });
        let mut drawn = Vec::new();
        for mut ui in every_ui(200, 60) {
            for letter in hostile.chars().filter(|letter| !letter.is_control()) {
                ui.prompt.get_or_insert_default().text.push(letter);
            }
            drawn.push(frame(&view, &ui));
            let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
            terminal.draw(|frame| draw(frame, &view, &ui)).unwrap();
            let cells = &terminal.backend().buffer().content;
            let bad = |letter: char| letter.is_control() || letter == '\u{202e}';
            assert!(!cells.iter().any(|cell| cell.symbol().contains(bad)), "{hostile:?}");
        }
        let shown = if hostile == script { script } else { "\\" };
        assert!(drawn[0].contains(shown) && drawn[1].contains(shown), "{hostile:?}: {}", drawn[0]);
    }
}
