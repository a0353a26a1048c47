//! The accounts, and what was set how.

use super::{
    Exhibits,
    parts::{Cell, Section, Table, columns, shown, told},
};
use crate::output::{
    closing,
    records::{Report, SpaceRecord},
    report::grouped,
};

/// Namespaces that are shown.
const MOST_SPACES: usize = 50;
/// What stands for what is not known.
const UNKNOWN: &str = "-";

pub(super) fn accounts(report: &Report) -> Section {
    let accounts = &report.accounting;
    let row = |name: &str, count: Option<u64>, what: &str| {
        vec![
            Cell::name(name),
            Cell::number(count.map_or_else(|| UNKNOWN.to_owned(), grouped)),
            Cell::name(what),
        ]
    };
    let mut columns = columns(&["Events", "", "What they are"], &[]);
    if let Some(count) = columns.get_mut(1) {
        (count.title, count.number) = ("Count", true);
    }
    let sums = accounts.emitted.saturating_add(accounts.filtered).saturating_add(accounts.lost);
    let closed = if sums == accounts.seen { "The accounts close" } else { "The accounts do not close" };
    Section {
        id: "accounts",
        title: "What was counted",
        sentences: vec![format!(
            "{closed}: seen {} = emitted {} + filtered {} + lost {}.",
            grouped(accounts.seen),
            grouped(accounts.emitted),
            grouped(accounts.filtered),
            grouped(accounts.lost),
        )],
        tables: vec![Table {
            id: "accounting",
            caption: "Events".to_owned(),
            columns,
            rows: vec![
                row("seen", Some(accounts.seen), "what the kernel half saw"),
                row("emitted", Some(accounts.emitted), "counted with their detail"),
                row("filtered", Some(accounts.filtered), "kept out by a filter"),
                row("lost", Some(accounts.lost), "only their count remains"),
                row(
                    "missed",
                    accounts.missed,
                    "choices that were not seen, at most; - where the kernel does not tell",
                ),
            ],
            ..Table::default()
        }],
        ..Section::default()
    }
}

pub(super) fn section(report: &Report, exhibits: &Exhibits) -> Section {
    let more = exhibits.spaces.len().saturating_sub(MOST_SPACES);
    Section {
        id: "settings",
        title: "How it was set",
        tables: vec![
            Table {
                id: "netns",
                caption: "Network namespaces at the end".to_owned(),
                sorts: true,
                columns: columns(
                    &["Namespace", "Range", "Reserved"],
                    &["Usable", "tw reuse", "time stamps", "fin timeout", "max tw buckets", "TIME WAITs"],
                ),
                rows: exhibits.spaces.iter().take(MOST_SPACES).map(space).collect(),
                note: Some(notes(more)),
                ..Table::default()
            },
            tracing(report),
        ],
        ..Section::default()
    }
}

fn notes(more: usize) -> String {
    let more =
        if more == 0 { String::new() } else { format!("{more} more namespaces (check -o json has them). ") };
    format!(
        "{more}The settings are tcp_tw_reuse with tcp_tw_reuse_delay, tcp_timestamps, tcp_fin_timeout and \
         tcp_max_tw_buckets; - where the kernel has none."
    )
}

fn space(space: &SpaceRecord) -> Vec<Cell> {
    let state = &space.state;
    let number = |number: Option<u32>| Cell::number(number.map_or_else(|| UNKNOWN.to_owned(), grouped));
    let unit = |number: Option<u32>, unit: &str| {
        let text = number.map_or_else(|| UNKNOWN.to_owned(), |number| format!("{} {unit}", grouped(number)));
        Cell::measure(text, number.map(f64::from))
    };
    let range = state.range.map_or_else(|| UNKNOWN.to_owned(), |[low, high]| format!("{low}-{high}"));
    vec![
        Cell::name(&space.label).below(Some(format!("net:[{}]", state.id))),
        Cell::name(&range),
        Cell::name(state.reserved.as_deref().filter(|list| !list.is_empty()).unwrap_or("none")),
        number(state.effective),
        number(space.state.tcp_tw_reuse)
            .below(space.state.tcp_tw_reuse_delay_ms.map(|delay| format!("after {} ms", grouped(delay)))),
        number(space.state.tcp_timestamps),
        unit(space.tcp_fin_timeout_s, "s"),
        number(space.tcp_max_tw_buckets),
        Cell::number(space.time_waits.map_or_else(|| UNKNOWN.to_owned(), grouped)),
    ]
}

fn tracing(report: &Report) -> Table {
    let header = &report.header;
    let list = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let hooks = header.hooks.iter().filter(|hook| hook.reason.is_some()).map(|hook| {
        format!("{}: {} ({})", hook.hook, hook.verdict, hook.reason.as_deref().unwrap_or_default())
    });
    let facts = [
        ("portscope", header.version.clone()),
        ("kernel", header.kernel.clone()),
        ("boot id", header.boot_id.clone().unwrap_or_else(|| UNKNOWN.to_owned())),
        ("backend", header.backend.clone()),
        ("not seen by it", list(&header.fields_unavailable)),
        ("bounds or estimates", list(&header.fields_approximate)),
        ("filters", list(&header.filters_given())),
        ("hooks that are not attached", list(&hooks.collect::<Vec<_>>())),
        ("ring", format!("{} bytes", grouped(header.buffer_bytes))),
        (
            "own cost",
            closing::cost(&report.cost, report.accounting.seen).unwrap_or_else(|| UNKNOWN.to_owned()),
        ),
    ];
    Table {
        id: "tracing",
        caption: "Tracing".to_owned(),
        columns: columns(&["What", "Value"], &[]),
        rows: facts
            .into_iter()
            .map(|(name, value)| vec![Cell::name(name), Cell { text: told(&value), ..Cell::default() }])
            .collect(),
        note: report.command.as_ref().map(|command| {
            let status =
                command.status.map_or_else(|| "it runs".to_owned(), |status| format!("status {status}"));
            format!("The command {} ended: {status}.", shown(&command.name))
        }),
        ..Table::default()
    }
}
