//! Names that others choose, where what goes out is no text of ours: figures that are pushed, tables, and the screen.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::metric::Data,
};
use portscope_tests::cgroups::Cgroups;
use portscope_tests::invocation::{portscope, run};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Actor, Manner, Plot, Space, Task};
use portscope_tests::terminal::{Pseudo, ended, is_harmful};
use portscope_tests::trace::Tracer;
use portscope_tests::{alone, deadline, program};

use crate::otlp::{Collector, Pushes};
use crate::serve::SERVICE;

alone! {
    a_collector_is_told_names_that_do_no_harm => pushed,
    a_table_has_names_as_they_are => tabled,
    a_screen_obeys_none_but_us => shown,
}

/// Figures are drawn up seldom where that takes long.
const PATIENCE: Duration = Duration::from_mins(2);

/// A name as others have chosen it, as a table has it, and as people see it.
struct Name {
    chosen: &'static [u8],
    told: &'static str,
    shown: &'static str,
}

const fn plain(name: &'static str) -> Name {
    Name { chosen: name.as_bytes(), told: name, shown: name }
}

/// Of processes. One resets a terminal and has it answer, one does so by a control of eight bits, which is no text, one by
/// the same as text, and turns it; one is a part of a JSON document, one what a verdict says.
const NAMES: [Name; 5] = [
    Name { chosen: b"\x1bc\x1b[6n\x07evil", told: "\x1bc\x1b[6n\x07evil", shown: "\\x1bc\\x1b[6n\\x07evil" },
    Name {
        chosen: b"\x9b6n\xff\xc3evil",
        told: "\u{fffd}6n\u{fffd}\u{fffd}evil",
        shown: "\u{fffd}6n\u{fffd}\u{fffd}evil",
    },
    Name {
        chosen: b"\xc2\x9b6n\xe2\x80\xaeevil",
        told: "\u{9b}6n\u{202e}evil",
        shown: "\\x9b6n\\u{202e}evil",
    },
    plain("\",\"pid\":1,\"evil"),
    plain("EXHAUSTED evil"),
];
/// Of the cgroup that the first of them is in.
const UNIT: Name = Name {
    chosen: b"\x1b]0;x\x07\xff\xe2\x81\xa6evil.service",
    told: "\x1b]0;x\x07\u{fffd}\u{2066}evil.service",
    shown: "\\x1b]0;x\\x07\u{fffd}\\u{2066}evil.service",
};
/// Of the network namespace.
const NETNS: Name = Name {
    chosen: b"\x1b[6n\xfe\n\"evil\xe2\x80\xae",
    told: "\x1b[6n\u{fffd}\n\"evil\u{202e}",
    shown: "\\x1b[6n\u{fffd}\\x0a\"evil\\u{202e}",
};

/// Those who have such names.
struct Cast {
    // They go before that which they are in.
    clients: Vec<Actor>,
    _server: Actor,
    _cgroups: Cgroups,
    space: Space,
}

impl Cast {
    fn make() -> Result<Self> {
        let name = Some(OsStr::from_bytes(NETNS.chosen));
        let space = Space::make(Plot { name, ..Plot::range("40000-40031") })?;
        let mut server = space.actor("server")?;
        server.serve(SERVICE.parse()?, Manner::Keep)?;
        let clients: Vec<_> =
            NAMES.iter().map(|name| space.actor(OsStr::from_bytes(name.chosen))).collect::<Result<_>>()?;
        let cgroups = Cgroups::make()?;
        cgroups.put(OsStr::from_bytes(UNIT.chosen), clients.first().context("no client")?.pid())?;
        Ok(Self { clients, _server: server, _cgroups: cgroups, space })
    }

    fn netns(&self) -> String {
        self.space.id().to_string()
    }

    /// Each takes six ports, the last one what is left; then each is refused twice.
    fn play(&mut self) -> Result<()> {
        let connect = Task::connect(SERVICE.parse()?);
        for client in &mut self.clients {
            client.must_take(connect.times(6))?;
        }
        let last = self.clients.last_mut().context("no client")?;
        last.must_take(connect.times(2))?;
        for client in &mut self.clients {
            let done = client.take(connect.times(2))?;
            ensure!(done.failed_with("EADDRNOTAVAIL") == 2, "{:?}", done.failed);
        }
        Ok(())
    }
}

