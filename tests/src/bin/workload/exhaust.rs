//! Every site until it fails: all ports of a small range are taken one way, then given back.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use rustix::io::Errno;

use crate::cli::Exhaust;
use crate::endpoint::{Endpoint, Sending};
use crate::ground::Ground;
use crate::options::SocketOption;
use crate::sites;
use crate::stage::Stage;
use crate::transport::Transport;

/// The widest range that this will fill: each port is an open file.
const WIDEST: u16 = 512;

/// One way to take a port.
#[derive(Clone, Copy, Debug)]
enum Way {
    Connect,
    BindConnect,
    Bind,
    BindAnywhere,
    Listen,
    Autobind,
    Send(Sending),
}

/// The ways of a transport, each with its name and options.
fn ways(stage: &Stage, transport: Transport) -> Vec<(&'static str, Way, Vec<SocketOption>)> {
    let own = SocketOption::quarter(stage.range);
    let shared = [
        ("bind(0) until full", Way::Bind, vec![]),
        ("bind(0) to the wildcard until full", Way::BindAnywhere, vec![]),
        ("bind(0) with IP_LOCAL_PORT_RANGE until full", Way::Bind, vec![own]),
    ];
    let further = if transport.is_stream() {
        vec![
            ("connect until full", Way::Connect, vec![]),
            (
                "bind without a port, connect until full",
                Way::BindConnect,
                vec![SocketOption::BindAddressNoPort],
            ),
            ("bind(0) with SO_REUSEADDR until full", Way::Bind, vec![SocketOption::ReuseAddr]),
            ("listen until full", Way::Listen, vec![]),
            ("connect with IP_LOCAL_PORT_RANGE until full", Way::Connect, vec![own]),
        ]
    } else {
        vec![
            ("connect until full", Way::Autobind, vec![]),
            ("sendto until full", Way::Send(Sending::SendTo), vec![]),
            ("sendmsg until full", Way::Send(Sending::SendMsg), vec![]),
            ("send without an address until full", Way::Send(Sending::Unaddressed), vec![]),
        ]
    };
    shared.into_iter().chain(further).collect()
}

/// Fills the range in every way, on IPv4 and on IPv6.
pub(crate) fn run(stage: &Stage, plan: &Exhaust) -> Result<()> {
    let ports = stage.range[1] - stage.range[0] + 1;
    ensure!(
        ports.is_multiple_of(2) && ports <= WIDEST,
        "the range to fill must hold an even number of ports, at most {WIDEST}: give --netns own --range LO-HI"
    );
    for ground in sites::present(stage, vec![Ground::V4, Ground::V6])? {
        for &transport in &plan.protocols {
            if !sites::has(stage, transport, ground)? {
                continue;
            }
            for (name, way, options) in ways(stage, transport) {
                fill(stage, plan, ground, transport, (name, way, &options))
                    .with_context(|| format!("{} on {}: {name}", transport.word(), ground.word()))?;
            }
        }
    }
    Ok(())
}

fn fill(
    stage: &Stage,
    plan: &Exhaust,
    ground: Ground,
    transport: Transport,
    (name, way, options): (&'static str, Way, &[SocketOption]),
) -> Result<()> {
    let peer = if transport.is_stream() { Some(stage.listener(ground)?) } else { None };
    let to = match &peer {
        Some((_, addr)) => *addr,
        None => ground.at(9),
    };
    let mut held = Vec::new();
    let mut failures = 0;
    for _ in 0..u32::from(WIDEST) + plan.failures {
        let mut endpoint = match Endpoint::open(stage, name, ground, transport, options) {
            Ok(endpoint) => endpoint,
            Err(errno @ Errno::NOPROTOOPT) => return stage.absent("local_port_range", errno),
            Err(error) => return Err(error.into()),
        };
        match take(&mut endpoint, way, ground, to) {
            Ok(()) => {
                let accepted = match (way, &peer) {
                    (Way::Connect | Way::BindConnect, Some((listener, _))) => Some(listener.accept()?),
                    _ => None,
                };
                held.push((endpoint, accepted));
            }
            Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN) => failures += 1,
            Err(error) => return Err(error.into()),
        }
        if failures == plan.failures {
            return Ok(());
        }
    }
    anyhow::bail!("{} ports were had and the range is still not full", held.len())
}

fn take(endpoint: &mut Endpoint<'_>, way: Way, ground: Ground, to: SocketAddr) -> Result<(), Errno> {
    match way {
        Way::Connect | Way::Autobind => endpoint.connect(to),
        Way::BindConnect => endpoint.bind(ground.at(0)).and_then(|()| endpoint.connect(to)),
        Way::Bind => endpoint.bind(ground.at(0)),
        Way::BindAnywhere => endpoint.bind(ground.anywhere()),
        Way::Listen => endpoint.listen(),
        Way::Send(how) => endpoint.send(how, to),
    }
}
