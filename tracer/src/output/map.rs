//! A picture of a range of ports: which of them a pool holds, each half by itself, a cell for some ports.

pub use super::screen::LABEL;
use super::{
    report::{grouped, share},
    screen::{line_within, put},
};
use crate::{
    event::PortRange,
    stock::{Parity, PoolKey, PortMap},
};

/// Columns that no map exceeds.
pub const MOST_COLUMNS: usize = 110;
/// Columns that every map may have.
const FEWEST_COLUMNS: usize = 40;
/// Rows of a half.
const ROWS: usize = 5;
/// Cells of a row come in groups of this size.
const GROUP: usize = 8;

/// How the picture looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal.
    pub columns: usize,
    /// Blocks; without it the letters of ASCII.
    pub unicode: bool,
    /// Colour tells live ports from TIME_WAIT, beside the shape.
    pub color: bool,
}

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// No port of it is ever given.
    Reserved,
    /// Somebody listens on one of its ports.
    Listening,
    Free,
    /// Held, most of it by live sockets: a quarter, a half, more, all.
    Live(u8),
    /// Held, most of it by TIME_WAITs.
    TimeWait(u8),
}

impl Cell {
    fn of(map: &PortMap, ports: PortRange, parity: Option<Parity>) -> Self {
        let all = ports_of(ports, parity);
        let usable = all - map.reserved.count_in(ports, parity);
        let (held, waiting) = (map.barred.count_in(ports, parity), map.time_wait.count_in(ports, parity));
        let level = match (held * 4).div_ceil(usable.max(1)) {
            _ if held == usable => 4,
            quarters => u8::try_from(quarters.clamp(1, 3)).unwrap_or(3),
        };
        if map.listening.count_in(ports, parity) != 0 {
            Self::Listening
        } else if usable == 0 {
            Self::Reserved
        } else if held == 0 {
            Self::Free
        } else if waiting * 2 > held {
            Self::TimeWait(level)
        } else {
            Self::Live(level)
        }
    }

    fn letter(self, unicode: bool) -> char {
        let (free, live, waiting) = if unicode {
            ('·', ['░', '▒', '▓', '█'], ['▁', '▃', '▅', '▇'])
        } else {
            ('.', [':', '+', '*', '#'], ['1', '2', '3', '4'])
        };
        let at = |levels: [char; 4], level: u8| {
            levels.get(usize::from(level.saturating_sub(1))).copied().unwrap_or('?')
        };
        match self {
            Self::Reserved => 'r',
            Self::Listening => 'L',
            Self::Free => free,
            Self::Live(level) => at(live, level),
            Self::TimeWait(level) => at(waiting, level),
        }
    }

    /// `SGR` parameters of ECMA-48.
    const fn paint(self) -> u8 {
        match self {
            Self::Reserved | Self::Free => 2,
            Self::Listening => 35,
            Self::Live(_) => 36,
            Self::TimeWait(_) => 33,
        }
    }
}

/// Ports of a parity in a range.
fn ports_of(ports: PortRange, parity: Option<Parity>) -> u32 {
    let all = u32::from(ports.high() - ports.low()) + 1;
    match parity {
        None => all,
        Some(parity) if Parity::of(ports.low()) == parity => all.div_ceil(2),
        Some(_) => all / 2,
    }
}

/// The picture. `netns` is what to call the namespace.
#[must_use]
pub fn text(map: &PortMap, netns: &str, look: Look) -> String {
    let width = look.columns.clamp(FEWEST_COLUMNS, MOST_COLUMNS);
    let mut out = String::new();
    line_within(&mut out, "map", &title(map, netns), width);
    let columns = (width - LABEL) / GROUP * GROUP;
    let each = ports_each(map, columns * ROWS);
    for half in halves(map) {
        let (label, told) = half_told(map, half);
        line_within(&mut out, &label, &told, width);
        rows(&mut out, &cells(map, half, each), columns, look);
    }
    line_within(&mut out, "a cell", &legend(each, map.first.is_some(), look.unicode), width);
    out
}

/// The halves, the one first that is taken first; all in one where a search knows none.
pub(super) fn halves(map: &PortMap) -> Vec<Option<Parity>> {
    match map.first {
        None => vec![None],
        Some(first) => vec![Some(first), Some(first.other())],
    }
}

/// Ports of a half for each of so many cells: a power of two.
pub(super) fn ports_each(map: &PortMap, cells: usize) -> u32 {
    let most = halves(map).into_iter().map(|half| ports_of(map.range, half)).max().unwrap_or(0);
    let room = u32::try_from(cells).unwrap_or(u32::MAX).max(1);
    most.div_ceil(room).next_power_of_two()
}

