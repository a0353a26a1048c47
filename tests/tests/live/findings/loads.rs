//! Whether ports held a load back: the verdict of `report -- CMD`.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Line, Summary};
use portscope_tests::scenario::{Actor, Manner, OFF_LOOPBACK, Space, Told};
use portscope_tests::{per_backend, program};

use super::at;

per_backend! {
    a_load_is_port_bound_from_the_second_that_it_was,
    a_load_across_a_wire_is_port_bound,
    a_load_whose_ports_come_back_is_not_port_bound,
    a_load_that_ends_before_its_ports_come_back_is_too_short,
}

/// Runs a load in a space under a report: what was told, and what the load itself says.
fn load(live: &Live, space: &Space, to: &str, more: &[&str]) -> Result<(Told, Summary)> {
    let file = live.scratch().file("load.json");
    let file = file.to_str().context("a path that is no text")?;
    let workload = program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    let path = space.path();
    let report = ["report", "--backend", live.backend().word(), "-o", "json", "-w", file, "--"];
    let command = [workload, "--enter", &path, "connects", "--to", to];
    let ended = portscope(live.scratch(), &[&report[..], &command, more].concat())?;
    super::succeeds(&ended)?;
    let told = Told(serde_json::from_str(&std::fs::read_to_string(file)?)?);
    let summary = ended.stdout.lines().find_map(|line| match serde_json::from_str(line) {
        Ok(Line::Summary(summary)) => Some(summary),
        _ => None,
    });
    Ok((told, summary.context("the load printed no summary")?))
}

fn server(space: &Space, to: &str, manner: Manner) -> Result<Actor> {
    let mut server = space.actor("server")?;
    server.serve(at(to), manner)?;
    Ok(server)
}

fn verdict(told: &Told, word: &str) -> Result<String> {
    let verdict = &told.0["verdict"];
    ensure!(verdict["word"] == word, "{verdict}");
    Ok(verdict["reason"].as_str().unwrap_or_default().to_owned())
}

/// Holds a verdict to the time at which the load itself was refused first.
fn port_bound(told: &Told, summary: &Summary) -> Result<()> {
    let reason = verdict(told, "PORT-BOUND")?;
    let seconds: u64 = reason
        .strip_prefix("from t=+")
        .and_then(|rest| rest.split_once(" s: "))
        .with_context(|| reason.clone())?
        .0
        .parse()?;
    let own = summary.first_failure_ms.context("the load met no failure")? / 1_000;
    ensure!(own >= 1 && (own..=own + 1).contains(&seconds), "from {own} s on, and told is {reason}");
    ensure!(told.any("PS001")?["evidence"]["refused"] == summary.failures, "{summary:?}");
    Ok(())
}

fn a_load_is_port_bound_from_the_second_that_it_was(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40199")?;
    let to = format!("{OFF_LOOPBACK}:7001");
    let _server = server(&space, &to, Manner::CloseLast)?;
    let more = ["--count", "260", "--ending", "close-first", "--every-ms", "8"];
    let (told, summary) = load(live, &space, &to, &more)?;
    ensure!(summary.failures != 0, "{summary:?}");
    port_bound(&told, &summary)?;
    let pool = told.pool_to(space.id(), 7001)?;
    ensure!(pool["barred"] == 200 && pool["effective"] == 200, "{pool}");
    Ok(())
}

fn a_load_across_a_wire_is_port_bound(live: &Live) -> Result<()> {
    let (near, far) = (Space::with_range("40000-40199")?, Space::with_range("32768-60999")?);
    let wired = near.wire(&far, "10.78.0.1", "10.78.0.2");
    if !live.has(Need::Veth, wired.err().map(|error| format!("{error:#}")).as_deref())? {
        return Ok(());
    }
    let _server = server(&far, "10.78.0.2:7001", Manner::CloseLast)?;
    let more = ["--count", "230", "--ending", "close-first", "--every-ms", "8"];
    let (told, summary) = load(live, &near, "10.78.0.2:7001", &more)?;
    ensure!(summary.failures != 0, "{summary:?}");
    port_bound(&told, &summary)?;
    Told::says(told.any("PS001")?, &["10.78.0.1 > 10.78.0.2:7001", "200 TIME_WAIT", "we close first"])
}

fn a_load_whose_ports_come_back_is_not_port_bound(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40999")?;
    let to = format!("{OFF_LOOPBACK}:7001");
    let _server = server(&space, &to, Manner::CloseFirst)?;
    let count = live.scaled(5_000).to_string();
    let (told, summary) = load(live, &space, &to, &["--count", &count, "--ending", "peer-first"])?;
    ensure!(summary.failures == 0, "{summary:?}");
    let reason = verdict(&told, "NOT PORT-BOUND")?;
    ensure!(reason.contains("none refused"), "{reason}");
    Ok(())
}

fn a_load_that_ends_before_its_ports_come_back_is_too_short(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-41999")?;
    let to = format!("{OFF_LOOPBACK}:7001");
    let _server = server(&space, &to, Manner::CloseLast)?;
    let more = ["--count", "300", "--ending", "close-first", "--every-ms", "8"];
    let (told, summary) = load(live, &space, &to, &more)?;
    ensure!(summary.failures == 0, "{summary:?}");
    let reason = verdict(&told, "TOO SHORT TO SAY")?;
    ensure!(reason.contains("this pool would fill at t=+") && reason.contains("--rate-check"), "{reason}");
    Ok(())
}
