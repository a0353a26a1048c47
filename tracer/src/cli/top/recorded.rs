//! `portscope top -r FILE`: the same from a recording, at its own pace or faster.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use super::{
    super::{
        Failure,
        exit::{reason, say},
        reading::Recording,
    },
    Args, check,
    input::{self, Input},
    live::Face,
    no_screen,
    playback::{Beginning, Playback},
    screen::Screen,
    tell_verdict, ui,
};
use crate::{
    enrich::{Processes, Rfc3339, TimeColumn},
    event::MonoNs,
    pipeline::{Between, Gatherer, Intake, Replay, Shown, Sieve, Spaces, conclude::Watched, window_at},
    stock::Stock,
    tui::{Action, Played, Screen as ShownScreen, Ui, View, frame},
};

/// How often keys are looked at, and the recording is played on.
const BEAT: Duration = Duration::from_millis(40);
/// No longer at a time, so that keys are answered.
const STRETCH: Duration = Duration::from_millis(200);
const JUMP_NS: u64 = 10_000_000_000;

/// How fast it is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Speed {
    /// So many times as fast as it was.
    Times(f64),
    /// As fast as it goes.
    Most,
}

/// Reads `10`, `0.5`, `max`; 0 is `max`.
pub(super) fn speed(word: &str) -> Result<Speed, String> {
    match word.strip_suffix('x').unwrap_or(word).parse::<f64>() {
        _ if word == "max" => Ok(Speed::Most),
        Ok(0.0) => Ok(Speed::Most),
        Ok(times) if times.is_finite() && (0.001..=1e6).contains(&times) => Ok(Speed::Times(times)),
        _ => {
            Err(format!("'{word}' is no speed: give 1 for the recorded pace, 10 for ten times that, or max"))
        }
    }
}

impl Speed {
    fn changed(self, is_faster: bool) -> Self {
        match self {
            Self::Times(times) if is_faster && times >= 1024.0 => Self::Most,
            Self::Times(times) if is_faster => Self::Times(times * 2.0),
            Self::Times(times) => Self::Times((times / 2.0).max(0.0625)),
            Self::Most if is_faster => Self::Most,
            Self::Most => Self::Times(1024.0),
        }
    }

    fn word(self) -> String {
        match self {
            Self::Times(times) => format!("{times}x"),
            Self::Most => "max".to_owned(),
        }
    }

    /// How far it goes in some time.
    fn ahead(self, at: MonoNs, elapsed: Duration) -> MonoNs {
        match self {
            Self::Most => MonoNs(u64::MAX),
            Self::Times(times) => {
                let ahead = elapsed.mul_f64(times);
                MonoNs(at.0.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX)))
            }
        }
    }
}

