//! The server: few connections at once, each with limits on time and size, on a thread of its own.

use std::{convert::Infallible, io, sync::Arc, thread, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    runtime::Builder,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

use super::{Board, Bound, Push, Question, board::Text, listen::Socket};
use crate::{
    output::{
        html::page,
        metrics::{Exposition, exposition},
        to_json,
    },
    pipeline::conclude::Conclusion,
    privileges::renounce,
};

/// Connections at once; more are turned away.
const MOST: usize = 64;
/// A request must have come whole within this, and the next one on the same connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection is closed after this, between two requests.
const LIFE: Duration = Duration::from_mins(10);
/// The longest request.
const MOST_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// A report that is wanted takes no longer.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest past that may be asked for.
const MOST_LAST: Duration = Duration::from_hours(24 * 7);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No thread, no event loop, or no descriptor.
    #[error("cannot serve: {0}")]
    Start(#[source] io::Error),
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves what is on the board there, and pushes its figures where somebody wants them.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(bound: &[Bound], board: &Arc<Board>, push: Option<Push>) -> Result<Self, ServerError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Start)?;
        let sockets: Vec<Socket> =
            bound.iter().map(Bound::copy).collect::<io::Result<_>>().map_err(ServerError::Start)?;
        let (end, ended) = oneshot::channel();
        let board = Arc::clone(board);
        let serve = move || {
            // It answers from the board, at sockets that are open.
            renounce();
            runtime.block_on(async move {
                let places = Arc::new(Semaphore::new(MOST));
                for socket in sockets {
                    let (board, places) = (Arc::clone(&board), Arc::clone(&places));
                    tokio::spawn(async move {
                        let failed = match socket {
                            Socket::Tcp(listener) => tcp(listener, board, places).await,
                            Socket::Unix(listener) => unix(listener, board, places).await,
                        };
                        if let Err(error) = failed {
                            log::warn!("a socket is served no more: {error}");
                        }
                    });
                }
                until_the_end(push, &board, ended).await;
            });
            // A name that is being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http".into()).spawn(serve).map_err(ServerError::Start)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::warn!("the server failed");
        }
    }
}

#[cfg(feature = "otlp")]
async fn until_the_end(push: Option<Push>, board: &Board, ended: oneshot::Receiver<()>) {
    match push {
        Some(push) => super::push::run(push, board, ended).await,
        // Also when the sender is gone.
        None => drop(ended.await),
    }
}

#[cfg(not(feature = "otlp"))]
async fn until_the_end(_: Option<Push>, _: &Board, ended: oneshot::Receiver<()>) {
    drop(ended.await);
}

async fn tcp(listener: std::net::TcpListener, board: Arc<Board>, places: Arc<Semaphore>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &board, &places),
            Err(error) => rest(&error).await,
        }
    }
}

async fn unix(
    listener: std::os::unix::net::UnixListener,
    board: Arc<Board>,
    places: Arc<Semaphore>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &board, &places),
            Err(error) => rest(&error).await,
        }
    }
}

/// Without descriptors there is nothing to accept: trying at once would burn a CPU.
async fn rest(error: &io::Error) {
    log::debug!("a connection is lost: {error}");
    sleep(Duration::from_millis(100)).await;
}

fn admit<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut stream: S,
    board: &Arc<Board>,
    places: &Arc<Semaphore>,
) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        board.rejected();
        tokio::spawn(async move {
            const BUSY: &[u8] =
                b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            // Who does not take it is not waited for.
            drop(timeout(Duration::from_secs(1), stream.write_all(BUSY)).await);
        });
        return;
    };
    let board = Arc::clone(board);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let board = Arc::clone(&board);
            async move { Ok::<_, Infallible>(answer(&request, &board).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MOST_BYTES)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = sleep(LIFE) => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            timeout(PATIENCE, connection).await.unwrap_or(Ok(()))
        };
        if let Err(error) = ended {
            log::debug!("a connection broke: {error}");
        }
        drop(place);
    });
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: &Request<Incoming>, board: &Board) -> Answer {
    board.answered();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, INDEX),
        "/healthz" => health(board),
        "/metrics" => metrics(request, board),
        "/findings" => findings(board),
        "/report" => report(request, board, true).await,
        "/report.json" => report(request, board, false).await,
        _ => text(StatusCode::NOT_FOUND, INDEX),
    }
}

