//! `what-if`: the model held against what the kernel did, at the range of the recording and at another one.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::scenario::{Manner, Order, Space, Task};
use portscope_tests::trace::Tracer;
use serde_json::Value;

alone! {
    refusals_at_another_range_are_those_that_happen_there => ranges,
    a_recording_that_begins_in_mid_load_knows_what_was_there => mid_load,
    what_cannot_be_replayed_is_named => nonsense,
}

const SERVICE: &str = "127.0.0.1:7000";
const NARROW: &str = "40000-40499";
const WIDE: &str = "40000-40999";
/// Connects of each round, all of which are closed at its end.
const ROUND: u64 = 1_200;
const ROUNDS: u64 = 3;

/// The trace of three rounds of connects at a range, and how many were refused.
fn recorded(live: &Live, range: &str, name: &str) -> Result<(String, u64)> {
    let space = Space::with_range(range)?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseFirst)?;
    let netns = space.id().to_string();
    let path = live.scratch().file(name);
    let out = path.to_str().context("a path that is no text")?.to_owned();
    let tracer = Tracer::start_command(live.scratch(), "trace", &["--releases", "--explicit", "-N", &netns])?;
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let connects = Task::connect(SERVICE.parse()?).times(ROUND).every_ms(1);
        refused += client.take(connects)?.failed_with("EADDRNOTAVAIL");
        client.order(&Order::Close)?;
    }
    let lines = tracer.stop_with_lines()?;
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    fs::write(&path, text.join("\n") + "\n")?;
    Ok((out, refused))
}

fn replayed(live: &Live, file: &str, range: &str) -> Result<Value> {
    let ended = portscope(live.scratch(), &["what-if", file, "--range", range, "-o", "json"])?;
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "exit status {:?}: {}", ended.status, ended.stderr);
    serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())
}

/// Within 10 %.
fn is_near(model: &Value, truth: u64) -> bool {
    model.as_u64().is_some_and(|model| model.abs_diff(truth) * 10 <= truth)
}

fn ranges(live: &Live) -> Result<()> {
    let (narrow, in_narrow) = recorded(live, NARROW, "narrow.jsonl")?;
    let (wide, in_wide) = recorded(live, WIDE, "wide.jsonl")?;
    ensure!(in_narrow > in_wide && in_wide != 0, "the kernel refused {in_narrow} and {in_wide}");
    for (file, own, range, there) in
        [(&narrow, in_narrow, WIDE, in_wide), (&wide, in_wide, NARROW, in_narrow)]
    {
        let answer = replayed(live, file, range)?;
        ensure!(answer["refused"] == own, "the trace has {}, the kernel refused {own}", answer["refused"]);
        let told = || format!("{own} there, {there} at {range}: {answer}");
        ensure!(is_near(&answer["refused_as_recorded"], own), "{}", told());
        ensure!(is_near(&answer["refused_what_if"], there), "{}", told());
    }
    let again = [replayed(live, &narrow, WIDE)?, replayed(live, &narrow, WIDE)?];
    ensure!(again[0] == again[1], "one seed, two answers");
    Ok(())
}

/// Half of the ports are taken before the recording begins, and given back in its middle.
fn mid_load(live: &Live) -> Result<()> {
    let space = Space::with_range(NARROW)?;
    let (mut server, mut early) = (space.actor("server")?, space.actor("early")?);
    let mut client = space.actor("client")?;
    server.serve(SERVICE.parse()?, Manner::CloseFirst)?;
    early.must_take(Task::connect(SERVICE.parse()?).times(250))?;
    let path = live.scratch().file("mid-load.arrows");
    let file = path.to_str().context("a path that is no text")?;
    let netns = space.id().to_string();
    let recorder = Tracer::record(live.scratch(), &path, &["--releases", "-N", &netns])?;
    let connects = || Task::connect(SERVICE.parse().unwrap_or(([0, 0, 0, 0], 0).into())).every_ms(1);
    let mut refused = client.take(connects().times(400))?.failed_with("EADDRNOTAVAIL");
    client.order(&Order::Close)?;
    early.order(&Order::Close)?;
    // No release is told of a socket that was not seen to get its port: what is known is that it was there at the start
    // and is not at the end. The middle between them is to lie here.
    thread::sleep(Duration::from_secs(4));
    refused += client.take(connects().times(600))?.failed_with("EADDRNOTAVAIL");
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    ensure!(refused == 250, "the kernel refused {refused}");
    let answer = replayed(live, file, WIDE)?;
    ensure!(answer["refused"] == refused && answer["asked"] == 1_000, "{answer}");
    ensure!(is_near(&answer["refused_as_recorded"], refused), "{answer}");
    ensure!(answer["refused_what_if"] == 0, "{answer}");
    Ok(())
}

fn nonsense(live: &Live) -> Result<()> {
    let path = live.scratch().file("nonsense");
    let file = path.to_str().context("a path that is no text")?;
    fs::write(&path, "{\"type\":\"footer\"")?;
    let call = |args: &[&str]| portscope(live.scratch(), &[&["what-if", file], args].concat());
    call(&[])?.must_fail(2, &["--range"])?;
    call(&["--range", "9-1"])?.must_fail(2, &["9-1"])?;
    call(&["--reserve", "x"])?.must_fail(2, &["'x'"])?;
    call(&["--tw-reuse", "3"])?.must_fail(2, &["3"])?;
    call(&["--range", "1024-65535"])?.must_fail(1, &["nonsense", "line 1", "--releases"])?;
    portscope(live.scratch(), &["what-if", "/nowhere", "--tw-reuse", "1"])?.must_fail(1, &["/nowhere"])
}
