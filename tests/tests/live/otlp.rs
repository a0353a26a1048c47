//! `serve --otlp`: a collector gets what a scrape tells and the workload saw; one that is not there does no harm.
#![expect(clippy::float_cmp, reason = "counts, which a float holds exactly")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{metric::Data, number_data_point::Value},
};
use portscope_tests::alone;
use portscope_tests::deadline;
use portscope_tests::live::Live;
use portscope_tests::scenario::{Actor, Manner, Space, Task};
use portscope_tests::trace::Tracer;
use prost::Message as _;

use crate::serve::{SERVICE, metrics, number, sum, until};

alone! {
    a_collector_gets_what_a_scrape_tells => collector,
    without_a_collector_it_goes_on_and_says_so_once => nobody,
}

/// What came: the connection it came on, the head of the request, the figures.
pub(crate) type Pushes = Arc<Mutex<Vec<(usize, String, ExportMetricsServiceRequest)>>>;

/// Takes requests of one connection until it ends.
fn take(stream: &TcpStream, connection: usize, pushes: &Pushes) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
        let mut body = vec![0; length.parse()?];
        reader.read_exact(&mut body)?;
        let figures = ExportMetricsServiceRequest::decode(body.as_slice())?;
        pushes.lock().unwrap_or_else(PoisonError::into_inner).push((connection, head, figures));
        let mut writer = stream;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

/// The sum of a counter of the last push.
fn pushed(pushes: &Pushes, name: &str) -> Option<i64> {
    let pushes = pushes.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, _, last) = pushes.last()?;
    let mut all =
        last.resource_metrics.iter().flat_map(|one| &one.scope_metrics).flat_map(|one| &one.metrics);
    let Some(Data::Sum(sum)) = &all.find(|metric| metric.name == name)?.data else { return None };
    let value = |point: &_| match point {
        Some(Value::AsInt(value)) => *value,
        _ => 0,
    };
    Some(sum.data_points.iter().map(|point| value(&point.value)).sum())
}

/// A collector that ends with the test.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    pub(crate) fn start(pushes: &Pushes) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, ends) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (taken, is_over) = (Arc::clone(pushes), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let taken = Arc::clone(&taken);
                thread::spawn(move || drop(take(&stream, connection, &taken)));
            }
        });
        Ok(Self { address, ends, thread: Some(thread) })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It waits for a connection: this is the last one.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

/// A service with a client, and a tracer of their namespace that pushes.
struct Pushing {
    space: Space,
    server: Actor,
    client: Actor,
    socket: PathBuf,
    tracer: Tracer,
}

fn pushing(live: &Live, range: &str, url: &str) -> Result<Pushing> {
    let space = Space::with_range(range)?;
    let (mut server, client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, socket) = (space.id().to_string(), live.scratch().file("socket"));
    let listen = format!("unix:{}", socket.display());
    let args = ["-N", &netns, "--listen", &listen, "--otlp", url, "--otlp-interval", "1s"];
    let tracer = Tracer::serve(live.scratch(), &args)?;
    Ok(Pushing { space, server, client, socket, tracer })
}

fn collector(live: &Live) -> Result<()> {
    let pushes = Pushes::default();
    let collector = Collector::start(&pushes)?;
    let url = format!("http://{}", collector.address);
    let Pushing { space: _space, server: _server, mut client, socket, tracer } =
        pushing(live, "40000-40063", &url)?;
    let done = client.take(Task::connect(SERVICE.parse()?).until_failed(7, 100))?;
    ensure!((done.given(), done.failed_with("EADDRNOTAVAIL")) == (64, 7), "{:?}", done.failed);
    let total = "portscope_allocations";
    deadline::until("a push of all", Duration::from_secs(40), || {
        Ok(pushed(&pushes, total).filter(|count| *count == 71))
    })
    .with_context(|| format!("{:?}", pushed(&pushes, total)))?;
    ensure!(pushed(&pushes, "portscope_program_failures") == Some(7), "failures");
    ensure!(
        sum(&metrics(&socket)?, "portscope_allocations_total", &[]) == 71.0,
        "a scrape tells other things"
    );
    let before = pushes.lock().unwrap_or_else(PoisonError::into_inner).len();
    deadline::until("further pushes", Duration::from_secs(40), || {
        let count = pushes.lock().unwrap_or_else(PoisonError::into_inner).len();
        Ok((count >= before + 2).then_some(()))
    })?;
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0) && said.contains(&format!("pushing figures to {url}/v1/metrics")), "{said}");
    ensure!(!said.contains("cannot be pushed"), "{said}");
    for (connection, head, _) in pushes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        ensure!(*connection == 0, "a push took a port of its own");
        ensure!(head.starts_with("POST /v1/metrics HTTP/1.1\r\n"), "{head}");
        ensure!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    }
    Ok(())
}

fn nobody(live: &Live) -> Result<()> {
    // Nobody listens there any more.
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let Pushing { space: _space, server: _server, mut client, socket, tracer } =
        pushing(live, "40000-49999", &url)?;
    tracer.wait_until_said("that nobody takes figures", |said| said.contains("cannot be pushed to"))?;
    let done = client.must_take(Task::connect(SERVICE.parse()?).resetting().times(1_000))?;
    // Long enough for more than one that fails.
    thread::sleep(Duration::from_secs(3));
    let told = until(&socket, "all connects", |all| {
        sum(all, "portscope_allocations_total", &["site=\"connect\""]) >= number(done.given())
    })?;
    ensure!(sum(&told, "portscope_allocations_total", &["connect"]) == number(done.given()), "{told:#?}");
    ensure!(sum(&told, "portscope_events_lost_total", &[]) == 0.0, "{told:#?}");
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0) && said.matches("cannot be pushed to").count() == 1, "{status:?}: {said}");
    ensure!(said.contains("refused"), "{said}");
    Ok(())
}
