//! `portscope what-if`: what was recorded, replayed with other settings.

mod recorded;
mod trace;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use self::{recorded::Recorded, trace::Trace};
use super::{
    Failure,
    exit::{json, say},
    options::{Color, Format, Loudness, format},
    rights::confine,
    words,
};
use crate::{
    event::Reserved,
    output::{
        records::{ModelRecord, SCHEMA, WhatIf, WhatIfPool},
        whatif::text,
    },
    stock::parse_reserved,
    whatif::{Change, Pool, PoolOutcome, Run, gather, outcomes},
};

/// Options of `what-if`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recording (portscope record --releases -w FILE), or a trace (portscope trace --releases --explicit -o json
    /// -w FILE)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Another ip_local_port_range, for all namespaces
    #[arg(long, value_name = "LOW-HIGH", value_parser = range)]
    range: Option<[u16; 2]>,
    /// Another ip_local_reserved_ports, in place of the recorded one
    #[arg(long, value_name = "PORTS", value_parser = reserved)]
    reserve: Option<Given>,
    /// Another tcp_tw_reuse: 0 never, 1 always, 2 on loopback
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u32).range(0..=2))]
    tw_reuse: Option<u32>,
    /// Another length of TIME_WAIT; Linux has 60s, which no sysctl changes
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    time_wait: Option<Duration>,
    /// Where random numbers begin: the same seed gives the same answer
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    loudness: Loudness,
}

/// A list of ports, and how it was written.
#[derive(Clone, Debug)]
struct Given {
    text: String,
    ports: Reserved,
}

fn reserved(word: &str) -> Result<Given, String> {
    let ports = parse_reserved(word)
        .map_err(|_unread| format!("'{word}' is no list of ports: give 8080,9000-9100, or \"\" for none"))?;
    Ok(Given { text: word.to_owned(), ports })
}

fn range(word: &str) -> Result<[u16; 2], String> {
    let wrong = || format!("'{word}' is no range of ports: give 1024-65535");
    let (low, high) = word.split_once('-').ok_or_else(wrong)?;
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
    match (port(low), port(high)) {
        (Some(low), Some(high)) if low <= high => Ok([low, high]),
        _ => Err(wrong()),
    }
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("what-if has no csv: there are text and json"));
    }
    let change = change(args);
    if [
        change.range.is_none(),
        change.reserved.is_none(),
        change.reuse.is_none(),
        change.time_wait_us.is_none(),
    ] == [true; 4]
    {
        return Err(Failure::usage("what is to be different?")
            .hint("give --range, --reserve, --tw-reuse or --time-wait"));
    }
    confine(None);
    let (run, has_releases) = gathered(args)?;
    let no_port = run.spaces.values().any(|settings| change.of(settings).effective() == 0);
    if no_port {
        return Err(Failure::usage("these settings leave no port at all: --reserve takes the whole range"));
    }
    let answer = answer(args, &run, &change, has_releases);
    match args.output {
        Format::Json => say(&json(&answer)?),
        Format::Text | Format::Csv | Format::Html => say(&text(&answer)),
    }
}

/// The run that a file tells, and whether its releases are told.
fn gathered(args: &Args) -> Result<(Run, bool), Failure> {
    if let Some(mut recorded) = Recorded::open(&args.file)? {
        let run = gather(&mut recorded, args.seed)?;
        recorded.tell_cut(args.loudness.quiet);
        return Ok((run, recorded.has_releases()));
    }
    let mut trace = Trace::open(&args.file)?;
    let run = gather(&mut trace, args.seed)?;
    Ok((run, trace.has_releases()))
}

fn change(args: &Args) -> Change {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Change {
        range: args.range,
        reserved: args.reserve.as_ref().map(|given| given.ports.clone()),
        reuse: args.tw_reuse,
        time_wait_us: args.time_wait.map(micros),
    }
}

fn words_of(args: &Args) -> Vec<String> {
    let range = args.range.map(|[low, high]| format!("--range {low}-{high}"));
    let reserve = args.reserve.as_ref().map(|given| format!("--reserve \"{}\"", given.text));
    let reuse = args.tw_reuse.map(|number| format!("--tw-reuse {number}"));
    let time_wait = args.time_wait.map(|time| format!("--time-wait {}s", time.as_secs_f64()));
    [range, reserve, reuse, time_wait].into_iter().flatten().collect()
}

fn answer(args: &Args, run: &Run, change: &Change, has_releases: bool) -> WhatIf {
    let as_recorded = outcomes(run, &Change::default(), args.seed);
    let what_if = outcomes(run, change, args.seed);
    let refused = |all: &[PoolOutcome]| all.iter().map(|one| one.refused).sum();
    let truth = run.refused_by_pool();
    let by_pool: HashMap<Pool, &PoolOutcome> = as_recorded.iter().map(|one| (one.pool, one)).collect();
    let [begin, end] = run.span_us;
    WhatIf {
        schema: SCHEMA,
        file: file_name(&args.file),
        seconds: Duration::from_micros(end.saturating_sub(begin)).as_secs_f64(),
        change: words_of(args),
        seed: args.seed,
        asked: run.requests(),
        refused: run.refused(),
        refused_as_recorded: refused(&as_recorded),
        refused_what_if: refused(&what_if),
        skipped: run.skipped,
        unended: run.unended,
        drawn: run.drawn,
        has_releases,
        pools: what_if
            .iter()
            .filter_map(|one| Some((one, *by_pool.get(&one.pool)?)))
            .map(|(what_if, as_recorded)| pool(as_recorded, what_if, truth.get(&what_if.pool).copied()))
            .collect(),
    }
}

fn file_name(path: &Path) -> String {
    path.display().to_string()
}

fn pool(as_recorded: &PoolOutcome, what_if: &PoolOutcome, refused: Option<u64>) -> WhatIfPool {
    let Pool { netns, datagram, local, remote } = what_if.pool;
    WhatIfPool {
        netns,
        proto: if datagram { "udp" } else { "tcp" }.to_owned(),
        local_addr: local,
        remote_addr: remote.map(|remote| remote.ip()),
        remote_port: remote.map(|remote| remote.port()),
        asked: what_if.asked,
        refused: refused.unwrap_or(0),
        as_recorded: model(as_recorded),
        what_if: model(what_if),
    }
}

fn model(outcome: &PoolOutcome) -> ModelRecord {
    ModelRecord {
        effective: outcome.effective,
        refused: outcome.refused,
        first_refused_s: outcome.first_refused_us.map(|at| Duration::from_micros(at).as_secs_f64()),
        peak_barred: outcome.peak,
        mean_barred: outcome.mean,
        candidates_mean: outcome.candidates_mean,
        candidates_p99: outcome.candidates_p99,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nonsense_is_named() {
        assert_eq!(range("1024-65535"), Ok([1_024, 65_535]));
        for bad in ["", "1024", "0-5", "9-5", "1-65536", "a-b", "1-2-3"] {
            assert!(range(bad).unwrap_err().contains(bad), "{bad}");
        }
        assert!(reserved("").unwrap().ports.is_empty());
        assert!(reserved("8080,9000-9100").unwrap().ports.contains(9_050));
        assert!(reserved("x").is_err());
    }
}
