//! What the guest's serial line says: output of the command, kernel log, exit status, complaints.

use super::guest::{MARK, STARTED};

/// Kernel messages that fail a test machine.
const COMPLAINTS: [&str; 13] = [
    "WARNING: ",
    "BUG: ",
    "kernel BUG at",
    "Oops",
    "Call Trace",
    "Kernel panic",
    "general protection fault",
    "rcu_sched detected stalls",
    "rcu_preempt detected",
    "soft lockup",
    "blocked for more than",
    "possible recursive locking",
    // That of a cgroup has other words: tests give some too little on purpose.
    "Out of memory: Killed",
];
/// It shows where it was called from, as faults are shown.
const KILLER: &str = "invoked oom-killer";

/// What a run of a machine told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The exit status of the command; none when the machine ended before it.
    pub(crate) status: Option<i32>,
    /// Why there is no status.
    pub(crate) ended: Option<String>,
    /// What the command printed.
    pub(crate) lines: Vec<String>,
    /// The kernel log.
    pub(crate) dmesg: Vec<String>,
    /// Lines of the kernel log that must not be there.
    pub(crate) complaints: Vec<String>,
}

impl Outcome {
    /// The sentence for a machine that ended without a status.
    pub(crate) fn no_status(&self) -> String {
        let why = self.ended.as_deref().unwrap_or("the machine stopped before the command ended");
        let last = &self.lines[self.lines.len().saturating_sub(20)..];
        format!("{why}; its last lines were:\n{}", last.join("\n"))
    }
}

/// Reads the console line by line.
#[derive(Default)]
pub(super) struct Console {
    outcome: Outcome,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Booting,
    Running,
    KernelLog,
    Done,
}

impl Console {
    /// Takes a line and returns what the command said in it.
    pub(super) fn take<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        let Some((before, word)) = line.split_once(MARK) else { return self.text(line) };
        // The command may end without a newline.
        let said = if before.is_empty() { None } else { self.text(before) };
        self.mark(word.trim());
        said
    }

    fn text<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        match self.state {
            State::Booting | State::Running => {
                if is_complaint(line) && is_kernel_line(line) {
                    self.outcome.complaints.push(line.to_owned());
                }
                self.outcome.lines.push(line.to_owned());
                (self.state == State::Running).then_some(line)
            }
            State::KernelLog => {
                self.outcome.dmesg.push(line.to_owned());
                None
            }
            State::Done => None,
        }
    }

    fn mark(&mut self, word: &str) {
        match word {
            "begin" => {
                self.state = State::Running;
                self.outcome.lines.clear();
            }
            "dmesg" => self.state = State::KernelLog,
            _ => {
                if let Some(status) = word.strip_prefix("status ") {
                    self.outcome.status = status.parse().ok();
                    self.state = State::Done;
                }
            }
        }
    }

    /// Whether the guest has said all that it has to say.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Everything that was read, with the complaints of the kernel log.
    pub(super) fn finish(mut self, ended: Option<String>) -> Outcome {
        let caused = self.outcome.dmesg.iter().position(|line| line.contains(STARTED)).unwrap_or(0);
        let log = &self.outcome.dmesg[caused..];
        let mut is_of_killer = false;
        for line in log {
            if line.contains(KILLER) {
                is_of_killer = true;
            } else if is_complaint(line)
                && !(std::mem::take(&mut is_of_killer) && line.contains("Call Trace"))
            {
                self.outcome.complaints.push(line.clone());
            }
        }
        self.outcome.ended = ended;
        self.outcome
    }
}

fn is_complaint(line: &str) -> bool {
    COMPLAINTS.iter().any(|complaint| line.contains(complaint))
}

/// Whether a line looks like the kernel's own: `[   12.345678] text`.
fn is_kernel_line(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|rest| {
        rest.split_once(']').is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok_and(f64::is_finite))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[&str]) -> Outcome {
        let mut console = Console::default();
        for line in lines {
            console.take(line);
        }
        console.finish(None)
    }

    #[test]
    fn only_want_of_memory_in_a_cgroup_is_no_complaint() {
        let of = |last: &str| {
            let log = ["[ 1.0] x invoked oom-killer: order=0", "[ 1.1] CPU: 0", "[ 1.2] Call Trace:", last];
            outcome(&[&[mark("begin").as_str(), &mark("dmesg")], &log[..]].concat()).complaints
        };
        assert_eq!(of("[ 1.3] Memory cgroup out of memory: Killed process 7 (x)"), Vec::<String>::new());
        for last in ["[ 1.3] Out of memory: Killed process 7 (x)", "[ 1.3] Call Trace:", "[ 1.3] Oops: 0"] {
            assert_eq!(of(last), [last]);
        }
    }

    fn mark(word: &str) -> String {
        format!("{MARK} {word}")
    }

    #[test]
    fn a_status_is_read_after_output_and_kernel_log() {
        let lines = ["booting", &mark("begin"), "hello", &mark("dmesg"), "[ 1.0] fine", &mark("status 3")];
        let outcome = outcome(&lines);
        assert_eq!(outcome.status, Some(3));
        assert_eq!(outcome.lines, ["hello"]);
        assert_eq!(outcome.dmesg, ["[ 1.0] fine"]);
        assert!(outcome.complaints.is_empty());
    }

    #[test]
    fn warnings_of_booting_do_not_count_and_later_ones_do() {
        let started = format!("[ 2.0] {STARTED}");
        let log =
            [&mark("dmesg"), "[ 1.0] WARNING: early", &started, "[ 3.0] WARNING: CPU: 0", &mark("status 0")];
        assert_eq!(outcome(&log).complaints, ["[ 3.0] WARNING: CPU: 0"]);
    }

    #[test]
    fn a_panic_on_the_console_is_a_complaint_without_status() {
        let outcome = outcome(&[&mark("begin"), "[    4.5] Kernel panic - not syncing: x"]);
        assert_eq!(outcome.status, None);
        assert_eq!(outcome.complaints.len(), 1);
    }

    #[test]
    fn output_that_only_mentions_a_warning_is_no_complaint() {
        assert!(outcome(&[&mark("begin"), "WARNING: tests may say so"]).complaints.is_empty());
    }

    #[test]
    fn a_mark_behind_an_unfinished_line_is_still_seen() {
        let last = format!("no newline{}", mark("status 0"));
        assert_eq!(outcome(&[&mark("begin"), &last]).status, Some(0));
    }
}
