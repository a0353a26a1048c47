//! What only a flow tells: forecasts, the cliff, search times, reuse, hot ports, lost detail, and who made a
//! TIME_WAIT.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::deadline::until;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Actor, Manner, OFF_LOOPBACK, Order, Plot, Space, Task, Told, Way};
use serde_json::{Value, json};

use super::{Report, at};

per_backend! {
    a_leak_is_forecast,
    a_full_half_is_a_cliff_that_costs_cpu,
    steady_demand_is_seen_with_and_without_releases,
    ports_behind_a_hole_are_hot,
    the_maker_of_a_time_wait_is_named_when_it_is_gone,
    detail_that_was_lost_is_told,
}

const SERVICE: &str = "127.0.0.1:7001";

fn server(space: &Space, address: &str, manner: Manner) -> Result<Actor> {
    let mut server = space.actor("server")?;
    server.serve(at(address), manner)?;
    Ok(server)
}

fn a_leak_is_forecast(live: &Live) -> Result<()> {
    // 25 ports a second, none given back: the next 1,650 last for little more than a minute.
    let leaky = Space::with_range("40000-41999")?;
    let _leaky_server = server(&leaky, SERVICE, Manner::Keep)?;
    let mut leak = leaky.actor("leak")?;
    let light = Space::with_range("40000-40999")?;
    let _light_server = server(&light, SERVICE, Manner::Keep)?;
    let (mut calm, mut busy) = (light.actor("calm")?, light.actor("busy")?);
    let report = Report::begin(live, &[])?;
    calm.must_take(Task::connect(at(SERVICE)).times(10))?;
    let shuttle = thread::spawn(move || {
        let done = busy.must_take(Task::connect(at(SERVICE)).times(350).every_ms(40).resetting());
        done.map(|_| ())
    });
    leak.must_take(Task::connect(at(SERVICE)).times(350).every_ms(40))?;
    shuttle.join().ok().context("the thread died")??;
    let told = report.end()?;
    let finding = told.finding("PS003", leaky.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["barred"] == 350 && finding["severity"] == "critical", "{finding}");
    // What is left, at the rate that the workload itself kept.
    let number = |value: &Value| value.as_f64().context("no number");
    let (rate, estimate) = (number(&evidence["rate_per_s"])?, number(&evidence["full_in_s"]["estimate"])?);
    ensure!((10.0..=25.0).contains(&rate), "{evidence}");
    ensure!((estimate - 1_650.0 / rate).abs() < 0.15 * estimate, "{evidence}");
    Told::says(finding, &["is full in", "350 of 2,000: 350 ESTAB; leak 100.0 %"])?;
    for id in ["PS001", "PS002", "PS003", "PS010"] {
        told.silent(id, light.id())?;
    }
    Ok(())
}

fn a_full_half_is_a_cliff_that_costs_cpu(live: &Live) -> Result<()> {
    // 500 ports of the half that is searched first are bound; the other half is free.
    let halved = Space::with_range("42000-42999")?;
    let _server = server(&halved, SERVICE, Manner::CloseFirst)?;
    let (mut binder, mut client) = (halved.actor("binder")?, halved.actor("client")?);
    for port in (42_000_u16..43_000).step_by(2) {
        binder.must_take(Task::new(Way::Bind).from(([127, 0, 0, 1], port).into()))?;
    }
    // The same without them.
    let whole = Space::with_range("42000-42999")?;
    let _other = server(&whole, SERVICE, Manner::CloseFirst)?;
    let mut calm = whole.actor("calm")?;
    let report = Report::begin(live, &[])?;
    client.must_take(Task::connect(at(SERVICE)))?;
    client.must_take(Task::connect(at(SERVICE)).times(live.scaled(20_000)).resetting())?;
    calm.must_take(Task::connect(at(SERVICE)))?;
    calm.must_take(Task::connect(at(SERVICE)).times(live.scaled(500)).resetting())?;
    let told = report.end()?;
    let finding = told.finding("PS002", halved.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["first_half"] == json!({"parity": "even", "of": 500, "barred": 500}), "{evidence}");
    ensure!(evidence["crossed_share"] == 1.0 && evidence["crossed"] == true, "{evidence}");
    Told::says(
        finding,
        &["even (first) 500 of 500, odd 1 of 500", "100.0 % of them", "IP_LOCAL_PORT_RANGE"],
    )?;
    for id in ["PS001", "PS002"] {
        told.silent(id, whole.id())?;
    }
    let costs = told.any("PS011")?;
    ensure!(costs["evidence"]["searches"].as_u64() >= Some(1_000), "{costs}");
    ensure!(costs["evidence"]["by_program"][0]["program"] == "client", "{costs}");
    Told::says(costs, &["spent by client", "p50"])?;
    ensure!(told.0["verdict"]["word"] == "AT RISK", "{}", told.0["verdict"]);
    Ok(())
}

