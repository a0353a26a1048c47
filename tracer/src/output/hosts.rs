//! Traces of several hosts in one: each line with the host that it is of.

use super::{
    Observation, OutputError, TraceOutput, escape,
    records::{Footer, Header},
};

/// How an output tells the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStyle {
    /// A column of so many letters, before all others.
    Text(usize),
    /// The first field of each row.
    Csv,
    /// The first member of each object.
    Json,
}

/// An output of one host among others.
pub struct HostOutput {
    inner: Box<dyn TraceOutput>,
    style: HostStyle,
    host: String,
    /// Titles are told by the first one alone.
    is_first: bool,
}

impl HostOutput {
    /// Puts the host before what another output tells.
    #[must_use]
    pub fn new(inner: Box<dyn TraceOutput>, style: HostStyle, host: &str, is_first: bool) -> Self {
        Self { inner, style, host: host.to_owned(), is_first }
    }

    /// Puts a word before each line from here on.
    fn prefix(&self, begin: usize, title: Option<&str>, out: &mut Vec<u8>) {
        let told = out.split_off(begin);
        for line in told.split_inclusive(|byte| *byte == b'\n') {
            match self.style {
                HostStyle::Text(width) => {
                    let word = title.map_or_else(|| escape(&self.host), Into::into);
                    out.extend_from_slice(format!("{word:<width$} ").as_bytes());
                    out.extend_from_slice(line);
                }
                HostStyle::Csv => {
                    let quoted = || format!("\"{}\"", self.host.replace('"', "\"\""));
                    let is_plain =
                        self.host.chars().all(|letter| letter.is_alphanumeric() || "-._".contains(letter));
                    let word = if is_plain { self.host.clone() } else { quoted() };
                    out.extend_from_slice(title.unwrap_or(&word).as_bytes());
                    out.push(b',');
                    out.extend_from_slice(line);
                }
                HostStyle::Json => {
                    let word = serde_json::Value::from(self.host.as_str()).to_string();
                    let rest = line.strip_prefix(b"{").unwrap_or(line);
                    out.extend_from_slice(format!("{{\"host\":{word},").as_bytes());
                    out.extend_from_slice(rest);
                }
            }
        }
    }
}

impl TraceOutput for HostOutput {
    fn header(&mut self, header: &Header, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let begin = out.len();
        self.inner.header(header, out)?;
        match self.style {
            // It names its host anyway.
            HostStyle::Json => {}
            _ if !self.is_first => out.truncate(begin),
            HostStyle::Text(_) => self.prefix(begin, Some("HOST"), out),
            HostStyle::Csv => self.prefix(begin, Some("host"), out),
        }
        Ok(())
    }

    fn event(&mut self, seen: &Observation<'_>, out: &mut Vec<u8>) {
        let begin = out.len();
        self.inner.event(seen, out);
        self.prefix(begin, None, out);
    }

    fn footer(&mut self, footer: &Footer, out: &mut Vec<u8>) -> Result<(), OutputError> {
        let begin = out.len();
        self.inner.footer(footer, out)?;
        self.prefix(begin, None, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells two lines whatever it is given.
    struct Lines;

    impl TraceOutput for Lines {
        fn header(&mut self, _: &Header, _: &mut Vec<u8>) -> Result<(), OutputError> {
            Ok(())
        }

        fn event(&mut self, _: &Observation<'_>, out: &mut Vec<u8>) {
            out.extend_from_slice(b"{\"a\":1}\n{\"b\":2}\n");
        }

        fn footer(&mut self, _: &Footer, _: &mut Vec<u8>) -> Result<(), OutputError> {
            Ok(())
        }
    }

    #[test]
    fn each_line_begins_with_its_host() {
        let told = |style, host: &str| {
            let output = HostOutput::new(Box::new(Lines), style, host, true);
            let mut out = b"before\n{\"a\":1}\n{\"b\":2}\n".to_vec();
            output.prefix(7, None, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            told(HostStyle::Json, "a\"b"),
            "before\n{\"host\":\"a\\\"b\",\"a\":1}\n{\"host\":\"a\\\"b\",\"b\":2}\n"
        );
        assert_eq!(told(HostStyle::Csv, "a,b"), "before\n\"a,b\",{\"a\":1}\n\"a,b\",{\"b\":2}\n");
        assert_eq!(told(HostStyle::Text(4), "\x1b"), "before\n\\x1b {\"a\":1}\n\\x1b {\"b\":2}\n");
    }
}
