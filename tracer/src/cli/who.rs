//! `portscope who`: who has a port.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use super::{
    Failure,
    exit::say,
    options::{Format, Loudness, format},
};
use crate::{
    event::{NetnsId, Port},
    findings::{Occupancy, WONT_HELP, occupancy},
    output::escape,
    pipeline::{answer, survey::Survey},
    stock::{Holders, Inode, Socket, Wanted, WhichHolders},
};

/// Options of `who`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ports
    #[arg(value_name = "PORT", required = true, value_parser = port)]
    ports: Vec<Port>,
    /// Output format: text, json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = format)]
    output: Format,
    #[command(flatten)]
    loudness: Loudness,
}

fn port(word: &str) -> Result<Port, String> {
    let number = word.parse().ok().and_then(Port::new);
    number.ok_or_else(|| format!("'{word}' is no port: give a number from 1 to 65535"))
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.loudness.start_log();
    if args.output == Format::Csv {
        return Err(Failure::usage("who has no csv: there are text and json"));
    }
    let failed = |error: crate::stock::StockError| Failure::new(error.to_string());
    let survey = Survey::bare(Path::new("/proc"), &Wanted::default()).map_err(failed)?;
    let case = survey.case(None, None);
    let answers: Vec<(Port, Vec<Occupancy>)> =
        args.ports.iter().map(|port| (*port, occupancy(&case, *port))).collect();
    let inodes: Vec<Inode> = answers
        .iter()
        .flat_map(|(_, places)| places)
        .flat_map(|place| &place.sockets)
        .filter_map(|socket| socket.inode)
        .collect();
    let holders = Holders::of(Path::new("/proc"), inodes, WhichHolders::All).map_err(failed)?;
    let unseen = survey.stock.failures.len();
    match args.output {
        Format::Json => {
            let ports: Vec<Value> =
                answers.iter().map(|(port, places)| document(*port, places, &holders)).collect();
            let schema = crate::output::records::SCHEMA;
            let whole = json!({
                "type": "who", "schema": schema, "ports": ports, "netns_not_asked": unseen,
            });
            say(&format!("{whole:#}\n"))
        }
        Format::Text | Format::Csv => {
            let mut out = String::new();
            for (port, places) in &answers {
                text(&mut out, *port, places, &holders);
            }
            if unseen != 0 {
                line(
                    &mut out,
                    "note",
                    &format!("{unseen} questions to namespaces had no answer: more rights may help (-v)"),
                );
            }
            say(&out)
        }
    }
}

fn text(out: &mut String, port: Port, places: &[Occupancy], holders: &Holders) {
    if places.is_empty() {
        head(
            out,
            &format!("OK  {} is free: no socket has it, in any namespace that could be asked", port.get()),
            "",
        );
    }
    for place in places {
        head(
            out,
            &format!("{}  {}", place.verdict.word.name(), place.verdict.reason),
            &format!("netns {}", place.label),
        );
        for socket in place.sockets.iter().take(MOST_SHOWN) {
            line(out, "holder", &format!("{} {}", owner(socket, holders), connection(socket)));
        }
        if place.sockets.len() > MOST_SHOWN {
            line(out, "", &format!("… {} more (-o json has them)", place.sockets.len() - MOST_SHOWN));
        }
        if place.accepted != 0 {
            line(out, "accepted", &format!("{} connections share its port", place.accepted));
        }
        if let Some(why) = &place.why {
            line(out, "why", why);
        }
        for command in &place.free {
            let risk = command.risk.as_ref().map(|risk| format!("   risk: {risk}")).unwrap_or_default();
            line(out, "free it", &format!("{}{risk}", command.run));
        }
        if !place.free.is_empty() {
            line(
                out,
                "",
                "restarting the holder instead can leave 60 s of TIME_WAIT that still block the bind",
            );
        }
        if let Some(command) = &place.reserve {
            let undo = command.undo.as_ref().map(|undo| format!("   undo: {undo}")).unwrap_or_default();
            line(out, "for good", &format!("{}{undo}", command.run));
        }
        if !place.free.is_empty() {
            line(out, "won't help", &WONT_HELP.join("; "));
        }
    }
}