fn pushed(live: &Live) -> Result<()> {
    let mut cast = Cast::make()?;
    let pushes = Pushes::default();
    let collector = Collector::start(&pushes)?;
    let (url, netns) = (format!("http://{}", collector.address), cast.netns());
    let listen = format!("unix:{}", live.scratch().file("socket").display());
    let args = ["-N", &netns, "--listen", &listen, "--otlp", &url, "--otlp-interval", "1s"];
    let tracer = Tracer::serve(live.scratch(), &args)?;
    cast.play()?;
    let last = deadline::until("a push of all", PATIENCE, || {
        let pushes = pushes.lock().ok().context("the collector panicked")?;
        let Some((_, _, last)) = pushes.last() else { return Ok(None) };
        Ok((sum(last, "portscope_program_failures") == 10).then(|| last.clone()))
    })?;
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    let told = texts(&last);
    let harmful = told.iter().find(|(key, text)| key.contains(is_harmful) || text.contains(is_harmful));
    ensure!(harmful.is_none(), "{harmful:?}");
    let of = |wanted: &str| {
        let all = told.iter().filter(|(key, _)| key == wanted);
        all.map(|(_, text)| text.as_str()).collect::<BTreeSet<_>>()
    };
    for name in NAMES {
        // The program is the file, whose name goes on.
        let is_it =
            |program: &&str| program.strip_prefix(name.shown).is_some_and(|rest| rest.starts_with('-'));
        ensure!(of("program").iter().any(is_it), "no {:?}: {:?}", name.shown, of("program"));
    }
    ensure!(of("unit").contains(UNIT.shown), "{:?}", of("unit"));
    ensure!(of("netns").contains(NETNS.shown), "{:?}", of("netns"));
    Ok(())
}

/// Every text of a push, with its key.
fn texts(figures: &ExportMetricsServiceRequest) -> Vec<(String, String)> {
    let mut all: Vec<KeyValue> = Vec::new();
    let mut named = Vec::new();
    for of_resource in &figures.resource_metrics {
        all.extend(of_resource.resource.iter().flat_map(|resource| resource.attributes.clone()));
        for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            named.push((metric.name.clone(), format!("{} {}", metric.description, metric.unit)));
            match &metric.data {
                Some(Data::Sum(sum)) => {
                    all.extend(sum.data_points.iter().flat_map(|one| one.attributes.clone()));
                }
                Some(Data::Gauge(one)) => {
                    all.extend(one.data_points.iter().flat_map(|one| one.attributes.clone()));
                }
                _ => {}
            }
        }
    }
    for KeyValue { key, value, .. } in all {
        if let Some(Value::StringValue(text)) = value.and_then(|value| value.value) {
            named.push((key, text));
        }
    }
    named
}

fn sum(figures: &ExportMetricsServiceRequest, name: &str) -> i64 {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    let scopes = figures.resource_metrics.iter().flat_map(|one| &one.scope_metrics);
    let Some(Data::Sum(sum)) = scopes
        .flat_map(|one| &one.metrics)
        .find(|metric| metric.name == name)
        .and_then(|one| one.data.as_ref())
    else {
        return 0;
    };
    let points = sum.data_points.iter();
    points.map(|point| if let Some(Value::AsInt(count)) = point.value { count } else { 0 }).sum()
}

/// Prints what a table has in its columns of names, and the texts beside the rows.
const SCRIPT: &str = "
import json, sys, pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
metadata = pyarrow.parquet.read_metadata(sys.argv[1]).metadata
beside = {key.decode(): value.decode() for key, value in metadata.items()}
columns = ['comm', 'thread_comm', 'exe', 'unit']
print(json.dumps({
    'names': {name: sorted({one for one in table[name].to_pylist() if one is not None}) for name in columns},
    'beside': [beside['portscope.header'], beside['portscope.footer']],
}))
";

