//! `portscope check`: what the host looks like now, without tracing.

mod hooks;
mod ranges;
mod rate;

use std::path::Path;

use super::{
    Failure,
    exit::{complain, say},
    fail::FailOn,
    options::{Color, Format, KernelOptions, Loudness, format},
    words,
};
use crate::{
    findings::{Judgement, judge},
    output::check::{Look, document, text},
    pipeline::{
        answer,
        survey::{Nothing, Survey},
    },
    stock::Wanted,
};

/// Options of `check`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Args {
    /// Try every backend, and tell hook by hook what this kernel makes of it
    #[arg(long, conflicts_with_all = ["ranges", "rate_check"])]
    hooks: bool,
    /// The well-known port ranges beside those of this host
    #[arg(long, conflicts_with = "rate_check")]
    ranges: bool,
    /// Would this many connects a second fit (2000/s)? With --to and --hold
    #[arg(long, value_name = "RATE", requires = "to", requires = "hold", value_parser = words::rate)]
    rate_check: Option<f64>,
    /// The destination of --rate-check
    #[arg(long, value_name = "IP:PORT")]
    to: Option<std::net::SocketAddr>,
    /// How long each connection of --rate-check bars its port, TIME_WAIT included (60s)
    #[arg(long, value_name = "TIME", value_parser = words::duration)]
    hold: Option<std::time::Duration>,
    /// Exit with status 3 when a finding of this severity (info, warning, critical) or number (PS006) is told
    #[arg(long, value_name = "SEVERITY|ID", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// The status of --fail-on
    #[arg(long, value_name = "N", default_value_t = 3)]
    fail_status: u8,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    /// Colour
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// Runs it; the exit status.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    args.loudness.start_log();
    if args.hooks {
        return hooks::run(args.output, args.loudness.verbose > 0, &args.kernel).map(|()| 0);
    }
    if args.output == Format::Csv {
        return Err(Failure::usage("check has no csv: there are text and json"));
    }
    if args.ranges {
        return ranges::run(args.output).map(|()| 0);
    }
    if let (Some(rate), Some(to), Some(hold)) = (args.rate_check, args.to, args.hold) {
        return rate::run(args.output, rate, to, hold);
    }
    let survey = Survey::take(Path::new("/proc"), &Wanted::default(), &mut Nothing)
        .map_err(|error| Failure::new(error.to_string()))?;
    let judgement = judge(&survey.case(None, None));
    for failure in &survey.stock.failures {
        log::info!("netns {}: {}", failure.netns.get(), failure.error);
    }
    tell(args, &survey, &judgement)?;
    if judgement.findings.iter().any(|finding| args.fail_on.iter().any(|on| on.meets(finding))) {
        complain(&format!("--fail-on is met: status {}", args.fail_status));
        return Ok(args.fail_status);
    }
    Ok(0)
}

fn tell(args: &Args, survey: &Survey, judgement: &Judgement) -> Result<(), Failure> {
    let document = document(
        &survey.stock,
        answer::verdict(&judgement.verdict),
        answer::pools(&survey.pools),
        judgement.findings.iter().map(answer::finding).collect(),
    );
    match args.output {
        Format::Json => {
            let mut text =
                serde_json::to_string_pretty(&document).map_err(|error| Failure::new(error.to_string()))?;
            text.push('\n');
            say(&text)
        }
        Format::Text | Format::Csv => say(&text(&document, Look { color: args.color.on_stdout() })),
    }
}
