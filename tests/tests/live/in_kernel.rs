//! Sockets of the kernel itself: the client of NFS connects from a thread of the kernel, and only the other end can say
//! from which port.
//!
//! The mount ends at its first question, which a listener here answers as a server without that program does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::per_backend;
use portscope_tests::trace::{Capture, Event, Tracer};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};

per_backend! {
    a_connect_of_the_kernel_is_told_with_the_port_that_the_other_end_sees,
    a_reserved_port_that_the_kernel_names_is_told_on_demand_alone,
    a_connect_of_the_kernel_is_a_call_without_a_stack,
}

/// How long the listener looks for the next connection before it looks whether the mount is over.
const BETWEEN: Duration = Duration::from_millis(5);
/// How long the client of a connection may keep its question back.
const PATIENCE: Duration = Duration::from_secs(20);
/// Ports below are for root (include/net/sock.h, `PROT_SOCK`), and the client of NFS names one unless told otherwise.
const RESERVED: u64 = 1024;

/// What the other end of a mount saw.
struct Seen {
    server: SocketAddr,
    peers: Vec<SocketAddr>,
}

/// Mounts from a listener, and tells who connected to it; none where the kernel has no client.
fn attempt(live: &Live, options: &str) -> Result<Seen> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let server = listener.local_addr()?;
    let data = format!(
        "vers=3,proto=tcp,mountproto=tcp,addr=127.0.0.1,mountaddr=127.0.0.1,port={port},mountport={port},nolock,soft,\
         retrans=1{options}",
        port = server.port()
    );
    let place = live.scratch().file("mount");
    fs::create_dir(&place)?;
    let is_over = AtomicBool::new(false);
    let (answer, peers) = thread::scope(|scope| {
        let others = scope.spawn(|| serve(&listener, &is_over));
        let data = std::ffi::CString::new(data)?;
        let answer = mount("127.0.0.1:/none", &place, "nfs", MountFlags::empty(), data.as_c_str());
        is_over.store(true, Ordering::Release);
        let peers = others.join().ok().context("the listener panicked")??;
        anyhow::Ok((answer, peers))
    })?;
    if answer.is_ok() {
        unmount(&place, UnmountFlags::DETACH)?;
    }
    ensure!(answer.is_err(), "a server without a program was mounted");
    ensure!(!peers.is_empty(), "the mount ended with {answer:?} and connected to nobody");
    Ok(Seen { server, peers })
}

