//! Findings: what to do, what it costs, and what does not help.

use super::{
    head::{LineView, WHO, behind},
    parts::{shown, told},
};
use crate::{
    enrich::misleads,
    output::{
        escape,
        records::{CommandRecord, FindingRecord, Report, SpaceRecord},
    },
};

/// Findings that are shown; more would hide the worst.
const MOST: usize = 20;
/// Bytes of a command that is shown; a list of reserved ports may have thousands.
const LONGEST_COMMAND: usize = 4_000;
/// Findings that are open from the start.
const OPEN: usize = 3;

/// A finding as it is shown.
#[derive(Debug)]
pub(super) struct FindingView {
    pub(super) id: String,
    pub(super) severity: String,
    pub(super) title: String,
    pub(super) open: bool,
    pub(super) steps: Vec<StepView>,
    pub(super) wont_help: String,
    pub(super) lines: Vec<LineView>,
}

/// Something to do.
#[derive(Debug)]
pub(super) struct StepView {
    pub(super) text: String,
    pub(super) command: Option<CommandView>,
}

/// A command that may be run.
#[derive(Debug)]
pub(super) struct CommandView {
    pub(super) run: String,
    /// What is shown is what would be run.
    pub(super) copies: bool,
    pub(super) lines: Vec<LineView>,
}

/// The findings, and how many more there are.
pub(super) fn views(report: &Report, spaces: &[SpaceRecord]) -> (Vec<FindingView>, Option<String>) {
    let first = behind(report);
    let views: Vec<FindingView> = report
        .findings
        .iter()
        .take(MOST)
        .enumerate()
        .map(|(at, finding)| {
            let in_head = first.is_some_and(|first| std::ptr::eq(first, finding));
            view(finding, at < OPEN, in_head, spaces)
        })
        .collect();
    let more = report.findings.len().saturating_sub(views.len());
    (views, (more != 0).then(|| format!("{more} more findings, none of them worse (-o json has them).")))
}

fn view(finding: &FindingRecord, open: bool, in_head: bool, spaces: &[SpaceRecord]) -> FindingView {
    FindingView {
        id: shown(&finding.id),
        severity: shown(&finding.severity),
        title: told(&finding.title),
        open,
        steps: steps(finding, spaces),
        wont_help: told(&finding.wont_help.join(", ")),
        lines: lines(finding, in_head),
    }
}

/// The lines of the text that are not told as something to do, nor in the head.
fn lines(finding: &FindingRecord, in_head: bool) -> Vec<LineView> {
    let mut label = "";
    let mut kept: Vec<LineView> = Vec::new();
    for line in &finding.lines {
        let goes_on = line.label.is_empty() || line.label == label;
        if !line.label.is_empty() {
            label = &line.label;
        }
        let told_elsewhere = label.starts_with("do ")
            || ["undo", "risk", "won't help"].contains(&label)
            || (in_head && WHO.contains(&label));
        if !told_elsewhere {
            let label = if goes_on && !kept.is_empty() { String::new() } else { shown(label) };
            kept.push(LineView { label, text: told(&line.text), is_command: false });
        }
    }
    kept
}

/// The advice, each with its command; then commands without advice.
fn steps(finding: &FindingRecord, spaces: &[SpaceRecord]) -> Vec<StepView> {
    let mut commands: Vec<Option<&CommandRecord>> = finding.commands.iter().map(Some).collect();
    let mut steps: Vec<StepView> = Vec::new();
    for advice in &finding.advice {
        let is_of = |command: &&mut Option<&CommandRecord>| {
            command.is_some_and(|command| advice.contains(&command.run))
        };
        let command = commands.iter_mut().find(is_of).and_then(Option::take);
        let text = match command {
            Some(command) => without_command(advice, command),
            None => advice.clone(),
        };
        steps.push(StepView { text: told(&text), command: command.map(|one| command_view(one, spaces)) });
    }
    let rest = commands.into_iter().flatten();
    steps.extend(
        rest.map(|one| StepView { text: "run".to_owned(), command: Some(command_view(one, spaces)) }),
    );
    steps
}

/// What an advice says beside its command and the command's risk, which are told below it.
fn without_command(advice: &str, command: &CommandRecord) -> String {
    let risk = command.risk.as_ref().map(|risk| format!(" (risk: {risk})")).unwrap_or_default();
    let rest = advice.replacen(&command.run, "", 1).replacen(&risk, "", 1);
    match rest.trim() {
        "" => "run".to_owned(),
        rest => format!("run, for {rest}"),
    }
}

fn command_view(command: &CommandRecord, spaces: &[SpaceRecord]) -> CommandView {
    let (run, copies) = to_run(&command.run);
    let line = |label: &str, text: String, is_command| LineView { label: label.to_owned(), text, is_command };
    let whole = |text: &String| to_run(text).0;
    let space = command.netns.map(|netns| {
        let space = spaces.iter().find(|space| space.state.id == netns);
        space.map_or_else(|| format!("net:[{netns}]"), |space| format!("{} (net:[{netns}])", space.label))
    });
    let mut lines: Vec<LineView> = Vec::new();
    lines.extend(command.risk.as_ref().map(|risk| line("risk", told(risk), false)));
    lines.extend(command.undo.as_ref().map(|undo| line("to undo", whole(undo), true)));
    lines.extend(command.persist.as_ref().map(|persist| line("to make it last", whole(persist), false)));
    lines.extend(space.map(|space| line("network namespace", told(&space), false)));
    CommandView { run, copies, lines }
}

/// A command as it is shown, and whether that is what would be run. One that is cut would do something else.
fn to_run(command: &str) -> (String, bool) {
    if command.len() > LONGEST_COMMAND {
        return ("too long for a page: -o json has this command".to_owned(), false);
    }
    if command.chars().any(misleads) {
        (escape(command).into_owned(), false)
    } else {
        (command.to_owned(), true)
    }
}