/// Shows it.
pub(super) fn show(args: &Args, recording: Recording) -> Result<u8, Failure> {
    refuse(args)?;
    check(args)?;
    args.loudness.start_log();
    let mut playback = begin(args, recording)?;
    if args.batch {
        print(args, &mut playback)?;
        playback.recording.tell_cut(args.loudness.quiet);
        return Ok(0);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the event loop: {}", reason(&error))))?;
    let (sender, inputs) = mpsc::channel();
    let screen = Screen::open().map_err(|error| no_screen(&error))?;
    let listening = runtime.block_on(async { input::listen(&sender) });
    listening.map_err(|error| no_screen(&error))?;
    let mut player = Player {
        playback,
        view: View::default(),
        ui: ui(args),
        face: Face::Screen(Box::new(screen)),
        inputs,
        time: TimeColumn::local(),
        speed: args.speed.unwrap_or(Speed::Times(1.0)),
        is_done: false,
        is_gone: false,
        is_stopped: false,
    };
    let done = runtime.block_on(player.play(args));
    let Player { playback, face, is_gone, .. } = player;
    // The terminal is given back first, whatever is to be said.
    drop(face);
    done?;
    if is_gone || args.loudness.quiet {
        return Ok(0);
    }
    playback.recording.tell_cut(false);
    let (conclusion, accounts) = playback.conclude()?;
    tell_verdict(&conclusion.report, &accounts)?;
    Ok(0)
}

fn begin(args: &Args, recording: Recording) -> Result<Playback, Failure> {
    recording.has_releases(args.releases)?;
    let opening = recording.opening().clone();
    let between = args.reading.between(&opening, false)?;
    let between = Between { explicit: true, releases: args.releases, ..between };
    let sieve = args.filters.in_recording(false, &opening.header)?.map(Sieve::new);
    let shown = Shown {
        container: args.filters.container().map(str::to_owned),
        pod: args.filters.pod().map(str::to_owned),
        sieve: sieve.clone(),
        ..Shown::default()
    };
    let spaces = Spaces::told(opening.facts.range_takes_every_port);
    let intake = Intake::new(Processes::told(), spaces, shown);
    let from = between.from.map_or(opening.facts.start, |from| from.max(opening.facts.start));
    let gatherer = Gatherer::of_recording(intake, window_at(from, true, args.releases));
    let replay = Replay::begin(&opening.facts, &between);
    let mut header = opening.header;
    header.filters.extend(args.filters.told(false));
    let watched = Watched {
        header,
        by: args.by.into(),
        interval: None,
        before: Arc::new(Stock::default()),
        command: None,
        command_cpu_ns: None,
    };
    Playback::begin(Beginning { recording, gatherer, replay, watched, sieve, from, to: between.to })
}

/// What makes no sense with a recording.
fn refuse(args: &Args) -> Result<(), Failure> {
    args.reading.refuse_kernel(&args.kernel)?;
    args.reading.refuse("--duration", args.duration.is_some(), "--from and --to choose the time")?;
    args.reading.refuse("a command", !args.command.is_empty(), "record it: record -w FILE -- CMD")
}

/// Frames of text, so far apart in the recording: nobody waits for them.
fn print(args: &Args, playback: &mut Playback) -> Result<(), Failure> {
    let (mut view, ui) = (View::default(), ui(args));
    let every = u64::try_from(args.interval.as_nanos()).unwrap_or(u64::MAX);
    let (mut shown, mut next) = (0_u64, playback.played);
    let mut time = TimeColumn::local();
    // One that was cut before its first event has a frame, too.
    while (shown == 0 || !playback.is_over) && args.count.is_none_or(|most| shown < most) {
        next = match args.speed {
            Some(Speed::Most) => MonoNs(u64::MAX),
            _ => MonoNs(next.0.saturating_add(every)),
        };
        playback.play_to(next, || true)?;
        playback.look(&mut view, &ui)?;
        label(&mut view, playback, &mut time, "");
        let gap = if shown == 0 { "" } else { "\n" };
        say(&format!("{gap}{}", frame(&view, &ui)))?;
        shown += 1;
    }
    Ok(())
}

/// Says which time of which recording it is.
fn label(view: &mut View, playback: &Playback, time: &mut TimeColumn, state: &str) {
    let utc = playback.clock().utc(playback.played);
    let mut text = Vec::new();
    time.write(playback.played, utc, &mut text);
    let text = String::from_utf8_lossy(&text);
    let day: String = Rfc3339::text(utc).chars().take(10).collect();
    view.time = format!("{day} {}", text.split('.').next().unwrap_or_default().trim());
    let state = if playback.is_over { "its end" } else { state }.to_owned();
    view.played = Some(Played { state });
}

/// A recording on a screen.
struct Player {
    playback: Playback,
    view: View,
    ui: Ui,
    face: Face,
    inputs: Receiver<Input>,
    time: TimeColumn,
    speed: Speed,
    is_done: bool,
    /// The terminal is gone.
    is_gone: bool,
    is_stopped: bool,
}

impl Player {
    async fn play(&mut self, args: &Args) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new(format!("cannot wait for signals: {}", reason(&error)));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (mut last, mut next) = (Instant::now(), Instant::now());
        let mut shown = 0;
        while !self.is_done {
            let mut is_due = self.obey()?;
            let now = Instant::now();
            if !self.ui.paused && !self.playback.is_over {
                let until = self.speed.ahead(self.playback.played, now.duration_since(last));
                self.playback.play_to(until, || now.elapsed() < STRETCH)?;
                is_due |= now >= next || self.playback.is_over;
            }
            last = now;
            if is_due {
                next = now + args.interval;
                self.draw()?;
                shown += 1;
                self.is_done |= args.count.is_some_and(|most| shown >= most);
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                _ = interrupt.recv() => self.is_done = true,
                _ = terminate.recv() => self.is_done = true,
            }
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let Self { playback, view, ui, time, speed, .. } = self;
        playback.look(view, ui)?;
        let state = if ui.paused { "paused".to_owned() } else { speed.word() };
        label(view, playback, time, &state);
        if ui.screen == ShownScreen::Events && ui.follows() {
            view.events = playback.rows(view, ui, time);
        }
        self.show()
    }

    /// Draws what is known.
    fn show(&mut self) -> Result<(), Failure> {
        let Face::Screen(screen) = &mut self.face else { return Ok(()) };
        if self.is_stopped {
            return Ok(());
        }
        let drawn = screen.draw(&self.view, &mut self.ui);
        self.noted(drawn)
    }

    fn noted(&mut self, done: io::Result<()>) -> Result<(), Failure> {
        let Err(error) = done else { return Ok(()) };
        self.is_done = true;
        self.is_gone = true;
        if super::live::is_gone(&error) { Ok(()) } else { Err(no_screen(&error)) }
    }

    /// Does what came from the terminal; whether a frame is due.
    fn obey(&mut self) -> Result<bool, Failure> {
        let mut is_due = false;
        while let Ok(input) = self.inputs.try_recv() {
            let action = match input {
                Input::Key(key) => self.ui.key(key, &self.view),
                Input::Resized => Action::Draw,
                Input::Stop => Action::Suspend,
                Input::GoOn => {
                    self.is_stopped = false;
                    let resumed = self.on_screen(Screen::resume);
                    self.noted(resumed)?;
                    Action::Draw
                }
                Input::Gone => {
                    (self.is_gone, self.is_done) = (true, true);
                    Action::Nothing
                }
            };
            is_due |= action != Action::Nothing;
            match action {
                Action::Nothing | Action::Draw | Action::Refresh => {}
                Action::Quit => self.is_done = true,
                Action::Redraw => {
                    let forgotten = self.on_screen(Screen::forget);
                    self.noted(forgotten)?;
                }
                Action::Suspend => {
                    self.is_stopped = true;
                    let stopped = Screen::suspend();
                    self.noted(stopped)?;
                }
                Action::Faster => self.speed = self.speed.changed(true),
                Action::Slower => self.speed = self.speed.changed(false),
                Action::Ahead => {
                    let to = MonoNs(self.playback.played.0.saturating_add(JUMP_NS));
                    self.playback.play_to(to, || true)?;
                }
            }
        }
        Ok(is_due)
    }

    fn on_screen(&mut self, act: impl FnOnce(&mut Screen) -> io::Result<()>) -> io::Result<()> {
        match &mut self.face {
            Face::Screen(screen) => act(screen),
            Face::Text => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_and_changed_by_twos() {
        assert_eq!(speed("10"), Ok(Speed::Times(10.0)));
        assert_eq!(speed("2x"), Ok(Speed::Times(2.0)));
        for most in ["0", "max"] {
            assert_eq!(speed(most), Ok(Speed::Most));
        }
        for word in ["", "x", "-1", "fast", "inf", "NaN"] {
            assert!(speed(word).unwrap_err().contains("give 1"), "{word}");
        }
        assert_eq!(Speed::Times(1.0).changed(true), Speed::Times(2.0));
        assert_eq!(Speed::Times(1024.0).changed(true), Speed::Most);
        assert_eq!(Speed::Most.changed(false), Speed::Times(1024.0));
        assert_eq!(Speed::Times(0.0625).changed(false), Speed::Times(0.0625));
    }

    #[test]
    fn a_second_at_ten_times_the_pace_is_ten_seconds() {
        let ahead = |speed: Speed| speed.ahead(MonoNs(5), Duration::from_secs(1));
        assert_eq!(ahead(Speed::Times(10.0)), MonoNs(10_000_000_005));
        assert_eq!(ahead(Speed::Most), MonoNs(u64::MAX));
    }
}
