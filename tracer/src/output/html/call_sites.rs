//! From where in their code processes ask for ports.

use super::parts::{Cell, Section, Table, columns, shown};
use crate::output::{
    records::{CallSiteRecord, CallSitesRecord},
    report::{frame_text, grouped, share, unnamed_reason},
};

/// Sites that are shown.
const MOST_SITES: usize = 25;
/// Frames of each.
const MOST_FRAMES: usize = 8;

/// The section; none where no stacks were taken.
pub(super) fn section(found: Option<&CallSitesRecord>) -> Option<Section> {
    let found = found?;
    let beyond = found.sites.iter().skip(MOST_SITES).map(|site| site.count).sum::<u64>();
    let others = found.others.saturating_add(beyond);
    let table = Table {
        id: "sites",
        caption: "Call sites, refusals first; innermost frame first".to_owned(),
        columns: columns(&["Process", "Call", "Stack"], &["Calls", "Share"]),
        rows: found.sites.iter().take(MOST_SITES).map(row).collect(),
        note: (others != 0)
            .then(|| format!("{} calls came from further sites (-o json has more).", grouped(others))),
        ..Table::default()
    };
    let none = "No stack was taken of any call.".to_owned();
    Some(Section {
        id: "stacks",
        title: "Where the code asks",
        sentences: if table.rows.is_empty() { vec![none] } else { Vec::new() },
        tables: if table.rows.is_empty() { Vec::new() } else { vec![table] },
        ..Section::default()
    })
}

fn row(site: &CallSiteRecord) -> Vec<Cell> {
    let process = Cell::name(&format!("{}({})", site.comm, site.pid)).below(site.exe.as_deref().map(shown));
    let named = if site.port_named { ", port named" } else { "" };
    let call = Cell::name(&format!("{}{named}", site.site)).below(site.error.as_deref().map(shown));
    let mut frames: Vec<String> =
        site.frames.iter().take(MOST_FRAMES).map(|frame| shown(&frame_text(frame))).collect();
    frames.extend(site.unnamed.as_deref().map(|why| unnamed_reason(why).to_owned()));
    let mut frames = frames.into_iter();
    let stack = Cell { text: frames.next().unwrap_or_default(), small: frames.collect(), ..Cell::default() };
    let count = Cell::number(grouped(site.count));
    vec![process, call, stack, count, Cell::number(share(Some(site.share)))]
}