/// Sockets that the text tells one by one.
const MOST_SHOWN: usize = 8;

fn owner(socket: &Socket, holders: &Holders) -> String {
    let mut named = socket.inode.into_iter().flat_map(|inode| holders.holders(inode));
    let Some(first) = named.next() else { return "no process (the kernel keeps it)".to_owned() };
    let place = first.process.container().or(first.process.unit());
    let place = place.map(|place| format!(", {place}")).unwrap_or_default();
    let others = named.count();
    let shared = if others == 0 { String::new() } else { format!(" and {others} more that share it") };
    format!("{} (pid {}{place}){shared}", first.process.comm().unwrap_or("?"), first.pid.0)
}

fn connection(socket: &Socket) -> String {
    let port = socket.local_port.map_or(0, Port::get);
    let local = std::net::SocketAddr::new(socket.local_addr, port);
    let peer = socket
        .remote_port
        .map(|remote| format!(" > {}", std::net::SocketAddr::new(socket.remote_addr, remote.get())));
    let left = socket.time_left_ms.map(|left| format!(", {} s left", left.get().div_ceil(1000)));
    format!(
        "{local}{} {}{}, since ?",
        peer.unwrap_or_default(),
        socket.state.name(),
        left.unwrap_or_default()
    )
}

fn document(port: Port, places: &[Occupancy], holders: &Holders) -> Value {
    let places: Vec<Value> = places
        .iter()
        .map(|place| {
            let sockets: Vec<Value> = place
                .sockets
                .iter()
                .map(|socket| {
                    let processes: Vec<Value> = socket
                        .inode
                        .into_iter()
                        .flat_map(|inode| holders.holders(inode))
                        .map(|holder| {
                            json!({
                                "pid": holder.pid.0,
                                "comm": holder.process.comm(),
                                "exe": holder.process.exe(),
                                "unit": holder.process.unit(),
                                "container": holder.process.container(),
                            })
                        })
                        .collect();
                    json!({
                        "state": socket.state.name(),
                        "local_addr": socket.local_addr,
                        "local_port": socket.local_port.map(Port::get),
                        "remote_addr": socket.remote_port.map(|_| socket.remote_addr),
                        "remote_port": socket.remote_port.map(Port::get),
                        "time_left_ms": socket.time_left_ms.map(std::num::NonZero::get),
                        "since": null,
                        "holders": processes,
                    })
                })
                .collect();
            let command = |command: &crate::findings::Command| {
                json!({
                    "netns": command.netns.map(NetnsId::get), "run": command.run,
                    "persist": command.persist, "undo": command.undo, "risk": command.risk,
                })
            };
            json!({
                "netns": place.netns.get(),
                "name": place.label,
                "proto": place.proto.name(),
                "verdict": answer::verdict(&place.verdict),
                "sockets": sockets,
                "accepted": place.accepted,
                "why": place.why,
                "free": place.free.iter().map(command).collect::<Vec<_>>(),
                "reserve": place.reserve.as_ref().map(command),
            })
        })
        .collect();
    json!({ "port": port.get(), "places": places })
}

fn head(out: &mut String, verdict: &str, netns: &str) {
    let told = escape(verdict).into_owned();
    let gap = 110_usize.saturating_sub(told.chars().count() + netns.chars().count()).max(2);
    let gap = if netns.is_empty() { 0 } else { gap };
    put(out, &format!("{told}{:gap$}{}", "", escape(netns)));
}

fn line(out: &mut String, label: &str, text: &str) {
    put(out, &format!("{label:<13}{}", escape(text)));
}

fn put(out: &mut String, text: &str) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
