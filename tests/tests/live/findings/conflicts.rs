//! PS005, PS020 and PS021: a service cannot have its port, and what is printed about that mends it.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Manner, OFF_LOOPBACK, Order, Plot, Space, Task, Told, Way, shell, tools};
use serde_json::Value;

use super::{Report, at, succeeds};

per_backend! {
    a_service_that_lost_its_port_has_it_back_by_the_printed_commands,
    a_trace_names_who_has_the_port_of_a_service,
    lost_to_a_listener_to_time_wait_or_to_a_datagram_socket,
}

const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";
const FAR_END: &str = "127.0.0.1:4317";

/// Tries to listen on this port of every address.
fn service(port: u16) -> Task {
    Task::new(Way::Listen).from(([0, 0, 0, 0], port).into())
}

fn text<'a>(command: &'a Value, part: &str) -> Result<&'a str> {
    command[part].as_str().with_context(|| format!("no {part} in {command}"))
}

fn a_service_that_lost_its_port_has_it_back_by_the_printed_commands(live: &Live) -> Result<()> {
    let name = format!("portscope-findings-{}", std::process::id());
    let plot = Plot { range: "50051-50051", reserved: "9100", name: Some(name.as_ref()) };
    let space = Space::make(plot)?;
    let mut collector = space.actor("collector")?;
    collector.serve(at(FAR_END), Manner::Keep)?;
    let (mut agent, mut grpc) = (space.actor("otel-agent")?, space.actor("grpc-server")?);
    let report = Report::begin(live, &[])?;
    agent.must_take(Task::connect(at(FAR_END)))?;
    space.set("net/ipv4/ip_local_port_range", "32768 60999")?;
    let refused = grpc.take(service(50_051).times(3))?;
    let told = report.end()?;
    ensure!(refused.failed_with("EADDRINUSE") == 3, "{:?}", refused.failed);
    let finding = told.finding("PS005", space.id())?;
    ensure!(finding["severity"] == "critical" && finding["evidence"]["refused"] == 3, "{finding}");
    ensure!(finding["evidence"]["holders"][0]["pid"] == agent.pid(), "{finding}");
    let holder = format!("otel-agent (pid {}", agent.pid());
    let victim = format!("grpc-server (pid {}", grpc.pid());
    Told::says(
        finding,
        &[
            "50051/tcp is held by an outbound connection; nobody listens",
            &holder,
            "127.0.0.1:50051 > 127.0.0.1:4317 ESTAB",
            &victim,
            "bind 0.0.0.0:50051 EADDRINUSE x3",
            "50051 is inside 32768-60999 and not reserved",
            "bound this port by name, it keeps it until it closes",
        ],
    )?;
    for id in ["PS020", "PS021", "PS001"] {
        told.silent(id, space.id())?;
    }
    let who = portscope(live.scratch(), &["who", "50051", "-N", &name])?;
    succeeds(&who)?;
    ensure!(who.stdout.contains(&holder) && who.stdout.contains(" > 127.0.0.1:4317 ESTAB"), "{}", who.stdout);
    let kill = format!("nsenter --net=/run/netns/{name} ss -tK src 127.0.0.1:50051 dst 127.0.0.1:4317");
    ensure!(who.stdout.contains(&kill) && text(&finding["commands"][0], "run")? == kill, "{finding}");
    if !live.has(Need::Tools, tools(&["nsenter", "sysctl", "ss"]))? {
        return Ok(());
    }
    shell(&kill)?;
    let reserve = &finding["commands"][1];
    shell(text(reserve, "run")?)?;
    ensure!(space.sysctl(RESERVED)? == "9100,50051", "{}", space.sysctl(RESERVED)?);
    grpc.must_take(service(50_051))?;
    grpc.order(&Order::Close)?;
    shell(text(reserve, "undo")?)?;
    ensure!(space.sysctl(RESERVED)? == "9100", "{}", space.sysctl(RESERVED)?);
    Ok(())
}

fn a_trace_names_who_has_the_port_of_a_service(live: &Live) -> Result<()> {
    let space = Space::with_range("50051-50051")?;
    let mut collector = space.actor("collector")?;
    collector.serve(at(FAR_END), Manner::Keep)?;
    let (mut agent, mut grpc) = (space.actor("otel-agent")?, space.actor("grpc-server")?);
    let tracer = live.tracer(&["-N", &space.id().to_string()])?;
    agent.must_take(Task::connect(at(FAR_END)))?;
    let refused = grpc.take(service(50_051))?;
    let capture = tracer.stop()?;
    ensure!(refused.failed_with("EADDRINUSE") == 1, "{:?}", refused.failed);
    let events = capture.of(grpc.pid());
    let event = events.first().context("the refusal is not told")?;
    let holders = event.value("holders").context("no holders")?;
    ensure!(holders[0]["pid"] == agent.pid() && holders[0]["comm"] == "otel-agent", "{holders}");
    ensure!(holders[0]["remote_port"] == 4317 && holders[0]["state"] == "ESTABLISHED", "{holders}");
    Ok(())
}

