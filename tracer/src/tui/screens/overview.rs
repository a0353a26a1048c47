//! The first screen: what a person under pressure must know, the most important first.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{LABEL, pools};
use crate::{
    output::{
        escape,
        records::{FindingRecord, PoolRecord, ProcessRecord, Report},
        report::{grouped, per_second, who},
    },
    tui::{
        Look, Order, Ui, View,
        look::{bold, dim},
        order,
        table::{Column, cut, fit, labelled, left, right, titles, width},
    },
};

/// From here on a pool beside the fullest one has a gauge.
const ON_ITS_WAY: f64 = 0.1;
/// Seconds that the curves show.
const MOST_SECONDS: usize = 120;
/// Rows that processes have at least, where there are so many.
const PROCESSES: usize = 4;

/// From here on there is room for the other details, too.
const ROOMY: usize = 28;

pub(super) fn lines(
    view: &View,
    report: &Report,
    ui: &Ui,
    columns: usize,
    rows: usize,
) -> Vec<Line<'static>> {
    let shown = order::pools(view, &ui.filter, Order::Share, false);
    let mut lines = Vec::new();
    let gauges = match rows {
        0..ROOMY => 1,
        ROOMY..45 => 3,
        _ => 5,
    };
    let drawn = worth_a_gauge(&shown, gauges);
    for pool in &drawn {
        lines.extend(pools::gauges(view, pool, ui.look, columns));
    }
    if shown.is_empty() {
        lines.push(Line::styled(nothing_held(report, ui), dim()));
    }
    lines.extend(rates(view, report, ui.look, columns));
    let air = rows >= ROOMY;
    let gap = |lines: &mut Vec<Line<'static>>| {
        if air {
            lines.push(Line::default());
        }
    };
    let busy: Vec<&ProcessRecord> = report.processes.iter().filter(|one| ui.filter.process(one)).collect();
    let pools_shown = if air && shown.len() > drawn.len() { shown.len().min((rows / 5).max(2)) } else { 0 };
    if !report.findings.is_empty() {
        gap(&mut lines);
        // What is below must be seen, too.
        let below = busy.len().min(PROCESSES)
            + 1
            + usize::from(air) * 2
            + pools_shown
            + usize::from(pools_shown != 0);
        let most = rows.saturating_sub(lines.len() + below).max(3);
        lines.extend(findings(report, ui.look, columns, most));
    }
    if pools_shown != 0 {
        gap(&mut lines);
        let table = pools::table(view, ui, columns);
        lines.push(titles(&table));
        lines.extend(shown.iter().take(pools_shown).map(|pool| pools::row(view, pool, ui.look, &table)));
    }
    if !busy.is_empty() {
        gap(&mut lines);
        lines.extend(processes(&busy, ui.look, columns));
    }
    lines
}

/// Pools that refuse, then the fullest for connect, then others that are on their way. What connects hold bars binds,
/// too: a pool of binds beside one of connects tells nothing new, unless it refuses.
fn worth_a_gauge<'a>(shown: &[&'a PoolRecord], most: usize) -> Vec<&'a PoolRecord> {
    let refuses = |pool: &PoolRecord| pool.failures.is_some_and(|failures| failures != 0);
    let mut ordered = shown.to_vec();
    ordered.sort_by_key(|pool| (!refuses(pool), pool.remote_addr.is_none()));
    let mut kept: Vec<&PoolRecord> = Vec::new();
    for pool in ordered {
        let is_echo = pool.remote_addr.is_none()
            && !refuses(pool)
            && kept.iter().any(|one| one.netns == pool.netns && one.proto == pool.proto);
        let matters = refuses(pool) || pool.utilisation.is_some_and(|share| share >= ON_ITS_WAY);
        if kept.is_empty() || (matters && !is_echo) {
            kept.push(pool);
        }
    }
    kept.truncate(most);
    kept
}

fn nothing_held(report: &Report, ui: &Ui) -> String {
    if !ui.filter.is_empty() {
        return "no pool is one of those that are shown; Esc shows all".to_owned();
    }
    let ranges = report.header.netns.iter().filter_map(|one| one.range);
    let ranges: Vec<String> = ranges.take(3).map(|[low, high]| format!("{low}-{high}")).collect();
    format!("no port of {} is held", if ranges.is_empty() { "a range".to_owned() } else { ranges.join(", ") })
}

