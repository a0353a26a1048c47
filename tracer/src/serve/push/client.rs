//! The requests: one connection that is kept, so that a push needs a free port only when there is none.

use std::{io, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};

use super::super::Target;

/// The longest answer that is read.
const MOST_BYTES: usize = 64 * 1024;
const AGENT: &str = concat!("portscope/", env!("CARGO_PKG_VERSION"));

/// Why figures did not arrive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// In words.
    pub(super) why: String,
    /// The collector wants to be left alone so long.
    pub(super) after: Option<Duration>,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), after: None }
    }
}

/// What a collector made of figures that it took.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It took all.
    Whole,
    /// It left out so many, for a reason of its own.
    Partly(i64, String),
}

/// A connection, closed when it is dropped, whatever is on its way.
#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Sends figures.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    open: Option<Open>,
}

impl Client {
    pub(super) const fn new(target: Target) -> Self {
        Self { target, open: None }
    }

    /// Sends figures, and waits for what the collector says.
    pub(super) async fn send(&mut self, figures: Vec<u8>) -> Result<Taken, Refusal> {
        let request = Request::post(self.target.path())
            .header(header::HOST, self.target.authority())
            .header(header::USER_AGENT, AGENT)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(Bytes::from(figures)))
            .map_err(|error| Refusal::new(error.to_string()))?;
        // Not put back unless all went well.
        let kept = match self.open.take() {
            Some(mut open) => open.sender.ready().await.is_ok().then_some(open),
            None => None,
        };
        let mut open = match kept {
            Some(open) => open,
            None => connect(&self.target).await?,
        };
        let answer = open.sender.send_request(request).await.map_err(|error| Refusal::new(cause(&error)))?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
        if !status.is_success() {
            return Err(Refusal { why: refused(status), after });
        }
        let body = body.map_err(|error| Refusal::new(error.to_string()))?.to_bytes();
        self.open = Some(open);
        Ok(taken(&body))
    }
}

async fn connect(target: &Target) -> Result<Open, Refusal> {
    let failed = |error: io::Error| {
        Refusal::new(match error.kind() {
            io::ErrorKind::AddrNotAvailable => "no local port is free".to_owned(),
            _ => error.to_string(),
        })
    };
    match target {
        Target::Http { host, port, .. } => {
            shake(TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?).await
        }
        Target::Unix(path) => shake(UnixStream::connect(path).await.map_err(failed)?).await,
    }
}

async fn shake<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Open, Refusal> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Refusal::new(cause(&error)))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            log::debug!("the connection to the collector broke: {error}");
        }
    });
    Ok(Open { sender, driver })
}

/// An error with what it comes from.
fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The form in seconds; a date is not read.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn refused(status: StatusCode) -> String {
    let hint = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ": is that the port of OTLP over HTTP?",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": portscope sends no password or token",
        status if status.is_redirection() => ": it is somewhere else",
        _ => "",
    };
    format!("it answers {status}{hint}")
}

fn taken(body: &[u8]) -> Taken {
    // Who says nothing that can be understood has said 200.
    let answer = ExportMetricsServiceResponse::decode(body).unwrap_or_default();
    match answer.partial_success {
        Some(partial) if partial.rejected_data_points > 0 => {
            Taken::Partly(partial.rejected_data_points, partial.error_message)
        }
        _ => Taken::Whole,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;

    use super::*;

    #[test]
    fn what_a_collector_left_out_is_known() {
        let left_out = |count, why: &str| {
            let partial =
                ExportMetricsPartialSuccess { rejected_data_points: count, error_message: why.to_owned() };
            taken(&ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec())
        };
        assert_eq!(left_out(3, "too old"), Taken::Partly(3, "too old".to_owned()));
        // A warning alone.
        assert_eq!(left_out(0, "slow down"), Taken::Whole);
        for body in ["", "{}", "ok\n"] {
            assert_eq!(taken(body.as_bytes()), Taken::Whole, "{body}");
        }
    }

    #[test]
    fn a_length_of_rest_is_read_and_a_date_is_not() {
        let of = |value: &'static str| {
            let mut headers = header::HeaderMap::new();
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(value));
            retry_after(&headers)
        };
        assert_eq!(of(" 7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(of("-1"), None);
        assert_eq!(retry_after(&header::HeaderMap::new()), None);
    }
}
