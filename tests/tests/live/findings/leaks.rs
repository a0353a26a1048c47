//! PS015: sockets that are not given back, told by their state. Takes a minute: less is no leak.

use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Manner, Order, Space, Task, Told, Way};

use super::{Report, at};

alone! {
    what_is_not_given_back_is_told_by_its_state => leaks,
}

const SERVICE: &str = "127.0.0.1:7001";
/// A little more than the shortest window.
const WINDOW: Duration = Duration::from_secs(62);
/// Connections that are opened, one a second, and never closed.
const GROWN: u64 = 61;

/// Why bound sockets are not shown here.
fn bound_unseen() -> Result<Option<String>> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let (major, minor) = numbers.next().zip(numbers.next()).context("no version")?;
    Ok(((major?, minor?) < (6, 8)).then(|| format!("Linux {}", release.trim())))
}

fn leaks(live: &Live) -> Result<()> {
    let spaces = [(); 7].map(|()| Space::with_range("40000-40999"));
    let [close_wait, syn_sent, fin_wait, bound, grows, starts, calm] = spaces;
    let (close_wait, syn_sent, fin_wait) = (close_wait?, syn_sent?, fin_wait?);
    let (bound, grows, starts, calm) = (bound?, grows?, starts?, calm?);
    let mut servers = Vec::new();
    for (space, manner) in [
        (&close_wait, Manner::CloseFirst),
        (&syn_sent, Manner::Ignore),
        (&fin_wait, Manner::Keep),
        (&grows, Manner::Keep),
        (&starts, Manner::Keep),
        (&calm, Manner::Keep),
    ] {
        let mut server = space.actor("server")?;
        server.serve(at(SERVICE), manner)?;
        servers.push(server);
    }
    let (mut forgetful, mut caller) = (close_wait.actor("forgetful")?, syn_sent.actor("caller")?);
    let (mut halfway, mut binder) = (fin_wait.actor("halfway")?, bound.actor("binder")?);
    let mut steady = calm.actor("steady")?;
    steady.must_take(Task::connect(at(SERVICE)).times(30))?;
    let (mut leaky, mut starting) = (grows.actor("leaky")?, starts.actor("starting")?);
    // Whether open connections still grow is told from their ends alone.
    let report = Report::begin(live, &["--releases"])?;
    let began = Instant::now();
    let leak = thread::spawn(move || {
        leaky.must_take(Task::connect(at(SERVICE)).times(GROWN).every_ms(1_000)).map(|done| (done, leaky))
    });
    starting.must_take(Task::connect(at(SERVICE)).times(60))?;
    steady.must_take(Task::connect(at(SERVICE)).times(5))?;
    thread::sleep(WINDOW.saturating_sub(began.elapsed()).saturating_sub(Duration::from_secs(4)));
    forgetful.must_take(Task::connect(at(SERVICE)).times(40))?;
    forgetful.order(&Order::AwaitEnd)?;
    caller.must_take(Task::new(Way::Begin).to(at(SERVICE)).times(40))?;
    halfway.must_take(Task::connect(at(SERVICE)).times(40))?;
    halfway.order(&Order::HalfClose)?;
    binder.must_take(Task::new(Way::Bind).from(at("127.0.0.1:0")).times(40))?;
    let (leaked, _leaky) = leak.join().ok().context("the leak panicked")??;
    thread::sleep(WINDOW.saturating_sub(began.elapsed()));
    let told = report.end()?;
    let mut expected = vec![
        (&close_wait, "CLOSE_WAIT", "the peer has closed, the application never does"),
        (&syn_sent, "SYN_SENT", "the peer does not answer"),
        (&fin_wait, "FIN_WAIT2", "the one state that tcp_fin_timeout shortens"),
    ];
    // The other states are judged in any case.
    if live.has_part(Need::BoundShown, bound_unseen()?.as_deref())? {
        expected.push((&bound, "BOUND", "bound, and never connected or closed"));
    }
    for (space, state, why) in expected {
        let finding = told.finding("PS015", space.id())?;
        let [was, is] = [0, 1].map(|place| finding["evidence"]["states"][state][place].as_u64());
        ensure!(was == Some(0) && is >= Some(36) && is <= Some(40), "{finding}");
        ensure!(finding["evidence"]["most_to"] == SERVICE || state == "BOUND", "{finding}");
        let in_vain = finding["wont_help"].to_string();
        ensure!(in_vain.contains("tcp_fin_timeout") == (state != "FIN_WAIT2"), "{in_vain}");
        Told::says(finding, &[why])?;
    }
    let finding = told.finding("PS015", grows.id())?;
    let [was, is] = [0, 1].map(|place| finding["evidence"]["states"]["ESTABLISHED"][place].as_u64());
    ensure!(was == Some(0) && is == Some(leaked.given()), "{finding}");
    ensure!(finding["evidence"]["most_to"] == SERVICE, "{finding}");
    Told::says(finding, &["connections are opened and not closed", "bound its pool"])?;
    told.silent("PS015", starts.id())?;
    told.silent("PS015", calm.id())
}
