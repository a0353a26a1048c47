//! `portscope serve -r FILE`: a recording, told over HTTP as it was at its end.

use std::time::Duration;

use tokio::{
    runtime::Builder,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    super::{
        Failure,
        concluded::{Concluded, Question, concluded},
        exit::reason,
        place::{Place, failure},
        reading::Recording,
    },
    Args,
    live::seconds,
    tell_ready,
};
use crate::{
    pipeline::{Between, Ledger, Signals, figures},
    serve::{Board, Bound, Server},
};

/// How often the board hears that somebody is there.
const BEAT: Duration = Duration::from_secs(1);

/// Serves what a recording means, until it is told to end.
pub(super) fn serve(args: &Args, mut recording: Recording, bound: &[Bound]) -> Result<(), Failure> {
    args.reading.refuse_kernel(&args.kernel)?;
    if args.pushing.is_asked() {
        return Err(Failure::usage("--otlp pushes what happens now, and -r reads what happened")
            .hint("leave out --otlp, or -r"));
    }
    recording.has_releases(args.releases)?;
    let mut place = Place::Stdout;
    let between = args.reading.between(recording.opening(), false)?;
    let question = Question {
        between: Between { explicit: true, releases: args.releases, ..between },
        filters: &args.filters,
        by: args.by,
        is_quiet: args.loudness.quiet,
    };
    let Concluded { conclusion, gathered, sites, clock } = concluded(&mut recording, &question, &mut place)?;
    let most = usize::from(args.top);
    let told = Ledger::new(most).bring_up(&[], &gathered.stats, gathered.at);
    let at_s = seconds(clock.utc(gathered.at));
    let snapshot = figures(&conclusion, told, sites, gathered.accounting.clone(), at_s, most);
    let (board, questions) = Board::new();
    // Of a recording there is the whole alone: --from and --to choose the part.
    drop(questions);
    board.publish(snapshot, conclusion);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the event loop: {}", reason(&error))))?;
    let mut signals =
        runtime.block_on(async { Signals::listen() }).map_err(|error| failure(&place, error))?;
    let server = Server::start(bound, &board, None).map_err(|error| Failure::new(error.to_string()))?;
    tell_ready(args, bound)?;
    runtime.block_on(async {
        let end = args.duration.map(|duration| Instant::now() + duration);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => board.alive(),
                () = signals.asked() => break,
                () = async {
                    match end {
                        Some(end) => sleep_until(end).await,
                        None => std::future::pending().await,
                    }
                } => break,
            }
        }
    });
    drop(server);
    Ok(())
}