/// Accepts until the mount is over, and answers each question that there is no such program.
fn serve(listener: &TcpListener, is_over: &AtomicBool) -> Result<Vec<SocketAddr>> {
    let mut peers = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                peers.push(peer);
                refuse(stream)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if is_over.load(Ordering::Acquire) {
                    return Ok(peers);
                }
                thread::sleep(BETWEEN);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// RFC 5531: a record of one fragment, and in it an accepted reply with the status `PROG_UNAVAIL`.
fn refuse(mut stream: TcpStream) -> Result<()> {
    const LAST_FRAGMENT: u32 = 1 << 31;
    const REPLY: [u32; 5] = [1, 0, 0, 0, 1];
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = [0; 8];
    stream.read_exact(&mut head).context("the question")?;
    let bytes = 4 + 4 * u32::try_from(REPLY.len())?;
    let mut answer = (LAST_FRAGMENT | bytes).to_be_bytes().to_vec();
    answer.extend_from_slice(&head[4..]);
    answer.extend(REPLY.into_iter().flat_map(u32::to_be_bytes));
    stream.write_all(&answer).context("the answer")?;
    // The client closes when it has read it; what is left of the question is of no interest.
    let mut rest = [0; 256];
    while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    Ok(())
}

/// Whether the kernel has a client; false when the test is to return.
fn has_client(live: &Live) -> Result<bool> {
    let known = fs::read_to_string("/proc/filesystems").context("/proc/filesystems")?;
    let is_known = known.lines().any(|line| line.trim_start_matches("nodev").trim() == "nfs");
    live.has(Need::Nfs, (!is_known).then_some("no nfs in /proc/filesystems"))
}

/// Traces a mount; none where the kernel has no client.
fn mounted(live: &Live, tracer: &[&str], options: &str) -> Result<Option<(Seen, Capture)>> {
    if !has_client(live)? {
        return Ok(None);
    }
    let tracer = live.tracer(tracer)?;
    let seen = attempt(live, options)?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    Ok(Some((seen, capture)))
}

/// The events of the connections that the listener saw.
fn towards(capture: &Capture, server: SocketAddr) -> Vec<&Event> {
    let port = Some(u64::from(server.port()));
    capture.events.iter().filter(|event| event.number("remote_port") == port).collect()
}

fn a_connect_of_the_kernel_is_told_with_the_port_that_the_other_end_sees(live: &Live) -> Result<()> {
    let Some((seen, capture)) = mounted(live, &[], ",noresvport")? else { return Ok(()) };
    let events = towards(&capture, seen.server);
    let mut told: Vec<_> = events.iter().filter_map(|event| event.number("local_port")).collect();
    let mut had: Vec<_> = seen.peers.iter().map(|peer| u64::from(peer.port())).collect();
    told.sort_unstable();
    had.sort_unstable();
    ensure!(told == had && told.len() == events.len(), "told {told:?} in {events:?}, not {had:?}");
    let netns = std::os::linux::fs::MetadataExt::st_ino(&fs::metadata("/proc/self/ns/net")?);
    let wanted = [
        ("type", json!("allocation")),
        ("site", json!("connect")),
        ("proto", json!("tcp")),
        ("family", json!("ipv4")),
        ("result", json!("ok")),
        ("error", Value::Null),
        ("netns", json!(netns)),
        ("local_addr", json!("127.0.0.1")),
        ("remote_addr", json!("127.0.0.1")),
        ("requested_port", json!(0)),
        ("exe", Value::Null),
        ("uid", json!(0)),
    ];
    for event in events {
        for (field, value) in &wanted {
            ensure!(event.value(field) == Some(value), "{field} of {}", event.brief());
        }
        ensure!(event.text("comm").is_some_and(|comm| comm.starts_with("kworker")), "comm of {:?}", event.0);
    }
    Ok(())
}

fn a_reserved_port_that_the_kernel_names_is_told_on_demand_alone(live: &Live) -> Result<()> {
    let Some((seen, capture)) = mounted(live, &["--explicit"], "")? else { return Ok(()) };
    for peer in &seen.peers {
        let port = u64::from(peer.port());
        ensure!(port < RESERVED, "the client of NFS came from port {port}");
        let of_it = capture.events.iter().filter(|event| event.number("local_port") == Some(port));
        let binds: Vec<_> = of_it.filter(|event| event.kind() == "bind").collect();
        ensure!(!binds.is_empty(), "nothing tells of port {port}");
        ensure!(binds.iter().all(|bind| bind.number("requested_port") == Some(port)), "{binds:?}");
    }
    let chosen = capture.events.iter().filter(|event| event.kind() == "allocation");
    let told: Vec<_> =
        chosen.filter(|event| event.number("remote_port") == Some(seen.server.port().into())).collect();
    ensure!(told.is_empty(), "a port that was named is told as chosen: {told:?}");
    Ok(())
}

fn a_connect_of_the_kernel_is_a_call_without_a_stack(live: &Live) -> Result<()> {
    if !has_client(live)? {
        return Ok(());
    }
    let args = ["--backend", live.backend().word(), "--comm", "kworker*", "--stack"];
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    let seen = attempt(live, ",noresvport")?;
    let report = reporter.stop_with_document()?;
    let (found, connects) = (&report["call_sites"], seen.peers.len());
    ensure!(report["totals"]["allocations"] == connects, "{}, not {connects}", report["totals"]);
    // At the end of a system call, where there is none, nothing is taken.
    let wanted = match live.backend() {
        Backend::Tracepoint => (0, json!({})),
        Backend::Fentry | Backend::Kprobe => (connects, json!({ "EFAULT": connects })),
    };
    ensure!(found["calls"] == wanted.0 && found["without_stack"] == wanted.1, "{connects}: {found:#}");
    ensure!(found["sites"] == json!([]) && found["others"] == 0 && found["uncounted"] == 0, "{found:#}");
    Ok(())
}
