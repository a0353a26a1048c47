//! What other settings would have done, as text.

use super::{
    escape,
    records::{ModelRecord, WhatIf, WhatIfPool},
    report::grouped,
    screen::{cut, line, put},
};

const NAME: usize = 38;
const ROWS: usize = 12;

/// The whole answer as text.
#[must_use]
pub fn text(answer: &WhatIf) -> String {
    let mut out = String::new();
    let told = format!(
        "{}: {} requests in {:.1} s, {} refused",
        answer.file,
        grouped(answer.asked),
        answer.seconds,
        grouped(answer.refused)
    );
    line(&mut out, "recorded", &told);
    line(&mut out, "the model", &agreement(answer));
    let change =
        if answer.change.is_empty() { "nothing changed".to_owned() } else { answer.change.join(" ") };
    let told = format!("{change}: {} refused", grouped(answer.refused_what_if));
    line(&mut out, "what if", &told);
    put(
        &mut out,
        &format!(
            "{:<NAME$} {:>8} {:>8} {:>18} {:>18} {:>11}\n{:<NAME$} {:>8} {:>8} {:>18} {:>18} {:>11}\n",
            "",
            "REFUSED",
            "",
            "MOST HELD",
            "FIRST REFUSAL",
            "CANDIDATES",
            "POOL",
            "RECORDED",
            "",
            "",
            "",
            "MEAN / P99",
        ),
    );
    for pool in answer.pools.iter().take(ROWS) {
        rows(&mut out, pool);
    }
    if answer.pools.len() > ROWS {
        put(&mut out, &format!("… {} more (-o json has them)\n", answer.pools.len() - ROWS));
    }
    limits(&mut out, answer);
    out
}

/// How near the model comes to what happened.
fn agreement(answer: &WhatIf) -> String {
    let (truth, model) = (answer.refused, answer.refused_as_recorded);
    let off = match truth {
        0 if model == 0 => "as it was".to_owned(),
        0 => "where none was".to_owned(),
        _ => format!("{:+.1} %", (real(model) / real(truth) - 1.0) * 100.0),
    };
    format!(
        "on the recorded settings refuses {} ({off}): that is how far to trust what follows",
        grouped(model)
    )
}

fn rows(out: &mut String, pool: &WhatIfPool) {
    let name = cut(&escape(&name(pool)), NAME);
    put(out, &format!("{name:<NAME$} {:>8}\n", grouped(pool.refused)));
    for (label, model) in [("  as recorded", &pool.as_recorded), ("  what if", &pool.what_if)] {
        put(out, &format!("{label:<NAME$} {:>8} {}\n", "", figures(model)));
    }
}

fn figures(model: &ModelRecord) -> String {
    let share = if model.effective == 0 {
        "-".to_owned()
    } else {
        format!("{:.1} %", f64::from(model.peak_barred) / f64::from(model.effective) * 100.0)
    };
    let first = model.first_refused_s.map_or_else(|| "never".to_owned(), |at| format!("after {at:.1} s"));
    let mean = model.candidates_mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.1}"));
    let p99 = model.candidates_p99.map_or_else(|| "-".to_owned(), grouped);
    let held = format!("{} ({share})", grouped(model.peak_barred));
    format!("{:>8} {held:>18} {first:>18} {:>11}", grouped(model.refused), format!("{mean} / {p99}"))
}

fn name(pool: &WhatIfPool) -> String {
    let remote = pool.remote_addr.zip(pool.remote_port).map(std::net::SocketAddr::from);
    match remote {
        Some(remote) => format!("{} > {remote}", pool.local_addr),
        None => format!("{} binds to {}", pool.proto, pool.local_addr),
    }
}

/// What the figures do not know.
fn limits(out: &mut String, answer: &WhatIf) {
    if !answer.has_releases {
        line(out, "beware", "no release was recorded: every hold lasts to the end; trace with --releases");
    }
    if answer.skipped != 0 {
        let told =
            format!("{} requests are left out: other protocols, other failures", grouped(answer.skipped));
        line(out, "beware", &told);
    }
    let told = format!(
        "{} holds had not ended and last to the end; those of {} refused requests are drawn from the others",
        grouped(answer.unended),
        grouped(answer.drawn)
    );
    line(out, "holds", &told);
    line(out, "arrivals", "as recorded: a client that tries again, or gives up, would change them");
}

#[expect(clippy::cast_precision_loss, reason = "counts for people")]
fn real(count: u64) -> f64 {
    count as f64
}
