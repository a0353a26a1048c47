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

/// All rows; the one without a tracer comes first.
pub(super) const ROWS: &[Row] = &[
    Row { name: "nothing attached", subject: Subject::Nothing, goal: None },
    Row { name: "libbpf-tools tcpconnect", subject: Subject::LibbpfTools("tcpconnect"), goal: None },
    Row { name: "libbpf-tools bindsnoop", subject: Subject::LibbpfTools("bindsnoop"), goal: None },
    Row {
        name: "kernel half and ring, fentry",
        subject: Subject::Portscope(&["trace", "-q", "--discard", "--backend", "fentry"]),
        goal: Some(1_250),
    },
    Row {
        name: "kernel half and ring, kprobe",
        subject: Subject::Portscope(&["trace", "-q", "--discard", "--backend", "kprobe"]),
        goal: None,
    },
    Row {
        name: "kernel half and ring, tracepoint",
        subject: Subject::Portscope(&["trace", "-q", "--discard", "--backend", "tracepoint"]),
        goal: None,
    },
    Row {
        name: "kernel half and ring, fentry, collisions by kind",
        subject: Subject::Portscope(&[
            "trace",
            "-q",
            "--discard",
            "--count-collisions",
            "--backend",
            "fentry",
        ]),
        goal: None,
    },
    Row {
        name: "kernel half and ring, kprobe, collisions by kind",
        subject: Subject::Portscope(&[
            "trace",
            "-q",
            "--discard",
            "--count-collisions",
            "--backend",
            "kprobe",
        ]),
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
    Row {
        name: "report, fentry",
        subject: Subject::Portscope(&["report", "-o", "json", "-w", "/tmp/out.json", "--backend", "fentry"]),
        goal: Some(1_700),
    },
    Row {
        name: "report, fentry, with the kernel's part measured",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--kernel-cost",
            "--backend",
            "fentry",
        ]),
        goal: None,
    },
    Row {
        name: "report, kprobe",
        subject: Subject::Portscope(&["report", "-o", "json", "-w", "/tmp/out.json", "--backend", "kprobe"]),
        goal: Some(3_000),
    },
    Row {
        name: "report, tracepoint",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--backend",
            "tracepoint",
        ]),
        goal: None,
    },
    Row {
        name: "report, fentry, stacks",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--stack",
            "--backend",
            "fentry",
        ]),
        goal: None,
    },
    Row {
        name: "report, fentry, stacks of failures",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--stack=failures",
            "--backend",
            "fentry",
        ]),
        goal: None,
    },
    Row {
        name: "report, kprobe, stacks",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--stack",
            "--backend",
            "kprobe",
        ]),
        goal: None,
    },
    Row {
        name: "report, tracepoint, stacks",
        subject: Subject::Portscope(&[
            "report",
            "-o",
            "json",
            "-w",
            "/tmp/out.json",
            "--stack",
            "--backend",
            "tracepoint",
        ]),
        goal: None,
    },
    Row {
        name: "trace json, fentry",
        subject: Subject::Portscope(&[
            "trace",
            "-q",
            "-o",
            "json",
            "-w",
            "/tmp/out.jsonl",
            "--backend",
            "fentry",
        ]),
        goal: Some(4_500),
    },
    Row {
        name: "trace json, kprobe",
        subject: Subject::Portscope(&[
            "trace",
            "-q",
            "-o",
            "json",
            "-w",
            "/tmp/out.jsonl",
            "--backend",
            "kprobe",
        ]),
        goal: None,
    },
    Row {
        name: "trace json, tracepoint",
        subject: Subject::Portscope(&[
            "trace",
            "-q",
            "-o",
            "json",
            "-w",
            "/tmp/out.jsonl",
            "--backend",
            "tracepoint",
        ]),
        goal: None,
    },
];
