//! The alerts that ship beside portscope, in a Prometheus that scrapes it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Manner, Space, Task, tools};
use portscope_tests::trace::Tracer;
use portscope_tests::{alone, deadline};
use serde_json::Value;

alone! {
    an_exhaustion_fires_an_alert_that_names_pool_and_programs_and_goes_with_it => fires,
}

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer/dist/prometheus/alerts.yaml");
const SERVICE: &str = "127.0.0.1:7000";
const PATIENCE: Duration = Duration::from_secs(40);
/// Findings are of the last minute, at most.
const GONE: Duration = Duration::from_secs(100);

/// A Prometheus that ends with the test.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(live: &Live, target: &str) -> Result<Self> {
        let (config, data) = (live.scratch().file("prometheus.yml"), live.scratch().file("data"));
        let rules = fs::canonicalize(RULES).with_context(|| RULES.to_owned())?;
        fs::write(
            &config,
            format!(
                "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
                 rule_files: ['{}']\n\
                 scrape_configs: [{{ job_name: portscope, static_configs: [{{ targets: ['{target}'] }}] }}]\n",
                rules.display()
            ),
        )?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(live.scratch().file("prometheus.log"))?);
        Ok(Self { child: command.spawn().context("starting prometheus")?, address })
    }

    /// An alert of this name that fires for a program whose name begins so; none while it does not answer.
    fn firing(&self, name: &str, victim: &str) -> Option<Value> {
        let answer = get(&self.address, "/api/v1/alerts").ok()?;
        let is_meant = |alert: &&Value| {
            let labels = &alert["labels"];
            alert["state"] == "firing"
                && labels["alertname"] == name
                && labels["victim"].as_str().is_some_and(|word| word.starts_with(victim))
        };
        answer["data"]["alerts"].as_array()?.iter().find(is_meant).cloned()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail where it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens at now.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn get(address: &str, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok(serde_json::from_str(body)?)
}

fn fires(live: &Live) -> Result<()> {
    if !live.has(Need::Prometheus, tools(&["prometheus"]))? {
        return Ok(());
    }
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(SERVICE.parse()?, Manner::CloseLast)?;
    let (netns, listen) = (space.id().to_string(), format!("127.0.0.1:{}", free_port()?));
    let tracer = Tracer::serve(live.scratch(), &["-N", &netns, "--listen", &listen])?;
    let prometheus = Prometheus::start(live, &listen)?;
    deadline::until("a scrape", PATIENCE, || {
        let up = get(&prometheus.address, "/api/v1/query?query=up%3D%3D1").ok();
        Ok(up.filter(|up| up["data"]["result"].as_array().is_some_and(|all| !all.is_empty())))
    })?;
    let firing = || prometheus.firing("PortPoolExhausted", "client-");
    ensure!(firing().is_none(), "{:?}", firing());

    let done = client.take(Task::connect(SERVICE.parse()?).until_failed(7, 100))?;
    ensure!((done.given(), done.failed_with("EADDRNOTAVAIL")) == (64, 7), "{:?}", done.failed);
    let alert = deadline::until("the alert", PATIENCE, || Ok(firing()))?;
    let labels = &alert["labels"];
    let text = |key: &str| labels[key].as_str().unwrap_or_default().to_owned();
    ensure!(text("pool").ends_with("> 127.0.0.1:7000"), "{alert}");
    ensure!(text("holder").starts_with("client-") && text("severity") == "critical", "{alert}");
    let summary = alert["annotations"]["summary"].as_str().unwrap_or_default();
    ensure!(summary.contains(&text("victim")) && summary.contains("127.0.0.1:7000"), "{summary}");
    // Its sockets go, and with them the pool; a minute later nobody was refused in the last minute.
    drop((client, server));
    deadline::until("the end of the alert", GONE, || {
        // No answer is no end.
        let answer = get(&prometheus.address, "/api/v1/query?query=up%3D%3D1").ok();
        let answers = answer.is_some_and(|up| up["status"] == "success");
        Ok((answers && firing().is_none()).then_some(()))
    })?;
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0), "exit status {status:?}: {said}");
    Ok(())
}
