//! What a tracer wrote from its first line to its last.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::Event;

/// Header, events, footer, and what stood on standard error.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The first line.
    pub header: Event,
    /// All lines between, in their order.
    pub events: Vec<Event>,
    /// The last line.
    pub footer: Event,
    /// Standard error.
    pub stderr: String,
}

/// The four numbers that must add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Accounting {
    /// Events that the hooks saw.
    pub seen: u64,
    /// Those that were written.
    pub emitted: u64,
    /// Those that a filter kept out.
    pub filtered: u64,
    /// Those that found the ring full.
    pub lost: u64,
}

impl Capture {
    /// Reads the lines of a tracer that ended.
    ///
    /// # Errors
    ///
    /// When a line is no JSON object, or the first is no header, or the last no footer, or one stands elsewhere.
    pub fn parse(text: &str, stderr: String) -> Result<Self> {
        let lines = text.lines().enumerate().map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("line {}: {line:?}", at + 1))
        });
        let mut events = lines.collect::<Result<Vec<Event>>>()?;
        ensure!(events.len() >= 2, "{} lines, and stderr: {stderr}", events.len());
        let footer = events.pop().context("no last line")?;
        let header = events.remove(0);
        ensure!(header.kind() == "header", "the first line is a {:?}", header.kind());
        ensure!(footer.kind() == "footer", "the last line is a {:?}", footer.kind());
        for event in &events {
            ensure!(
                matches!(event.kind(), "allocation" | "bind" | "check" | "release"),
                "a {:?} stands between header and footer",
                event.kind()
            );
        }
        Ok(Self { header, events, footer, stderr })
    }

    /// The events of one process.
    #[must_use]
    pub fn of(&self, pid: u32) -> Vec<&Event> {
        self.events.iter().filter(|event| event.is_of(pid)).collect()
    }

    /// The fields that this backend cannot see.
    #[must_use]
    pub fn unavailable(&self) -> Vec<&str> {
        let fields = self.header.value("fields_unavailable").and_then(Value::as_array);
        fields.map(|fields| fields.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// The four numbers of the footer, which must add up and agree with the lines.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn accounting(&self) -> Result<Accounting> {
        let numbers: Accounting = serde_json::from_value(Value::Object(self.footer.0.clone()))
            .with_context(|| format!("the footer {:?}", self.footer.0))?;
        ensure!(
            numbers.seen == numbers.emitted + numbers.filtered + numbers.lost,
            "seen is not emitted + filtered + lost: {numbers:?}"
        );
        ensure!(
            numbers.emitted == self.events.len() as u64,
            "{} events were written, but: {numbers:?}",
            self.events.len()
        );
        for counter in ["decode_errors", "read_failed"] {
            let count = self.footer.value("diagnostics").and_then(|counters| counters.get(counter));
            ensure!(count.is_none_or(|count| *count == 0), "diagnostics: {counter} is {count:?}");
        }
        Ok(numbers)
    }

    /// A number of the footer that may be null.
    ///
    /// # Errors
    ///
    /// The footer lacks it, or it is neither a number nor null.
    pub fn optional(&self, name: &str) -> Result<Option<u64>> {
        match self.footer.0.get(name) {
            Some(Value::Null) => Ok(None),
            _ => self.total(name).map(Some),
        }
    }

    /// A number of the footer by its path, `totals.by_site.bind`; 0 where a map has no such key.
    ///
    /// # Errors
    ///
    /// When what the path leads through is absent.
    pub fn total(&self, path: &str) -> Result<u64> {
        let (above, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut at = &Value::Object(self.footer.0.clone());
        for key in above.split('.').filter(|key| !key.is_empty()) {
            at = at.get(key).with_context(|| format!("the footer has no {path}"))?;
        }
        match at.get(last) {
            None if above.contains(".by_") => Ok(0),
            value => {
                value.and_then(Value::as_u64).with_context(|| format!("the footer has no number {path}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        "{\"type\":\"header\",\"fields_unavailable\":[\"candidates\"]}\n",
        "{\"type\":\"allocation\",\"pid\":7}\n",
        "{\"type\":\"footer\",\"seen\":3,\"emitted\":1,\"filtered\":1,\"lost\":1,",
        "\"totals\":{\"allocations\":2,\"by_site\":{\"bind\":2}}}\n",
    );

    #[test]
    fn a_capture_has_header_events_and_footer() {
        let capture = Capture::parse(TEXT, String::new()).unwrap();
        assert_eq!(capture.unavailable(), ["candidates"]);
        assert_eq!(capture.of(7).len(), 1);
        assert_eq!(capture.accounting().unwrap().lost, 1);
        assert_eq!(capture.total("totals.by_site.bind").unwrap(), 2);
        assert_eq!(capture.total("totals.by_site.listen").unwrap(), 0);
        assert!(capture.total("totals.failures").is_err());
    }

    #[test]
    fn numbers_that_do_not_add_up_are_an_error() {
        let capture = Capture::parse(&TEXT.replace("\"lost\":1", "\"lost\":0"), String::new()).unwrap();
        assert!(capture.accounting().unwrap_err().to_string().starts_with("seen is not"));
    }

    #[test]
    fn a_recording_without_its_last_line_is_an_error() {
        let cut = TEXT.lines().take(2).collect::<Vec<_>>().join("\n");
        assert!(Capture::parse(&cut, String::new()).unwrap_err().to_string().starts_with("the last line"));
    }
}
