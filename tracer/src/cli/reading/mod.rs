//! `-r FILE`: a recording in place of the live kernel.

mod files;

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{Timestamp, ToSpan as _, civil::Time, tz::TimeZone};

use super::{
    Failure,
    exit::{complain, reason},
    options::KernelOptions,
    place::Place,
    rights::confine,
    words,
};
use crate::{
    enrich::{Clock, Rfc3339},
    event::MonoNs,
    kernel::{Choice, settings::DEFAULT_BUFFER_BYTES},
    output::escape,
    pipeline::{Between, ReplayError},
    recording::{Chain, Ending, Opening, ReadError},
};

/// A recording in place of the live kernel.
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Recordings")]
pub(super) struct Reading {
    /// Read this recording (`portscope record -w FILE`) instead of the live kernel; - for standard input. More than one
    /// (-r A -r B), or a directory of them, are read in the order of their times
    #[arg(short, long, alias = "input", value_name = "FILE")]
    read: Vec<PathBuf>,
    /// Of a recording, begin here: 2026-11-22T03:12:00Z, a time of day (03:12), +90s from its start, or -10m from now
    #[arg(long, value_name = "WHEN", requires = "read", value_parser = when, allow_hyphen_values = true)]
    from: Option<When>,
    /// Of a recording, end here
    #[arg(long, value_name = "WHEN", requires = "read", value_parser = when, allow_hyphen_values = true)]
    to: Option<When>,
}

/// A time in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// That moment.
    At(Timestamp),
    /// The first such time of day, from an hour before the start on.
    Daily(Time),
    /// So long after the start.
    After(Duration),
    /// So long before now.
    Ago(Duration),
}

/// Reads a time in a recording.
pub(super) fn when(word: &str) -> Result<When, String> {
    if let Some(after) = word.strip_prefix('+') {
        return words::duration(after).map(When::After);
    }
    if let Some(ago) = word.strip_prefix('-') {
        return words::duration(ago).map(When::Ago);
    }
    let at = word.parse().map(When::At);
    at.or_else(|_no_moment| word.parse().map(When::Daily)).map_err(|_no_time_of_day| {
        "give a moment (2026-11-22T03:12:00Z), a time of day (03:12, 03:12:30.5), the time since the start (+90s), or \
         that before now (-10m)"
            .to_owned()
    })
}

impl When {
    /// The same by the clock of the recording; it must be a time that is in it.
    pub(super) fn within(self, name: &str, opening: &Opening, zone: &TimeZone) -> Result<MonoNs, Failure> {
        let found = self.mono(opening, zone);
        let at = found.ok_or_else(|| Failure::usage(format!("{name}: there is no such time")))?;
        let clock = Clock::with_offset(opening.facts.clock_offset_ns);
        if at < opening.facts.start {
            let began = Rfc3339::text(clock.utc(opening.facts.start));
            return Err(Failure::usage(format!("{name} is before the recording, which began at {began}")));
        }
        Ok(at)
    }

    /// The same by the clock of the recording.
    fn mono(self, opening: &Opening, zone: &TimeZone) -> Option<MonoNs> {
        let facts = &opening.facts;
        let utc = match self {
            Self::After(after) => {
                return Some(MonoNs(facts.start.0.saturating_add(u64::try_from(after.as_nanos()).ok()?)));
            }
            Self::At(at) => at.as_nanosecond(),
            Self::Ago(ago) => Timestamp::now().checked_sub(ago).ok()?.as_nanosecond(),
            Self::Daily(time) => {
                let start = i128::from(facts.start.0) + i128::from(facts.clock_offset_ns);
                let earliest = Timestamp::from_nanosecond(start).ok()?.checked_sub(1.hour()).ok()?;
                let day = earliest.to_zoned(zone.clone()).date();
                let on = |day: jiff::civil::Date| day.to_datetime(time).to_zoned(zone.clone()).ok();
                let first = on(day)?;
                let found = if first.timestamp() >= earliest { first } else { on(day.tomorrow().ok()?)? };
                found.timestamp().as_nanosecond()
            }
        };
        let mono = utc - i128::from(facts.clock_offset_ns);
        Some(MonoNs(u64::try_from(mono.max(0)).unwrap_or(u64::MAX)))
    }
}

