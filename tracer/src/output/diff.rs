//! Two reports held against each other, as text: verdicts, findings, then numbers with how sure they are.

use super::{
    escape,
    records::{
        Change, Diff, FindingChange, Measure, PoolChange, PoolSide, RowChange, SourceRecord, Unit, Word,
    },
    report::{duration_ns, grouped, per_second, share},
    screen::{cut, line, painted, put},
};

const NAME: usize = 40;
/// The same of pools, whose numbers are wider.
const POOL: usize = 34;
/// Rows of pools, programs and destinations that are shown.
const ROWS: usize = 8;

/// The whole comparison as text.
#[must_use]
pub fn text(diff: &Diff, color: bool) -> String {
    let mut out = String::new();
    headline(&mut out, diff, color);
    for (label, side) in [("A", &diff.a), ("B", &diff.b)] {
        line(&mut out, label, &source(side));
        line(&mut out, "", &side.verdict.reason);
    }
    for caveat in diff.caveats.iter().chain(&diff.one_sided) {
        line(&mut out, "beware", caveat);
    }
    diff.findings.iter().for_each(|one| finding(&mut out, one));
    for setting in &diff.settings {
        let value = |value: &Option<String>| match value.as_deref() {
            Some("") => "none".to_owned(),
            Some(value) => value.to_owned(),
            None => "?".to_owned(),
        };
        let told =
            format!("{} {}: {} -> {}", setting.netns, setting.name, value(&setting.a), value(&setting.b));
        line(&mut out, "setting", &told);
    }
    titles(&mut out, "ON THE WHOLE");
    diff.measures.iter().for_each(|one| measure(&mut out, &one.name, one));
    pools(&mut out, &diff.pools);
    rows(&mut out, "PROGRAM", &diff.programs);
    rows(&mut out, "DESTINATION", &diff.destinations);
    basis(&mut out, &diff.measures);
    out
}

fn headline(out: &mut String, diff: &Diff, color: bool) {
    let id = |side: &SourceRecord| {
        let finding = side.verdict.finding.as_ref();
        finding.map(|id| format!(" [{id}]")).unwrap_or_default()
    };
    let word = |side: &SourceRecord| painted(&escape(&side.verdict.word), color);
    let told =
        format!("{}{} -> {}{}\n", word(&diff.a), escape(&id(&diff.a)), word(&diff.b), escape(&id(&diff.b)));
    put(out, &told);
}

fn source(side: &SourceRecord) -> String {
    let which = side.document.as_ref().map(|which| format!(" ({which})")).unwrap_or_default();
    let SourceRecord { file, host, kernel, backend, started, seconds, watched, .. } = side;
    let started = started.split('.').next().unwrap_or_default();
    format!("{file}{which}: {seconds:.1} s from {started} UTC, {host} · {kernel} · {backend} · {watched}")
}

/// A new finding is told by what it says in B; one that is settings' alone on the same line as others.
fn finding(out: &mut String, one: &FindingChange) {
    let (label, severity, titles) = match one.change {
        Change::New => ("new", one.severity_b.clone(), &one.titles_b),
        Change::Gone => ("gone", one.severity_a.clone(), &one.titles_a),
        Change::Still if one.severity_a == one.severity_b => ("still", one.severity_b.clone(), &one.titles_b),
        Change::Still => {
            let [a, b] = [&one.severity_a, &one.severity_b].map(|word| word.as_deref().unwrap_or("?"));
            ("still", Some(format!("{a} -> {b}")), &one.titles_b)
        }
    };
    let more = titles.len().saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more of its kind)") };
    let title = titles.first().map_or("", String::as_str);
    line(out, label, &format!("{} {}: {title}{more}", one.id, severity.unwrap_or_default()));
}

fn titles(out: &mut String, first: &str) {
    put(
        out,
        &format!("{first:<NAME$} {:>9} {:>9} {:>8} {:>15}  B AGAINST A\n", "A", "B", "B / A", "95 % BETWEEN"),
    );
}

fn measure(out: &mut String, name: &str, one: &Measure) {
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| number(one.unit, value));
    let between = match (one.low, one.high) {
        (None, _) => "-".to_owned(),
        (Some(low), Some(high)) => format!("{} to {}", times(low), times(high)),
        (Some(low), None) => format!("{} or more", times(low)),
    };
    let told = format!(
        "{:<NAME$} {:>9} {:>9} {:>8} {between:>15}  {}",
        cut(&escape(name), NAME),
        value(one.a),
        value(one.b),
        one.ratio.map_or_else(|| "-".to_owned(), times),
        word(one),
    );
    put(out, &format!("{}\n", told.trim_end()));
}

