//! `serve`: what it tells is held against the workload's own numbers; clients of all kinds do it no harm.
#![expect(clippy::float_cmp, reason = "counts and whole shares, which a float holds exactly")]

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::deadline;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Manner, Space, Task};
use portscope_tests::trace::Tracer;
use serde_json::Value;

per_backend! {
    an_exhaustion_is_told_with_its_pool_and_its_program_and_goes_away,
}

alone! {
    clients_of_all_kinds_do_no_harm => clients,
    programs_and_the_others_are_all_there_is => programs,
    a_socket_that_was_left_behind_is_replaced_and_others_are_not => sockets,
    a_recording_is_served_as_it_was_at_its_end => recorded,
    a_configuration_file_holds_unless_the_command_line_says_otherwise => configured,
}

pub(crate) const SERVICE: &str = "127.0.0.1:7000";
const PATIENCE: Duration = Duration::from_secs(40);

/// What a server at a UNIX socket answers: status and body.
fn get(socket: &Path, path: &str, accept: &str) -> Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parted(&answer)
}

fn parted(answer: &str) -> Result<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Lines of metrics: name and labels, and value; none before the first figures.
pub(crate) fn metrics(socket: &Path) -> Result<BTreeMap<String, f64>> {
    let (status, text) = get(socket, "/metrics", "application/openmetrics-text")?;
    if status == 503 && text.starts_with("nothing is known yet") {
        return Ok(BTreeMap::new());
    }
    ensure!(status == 200 && text.ends_with("# EOF\n"), "{status}: {text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
        Ok((name.to_owned(), value.parse().with_context(|| line.to_owned())?))
    };
    lines.map(pair).collect()
}

pub(crate) fn sum(all: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let is_meant =
        |key: &str| key.split('{').next() == Some(name) && labels.iter().all(|label| key.contains(label));
    all.iter().filter(|(key, _)| is_meant(key)).map(|(_, value)| value).sum()
}