impl Reading {
    /// That of a part of a file.
    pub(super) fn of(file: &Path, from: Option<When>, to: Option<When>) -> Self {
        Self { read: vec![file.to_owned()], from, to }
    }

    /// Opens what is to be read; none where nothing is. From then on nothing is written but to these files. What was recorded
    /// of different hosts, or before and after a boot, is not of the same pools.
    pub(super) fn open<'a>(
        &self,
        outputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Option<Recording>, Failure> {
        let mut all = self.open_all(outputs)?.into_iter();
        let Some(first) = all.next() else { return Ok(None) };
        if let Some(other) = all.next() {
            return Err(Failure::usage(format!(
                "{} is of {}, {} of {}: they have no port in common",
                first.name(),
                first.origin(),
                other.name(),
                other.origin()
            ))
            .hint("read those of each host and boot by themselves; trace -r takes all, and names the host"));
        }
        Ok(Some(first))
    }

    /// The same of any hosts: a recording for each boot of each.
    pub(super) fn open_all<'a>(
        &self,
        outputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Vec<Recording>, Failure> {
        if !self.read.is_empty() {
            confine(outputs);
        }
        files::open(&self.read)
    }

    /// Which part of it is wanted.
    pub(super) fn between(&self, opening: &Opening, utc: bool) -> Result<Between, Failure> {
        self.between_from_and(opening, utc, "--to")
    }

    /// The same, where the option for the end has this name.
    pub(super) fn between_from_and(
        &self,
        opening: &Opening,
        utc: bool,
        end: &str,
    ) -> Result<Between, Failure> {
        let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
        let mono = |name: &str, when: Option<When>| {
            let found = when.map(|when| when.mono(opening, &zone));
            found.map(|found| found.ok_or_else(|| Failure::usage(format!("{name}: there is no such time"))))
        };
        let from = mono("--from", self.from).transpose()?;
        let to = mono(end, self.to).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(Failure::usage(format!("{end} is before --from: nothing lies between them")));
        }
        Ok(Between { from, to, ..Between::default() })
    }

    /// The same of what was recorded in the time up to now.
    pub(super) fn last(&self, last: Duration, opening: &Opening) -> Result<Between, Failure> {
        if self.from.is_some() || self.to.is_some() {
            return Err(Failure::usage("--last and --from or --to exclude each other"));
        }
        let Self { read, .. } = self;
        Self { read: read.clone(), from: Some(When::Ago(last)), to: None }.between(opening, false)
    }

    /// Complains about an option that makes no sense with a recording.
    #[expect(clippy::unused_self, reason = "who calls it has a recording to read")]
    pub(super) fn refuse(&self, option: &str, is_given: bool, instead: &str) -> Result<(), Failure> {
        if is_given {
            return Err(Failure::usage(format!("{option} and -r exclude each other")).hint(instead));
        }
        Ok(())
    }

    /// The same of those for the kernel.
    pub(super) fn refuse_kernel(&self, kernel: &KernelOptions) -> Result<(), Failure> {
        let instead = "a recording has been made: nothing is asked of this kernel";
        self.refuse("--backend", kernel.backend != Choice::Auto, instead)?;
        self.refuse("--buffer", kernel.buffer != DEFAULT_BUFFER_BYTES, instead)?;
        self.refuse("--btf", kernel.btf.is_some(), instead)?;
        self.refuse("--kernel-cost", kernel.kernel_cost, instead)?;
        self.refuse("--count-collisions", kernel.count_collisions, instead)
    }
}

/// Where a recording is read from.
pub(super) type Source = BufReader<Box<dyn Read>>;

/// What is read of one host: a recording, or several in a row.
pub(super) struct Recording {
    pub(super) chain: Chain<Source>,
}