fn tabled(live: &Live) -> Result<()> {
    let mut cast = Cast::make()?;
    let (netns, file) = (cast.netns(), live.scratch().file("ports.arrow"));
    let recorder = Tracer::record(live.scratch(), &file, &["-N", &netns])?;
    cast.play()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    let recording = file.to_str().context("a path that is no text")?;
    let lines = exported(live, recording, "jsonl")?;
    ensure!(!lines.contains(|letter| letter != '\n' && is_harmful(letter)), "{lines:?}");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
    let of = |key: &str| {
        let all = lines.iter().filter_map(|line| line[key].as_str());
        all.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    all_told(&of)?;
    let csv = exported(live, recording, "csv")?;
    ensure!(csv.contains(NAMES[2].told) && csv.contains(UNIT.told), "{csv:?}");
    if !live.has_part(Need::Python, program::python_lacks().as_deref())? {
        return Ok(());
    }
    let table = live.scratch().file("ports.parquet");
    let words =
        ["export", recording, "--to", "parquet", "-w", table.to_str().context("a path that is no text")?];
    let ended = portscope(live.scratch(), &words)?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let mut command = Command::new(program::python()?);
    command.args(["-c", SCRIPT]).arg(&table);
    let ended = run(live.scratch(), command)?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let read: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    for key in ["comm", "thread_comm", "exe", "unit"] {
        let names: BTreeSet<String> = serde_json::from_value(read["names"][key].clone())?;
        ensure!(names == of(key), "{key}: Parquet {names:?}, JSON Lines {:?}", of(key));
    }
    for text in read["beside"].as_array().context("nothing beside the rows")? {
        let text = text.as_str().context("no text")?;
        ensure!(!text.contains(is_harmful), "{text:?}");
    }
    ensure!(read["beside"][0].as_str().is_some_and(|header| header.contains("evil")), "{}", read["beside"]);
    Ok(())
}

fn exported(live: &Live, recording: &str, format: &str) -> Result<String> {
    let ended = portscope(live.scratch(), &["export", recording, "--to", format, "-w", "-"])?;
    ensure!(ended.status == Some(0), "{format}: {:?}: {}", ended.status, ended.stderr);
    Ok(ended.stdout)
}

/// Every name is there as it is, but for what is no text.
fn all_told(of: &dyn Fn(&str) -> BTreeSet<String>) -> Result<()> {
    let (comms, exes, units) = (of("comm"), of("exe"), of("unit"));
    for name in NAMES {
        ensure!(comms.contains(name.told), "no {:?} in {comms:?}", name.told);
        let is_it = |exe: &String| exe.rsplit('/').next().is_some_and(|file| file.starts_with(name.told));
        ensure!(exes.iter().any(is_it), "no {:?} in {exes:?}", name.told);
    }
    ensure!(units.contains(UNIT.told), "no {:?} in {units:?}", UNIT.told);
    Ok(())
}

fn shown(_live: &Live) -> Result<()> {
    let mut cast = Cast::make()?;
    let mut terminal = Pseudo::open(220, 60)?;
    let usual = terminal.modes()?;
    let mut top = terminal.start(&["top", "--backend", "tracepoint", "-i", "200ms", "-N", &cast.netns()])?;
    terminal.wait_for("asked for")?;
    cast.play()?;
    terminal.wait_for(" EXHAUSTED ")?;
    let overview: Vec<&str> = NAMES.iter().map(|name| name.shown).chain([UNIT.shown]).collect();
    // The first text is there on that screen alone. The table of pools cuts its cells, as events do; a pool in full says of
    // whom they are.
    let screens: [(&[u8], &str, &[&str]); 5] = [
        (b"1", "[1 Overview]", &overview),
        (b"2", "[2 Pools]", &["POOL", "\\x1b[6n"]),
        (b"\r", "REFUSED TO", &[NAMES[0].shown, NAMES[2].shown, "evil\\u{202e}"]),
        (b"3", "[3 Events]", &["LADDR", "\\x9b6n", "\\x1bc"]),
        ("/comm=\u{9b}6n\u{202e}*\r".as_bytes(), "shown: comm=\\x9b6n\\u{202e}*", &["\\x9b6n"]),
    ];
    for (keys, title, wanted) in screens {
        terminal.press(keys)?;
        drawn(&mut terminal, title)?;
        terminal.forget();
        for text in wanted {
            drawn(&mut terminal, text)?;
        }
    }
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ours_alone(terminal.bytes())?;
    ensure!(terminal.modes()? == usual, "ended in other modes");
    Ok(())
}

/// Has all drawn anew until a text is there.
fn drawn(terminal: &mut Pseudo, text: &str) -> Result<()> {
    let shown = deadline::until(text, PATIENCE, || {
        terminal.press(b"\x0c")?;
        std::thread::sleep(Duration::from_millis(300));
        terminal.read()?;
        ours_alone(terminal.bytes())?;
        Ok(terminal.said().contains(text).then_some(()))
    });
    shown.with_context(|| terminal.said())
}

/// Nothing that a terminal obeys but what the screen is drawn by: places, colours, the other screen, the cursor.
fn ours_alone(bytes: &[u8]) -> Result<()> {
    // What was read before may end within a letter.
    let begin = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let bytes = bytes.get(begin..).unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A letter that has not come whole.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default())?
        }
        Err(error) => bail!("{error}: {:?}", String::from_utf8_lossy(bytes)),
    };
    let mut rest = text;
    while let Some(at) = rest.find(is_harmful) {
        rest = rest.get(at..).unwrap_or_default();
        let letter = rest.chars().next().unwrap_or_default();
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        rest = match letter {
            '\r' | '\n' => after,
            '\u{1b}' => match sequence(after) {
                Some((sequence, after)) if is_ours(sequence) => after,
                // Cut off.
                None if after.len() < 16 => "",
                _ => bail!("{:?} in {text:?}", rest.chars().take(20).collect::<String>()),
            },
            _ => bail!("{:?} in {text:?}", rest.chars().take(20).collect::<String>()),
        };
    }
    Ok(())
}

/// A control sequence, and what follows it.
fn sequence(text: &str) -> Option<(&str, &str)> {
    let end = text.char_indices().skip(1).find(|(_, letter)| ('@'..='~').contains(letter))?.0 + 1;
    text.split_at_checked(end)
}

fn is_ours(sequence: &str) -> bool {
    let Some((parameters, last)) =
        sequence.strip_prefix('[').and_then(|rest| rest.split_at_checked(rest.len().saturating_sub(1)))
    else {
        return false;
    };
    match last {
        "H" | "m" | "J" | "K" => parameters.chars().all(|letter| letter.is_ascii_digit() || letter == ';'),
        "h" | "l" => ["?1049", "?25"].contains(&parameters),
        _ => false,
    }
}
