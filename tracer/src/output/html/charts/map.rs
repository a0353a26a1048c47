//! The range of the fullest pool as a picture: each half by itself, a cell for some ports.

use super::{
    super::parts::{Cell as TableCell, Chart, Entry, Key, Section, Table, columns, told},
    canvas::WIDTH,
};
use crate::{
    output::{
        map::{Cell, cells, half_told, halves, ports_each, title},
        report::grouped,
        screen::put,
    },
    stock::PortMap,
};

/// Pixels of a cell, its gap included.
const SIDE: u32 = 12;
/// Where the cells begin: left of them stands the first port of the row.
const LEFT: u32 = 64;
/// Cells of a row, and rows of a half.
const ACROSS: usize = 72;
const ROWS: usize = 8;

pub(super) fn add(section: &mut Section, netns: &str, map: &PortMap) {
    section.sentences.push(told(&title(map, netns)));
    // Hundreds of free cells say no more than that sentence.
    if map.key.is_none() && map.reserved.is_empty() && map.listening.is_empty() {
        return;
    }
    let halves = halves(map);
    let each = ports_each(map, ACROSS * ROWS);
    let (mut body, mut top) = (String::new(), 0);
    let mut numbers = Vec::new();
    let mut drawn = Drawn::default();
    for half in &halves {
        let (label, told) = half_told(map, *half);
        top += 16;
        put(&mut body, &format!("<text x=\"0\" y=\"{}\">{label}: {told}</text>", top - 2));
        top += 4;
        for (at, row) in cells(map, *half, each).chunks(ACROSS).enumerate() {
            // Letters are taller than cells.
            if let Some((first, _)) = row.first().filter(|_| at % 2 == 0) {
                let place = (LEFT - 8, top + 10);
                put(
                    &mut body,
                    &format!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{first}</text>", place.0, place.1),
                );
            }
            for (at, (_, cell)) in (0..).zip(row) {
                drawn.add(*cell, LEFT + at * SIDE, top);
            }
            top += SIDE;
        }
        top += 10;
        numbers.push(vec![TableCell::name(&label), TableCell::name(&told)]);
    }
    body.push_str(&drawn.svg());
    let ports = match (each, map.first.is_some()) {
        (1, true) => "one port of its half".to_owned(),
        (1, false) => "one port".to_owned(),
        (each, true) => format!("{} ports of its half", grouped(each)),
        (each, false) => format!("{} ports", grouped(each)),
    };
    let entry = |key, text: &str| Entry { key, text: text.to_owned() };
    section.charts.push(Chart {
        id: "map",
        title: format!("Who holds the range: a cell is {ports}"),
        description: told(&title(map, netns)),
        legend: vec![
            entry(Key::Free, "free"),
            entry(Key::Live, "held (the darker the more)"),
            entry(Key::TimeWait, "held, mostly by TIME_WAIT (striped)"),
            entry(Key::Listener, "has a listener (framed)"),
            entry(Key::Hatch, "reserved (hatched)"),
        ],
        width: WIDTH,
        height: top,
        body,
    });
    section.folded.push(Table {
        id: "halves",
        caption: "The numbers of the map".to_owned(),
        columns: columns(&["Half", "Ports"], &[]),
        rows: numbers,
        ..Table::default()
    });
}

/// The cells by how they look: a path for each look is far smaller than an element for each cell.
#[derive(Default)]
struct Drawn {
    free: String,
    reserved: String,
    listening: String,
    live: [String; 4],
    waiting: [String; 4],
    stripes: String,
}

impl Drawn {
    fn add(&mut self, cell: Cell, left: u32, top: u32) {
        let square = format!("M{left} {top}h10v10h-10z");
        let level = |level: u8| usize::from(level.clamp(1, 4) - 1);
        match cell {
            Cell::Free => self.free.push_str(&square),
            Cell::Reserved => self.reserved.push_str(&square),
            Cell::Listening => put(&mut self.listening, &format!("M{} {}h8v8h-8z", left + 1, top + 1)),
            Cell::Live(held) => {
                self.live.get_mut(level(held)).into_iter().for_each(|all| all.push_str(&square));
            }
            Cell::TimeWait(held) => {
                self.waiting.get_mut(level(held)).into_iter().for_each(|all| all.push_str(&square));
                put(&mut self.stripes, &format!("M{left} {}h10", top + 5));
            }
        }
    }

    fn svg(&self) -> String {
        let one = |class: &str, path: &str| match path {
            "" => String::new(),
            path => format!("<path class=\"{class}\" d=\"{path}\"/>"),
        };
        let mut all =
            one("cell", &self.free) + &one("reserved", &self.reserved) + &one("listen", &self.listening);
        for (level, (live, waiting)) in (1..).zip(self.live.iter().zip(&self.waiting)) {
            all += &one(&format!("live l{level}"), live);
            all += &one(&format!("wait l{level}"), waiting);
        }
        all + &one("stripe", &self.stripes)
    }
}
