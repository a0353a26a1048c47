//! `diff`: reports of one namespace before and after its range is full, and of the same load twice.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::scenario::{Manner, Space, Task};
use portscope_tests::trace::Tracer;
use serde_json::Value;

alone! {
    exhaustion_appears_and_the_same_load_makes_no_difference => before_and_after,
    what_is_no_report_is_named_with_its_place => no_reports,
}

const SERVICE: &str = "127.0.0.1:7000";

/// What a report tells of what is done meanwhile, written to a file of this name, and recorded beside it.
fn reported(
    live: &Live,
    space: &Space,
    name: &str,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<[String; 2]> {
    let netns = space.id().to_string();
    let recording = live.scratch().file(name);
    let recorder = Tracer::record(live.scratch(), &recording, &["-N", &netns])?;
    let tracer = Tracer::start_command(live.scratch(), "report", &["-N", &netns])?;
    meanwhile()?;
    let document = tracer.stop_with_document()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    let path = live.scratch().file(name);
    fs::write(&path, serde_json::to_vec_pretty(&document)?)?;
    Ok([path, recording].map(|path| path.display().to_string()))
}

fn compared(live: &Live, a: &str, b: &str) -> Result<Value> {
    let ended = portscope(live.scratch(), &["diff", a, b, "-o", "json"])?;
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "exit status {:?}: {}", ended.status, ended.stderr);
    serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())
}

fn measure<'a>(diff: &'a Value, name: &str) -> Result<&'a Value> {
    let all = diff["measures"].as_array().context("no measures")?;
    all.iter().find(|one| one["name"] == name).with_context(|| format!("no {name}: {all:?}"))
}

fn before_and_after(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let to = SERVICE.parse()?;
    let steady = Task::connect(to).resetting().every_ms(20).times(600);
    let [first, _] = reported(live, &space, "first", || client.must_take(steady).map(drop))?;
    let [second, second_recorded] = reported(live, &space, "second", || client.must_take(steady).map(drop))?;
    let mut refused = 0;
    let [full, full_recorded] = reported(live, &space, "full", || {
        client.must_take(Task::connect(to).times(64))?;
        refused = client.take(Task::connect(to).every_ms(100).times(120))?.failed_with("EADDRNOTAVAIL");
        Ok(())
    })?;
    ensure!(refused == 120, "the kernel refused {refused} of 120");

    let same = compared(live, &first, &second)?;
    let allocations = measure(&same, "allocations")?;
    ensure!(allocations["count_a"] == 600 && allocations["count_b"] == 600, "{allocations}");
    ensure!(allocations["word"] == "none_shown", "{allocations}");
    ensure!(measure(&same, "failures")?["word"] == "none_shown", "{same}");
    ensure!(same["caveats"] == serde_json::json!([]), "{}", same["caveats"]);

    let worse = compared(live, &second, &full)?;
    ensure!(worse["a"]["verdict"]["word"] != "EXHAUSTED", "{}", worse["a"]);
    ensure!(worse["b"]["verdict"]["word"] == "EXHAUSTED", "{}", worse["b"]);
    let failures = measure(&worse, "failures")?;
    ensure!(failures["count_b"] == refused && failures["word"] == "appeared", "{failures}");
    ensure!(failures["low"].as_f64().is_some_and(|low| low > 1.0), "{failures}");
    ensure!(measure(&worse, "failures EADDRNOTAVAIL")?["count_b"] == refused, "{worse}");
    let findings = worse["findings"].as_array().context("no findings")?;
    let found = findings.iter().find(|one| one["id"] == "PS001").context("no PS001")?;
    ensure!(found["change"] == "new" && found["severity_b"] == "critical", "{found}");
    let pools = worse["pools"].as_array().context("no pools")?;
    let pool = pools.first().context("no pool")?;
    ensure!(pool["remote_port"] == 7000 && pool["failures"]["count_b"] == refused, "{pool}");
    ensure!(pool["b"]["barred"] == 64 && pool["b"]["effective"] == 64, "{pool}");
    let programs = worse["programs"].as_array().context("no programs")?;
    let program = programs.first().context("no program")?;
    ensure!(program["name"] == "client" && program["failures"]["word"] == "appeared", "{program}");

    let recorded = compared(live, &second_recorded, &full_recorded)?;
    for name in ["failures", "failures EADDRNOTAVAIL", "allocations"] {
        let (one, other) = (measure(&recorded, name)?, measure(&worse, name)?);
        for count in ["count_a", "count_b", "word"] {
            ensure!(one[count] == other[count], "{name} recorded: {one}, reported: {other}");
        }
    }
    ensure!(recorded["b"]["verdict"]["word"] == "EXHAUSTED", "{}", recorded["b"]);
    ensure!(recorded["findings"] == worse["findings"], "{} {}", recorded["findings"], worse["findings"]);
    portscope(live.scratch(), &["diff", &second, &full, "-n", "client"])?
        .must_fail(2, &["is a report", "compare recordings"])?;
    let mixed = compared(live, &second, &full_recorded)?;
    ensure!(measure(&mixed, "failures")?["count_b"] == refused, "{mixed}");

    let back = compared(live, &full, &second)?;
    ensure!(measure(&back, "failures")?["word"] == "gone", "{back}");
    let text = portscope(live.scratch(), &["diff", &second, &full])?;
    for told in ["-> EXHAUSTED [PS001]", "new          PS001 critical", "appeared"] {
        ensure!(text.stdout.contains(told), "{told:?} is not in {}", text.stdout);
    }
    let wide = text.stdout.lines().find(|line| line.chars().count() > 110);
    ensure!(wide.is_none(), "wider than 110 columns: {wide:?}");
    Ok(())
}

fn no_reports(live: &Live) -> Result<()> {
    let file = |name: &str, text: &str| -> Result<String> {
        let path = live.scratch().file(name);
        fs::write(&path, text)?;
        Ok(path.to_str().context("a path that is no text")?.to_owned())
    };
    let cases = [
        (file("empty", "")?, vec!["empty", "report -d"]),
        (file("text", "OK  all is well\n")?, vec!["text", "line 1, column 1", "-o json"]),
        (file("cut", "{\"type\":\"report\",\n\"schema\":1")?, vec!["cut", "line 2", "Ctrl-C"]),
        (file("trace", "{\"type\":\"header\",\"schema\":1}\n")?, vec!["trace", "a trace, not a report"]),
        (file("page", "<!doctype html>")?, vec!["page", "not a report"]),
        (file("bare", "\n{\"type\":\"report\",\"schema\":1}")?, vec!["bare", "line 2", "missing field"]),
        (file("later", "{\"type\":\"report\",\"schema\":99}")?, vec!["later", "schema 99"]),
        ("/nowhere/at/all".to_owned(), vec!["/nowhere/at/all", "No such file"]),
    ];
    for (path, naming) in &cases {
        let ended = portscope(live.scratch(), &["diff", path, path])?;
        ended.must_fail(1, naming).with_context(|| path.clone())?;
    }
    portscope(live.scratch(), &["diff", &cases[0].0])?.must_fail(2, &["<B>"])
}