fn steady_demand_is_seen_with_and_without_releases(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let away = format!("{OFF_LOOPBACK}:7001");
    let _server = server(&space, &away, Manner::Keep)?;
    let (mut holder, mut client) = (space.actor("holder")?, space.actor("client")?);
    holder.must_take(Task::connect(at(&away)).times(54))?;
    let churn = || Task::connect(at(&away)).times(100).resetting().every_ms(10);
    let report = Report::begin(live, &[])?;
    client.must_take(churn())?;
    let told = report.end()?;
    let finding = told.finding("PS010", space.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["closes"] == 100 && evidence["basis"] == "two stocks", "{evidence}");
    ensure!(evidence["wanted"].as_f64().is_some_and(|wanted| (wanted - 54.0).abs() < 0.5), "{evidence}");
    Told::says(finding, &["steady demand is 84.4 % of its ports", "54 of 64 ports", "holder 100.0 %"])?;
    // With releases the holds are those of the window: what was there before is in none of them.
    holder.order(&Order::Close)?;
    let report = Report::begin(live, &["--releases"])?;
    client.must_take(churn())?;
    client.must_take(Task::connect(at(&away)))?;
    let told = report.end()?;
    told.silent("PS010", space.id())?;
    let reuse = told.any("PS009")?;
    ensure!(reuse["severity"] == "info" && reuse["evidence"]["off_loopback"] == true, "{reuse}");
    ensure!(reuse["evidence"]["netns"] == space.id(), "{reuse}");
    ensure!(reuse["evidence"]["interval_ms_p50"].as_u64().is_some_and(|ms| ms < 60_000), "{reuse}");
    Told::says(reuse, &["4-tuples came again within", "NAT and firewalls on the way may drop them"])
}

fn ports_behind_a_hole_are_hot(live: &Live) -> Result<()> {
    let holed = Space::make(Plot { reserved: "40100-40899", ..Plot::range("40000-40999") })?;
    let even = Space::with_range("40000-40999")?;
    let (mut client, mut other) = (holed.actor("client")?, even.actor("other")?);
    let report = Report::begin(live, &[])?;
    let binds = Task::new(Way::Bind).from(at("127.0.0.1:0")).times(live.scaled(5_000)).closing();
    let hit = client.must_take(binds)?;
    other.must_take(binds)?;
    let told = report.end()?;
    let finding = told.finding("PS014", holed.id())?;
    let hot = &finding["evidence"]["ports"][0];
    let port = hot["port"].as_u64().context("no port")?;
    let uses = hit.ports.iter().filter(|had| u64::from(**had) == port).count();
    ensure!((40_900..=40_903).contains(&port) && hot["uses"] == uses, "{uses} of {port}: {hot}");
    Told::says(finding, &["behind a hole of 800 reserved ones", "reserve fewer ports in a row"])?;
    told.silent("PS014", even.id())
}

fn the_maker_of_a_time_wait_is_named_when_it_is_gone(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40199")?;
    let away = format!("{OFF_LOOPBACK}:7001");
    let _server = server(&space, &away, Manner::CloseLast)?;
    let report = Report::begin(live, &[])?;
    let mut curl = space.actor("curl")?;
    let first = curl.must_take(Task::connect(at(&away)).times(150).closing())?;
    let maker = curl.pid();
    drop(curl);
    let mut wget = space.actor("wget")?;
    let last = wget.take(Task::connect(at(&away)).until_failed(5, 400).closing())?;
    // The server closes its ends when it comes to them: the last may be in FIN_WAIT_2 still.
    until("a TIME_WAIT of each port", Duration::from_secs(20), || {
        Ok((space.time_waits(None)? >= 200).then_some(()))
    })?;
    let told = report.end()?;
    ensure!(last.failed_with("EADDRNOTAVAIL") == 5, "{last:?}");
    // A TIME_WAIT may end early, by a RST: whoever had a port last has it.
    let had: BTreeMap<u16, u32> = first
        .ports
        .iter()
        .map(|port| (*port, maker))
        .chain(last.ports.iter().map(|port| (*port, wget.pid())))
        .collect();
    ensure!(had.len() == 200, "{} ports of 200", had.len());
    let finding = told.finding("PS001", space.id())?;
    let holders = &finding["evidence"]["holders"];
    for (place, pid) in [(0, maker), (1, wget.pid())] {
        let (one, ports) = (&holders[place], had.values().filter(|owner| **owner == pid).count());
        ensure!(
            one["pid"] == pid && one["ports"] == ports && one["time_wait"] == ports,
            "{ports}: {holders}"
        );
    }
    Told::says(
        finding,
        &[
            "200 of 200: 200 TIME_WAIT; curl ",
            "refused to wget 5",
            "we close first, each port out for 60 s: this pool pays back 3.3/s",
            "net.ipv4.tcp_tw_reuse=1",
        ],
    )?;
    // What tcp_tw_reuse=1 does at once is what the advice promises: the ports can be had again.
    space.set("net/ipv4/tcp_tw_reuse", "1")?;
    thread::sleep(Duration::from_millis(1_100));
    wget.must_take(Task::connect(at(&away)).times(20).closing())?;
    Ok(())
}

fn detail_that_was_lost_is_told(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40999")?;
    let mut client = space.actor("client")?;
    let report = Report::begin(live, &["--buffer", "64KiB"])?;
    report.0.pause()?;
    let count = live.scaled(10_000);
    let binds = Task::new(Way::Bind).from(at("127.0.0.1:0")).closing();
    client.must_take(binds.times(count))?;
    report.0.resume()?;
    let told = report.end()?;
    let finding = told.any("PS017")?;
    ensure!(finding["evidence"]["lost"] == told.0["accounting"]["lost"], "{finding}");
    ensure!(
        finding["severity"] == "warning" && finding["evidence"]["share"].as_f64() > Some(0.01),
        "{finding}"
    );
    ensure!(told.0["totals"]["by_site"]["bind"].as_u64() >= Some(count), "{}", told.0["totals"]);
    Told::says(finding, &["--buffer SIZE, twice as large or more"])?;
    // With room for all of it nothing is lost.
    let report = Report::begin(live, &[])?;
    client.must_take(binds.times(live.scaled(500)))?;
    let told = report.end()?;
    ensure!(told.any("PS017").is_err() && told.0["accounting"]["lost"] == 0, "{}", told.0["accounting"]);
    Ok(())
}