const INDEX: &str = "\
portscope
/metrics      figures for Prometheus
/healthz      200 while events are read
/findings     verdict and findings on the last minute, JSON
/report       a page on the last minute; ?last=10m on more
/report.json  the same as `portscope report -o json`
";

fn health(board: &Board) -> Answer {
    match board.stuck() {
        Some(since) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("the ring has not been read for {} s\n", since.as_secs()),
        ),
        None => text(StatusCode::OK, "ok\n"),
    }
}

fn metrics(request: &Request<Incoming>, board: &Board) -> Answer {
    let Some(published) = board.published() else { return not_yet() };
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Exposition::accepted(accept.unwrap_or_default());
    let text = match form {
        Exposition::OpenMetrics => &published.texts.open_metrics,
        Exposition::Classic => &published.texts.classic,
    };
    once(text, form.media_type(), || {
        exposition(Arc::clone(&published.snapshot), board.served(), form).map_err(|error| error.to_string())
    })
}

fn findings(board: &Board) -> Answer {
    let Some(published) = board.published() else { return not_yet() };
    let report = &published.conclusion.report;
    once(&published.texts.findings, JSON, || {
        document(&serde_json::json!({
            "schema": report.schema,
            "window": report.window,
            "verdict": report.verdict,
            "findings": report.findings,
        }))
    })
}

async fn report(request: &Request<Incoming>, board: &Board, is_page: bool) -> Answer {
    let last = match last(request.uri().query()) {
        Err(told) => return text(StatusCode::BAD_REQUEST, &told),
        Ok(Some(last)) => last,
        Ok(None) => {
            let Some(published) = board.published() else { return not_yet() };
            let (text, media_type) =
                if is_page { (&published.texts.page, HTML) } else { (&published.texts.report, JSON) };
            return once(text, media_type, || told(&published.conclusion, is_page));
        }
    };
    let (reply, answer) = oneshot::channel();
    if !board.ask(Question { last, reply }) {
        return text(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no other report than /report: it tells a recording, or is about to end\n",
        );
    }
    match timeout(ANSWER, answer).await {
        Ok(Ok(Ok(conclusion))) => {
            once(&Text::new(), if is_page { HTML } else { JSON }, || told(&conclusion, is_page))
        }
        Ok(Ok(Err(told))) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{told}\n")),
        Ok(Err(_)) | Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the report took too long: try again\n"),
    }
}

fn told(conclusion: &Conclusion, is_page: bool) -> Result<String, String> {
    if is_page {
        page(&conclusion.report, &conclusion.exhibits).map_err(|error| error.to_string())
    } else {
        document(&conclusion.report)
    }
}

/// How much of the past is asked for.
fn last(query: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let Some(word) = query.strip_prefix("last=") else {
        return Err("the only parameter is last, as in ?last=10m\n".to_owned());
    };
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let of = match word.get(digits.len()..) {
        Some("s" | "") => 1,
        Some("m") => 60,
        Some("h") => 3_600,
        _ => 0,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(of));
    let length = seconds.filter(|seconds| *seconds != 0).map(Duration::from_secs);
    match length.filter(|length| *length <= MOST_LAST) {
        Some(length) => Ok(Some(length)),
        None => Err("last takes a length such as 90s, 10m or 1h\n".to_owned()),
    }
}

fn not_yet() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "nothing is known yet: it has just begun\n")
}

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// An answer with this text, which is made if nobody has asked for it before.
fn once(text: &Text, media_type: &'static str, make: impl FnOnce() -> Result<String, String>) -> Answer {
    match text.get_or_init(|| make().map(Bytes::from)) {
        Ok(body) => typed(StatusCode::OK, media_type, body.clone()),
        Err(told) => self::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("it cannot be told: {told}\n")),
    }
}

fn document(document: &impl serde::Serialize) -> Result<String, String> {
    to_json(document).map(|told| told + "\n").map_err(|error| error.to_string())
}

fn text(status: StatusCode, told: &str) -> Answer {
    typed(status, "text/plain; charset=utf-8", Bytes::from(told.to_owned()))
}

fn typed(status: StatusCode, media_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_or_refused() {
        assert_eq!(last(None), Ok(None));
        assert_eq!(last(Some("last=10m")), Ok(Some(Duration::from_mins(10))));
        assert_eq!(last(Some("last=90")), Ok(Some(Duration::from_secs(90))));
        for query in
            ["last=", "last=0s", "last=10d", "last=-1", "last=1h30m", "first=1", "last=99999999999999999999h"]
        {
            assert!(last(Some(query)).is_err(), "{query}");
        }
    }
}