/// The cells of a half, each with its first port.
pub(super) fn cells(map: &PortMap, half: Option<Parity>, each: u32) -> Vec<(u32, Cell)> {
    let stride = if half.is_some() { 2 } else { 1 };
    let (low, high) = (u32::from(map.range.low()), u32::from(map.range.high()));
    let mut cells = Vec::new();
    // The first port of the half; a range of one port has but one half.
    let mut next = low + u32::from(half.is_some_and(|half| Parity::of(map.range.low()) != half));
    while next <= high {
        let last = (next + each * stride - 1).min(high);
        let ports = u16::try_from(next).ok().zip(u16::try_from(last).ok());
        let Some(ports) = ports.and_then(|(first, last)| PortRange::new(first, last)) else { break };
        cells.push((next, Cell::of(map, ports, half)));
        next = last + 1;
    }
    cells
}

/// What the map is of, in a line.
pub(super) fn title(map: &PortMap, netns: &str) -> String {
    let range = format!("{}-{}", map.range.low(), map.range.high());
    let Some(key) = map.key else {
        return format!("no pool of netns {netns} holds a port of {range}");
    };
    let pool = match key {
        PoolKey::Connect { laddr, raddr, rport, .. } => {
            format!("{laddr} > {}", std::net::SocketAddr::new(raddr, rport.get()))
        }
        PoolKey::Bind { proto, laddr } => format!("{} bind, {laddr}", proto.name()),
    };
    let (held, waiting) = (map.barred.count(), map.time_wait.count());
    let usable = ports_of(map.range, None) - map.reserved.count();
    let mut told = format!(
        "{pool} in netns {netns}, {range}: {} of {} held, {} by TIME_WAIT; {} reserved",
        grouped(held),
        grouped(usable),
        grouped(waiting),
        grouped(map.reserved.count()),
    );
    if map.reusable != 0 {
        let more = grouped(map.reusable);
        put(&mut told, &format!("; {more} more in a TIME_WAIT that may be taken over at once, free here"));
    }
    told
}

/// A half with its numbers.
pub(super) fn half_told(map: &PortMap, half: Option<Parity>) -> (String, String) {
    let usable = ports_of(map.range, half) - map.reserved.count_in(map.range, half);
    let held = map.barred.count_in(map.range, half);
    let waiting = map.time_wait.count_in(map.range, half);
    let part = (usable != 0).then(|| f64::from(held) / f64::from(usable));
    let told = format!(
        "{} of {} held ({}): {} live, {} TIME_WAIT",
        grouped(held),
        grouped(usable),
        share(part),
        grouped(held - waiting),
        grouped(waiting),
    );
    let label = match half {
        None => "all ports".to_owned(),
        Some(half) if Some(half) == map.first => format!("{} (first)", half.name()),
        Some(half) => half.name().to_owned(),
    };
    (label, told)
}

fn rows(out: &mut String, cells: &[(u32, Cell)], columns: usize, look: Look) {
    for row in cells.chunks(columns) {
        let Some((first, _)) = row.first() else { break };
        put(out, &format!("  {first:<gap$}", gap = LABEL - 2));
        let mut paint = None;
        for (_, cell) in row {
            if look.color && paint != Some(cell.paint()) {
                put(out, &format!("\x1b[0;{}m", cell.paint()));
                paint = Some(cell.paint());
            }
            out.push(cell.letter(look.unicode));
        }
        put(out, if paint.is_some() { "\x1b[0m\n" } else { "\n" });
    }
}

fn legend(each: u32, halves: bool, unicode: bool) -> String {
    let levels =
        |cell: fn(u8) -> Cell| -> Vec<char> { (1..=4).map(|level| cell(level).letter(unicode)).collect() };
    let (live, waiting) = (levels(Cell::Live), levels(Cell::TimeWait));
    let held = |marks: &[char]| match marks {
        [quarter, half, more, all] => format!("{quarter} up to 25 %, {half} 50 %, {more} more, {all} all"),
        _ => String::new(),
    };
    let ports = match (each, halves) {
        (1, true) => "1 port of its half".to_owned(),
        (1, false) => "1 port".to_owned(),
        (each, true) => format!("{} ports of its half", grouped(each)),
        (each, false) => format!("{} ports", grouped(each)),
    };
    format!(
        "is {ports}: {} free; held: {}; mostly by TIME_WAIT: {}; L has a listener; r is reserved",
        Cell::Free.letter(unicode),
        held(&live),
        held(&waiting),
    )
}