fn lost_to_a_listener_to_time_wait_or_to_a_datagram_socket(live: &Live) -> Result<()> {
    // A second instance.
    let twice = Space::with_range("40000-40063")?;
    let (mut first, mut second) = (twice.actor("first")?, twice.actor("second")?);
    first.must_take(service(8_080))?;
    // A service that closed first, and begins again without SO_REUSEADDR.
    let again = Space::with_range("40000-40063")?;
    let (mut old, mut new) = (again.actor("old")?, again.actor("new")?);
    let mut visitor = again.actor("visitor")?;
    old.serve(at("127.0.0.1:8081"), Manner::CloseFirst)?;
    visitor.must_take(Task::connect(at("127.0.0.1:8081")).times(10))?;
    visitor.order(&Order::AwaitEnd)?;
    visitor.order(&Order::Close)?;
    old.order(&Order::Retire)?;
    // A connection that is over, and whose maker is gone.
    let past = Space::with_range("50051-50051")?;
    let (mut peer, mut late) = (past.actor("peer")?, past.actor("late")?);
    let far = format!("{OFF_LOOPBACK}:4317");
    peer.serve(at(&far), Manner::CloseLast)?;
    // A datagram socket that the kernel bound.
    let datagrams = Space::with_range("53000-53000")?;
    let (mut resolver, mut dns) = (datagrams.actor("resolver")?, datagrams.actor("dns")?);

    let waits = again.time_waits(Some(8_081))?;
    let report = Report::begin(live, &[])?;
    let lost = second.take(service(8_080).times(2))?;
    let barred = new.take(service(8_081).times(4))?;
    let mut maker = past.actor("maker")?;
    let maker_pid = maker.pid();
    maker.must_take(Task::connect(at(&far)).closing())?;
    drop(maker);
    let after = late.take(service(50_051))?;
    resolver.must_take(Task::new(Way::Udp).to(at("127.0.0.1:53")))?;
    let deaf = dns.take(Task::new(Way::BindUdp).from(at("0.0.0.0:53000")))?;
    let told = report.end()?;
    for (done, count) in [(&lost, 2), (&barred, 4), (&after, 1), (&deaf, 1)] {
        ensure!(done.failed_with("EADDRINUSE") == count && done.given() == 0, "{done:?}");
    }

    let finding = told.finding("PS020", twice.id())?;
    ensure!(finding["evidence"]["refused"] == 2, "{finding}");
    let holder = format!("first (pid {}", first.pid());
    Told::says(finding, &["8080/tcp is listened on already", &holder, "LISTEN", "a second instance"])?;
    told.silent("PS005", twice.id())?;

    let finding = told.finding("PS021", again.id())?;
    let told_waits = finding["evidence"]["time_waits"].as_u64().context("no count")?;
    // One that meets a RST ends early.
    let waits = again.time_waits(Some(8_081))?..=waits;
    ensure!(waits.contains(&told_waits) && told_waits != 0, "{waits:?}: {finding}");
    ensure!(finding["evidence"]["refused"] == 4, "{finding}");
    let left = finding["evidence"]["seconds_left"].as_u64().context("no seconds left")?;
    ensure!((40..=60).contains(&left), "{finding}");
    Told::says(
        finding,
        &["8081/tcp is barred by ", "TIME_WAITs of its own past", "SO_REUSEADDR, 1) before bind"],
    )?;
    new.must_take(service(8_081).reuse_addr())?;

    let finding = told.finding("PS005", past.id())?;
    ensure!(finding["evidence"]["state"] == "TIME_WAIT", "{finding}");
    ensure!(finding["evidence"]["holders"][0]["pid"] == maker_pid, "{finding}");
    Told::says(finding, &["maker", "TIME_WAIT", "ss -tK state time-wait 'sport = :50051'", "or wait "])?;
    told.silent("PS021", past.id())?;

    let finding = told.finding("PS005", datagrams.id())?;
    Told::says(finding, &["53000/udp", "resolver", "ss -uK src 127.0.0.1:53000 dst 127.0.0.1:53"])
}
