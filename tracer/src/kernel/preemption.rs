//! Whether this kernel preempts BPF programs: what it then skips, spare programs see.
//!
//! A program on a trampoline runs under `rcu_read_lock` and `migrate_disable` (`__bpf_prog_enter_recur`,
//! kernel/bpf/trampoline.c), which a kernel that preempts itself preempts as anything else; since 7.0 so does one on a raw
//! tracepoint. Until it goes on, whoever else comes to that hook on that CPU is not shown to it.

use std::{fs, path::Path};

use super::private::with_mounted;

/// Where a kernel whose preemption can be chosen tells how it is now (kernel/sched/debug.c).
const MODE: &str = "/sys/kernel/debug/sched/preempt";

/// What tells of preemption, the surest first; none where it cannot be read.
#[derive(Clone, Copy, Debug, Default)]
struct Signs<'a> {
    /// The mode now: `none voluntary (full) lazy`.
    mode: Option<&'a str>,
    /// /proc/cmdline, where `preempt=` chooses it.
    command_line: Option<&'a str>,
    /// What the kernel was built with, as text.
    config: Option<&'a str>,
    /// `uname -v`: `#1 SMP PREEMPT_DYNAMIC …`.
    version: &'a str,
}

/// Whether this kernel preempts BPF programs. Where that cannot be told, it may: that costs some instructions, the
/// contrary would cost events.
pub(super) fn preempts() -> bool {
    let uname = rustix::system::uname();
    let read = |path: &str| fs::read_to_string(path).ok();
    let release = uname.release().to_string_lossy();
    let (command_line, config) = (read("/proc/cmdline"), read(&format!("/boot/config-{release}")));
    let mode = with_mounted("debugfs", Path::new("/sys/kernel/debug"), Path::new(MODE), || read(MODE));
    let signs = Signs {
        mode: mode.as_deref(),
        command_line: command_line.as_deref(),
        config: config.as_deref(),
        version: &uname.version().to_string_lossy(),
    };
    let preempts = judge(signs);
    log::debug!("preemption: {preempts}, by {:?}, {}", signs.mode, signs.version);
    preempts
}

fn judge(signs: Signs<'_>) -> bool {
    let chosen = signs.mode.and_then(|mode| mode.split(['(', ')']).nth(1));
    let chosen = chosen.or_else(|| {
        let mut words = signs.command_line?.split_ascii_whitespace();
        words.find_map(|word| word.strip_prefix("preempt="))
    });
    if let Some(mode) = chosen {
        return matches!(mode, "full" | "lazy");
    }
    let has = |line: &str| signs.config.is_some_and(|config| config.lines().any(|found| found == line));
    if has("CONFIG_PREEMPT_NONE=y") || has("CONFIG_PREEMPT_VOLUNTARY=y") {
        return false;
    }
    signs.version.split_ascii_whitespace().any(|word| word.starts_with("PREEMPT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surest_sign_decides() {
        let none = Signs::default();
        let table = [
            ("no preemption at all", Signs { version: "#1 SMP Debian 5.10", ..none }, false),
            ("any, where nothing else is known", Signs { version: "#1 SMP PREEMPT_DYNAMIC", ..none }, true),
            ("built in", Signs { version: "#1 SMP PREEMPT_RT Debian", ..none }, true),
            (
                "built to be chosen, by default none",
                Signs {
                    config: Some("CONFIG_A=y\nCONFIG_PREEMPT_NONE=y\nCONFIG_PREEMPT_DYNAMIC=y\n"),
                    version: "#1 SMP PREEMPT_DYNAMIC",
                    ..none
                },
                false,
            ),
            (
                "chosen at boot",
                Signs {
                    command_line: Some("quiet preempt=full"),
                    config: Some("CONFIG_PREEMPT_VOLUNTARY=y\n"),
                    version: "#1 SMP PREEMPT_DYNAMIC",
                    ..none
                },
                true,
            ),
            (
                "chosen since",
                Signs {
                    mode: Some("none (voluntary) full\n"),
                    command_line: Some("preempt=full"),
                    version: "#1 SMP PREEMPT_DYNAMIC",
                    ..none
                },
                false,
            ),
            (
                "lazily",
                Signs {
                    mode: Some("none voluntary full (lazy)\n"),
                    version: "#1 SMP PREEMPT_DYNAMIC",
                    ..none
                },
                true,
            ),
        ];
        for (case, signs, expected) in table {
            assert_eq!(judge(signs), expected, "{case}");
        }
    }
}
