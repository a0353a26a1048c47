//! What is measured: the tracers, how they are started, and the goals of DESIGN.md §9.

/// A line of the table.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Its name in the table, which `--rows` filters.
    pub(super) name: &'static str,
    /// What runs while the loop is measured.
    pub(super) subject: Subject,
    /// The most instructions that an allocation of any kind may cost more; none where there is no goal.
    pub(super) goal: Option<i64>,
}

/// What runs beside the loop.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    /// Nothing: what all others are compared with.
    Nothing,
    /// portscope with these arguments; it tells when it is armed.
    Portscope(&'static [&'static str]),
    /// A program of the Debian package libbpf-tools, which is given some seconds to attach.
    LibbpfTools(&'static str),
}

/// `trace` whose lines nobody wants.
macro_rules! discarded {
    ($($more:literal),*) => { Subject::Portscope(&["trace", "-q", "--discard", $($more),*]) };
}

/// `trace` of JSON Lines into a file.
macro_rules! trace_json {
    ($($more:literal),*) => { Subject::Portscope(&["trace", "-q", "-o", "json", "-w", "/tmp/out.jsonl", $($more),*]) };
}

/// `report` of a JSON document into a file.
macro_rules! report {
    ($($more:literal),*) => { Subject::Portscope(&["report", "-o", "json", "-w", "/tmp/out.json", $($more),*]) };
}

/// All rows; the one without a tracer comes first.
pub(super) const ROWS: &[Row] = &[
    Row { name: "nothing attached", subject: Subject::Nothing, goal: None },
    Row { name: "libbpf-tools tcpconnect", subject: Subject::LibbpfTools("tcpconnect"), goal: None },
    Row { name: "libbpf-tools bindsnoop", subject: Subject::LibbpfTools("bindsnoop"), goal: None },
    Row {
        name: "kernel half and ring, fentry",
        subject: discarded!("--backend", "fentry"),
        goal: Some(1_250),
    },
    Row { name: "kernel half and ring, kprobe", subject: discarded!("--backend", "kprobe"), goal: None },
    Row {
        name: "kernel half and ring, tracepoint",
        subject: discarded!("--backend", "tracepoint"),
        goal: None,
    },
    Row {
        name: "kernel half and ring, fentry, collisions by kind",
        subject: discarded!("--count-collisions", "--backend", "fentry"),
        goal: None,
    },
    Row {
        name: "kernel half and ring, kprobe, collisions by kind",
        subject: discarded!("--count-collisions", "--backend", "kprobe"),
        goal: None,
    },
    Row {
        name: "counts by process, fentry",
        subject: Subject::Portscope(&["trace", "--summary-only", "--backend", "fentry"]),
        goal: Some(700),
    },
    Row {
        name: "counts by process, kprobe",
        subject: Subject::Portscope(&["trace", "--summary-only", "--backend", "kprobe"]),
        goal: None,
    },
    Row {
        name: "counts by process, tracepoint",
        subject: Subject::Portscope(&["trace", "--summary-only", "--backend", "tracepoint"]),
        goal: None,
    },
    Row { name: "report, fentry", subject: report!("--backend", "fentry"), goal: Some(1_700) },
    Row {
        name: "report, fentry, with the kernel's part measured",
        subject: report!("--kernel-cost", "--backend", "fentry"),
        goal: None,
    },
    Row { name: "report, kprobe", subject: report!("--backend", "kprobe"), goal: Some(3_000) },
    Row { name: "report, tracepoint", subject: report!("--backend", "tracepoint"), goal: None },
    Row { name: "report, fentry, stacks", subject: report!("--stack", "--backend", "fentry"), goal: None },
    Row {
        name: "report, fentry, stacks of failures",
        subject: report!("--stack=failures", "--backend", "fentry"),
        goal: None,
    },
    Row { name: "report, kprobe, stacks", subject: report!("--stack", "--backend", "kprobe"), goal: None },
    Row {
        name: "report, tracepoint, stacks",
        subject: report!("--stack", "--backend", "tracepoint"),
        goal: None,
    },
    Row { name: "trace json, fentry", subject: trace_json!("--backend", "fentry"), goal: Some(4_500) },
    Row { name: "trace json, kprobe", subject: trace_json!("--backend", "kprobe"), goal: None },
    Row { name: "trace json, tracepoint", subject: trace_json!("--backend", "tracepoint"), goal: None },
];
