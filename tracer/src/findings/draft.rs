//! Writing a finding down.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Advice, Command, Finding, Holding, Id, Line, Refusal, Severity, wording};
use crate::{enrich::Process, stock::Pool};

/// The longest line that is put together from two.
const WIDTH: usize = 96;
/// Labels of what to do, where there is more than one thing.
const STEPS: [&str; 6] = ["do 1", "do 2", "do 3", "do 4", "do 5", "do 6"];
/// Names in the evidence.
const MOST_NAMES: usize = 16;

impl Finding {
    /// A finding that says nothing yet.
    pub(super) fn new(id: u16, severity: Severity, title: String) -> Self {
        Self {
            id: Id(id),
            severity,
            title,
            evidence: BTreeMap::new(),
            lines: Vec::new(),
            advice: Vec::new(),
            wont_help: Vec::new(),
            commands: Vec::new(),
            takes_in: Vec::new(),
        }
    }

    /// A number or a name behind it; one that is not known is null.
    pub(super) fn fact(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.evidence.insert(key, value.into());
        self
    }

    /// A line of its text; what is too long for one is broken at its semicolons.
    pub(super) fn line(mut self, label: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let parts: Vec<&str> = text.split("; ").collect();
        self.lines.extend(labelled(label, wrapped(&parts, "; ")));
        self
    }

    /// A line, if there is something to say.
    pub(super) fn maybe_line(self, label: &'static str, text: Option<String>) -> Self {
        match text {
            Some(text) => self.line(label, text),
            None => self,
        }
    }

    /// The next best thing to do.
    pub(super) fn advise(mut self, text: impl Into<String>, risk: Option<&str>) -> Self {
        self.advice.push(Advice { text: text.into(), risk: risk.map(str::to_owned), undo: None });
        self
    }

    /// The next best thing to do is a command; `gain` is what it brings.
    pub(super) fn advise_command(mut self, command: Command, gain: &str) -> Self {
        let text = if gain.is_empty() { command.run.clone() } else { format!("{}   {gain}", command.run) };
        let undo = command.undo.as_deref().and_then(|undo| undo.rsplit_once('='));
        let undo = undo.map(|(_, value)| format!("={value}"));
        self.advice.push(Advice { text, risk: command.risk.clone(), undo });
        self.commands.push(command);
        self
    }

    /// What people try in vain.
    pub(super) fn in_vain(mut self, what: &[&'static str]) -> Self {
        self.wont_help.extend_from_slice(what);
        self
    }

    /// Ends its text with what to do, and what not.
    pub(super) fn done(self) -> Self {
        let several = self.advice.len() > 1;
        let labels = if several { &STEPS[..] } else { &["do"] };
        self.done_as(labels)
    }

    /// The same with a label of its own for each thing to do.
    pub(super) fn done_as(mut self, labels: &[&'static str]) -> Self {
        let labels = labels.iter().copied().chain(std::iter::repeat("or"));
        let steps: Vec<Line> =
            self.advice.iter().zip(labels).flat_map(|(one, label)| step(one, label)).collect();
        self.lines.extend(steps);
        let in_vain = wrapped(&self.wont_help, ", ");
        self.lines.extend(labelled("won't help", in_vain));
        self
    }
}

/// Something to do, its risk and how to undo it, on one line if that is not too long.
fn step(advice: &Advice, label: &'static str) -> Vec<Line> {
    let risk = advice.risk.as_ref().map(|risk| format!("   risk: {risk}")).unwrap_or_default();
    let undo = advice.undo.as_ref().map(|undo| format!("   undo: {undo}")).unwrap_or_default();
    let all = format!("{}{risk}{undo}", advice.text);
    if all.chars().count() <= WIDTH {
        return vec![Line { label, text: all }];
    }
    let with_undo = format!("{}{undo}", advice.text);
    let fits = with_undo.chars().count() <= WIDTH;
    let mut lines = vec![Line { label, text: if fits { with_undo } else { advice.text.clone() } }];
    if let Some(undo) = advice.undo.as_ref().filter(|_| !fits) {
        lines.push(Line { label: "undo", text: undo.clone() });
    }
    if let Some(risk) = &advice.risk {
        let parts: Vec<&str> = risk.split("; ").collect();
        lines.extend(labelled("risk", wrapped(&parts, "; ")));
    }
    lines
}

/// Lines of which the first has the label.
fn labelled(label: &'static str, texts: Vec<String>) -> impl Iterator<Item = Line> {
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    texts.into_iter().zip(labels).map(|(text, label)| Line { label, text })
}

/// The lines of a label, those that go on with it included.
pub(super) fn lines_of(lines: &[Line], label: &'static str) -> Vec<Line> {
    let begins = lines.iter().enumerate().filter(|(_, line)| line.label == label);
    begins
        .flat_map(|(place, first)| {
            let rest = lines.iter().skip(place.saturating_add(1)).take_while(|line| line.label.is_empty());
            std::iter::once(first).chain(rest).cloned()
        })
        .collect()
}

/// A list on lines that are not too long.
fn wrapped(list: &[&str], between: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in list {
        match lines.last_mut() {
            Some(line) if line.chars().count().saturating_add(item.chars().count()) < WIDTH => {
                line.push_str(between);
                line.push_str(item);
            }
            _ => lines.push((*item).to_owned()),
        }
    }
    lines
}

/// A pool as evidence.
pub(super) fn pool_facts(finding: Finding, pool: &Pool, peak: u32) -> Finding {
    let held: BTreeMap<&str, u32> = pool.held.iter().map(|(state, ports)| (state.name(), ports)).collect();
    finding
        .fact("pool", wording::pool(&pool.key))
        .fact("range", json!([pool.range.low(), pool.range.high()]))
        .fact("effective", pool.effective)
        .fact("barred", pool.barred)
        .fact("peak_barred", peak)
        .fact("held", json!(held))
        .fact("reusable_time_wait", json!(pool.reusable_time_wait))
}

/// Holders as evidence.
pub(super) fn holders(list: &[Holding]) -> Value {
    let one = |holding: &Holding| {
        let mut facts = named(&holding.process, u64::from(holding.processes));
        facts.insert("pid", json!(holding.pid.map(|pid| pid.0)));
        facts.insert("ports", json!(holding.ports));
        facts.insert("time_wait", json!(holding.time_wait));
        json!(facts)
    };
    list.iter().take(MOST_NAMES).map(one).collect()
}

/// Victims as evidence.
pub(super) fn victims(refusal: &Refusal) -> Value {
    let one = |victim: &super::Victim| {
        let mut facts = named(&victim.process, u64::from(victim.processes));
        facts.insert("pid", json!(victim.pid.0));
        facts.insert("count", json!(victim.count));
        json!(facts)
    };
    refusal.victims.iter().take(MOST_NAMES).map(one).collect()
}

fn named(process: &Process, processes: u64) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("comm", json!(process.comm())),
        ("exe", json!(process.exe())),
        ("unit", json!(process.unit())),
        ("container", json!(process.container())),
        ("pod", json!(process.pod())),
        ("processes", json!(processes)),
    ])
}
