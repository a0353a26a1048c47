//! What the pages say beyond what the definitions of the command line say.

/// A command line and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Example {
    pub(super) line: &'static str,
    pub(super) does: &'static str,
}

/// What tracing costs.
pub(super) const OVERHEAD: &str = "\
Each allocation of a port costs some 1,100 to 1,250 instructions more with fentry, some 2,200 with kprobe, where a socket \
that is made, connected on loopback and closed takes some 34,000. An event takes 128 bytes of the ring and 6 to 11 bytes of a \
recording. Nothing is hooked beside the choice of ports: hosts that choose few pay nothing.

When more events come than are read, they are counted, by process, and not told one by one: what is seen is always what is \
emitted, filtered and lost together. Commands that trace nothing (check, who, explain, diff, export, what-if, and all that \
read recordings) cost the kernel nothing.

Every summary ends with the CPU time and the memory that it took itself. With --kernel-cost the kernel measures how long the \
programs ran, without what it takes to call them; meanwhile it reads the clock twice for each run of any BPF program of the \
host, which a host with busy packet filters feels.";

/// Where else to look, after the other pages.
pub(super) const SEE_ALSO: &str = "ss(8), ip-netns(8), sysctl(8), capabilities(7), tcp(7), ip(7), bpf(2)";

const TRACING: &str = "\
Linux 5.8 or later on x86-64 or aarch64, with its type information (CONFIG_DEBUG_INFO_BTF) or --btf FILE. Root, or CAP_BPF and \
CAP_PERFMON, and CAP_NET_ADMIN where only the tracepoint backend runs. CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH name other \
users' processes and what they hold, CAP_SYSLOG gives the addresses of kernel symbols, CAP_SYS_ADMIN enters other network \
namespaces; what is missing is told with what is lost. Once the hooks are armed all rights that are not needed any more are \
given up; a command (-- CMD) has those of its caller.

portscope check --hooks tells which backend this kernel runs, hook by hook.";

const READING: &str = "\
Nothing but the right to read the files: the kernel is asked for nothing. Where the kernel has Landlock, the command can \
write to what -w names, and nowhere else.";

const LOOKING: &str = "\
Linux 5.8 or later. Any user sees the own network namespace and the own processes; CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH \
show those of other users, CAP_SYS_ADMIN enters other network namespaces.";

const NOTHING: &str = "Nothing: it works on any host, for any user.";

/// What a command needs.
pub(super) fn requirements(command: &str) -> &'static str {
    match command {
        "check" | "who" => LOOKING,
        "diff" | "export" | "what-if" => READING,
        "explain" | "completions" | "man" => NOTHING,
        _ => TRACING,
    }
}

const fn example(line: &'static str, does: &'static str) -> Example {
    Example { line, does }
}

/// Command lines to begin with.
pub(super) fn examples(command: &str) -> &'static [Example] {
    const WHOLE: &[Example] = &[
        example("portscope", "How full the port pools are now, and what is amiss."),
        example("portscope report -d 30s", "Who takes the ports, who is refused, and what to do."),
        example("portscope trace --failed", "Each refusal as it happens."),
        example("portscope who 8080", "Who has this port, and what would free it."),
    ];
    const TRACE: &[Example] = &[
        example("portscope trace --failed", "Only failures: who is refused, and why."),
        example("portscope trace -D 5432 -n 'php-fpm*'", "One destination port, one program."),
        example("portscope trace -o json -w ports.jsonl", "JSON Lines: header, events, footer."),
        example("portscope trace -r ports.arrow --from 03:12 --to 03:15", "A part of a recording."),
    ];
    const REPORT: &[Example] = &[
        example("portscope report -- wrk -d10s http://127.0.0.1:8080/", "Was the load held back by ports?"),
        example("portscope report -d 5m -o html -w report.html", "One page to pass on or to print."),
        example("portscope report -d 2m --stack=failures", "From which functions the refused calls come."),
        example("portscope report -d 10m -i 10s", "Also a row for every 10 s, as they end."),
        example("portscope report --fail-on PS001 -d 1m", "For scripts: status 3 if a pool ran out."),
    ];
    const RECORD: &[Example] = &[
        example("portscope record -w ports.arrow", "Until Ctrl-C."),
        example(
            "portscope record --ring 512MiB --keep 24h --dump-on PS001 -w /var/lib/portscope",
            "A flight recorder: the last part is kept, and dumped when a pool runs out.",
        ),
    ];
    const EXPORT: &[Example] = &[
        example("portscope export ports.arrow --to csv -w ports.csv", "A table for a spreadsheet."),
        example(
            "portscope export ports.arrow --to parquet -w ports.parquet",
            "Typed columns for DuckDB or pandas.",
        ),
    ];
    const TOP: &[Example] = &[
        example("portscope top", "The whole screen: verdict, pools, events."),
        example("portscope top -b -c 3", "Three frames of text, for a log."),
        example("portscope top -r ports.arrow --speed 10", "Plays a recording."),
    ];
    const SERVE: &[Example] = &[
        example("portscope serve", "For Prometheus, at http://127.0.0.1:19768/metrics."),
        example("portscope serve --listen 0.0.0.0:19768 --top 50", "For others, with more series."),
        example("portscope serve --config /etc/portscope/portscope.toml", "As the systemd unit does."),
    ];
    const CHECK: &[Example] = &[
        example("portscope check --map", "A picture of the range: which half is full, and of what."),
        example("portscope check --hooks", "What this kernel can show, hook by hook."),
        example(
            "portscope check --rate-check 2000/s --to 10.0.0.9:80 --hold 60s",
            "Would that many connections fit? Status 3 if not.",
        ),
    ];
    const WHO: &[Example] = &[
        example("portscope who 8080", "Who has this port, and what would free it."),
        example("portscope who 48210 -r ports.arrow --at 03:12:30", "Who had it then."),
    ];
    const DIFF: &[Example] = &[example("portscope diff before.json after.json", "Did it help?")];
    const WHAT_IF: &[Example] = &[example(
        "portscope what-if ports.arrow --range 15000-60999",
        "Who would have been refused with a wider range.",
    )];
    const EXPLAIN: &[Example] = &[example("portscope explain PS004", "What a finding means, offline.")];
    const COMPLETIONS: &[Example] = &[
        example("portscope completions bash | sudo tee /etc/bash_completion.d/portscope", "For bash."),
        example("portscope completions fish | tee ~/.config/fish/completions/portscope.fish", "For fish."),
    ];
    const MAN: &[Example] = &[
        example("portscope man report | man -l -", "Reads a page that is not installed."),
        example("portscope man --dir /usr/local/share/man/man8", "Installs all of them."),
    ];
    match command {
        "portscope" => WHOLE,
        "trace" => TRACE,
        "report" => REPORT,
        "record" => RECORD,
        "export" => EXPORT,
        "top" => TOP,
        "serve" => SERVE,
        "check" => CHECK,
        "who" => WHO,
        "diff" => DIFF,
        "what-if" => WHAT_IF,
        "explain" => EXPLAIN,
        "completions" => COMPLETIONS,
        "man" => MAN,
        _ => &[],
    }
}