/// Ports asked for and refused, second by second.
fn rates(view: &View, report: &Report, look: Look, columns: usize) -> Vec<Line<'static>> {
    let totals = &report.totals.counted;
    let asked: Vec<u32> = view.rates.iter().map(|rate| rate.asked).collect();
    let refused: Vec<u32> = view.rates.iter().map(|rate| rate.refused).collect();
    let line = |label: &str, numbers: &[u32], sum: u64, style: Style| {
        let last = numbers.last().copied();
        let most = numbers.iter().copied().max().unwrap_or(0);
        let now = fit(&per_second(last.map(f64::from)), right("", 9));
        let beside = format!("{} in {:.0} s, most {}/s", grouped(sum), report.window.seconds, grouped(most));
        let beside = fit(&cut(&beside, columns.saturating_sub(LABEL + 11)), left("", 32));
        let room = columns.saturating_sub(LABEL + 11 + width(&beside) + 1);
        let curve = look.sparkline(numbers, room.min(MOST_SECONDS));
        Line::from(vec![
            Span::styled(fit(label, left("", LABEL)), bold()),
            Span::styled(now, style),
            Span::raw("  "),
            Span::raw(beside),
            Span::styled(curve, style),
        ])
    };
    let refusing =
        if totals.failures == 0 && refused.iter().all(|one| *one == 0) { dim() } else { look.bad() };
    vec![
        line("asked for", &asked, totals.allocations, look.accent()),
        line("refused", &refused, totals.failures, refusing),
    ]
}

/// What is known to be wrong, and what to do: the verdict's own finding in full as far as there is room.
fn findings(report: &Report, look: Look, columns: usize, most: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for finding in &report.findings {
        // There may be several of one number.
        let is_verdict = lines.is_empty() && report.verdict.finding.as_deref() == Some(finding.id.as_str());
        let left = most.saturating_sub(lines.len());
        if left == 0 {
            break;
        }
        let block =
            if is_verdict { in_full(finding, look, columns) } else { in_short(finding, look, columns) };
        // A command is of no use without its end.
        let fits = if is_verdict { left } else { left.max(block.len()) };
        lines.extend(block.into_iter().take(fits));
    }
    lines
}

fn heading(finding: &FindingRecord, text: &str, look: Look, columns: usize) -> Line<'static> {
    let severity = fit(&finding.severity, left("", 9));
    Line::from(vec![
        Span::styled(fit(&escape(&finding.id), left("", LABEL)), bold()),
        Span::styled(severity, look.severity(&finding.severity)),
        Span::raw(cut(&escape(text), columns.saturating_sub(LABEL + 9))),
    ])
}

fn in_short(finding: &FindingRecord, look: Look, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![heading(finding, &finding.title, look, columns)];
    lines.extend(first_command(finding, columns));
    lines
}

/// The command that helps first, or where there is none what else does.
fn first_command(finding: &FindingRecord, columns: usize) -> Vec<Line<'static>> {
    match (finding.commands.first(), finding.advice.first()) {
        (Some(command), _) => labelled("  run", LABEL, &command.run, columns),
        (None, Some(advice)) => labelled("  do", LABEL, advice, columns),
        (None, None) => Vec::new(),
    }
}

/// The verdict says the title; what it rests on comes in the order in which it is needed.
fn in_full(finding: &FindingRecord, look: Look, columns: usize) -> Vec<Line<'static>> {
    let first =
        |label: &str| finding.lines.iter().filter(|line| line.label == label).take(1).collect::<Vec<_>>();
    let mut lines = vec![heading(finding, "what to do", look, columns)];
    lines.extend(finding.advice.iter().take(1).flat_map(|advice| labelled("  do", LABEL, advice, columns)));
    if let Some(command) = finding.commands.first() {
        lines.extend(labelled("  run", LABEL, &command.run, columns));
        lines.extend(command.undo.iter().flat_map(|undo| labelled("  undo", LABEL, undo, columns)));
    }
    let told: Vec<_> =
        ["held by", "refused to", "why", "costs", "risk"].into_iter().flat_map(first).collect();
    for line in told {
        lines.extend(labelled(&line.label, LABEL, &line.text, columns));
    }
    lines
}

fn process_columns(columns: usize) -> Vec<Column> {
    let mut all = vec![
        left("PROCESS", 0),
        right("ALLOCATED", 10),
        right("REFUSED", 9),
        right("RATE", 8),
        right("PEAK", 7),
        right("PORTS", 6),
    ];
    if columns < 60 {
        all.truncate(3);
    }
    let taken: usize = all.iter().map(|column| column.width + 1).sum();
    if let Some(name) = all.first_mut() {
        name.width = columns.saturating_sub(taken).clamp(8, 60);
    }
    all
}

fn processes(busy: &[&ProcessRecord], look: Look, columns: usize) -> Vec<Line<'static>> {
    let table = process_columns(columns);
    let mut lines = vec![titles(&table)];
    for process in busy {
        let ProcessRecord { comm, exe, unit, container, pod, pid, processes, row, .. } = process;
        let name = who(
            comm.as_deref().or(exe.as_deref()),
            *processes,
            [container.as_deref().or(pod.as_deref()), unit.as_deref()],
            *pid,
        );
        let cells = [
            name,
            grouped(row.allocations),
            grouped(row.failures),
            per_second(row.churn_mean),
            grouped(row.churn_peak),
            row.distinct_ports.map_or_else(|| "-".to_owned(), grouped),
        ];
        let spans = table.iter().zip(cells).map(|(column, cell)| {
            let is_bad = column.title == "REFUSED" && row.failures != 0;
            let style = if is_bad { look.bad() } else { Style::new() };
            Span::styled(format!("{} ", fit(&cell, *column)), style)
        });
        lines.push(Line::from(spans.collect::<Vec<_>>()));
    }
    lines
}