impl Recording {
    /// What it begins with.
    pub(super) fn opening(&self) -> &Opening {
        self.chain.opening()
    }

    /// What to call the one that is being read.
    pub(super) fn name(&self) -> &str {
        self.chain.name()
    }

    /// The host, and which boot of it.
    fn origin(&self) -> String {
        let header = &self.opening().header;
        let boot = header.boot_id.as_deref().and_then(|id| id.get(..8)).unwrap_or("?");
        escape(&format!("host {} (boot {boot})", header.host)).into_owned()
    }

    /// Complains where releases are wanted and were not recorded.
    pub(super) fn has_releases(&self, wanted: bool) -> Result<(), Failure> {
        if wanted && !self.opening().facts.releases {
            return Err(Failure::usage(format!("{} has no releases", self.name()))
                .hint("record them: portscope record --releases -w FILE"));
        }
        Ok(())
    }

    /// What to say when what is read is not what was written.
    pub(super) fn unreadable(&self, error: &ReadError) -> Failure {
        unreadable(self.name(), error)
    }

    /// What to say when it cannot be read on.
    pub(super) fn failure(&self, place: &Place, error: ReplayError) -> Failure {
        match error {
            ReplayError::Read(error) => unreadable(self.name(), &error),
            ReplayError::Write(error) => place.failure(&error),
        }
    }

    /// How the last one was cut, if it was.
    pub(super) fn cut(&self) -> Option<String> {
        let Some(Ending::Cut { at, batches }) = self.chain.ending() else { return None };
        Some(format!("read up to byte {at}, {batches} batches"))
    }

    /// Says what is not in it: what came after a cut, and between two recordings.
    pub(super) fn tell_cut(&self, is_quiet: bool) {
        if is_quiet {
            return;
        }
        let last = self.chain.ending().map(|ending| (self.name(), ending));
        let before = self.chain.cuts().iter().map(|(name, ending)| (name.as_str(), *ending));
        for (name, ending) in before.chain(last) {
            let Ending::Cut { at, batches } = ending else { continue };
            complain(&format!(
                "{name} has no end: it was read up to byte {at}, {batches} batches; what came after the last whole one \
                 is not in it"
            ));
        }
        let clock = Clock::with_offset(self.opening().facts.clock_offset_ns);
        let time = |at: MonoNs| Rfc3339::text(clock.utc(at)).chars().take(19).collect::<String>();
        for [from, to] in self.chain.gaps() {
            complain(&format!("nothing was recorded from {}Z to {}Z", time(*from), time(*to)));
        }
        let skipped = self.chain.skipped();
        if skipped != 0 {
            complain(&format!("{skipped} events are in two of the recordings; they are told once"));
        }
    }

    /// Says so when a filter asks for more than is known of lost events.
    pub(super) fn tell_unjudged(&self, unjudged: u64) {
        if unjudged != 0 {
            complain(&format!(
                "of {unjudged} lost events {} has the count alone: whether the filters let them pass is not known",
                self.name()
            ));
        }
    }
}

pub(super) fn unreadable(name: &str, error: &ReadError) -> Failure {
    let told = match error {
        ReadError::Read(error) => format!("cannot read {name}: {}", reason(error)),
        other => format!("{name}: {other}"),
    };
    match error.hint() {
        Some(hint) => Failure::new(told).hint(hint),
        None => Failure::new(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_times_of_day_and_spans_are_told_apart() {
        assert!(matches!(when("2026-11-22T03:12:00Z"), Ok(When::At(_))));
        assert!(matches!(when("03:12"), Ok(When::Daily(_))));
        assert!(matches!(when("03:12:30.5"), Ok(When::Daily(_))));
        assert_eq!(when("+90s"), Ok(When::After(Duration::from_secs(90))));
        assert_eq!(when("-10m"), Ok(When::Ago(Duration::from_mins(10))));
        for word in ["", "noon", "-", "-x", "25:00", "+", "+x", "90s", "2026-11-22"] {
            assert!(when(word).is_err(), "{word}: {:?}", when(word));
        }
    }
}
