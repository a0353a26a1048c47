//! `portscope trace -r FILE`: the same from recordings, of one host or of several.

use super::{
    super::{Failure, options::Format, place::Place, reading::Recording},
    Args, output,
};
use crate::{
    enrich::{Clock, Processes},
    output::{Field, HostOutput, HostStyle, TraceOutput},
    pipeline::{
        Between, Intake, Member, MergeError, Observer, Outlet as _, Replay, ReplayError, Shown, Sieve,
        Spaces, merge,
    },
    recording::Opening,
};

/// What is wanted of one recording.
struct Wanted {
    opening: Opening,
    between: Between,
    sieve: Option<Sieve>,
}

/// Tells the events of recordings in the order of their times.
pub(super) fn tell(
    args: &Args,
    fields: Option<&[Field]>,
    mut recordings: Vec<Recording>,
) -> Result<(), Failure> {
    args.reading.refuse_kernel(&args.kernel)?;
    args.reading.refuse("--duration", args.duration.is_some(), "--from and --to choose the time")?;
    args.reading.refuse("--summary-only", args.summary_only, "report -r FILE --by pid counts processes")?;
    args.reading.refuse("--discard", args.discard, "it measures what reading the ring costs")?;
    let wanted = recordings.iter().map(|one| wanted(args, one)).collect::<Result<Vec<_>, _>>()?;
    let mut place = Place::open(args.write.as_deref())?;
    let mut outputs = outputs(args, fields, &wanted);
    let mut text = Vec::new();
    let mut members = Vec::new();
    for ((recording, wanted), output) in recordings.iter_mut().zip(&wanted).zip(&mut outputs) {
        let mut header = wanted.opening.header.clone();
        header.filters.extend(args.filters.told(args.failed));
        output.header(&header, &mut text).map_err(|error| Failure::new(error.to_string()))?;
        members.push(member(args, recording, wanted, output.as_mut()));
    }
    place.flush(&mut text).map_err(|error| place.failure(&error))?;
    let done = merge(&mut members, args.count, &mut place);
    let ended: Vec<_> = members.into_iter().map(Member::end).collect();
    match done {
        Ok(()) => {}
        Err(MergeError::Write(error)) => return Err(place.failure(&error)),
        Err(MergeError::Read(at, error)) => {
            let failed = recordings.get(at).map(|one| one.failure(&place, ReplayError::Read(error)));
            return Err(failed.unwrap_or(Failure::BrokenPipe));
        }
    }
    for ((recording, wanted), (told, mut observer)) in recordings.iter().zip(&wanted).zip(ended) {
        recording.tell_cut(args.loudness.quiet);
        let sieve = wanted.sieve.as_ref();
        let (tallies, unjudged) = told.tallies(sieve);
        recording.tell_unjudged(unjudged);
        let accounts = told.accounts(observer.intake(), &tallies, unjudged, sieve.is_some());
        let footer = told.footer(&accounts, &tallies);
        if !(args.loudness.quiet && args.output == Format::Text) {
            let written = observer.output().footer(&footer, &mut text);
            written.map_err(|error| Failure::new(error.to_string()))?;
        }
    }
    place.flush(&mut text).map_err(|error| place.failure(&error))?;
    place.close()
}

fn wanted(args: &Args, recording: &Recording) -> Result<Wanted, Failure> {
    recording.has_releases(args.releases)?;
    let opening = recording.opening().clone();
    let between = args.reading.between(&opening, args.utc)?;
    let between = Between { explicit: args.explicit, releases: args.releases, ..between };
    let sieve = args.filters.in_recording(args.failed, &opening.header)?.map(Sieve::new);
    Ok(Wanted { opening, between, sieve })
}

/// An output each; with the host, where there are several.
fn outputs(args: &Args, fields: Option<&[Field]>, all: &[Wanted]) -> Vec<Box<dyn TraceOutput>> {
    let hosts: Vec<&str> = all.iter().map(|one| one.opening.header.host.as_str()).collect();
    let widest = hosts.iter().map(|host| host.chars().count()).max().unwrap_or(0).clamp(4, 20);
    let many = all.iter().any(|one| one.opening.header.netns.len() > 1);
    let made = all.iter().zip(hosts).enumerate().map(|(at, (one, host))| {
        let inner = output(args, fields.map(<[Field]>::to_vec), many, one.opening.facts.start);
        let style = match args.output {
            _ if all.len() == 1 => return inner,
            Format::Json => HostStyle::Json,
            Format::Csv => HostStyle::Csv,
            Format::Text | Format::Html => HostStyle::Text(widest),
        };
        Box::new(HostOutput::new(inner, style, host, at == 0))
    });
    made.collect()
}

fn member<'c, 'a>(
    args: &Args,
    recording: &'c mut Recording,
    wanted: &Wanted,
    output: &'a mut dyn TraceOutput,
) -> Member<'c, 'a, super::super::reading::Source> {
    let facts = &wanted.opening.facts;
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        most: args.count,
        sieve: wanted.sieve.clone(),
        ..Shown::default()
    };
    let intake = Intake::new(Processes::told(), Spaces::told(facts.range_takes_every_port), shown);
    let clock = Clock::with_offset(facts.clock_offset_ns);
    let observer = Observer::of_recording(output, intake, clock);
    Member::new(&mut recording.chain, Replay::begin(facts, &wanted.between), observer)
}