fn number(unit: Unit, value: f64) -> String {
    match unit {
        Unit::PerSecond => per_second(Some(value)),
        Unit::PerAllocation | Unit::Cpus => format!("{value:.2}"),
        Unit::Share => share(Some(value)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that was a u64")]
        Unit::Ns => duration_ns(value.max(0.0) as u64),
    }
}

/// A ratio.
fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio >= 1_000.0 => "> 1,000".to_owned(),
        _ if ratio >= 100.0 => format!("{ratio:.0}"),
        _ if ratio >= 10.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.2}"),
    }
}

fn word(one: &Measure) -> &'static str {
    let of_count = matches!(one.unit, Unit::PerSecond);
    match one.word {
        Word::More if one.unit == Unit::Ns => "longer",
        Word::Fewer if one.unit == Unit::Ns => "shorter",
        Word::More => "more",
        Word::Fewer if of_count => "fewer",
        Word::Fewer => "less",
        Word::Appeared if is_sure(one) => "appeared",
        Word::Appeared => "appeared (chance?)",
        Word::Gone if is_sure(one) => "gone",
        Word::Gone => "gone (chance?)",
        Word::NoneShown if one.count_a == Some(0) && one.count_b == Some(0) => "none",
        Word::NoneShown => "no difference shown",
        Word::Unsure => "no interval",
        Word::NotComparable => "not comparable",
    }
}

fn is_sure(one: &Measure) -> bool {
    one.low.is_some_and(|low| low > 1.0) || one.high.is_some_and(|high| high < 1.0)
}

fn pools(out: &mut String, pools: &[PoolChange]) {
    if pools.is_empty() {
        return;
    }
    let title = "POOL";
    put(
        out,
        &format!(
            "{title:<POOL$} {:>16} {:>16} {:>9} {:>9}  B AGAINST A\n",
            "MOST HELD: A", "B", "REFUSED: A", "B"
        ),
    );
    for pool in pools.iter().take(ROWS) {
        let held = |side: &Option<PoolSide>| side.as_ref().map_or_else(|| "-".to_owned(), most_held);
        let refused = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), grouped);
        let told = format!(
            "{:<POOL$} {:>16} {:>16} {:>10} {:>9}  {}",
            cut(&escape(&pool_name(pool)), POOL),
            held(&pool.a),
            held(&pool.b),
            refused(pool.failures.count_a),
            refused(pool.failures.count_b),
            refusals(&pool.failures),
        );
        put(out, &format!("{}\n", told.trim_end()));
    }
    rest(out, pools.len());
}

fn refusals(one: &Measure) -> String {
    match word(one) {
        "none" => "none refused".to_owned(),
        word => word.to_owned(),
    }
}

fn most_held(side: &PoolSide) -> String {
    let most = side.peak_barred.max(side.barred);
    let of = if side.effective == 0 { None } else { Some(f64::from(most) / f64::from(side.effective)) };
    format!("{} ({})", grouped(most), share(of))
}

fn pool_name(pool: &PoolChange) -> String {
    let remote = pool.remote_addr.zip(pool.remote_port).map(std::net::SocketAddr::from);
    let netns = pool.netns.as_deref().filter(|name| *name != "host");
    let netns = netns.map(|name| format!("{name}: ")).unwrap_or_default();
    match remote {
        Some(remote) if pool.proto == "tcp" => format!("{netns}{} > {remote}", pool.local_addr),
        Some(remote) => format!("{netns}{} {} > {remote}", pool.proto, pool.local_addr),
        None => format!("{netns}{} binds to {}", pool.proto, pool.local_addr),
    }
}

/// Their allocations, and their refusals where there are any.
fn rows(out: &mut String, title: &str, rows: &[RowChange]) {
    if rows.is_empty() {
        return;
    }
    titles(out, title);
    for row in rows.iter().take(ROWS) {
        measure(out, &row.name, &row.allocations);
        let is_told = [row.failures.count_a, row.failures.count_b] != [Some(0), Some(0)];
        if is_told {
            measure(out, "  refused", &row.failures);
        }
    }
    rest(out, rows.len());
}

fn rest(out: &mut String, all: usize) {
    if all > ROWS {
        put(out, &format!("… {} more (-o json has them)\n", all - ROWS));
    }
}

/// What the intervals rest on, each way once.
fn basis(out: &mut String, measures: &[Measure]) {
    let of = |name: &str| measures.iter().find(|one| one.name == name && one.low.is_some());
    let counts = ["failures", "allocations"].map(|name| of(name).map(|one| (name, one.basis.as_str())));
    match counts {
        [Some((_, one)), Some((_, other))] if one == other => line(out, "counts", one),
        _ => counts.iter().flatten().for_each(|(name, basis)| line(out, name, basis)),
    }
    let mut bases: Vec<&str> = Vec::new();
    for one in measures.iter().filter(|one| one.unit == Unit::Ns && one.a.is_some() && one.b.is_some()) {
        if (one.low.is_some() || one.word == Word::NotComparable) && !bases.contains(&one.basis.as_str()) {
            bases.push(&one.basis);
        }
    }
    for basis in bases {
        line(out, "times", basis);
    }
}