/// Waits until the figures are as they should be, and returns them.
pub(crate) fn until(
    socket: &Path,
    what: &str,
    is_so: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> Result<BTreeMap<String, f64>> {
    let mut last = BTreeMap::new();
    let found = deadline::until(what, PATIENCE, || {
        last = metrics(socket)?;
        Ok((!last.is_empty() && is_so(&last)).then(|| last.clone()))
    });
    found.with_context(|| format!("{last:#?}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

fn an_exhaustion_is_told_with_its_pool_and_its_program_and_goes_away(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, socket) = (space.id().to_string(), live.scratch().file("socket"));
    let listen = format!("unix:{}", socket.display());
    let args = ["--backend", live.backend().word(), "-N", &netns, "--listen", &listen];
    let tracer = Tracer::serve(live.scratch(), &args)?;
    let done = client.take(Task::connect(SERVICE.parse()?).until_failed(7, 100))?;
    ensure!((done.given(), done.failed_with("EADDRNOTAVAIL")) == (64, 7), "{:?}", done.failed);

    let told = until(&socket, "the exhaustion", |all| {
        sum(all, "portscope_findings", &["\"PS001\""]) >= 1.0
            && sum(all, "portscope_program_failures_total", &[]) >= 7.0
    })?;
    let of = |name: &str, labels: &[&str]| sum(&told, name, labels);
    let site = ["site=\"connect\"", "proto=\"tcp\""];
    ensure!(of("portscope_allocations_total", &[site[0], site[1], "errno=\"\""]) >= 64.0, "{told:#?}");
    ensure!(
        of("portscope_allocations_total", &[site[0], "errno=\"EADDRNOTAVAIL\"", "\"failed\""]) == 7.0,
        "{told:#?}"
    );
    ensure!(of("portscope_program_failures_total", &["program=\"client-"]) == 7.0, "{told:#?}");
    // Other namespaces of this host may have such a pool, too.
    let here = format!("netns=\"{netns}\"");
    let pool = [here.as_str(), "laddr=\"127.0.0.1\"", "raddr=\"127.0.0.1\"", "rport=\"7000\""];
    ensure!(of("portscope_pool_held_ports", &pool) == 64.0, "{told:#?}");
    ensure!(of("portscope_pool_utilization_ratio", &pool) == 1.0, "{told:#?}");
    let who =
        [here.as_str(), "\"PS001\"", "critical", "127.0.0.1:7000", "holder=\"client-", "victim=\"client-"];
    ensure!(of("portscope_finding", &who) == 1.0, "{told:#?}");
    ensure!(of("portscope_verdict", &["EXHAUSTED"]) == 1.0, "{told:#?}");

    let (status, text) = get(&socket, "/findings", "*/*")?;
    let findings: Value = serde_json::from_str(&text)?;
    ensure!(status == 200 && findings["verdict"]["word"] == "EXHAUSTED", "{findings}");
    ensure!(findings["findings"][0]["id"] == "PS001", "{findings}");
    for path in ["/report", "/report?last=1m"] {
        let (status, page) = get(&socket, path, "*/*")?;
        ensure!(
            status == 200 && page.contains("EXHAUSTED") && page.trim_end().ends_with("</html>"),
            "{status}"
        );
        ensure!(!page.contains("No port was asked for"), "{path} has no course");
    }
    let asked = portscope(live.scratch(), &["report", "--last", "1m", "--server", &listen, "-o", "json"])?;
    asked.must_not_panic()?;
    let report: Value = serde_json::from_str(&asked.stdout).with_context(|| asked.stderr.clone())?;
    ensure!(
        report["totals"]["failures"] == 7 && report["totals"]["allocations"] == 71,
        "{}",
        report["totals"]
    );
    same_figures(&told, &report, &pool)?;
    let same = ["report", "--last", "1m", "--server", &listen, "--fail-on", "critical"];
    let text = portscope(live.scratch(), &same)?;
    ensure!(text.status == Some(3) && text.stdout.starts_with("EXHAUSTED "), "{}", text.stdout);

    // It goes away with its cause, and counters never go back.
    drop(client);
    drop(server);
    let later = until(&socket, "the end of the exhaustion", |all| {
        sum(all, "portscope_pool_held_ports", &pool) < 64.0
    })?;
    for (name, before) in told.iter().filter(|(name, _)| name.contains("_total")) {
        ensure!(later.get(name).is_none_or(|now| now >= before), "{name}: {before}, then {later:?}");
    }
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0) && said.contains("seen "), "{status:?}: {said}");
    ensure!(!socket.exists(), "the socket is left behind");
    Ok(())
}

/// A scrape and a report on the same events tell the same.
fn same_figures(told: &BTreeMap<String, f64>, report: &Value, pool: &[&str]) -> Result<()> {
    let number = |value: &Value| value.as_f64().with_context(|| format!("{value} in {report}"));
    let same = |name: &str, labels: &[&str], value: &Value| {
        let scraped = sum(told, name, labels);
        ensure!((scraped - number(value)?).abs() < 1e-9, "{name}: {scraped} is not {value}");
        Ok(())
    };
    let totals = &report["totals"];
    same("portscope_allocations_total", &[], &totals["allocations"])?;
    same("portscope_allocations_total", &["result=\"failed\""], &totals["failures"])?;
    same("portscope_program_allocations_total", &[], &totals["allocations"])?;
    same("portscope_program_failures_total", &[], &totals["failures"])?;
    for (errno, count) in totals["by_error"].as_object().context("by_error")? {
        same("portscope_allocations_total", &[&format!("errno=\"{errno}\"")], count)?;
    }
    for (site, count) in totals["by_site"].as_object().context("by_site")? {
        same("portscope_allocations_total", &[&format!("site=\"{site}\"")], count)?;
    }
    let found = number(&totals["allocations"])? - number(&totals["failures"])?;
    same("portscope_search_seconds_count", &[], &Value::from(found))?;
    let spent = number(&report["search"]["found_ns"]["sum"])? / 1e9;
    ensure!((sum(told, "portscope_search_seconds_sum", &[]) - spent).abs() < 1e-9, "{told:#?}");
    let is_it = |one: &&Value| one["remote_port"] == 7000 && one["local_addr"] == "127.0.0.1";
    let pools = report["pools"].as_array().context("pools")?;
    let one = pools.iter().find(is_it).context("the pool")?;
    same("portscope_pool_held_ports", pool, &one["barred"])?;
    same("portscope_pool_size_ports", pool, &one["effective"])?;
    same("portscope_pool_recent_failures", pool, &one["failures"])?;
    let accounts = &report["accounting"];
    same("portscope_events_lost_total", &[], &accounts["lost"])?;
    same("portscope_events_seen_total", &[], &accounts["seen"])
}

fn clients(live: &Live) -> Result<()> {
    let space = Space::with_range("30000-60999")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, socket) = (space.id().to_string(), live.scratch().file("socket"));
    let unix = format!("unix:{}", socket.display());
    let tracer =
        Tracer::serve(live.scratch(), &["-N", &netns, "--listen", &unix, "--listen", "127.0.0.1:0"])?;
    let said = tracer.wait_until_said("where it listens", |said| {
        said.contains("listening on 127.0.0.1:") || said.contains(", 127.0.0.1:")
    })?;
    let port: String = said
        .rsplit("127.0.0.1:")
        .next()
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let tcp = format!("127.0.0.1:{port}");
    until(&socket, "the first figures", |all| !all.is_empty())?;

    // Those who say nothing, those who never end, those who talk nonsense, those who want too much.
    let silent: Vec<_> = (0..10).map(|_| TcpStream::connect(&tcp)).collect::<Result<_, _>>()?;
    let mut endless = TcpStream::connect(&tcp)?;
    write!(endless, "GET /metrics HTTP/1.1\r\nx: ")?;
    let ask = |words: &[u8]| -> Result<String> {
        let mut stream = TcpStream::connect(&tcp)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // It may hang up before it was told everything.
        drop(stream.write_all(words));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    for nonsense in [b"\x16\x03\x01\x02\x00\x01\x00".as_slice(), b"GET\r\n\r\n", b"\r\n\r\n\r\n\r\n\0\0\0"] {
        let answer = ask(nonsense)?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    ensure!(ask(long.as_bytes())?.starts_with("HTTP/1.1 4"), "a long request was answered");
    for (words, status) in
        [("POST /metrics", 405), ("DELETE /", 405), ("GET /nowhere", 404), ("GET /report?last=x", 400)]
    {
        let answer = ask(format!("{words} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())?;
        ensure!(parted(&answer)?.0 == status, "{words}: {answer}");
    }

    let loud = |number: usize| -> usize {
        let path = if number.is_multiple_of(8) { "/report" } else { "/metrics" };
        (0..5).filter(|_| get(&socket, path, "*/*").is_ok_and(|(status, _)| status == 200)).count()
    };
    // Those who want all of the past, again and again.
    let greedy = || (0..3).filter(|_| get(&socket, "/report.json?last=1h", "*/*").is_ok()).count();
    let (done, answered) = thread::scope(|scope| -> Result<_> {
        for _ in 0..4 {
            scope.spawn(greedy);
        }
        let crowd: Vec<_> = (0..200).map(|number| scope.spawn(move || loud(number))).collect();
        let done = client.must_take(Task::connect(SERVICE.parse()?).resetting().times(20_000))?;
        let answered: usize = crowd.into_iter().map(|one| one.join().unwrap_or(0)).sum();
        Ok((done, answered))
    })?;
    ensure!(answered != 0, "nobody was answered");
    drop(silent);
    drop(endless);
    let told = until(&socket, "all connects", |all| {
        sum(all, "portscope_allocations_total", &["site=\"connect\""]) >= number(done.given())
    })?;
    ensure!(
        sum(&told, "portscope_allocations_total", &["site=\"connect\""]) == number(done.given()),
        "{told:#?}"
    );
    ensure!(sum(&told, "portscope_events_lost_total", &[]) == 0.0, "{told:#?}");
    let rest = ["emitted", "filtered", "lost"]
        .map(|what| sum(&told, &format!("portscope_events_{what}_total"), &[]));
    ensure!(sum(&told, "portscope_events_seen_total", &[]) == rest.iter().sum::<f64>(), "{told:#?}");
    ensure!(get(&socket, "/healthz", "*/*")?.0 == 200, "not healthy");
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    Ok(())
}

fn programs(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-49999")?;
    let mut server = space.actor("server")?;
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, socket) = (space.id().to_string(), live.scratch().file("socket"));
    let listen = format!("unix:{}", socket.display());
    let tracer = Tracer::serve(live.scratch(), &["-N", &netns, "--listen", &listen, "--top", "1"])?;
    let mut all = 0;
    for round in 0..3 {
        let mut client = space.actor(format!("client-{round}"))?;
        all += client.must_take(Task::connect(SERVICE.parse()?).resetting().times(100))?.given();
    }
    let asked = until(&socket, "all programs", |told| {
        sum(told, "portscope_allocations_total", &["connect"]) == number(all)
    })?;
    let programs = sum(&asked, "portscope_program_allocations_total", &[]);
    let gone = sum(&asked, "portscope_program_gone_allocations_total", &[]);
    ensure!(programs + gone == sum(&asked, "portscope_allocations_total", &[]), "{asked:#?}");
    let labels = asked.keys().filter(|key| key.starts_with("portscope_program_allocations_total")).count();
    ensure!(labels == 2, "{labels} programs for --top 1: {asked:#?}");
    for key in asked.keys() {
        ensure!(!key.contains("pid=") && !key.contains("lport="), "{key}");
    }
    tracer.stop_plainly()?;
    Ok(())
}

fn sockets(live: &Live) -> Result<()> {
    let socket = live.scratch().file("socket");
    drop(UnixListener::bind(&socket)?);
    ensure!(socket.exists(), "the kernel removed it");
    let listen = format!("unix:{}", socket.display());
    let tracer = Tracer::serve(live.scratch(), &["--listen", &listen])?;
    let mode = fs::metadata(&socket)?.permissions().mode() & 0o777;
    ensure!(mode == 0o660, "{mode:o}");
    portscope(live.scratch(), &["serve", "--listen", &listen])?
        .must_fail(1, &["another process does", "--listen"])?;
    tracer.stop_plainly()?;

    let file = live.scratch().file("file");
    fs::write(&file, "precious")?;
    let listen = format!("unix:{}", file.display());
    portscope(live.scratch(), &["serve", "--listen", &listen])?.must_fail(1, &["no socket", "--listen"])?;
    ensure!(fs::read_to_string(&file)? == "precious", "it was removed");
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let addr = taken.local_addr()?.to_string();
    let who = format!("portscope who {}", taken.local_addr()?.port());
    portscope(live.scratch(), &["serve", "--listen", &addr])?.must_fail(1, &[&addr, &who])?;
    portscope(live.scratch(), &["serve", "--listen", "localhost"])?.must_fail(2, &["127.0.0.1:19768"])?;
    let nowhere = format!("unix:{}", live.scratch().file("nowhere").display());
    portscope(live.scratch(), &["report", "--last", "1m", "--server", &nowhere])?
        .must_fail(1, &["cannot ask", "portscope serve", "report -d"])?;
    portscope(live.scratch(), &["report", "--last", "1m", "-d", "1s"])?.must_fail(2, &["--last"])
}

fn recorded(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, file) = (space.id().to_string(), live.scratch().file("ports.arrow"));
    let recorder = Tracer::record(live.scratch(), &file, &["-N", &netns])?;
    let done = client.take(Task::connect(SERVICE.parse()?).until_failed(7, 100))?;
    ensure!(done.given() == 64, "{:?}", done.failed);
    recorder.stop_plainly()?;
    drop(client);
    drop(server);
    drop(space);

    let socket = live.scratch().file("socket");
    let listen = format!("unix:{}", socket.display());
    let name = file.to_str().context("a path that is no text")?;
    let tracer = Tracer::serve(live.scratch(), &["-r", name, "--listen", &listen])?;
    let told = metrics(&socket)?;
    ensure!(sum(&told, "portscope_allocations_total", &["errno=\"\""]) == 64.0, "{told:#?}");
    ensure!(sum(&told, "portscope_allocations_total", &["EADDRNOTAVAIL"]) == 7.0, "{told:#?}");
    ensure!(sum(&told, "portscope_program_allocations_total", &[]) == 71.0, "{told:#?}");
    ensure!(sum(&told, "portscope_pool_held_ports", &["rport=\"7000\""]) == 64.0, "{told:#?}");
    ensure!(sum(&told, "portscope_finding", &["PS001", "holder=\"client-"]) == 1.0, "{told:#?}");
    let (status, page) = get(&socket, "/report", "*/*")?;
    ensure!(status == 200 && page.contains("EXHAUSTED"), "{status}");
    ensure!(get(&socket, "/healthz", "*/*")?.0 == 200, "not healthy");
    let (status, text) = get(&socket, "/report?last=1m", "*/*")?;
    ensure!(status == 503 && text.contains("recording"), "{status}: {text}");
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0) && !socket.exists(), "{status:?}: {said}");
    portscope(live.scratch(), &["serve", "-r", name, "--listen", &listen, "--backend", "fentry"])?
        .must_fail(2, &["--backend", "-r"])
}

fn configured(live: &Live) -> Result<()> {
    let (file, socket) = (live.scratch().file("portscope.toml"), live.scratch().file("socket"));
    let listen = format!("unix:{}", socket.display());
    fs::write(&file, format!("[serve]\nlisten = [\"{listen}\"]\ntop = 3\nduration = \"1ms\"\n"))?;
    let config = file.to_str().context("a path that is no text")?;
    let tracer = Tracer::serve(live.scratch(), &["--config", config, "--duration", "1h"])?;
    until(&socket, "figures", |all| !all.is_empty())?;
    tracer.stop_plainly()?;
    fs::write(&file, "[serve]\n\nlisen = \"x\"\n")?;
    portscope(live.scratch(), &["serve", "--config", config])?
        .must_fail(2, &["line 3", "lisen", "did you mean listen?"])
}
