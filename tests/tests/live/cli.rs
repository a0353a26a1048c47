//! What can go wrong on the command line: an exit status that says which kind, and a sentence that names the thing.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::invocation::{self, Ended, portscope};
use portscope_tests::live::Live;
use portscope_tests::need::{self, Need};
use portscope_tests::{alone, per_backend, program, workload};

per_backend! {
    a_full_disk_is_told_with_the_name_of_the_file,
    a_reader_that_went_away_ends_the_trace_quietly,
    a_count_ends_the_trace_with_its_summary,
    a_trace_that_is_stopped_as_soon_as_it_is_armed_ends_with_its_footer,
}

const USAGE: i32 = 2;
const NOT_PERMITTED: i32 = 4;
const UNTRACEABLE: i32 = 5;

alone! {
    an_ordinary_user_is_told_what_is_missing => ordinary_user,
    what_cannot_be_understood_is_a_usage_error => usage_errors,
    a_refused_backend_is_told_with_its_reason => refused_backend,
}

fn ordinary_user(live: &Live) -> Result<()> {
    // The build folder may be closed to others.
    let copy = live.scratch().file("portscope");
    fs::copy(program::portscope()?, &copy)?;
    let mut command = Command::new(&copy);
    command.args(["trace", "-d", "1s"]).uid(65_534).gid(65_534).current_dir("/");
    invocation::run(live.scratch(), command)?.must_fail(NOT_PERMITTED, &[])
}

fn usage_errors(live: &Live) -> Result<()> {
    let cases: [(&[&str], &str); 22] = [
        (&["trace", "--fields", "nope"], "nope"),
        (&["trace", "--site", "nowhere"], "nowhere"),
        (&["trace", "--proto", "smoke"], "smoke"),
        (&["trace", "-L", "70000"], "70000"),
        (&["trace", "-L", "9-1"], "9-1"),
        (&["trace", "-p", "seven"], "seven"),
        (&["trace", "--remote", "10.0.0.0/99"], "10.0.0.0/99"),
        (&["trace", "--backend", "magic"], "magic"),
        (&["trace", "--backend", "tracepoint", "--count-collisions"], "--count-collisions"),
        (&["trace", "--summary-only", "--count-collisions"], "--count-collisions"),
        (&["trance"], "trance"),
        (&["who"], "PORT"),
        (&["who", "0"], "0"),
        (&["explain", "PS999"], "PS999"),
        (&["report", "-o", "csv"], "csv"),
        (&["report", "--fail-on", "loudly"], "loudly"),
        (&["report", "--interval", "10ms"], "--interval"),
        (&["report", "--interval", "often"], "often"),
        (&["report", "--map", "-o", "json"], "--map"),
        (&["check", "--map", "-o", "json"], "--map"),
        (&["check", "--rate-check", "fast", "--to", "127.0.0.1:80", "--hold", "60s"], "fast"),
        (&["check", "--rate-check", "5/s"], "--to"),
    ];
    for (args, naming) in cases {
        let ended = portscope(live.scratch(), args)?;
        ended.must_fail(USAGE, &[naming]).with_context(|| format!("{args:?}"))?;
    }
    Ok(())
}

fn refused_backend(live: &Live) -> Result<()> {
    let mut refused = Vec::new();
    for backend in Backend::ALL {
        if let Some(reason) = need::refusal(backend)? {
            ensure!(!reason.is_empty(), "{backend} is refused without a reason");
            refused.push(backend);
        }
    }
    let unmet = refused.is_empty().then_some("this kernel runs them all");
    if !live.has(Need::RefusedBackend, unmet)? {
        return Ok(());
    }
    for backend in refused {
        let ended = portscope(live.scratch(), &["trace", "-d", "1s", "--backend", backend.word()])?;
        ended.must_fail(UNTRACEABLE, &[backend.word()])?;
    }
    Ok(())
}

fn a_full_disk_is_told_with_the_name_of_the_file(live: &Live) -> Result<()> {
    let backend = live.backend().word();
    for format in ["text", "json", "csv"] {
        let args = ["trace", "-d", "1s", "--backend", backend, "-o", format, "-w", "/dev/full"];
        portscope(live.scratch(), &args)?.must_fail(1, &["/dev/full"]).context(format)?;
    }
    Ok(())
}

fn a_reader_that_went_away_ends_the_trace_quietly(live: &Live) -> Result<()> {
    let (ready, err) = (live.scratch().file("ready"), live.scratch().file("stderr"));
    let mut command = Command::new(program::portscope()?);
    command.args(["trace", "-o", "json", "-d", "20s", "--backend", live.backend().word(), "--ready-file"]);
    command.arg(&ready).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&err)?);
    let mut child = command.spawn()?;
    drop(child.stdout.take());
    let patience = std::time::Duration::from_secs(30);
    let armed = portscope_tests::deadline::until("the hooks", patience, || {
        Ok((ready.exists() || child.try_wait()?.is_some()).then_some(()))
    });
    let worked = armed.and_then(|()| workload::run(&["binds", "--count", "200"]));
    let status = invocation::wait(&mut child)?;
    worked?;
    let ended = Ended { status, stdout: String::new(), stderr: fs::read_to_string(&err)? };
    ended.must_not_panic()?;
    ensure!(status == Some(0), "exit status {status:?}: {}", ended.stderr);
    ensure!(!ended.stderr.to_lowercase().contains("broken pipe"), "{}", ended.stderr);
    Ok(())
}

fn a_count_ends_the_trace_with_its_summary(live: &Live) -> Result<()> {
    let workload = workload::Workload::ready(&["binds", "--count", "50"])?;
    let pid = workload.hello().pid.to_string();
    let tracer = live.tracer(&["-c", "10", "-p", &pid])?;
    workload.go()?;
    let capture = tracer.finish()?;
    capture.accounting()?;
    ensure!(capture.events.len() == 10, "{} events after -c 10", capture.events.len());
    Ok(())
}

fn a_trace_that_is_stopped_as_soon_as_it_is_armed_ends_with_its_footer(live: &Live) -> Result<()> {
    for _ in 0..live.scaled(10) {
        live.tracer(&[])?.stop()?.accounting()?;
    }
    Ok(())
}
