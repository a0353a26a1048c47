//! Where figures are pushed to.

use std::{fmt, path::PathBuf, str::FromStr};

use hyper::Uri;

/// What a URL without a port means: the port of OTLP over HTTP.
const PORT: u16 = 4318;
/// Where a collector takes metrics.
const PATH: &str = "/v1/metrics";

/// A collector that takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Over TCP.
    Http {
        /// Name or address; an IPv6 address without its brackets.
        host: String,
        /// Port.
        port: u16,
        /// Path of the requests.
        path: String,
    },
    /// At a UNIX socket.
    Unix(PathBuf),
}

impl Target {
    /// Path of the requests.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Http { path, .. } => path,
            Self::Unix(_) => PATH,
        }
    }

    /// What the header `Host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Http { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Http { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { path, .. } => write!(f, "http://{}{path}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || "give http://HOST:4318 or unix:/PATH".to_owned();
        match word.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => return Ok(Self::Unix(path.into())),
            Some(_) => {
                return Err("give the whole path of a UNIX socket: unix:/run/otel/otlp.sock".to_owned());
            }
            None => {}
        }
        let uri: Uri = word.parse().map_err(|_no_url| wrong())?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("there is no TLS: give a collector on this host (http://127.0.0.1:4318), \
                            which sends on over https"
                    .to_owned());
            }
            _ => return Err(wrong()),
        }
        if uri.query().is_some() || word.contains('#') {
            return Err("give a URL without ? and #: requests have none".to_owned());
        }
        let (host, rest) = uri
            .authority()
            .and_then(|authority| {
                Some((authority.host(), authority.as_str().strip_prefix(authority.host())?))
            })
            // Before the host there is a name, or a password.
            .ok_or_else(|| "give a URL without a name and a password: they are not sent".to_owned())?;
        let port = match rest.strip_prefix(':') {
            None => PORT,
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let base = uri.path().trim_end_matches('/');
        let path = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
        Ok(Self::Http { host, port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_and_says_where_requests_go() {
        for (word, told) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/metrics"),
            ("http://collector", "http://collector:4318/v1/metrics"),
            ("http://collector/", "http://collector:4318/v1/metrics"),
            ("http://[::1]:80/otlp/", "http://[::1]:80/otlp/v1/metrics"),
            ("http://[::1]", "http://[::1]:4318/v1/metrics"),
            ("http://collector:4318/v1/metrics", "http://collector:4318/v1/metrics"),
            ("unix:/run/otlp.sock", "unix:/run/otlp.sock"),
        ] {
            assert_eq!(
                word.parse::<Target>().map(|target| target.to_string()),
                Ok(told.to_owned()),
                "{word}"
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_remedy() {
        for (word, part) in [
            ("https://collector:4318", "no TLS"),
            ("HTTPS://collector:4318", "no TLS"),
            ("grpc://collector:4317", "http://HOST:4318"),
            ("127.0.0.1:4318", "http://HOST:4318"),
            ("collector", "http://HOST:4318"),
            ("http://", "http://HOST:4318"),
            ("http://collector:0", "http://HOST:4318"),
            ("http://collector:99999", "http://HOST:4318"),
            ("http://collector:", "http://HOST:4318"),
            ("http://me:secret@collector", "without a name"),
            ("http://collector?x=1", "without ?"),
            ("http://collector/#x", "without ?"),
            ("unix:otlp.sock", "whole path"),
            ("", "http://HOST:4318"),
        ] {
            let told = word.parse::<Target>();
            assert!(told.as_ref().is_err_and(|told| told.contains(part)), "{word}: {told:?}");
        }
    }
}
