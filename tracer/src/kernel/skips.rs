//! How often the kernel skipped a program because it was still running on the same CPU.

use aya::Ebpf;

use super::{
    hooks::{Hook, Role, Verdict},
    told::{SKIPPED, number},
};

/// Calls of all attached programs that were skipped and that no spare saw; none where the kernel does not tell of any.
///
/// What one of a pair saw is not lost: at most as many as the one that was skipped less often.
pub(super) fn total(ebpf: &Ebpf, hooks: &[(Hook, Verdict)]) -> Option<u64> {
    unseen(hooks, |program| number(ebpf.program(program)?, SKIPPED))
}

fn unseen(hooks: &[(Hook, Verdict)], skipped: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let attached = || hooks.iter().filter(|(_, verdict)| *verdict == Verdict::Attached).map(|(hook, _)| hook);
    let spares: Vec<_> = attached()
        .filter_map(|spare| match spare.role {
            Role::Spare(first) => Some((first, skipped(spare.program)?)),
            _ => None,
        })
        .collect();
    attached()
        .filter(|hook| !matches!(hook.role, Role::Spare(_)))
        .filter_map(|hook| {
            let alone = skipped(hook.program)?;
            let spare = spares.iter().find(|(first, _)| *first == hook.program);
            Some(spare.map_or(alone, |(_, spare)| alone.min(*spare)))
        })
        .reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Backend, hooks::hooks};

    #[test]
    fn what_a_spare_saw_is_not_missed() {
        let hooks: Vec<_> = hooks(Backend::Fentry).iter().map(|hook| (*hook, Verdict::Attached)).collect();
        let skipped = |program: &str| match program {
            "fx_connect" => Some(69),
            "fx_connect_2" | "fx_ping_port" => Some(5),
            "fe_connect_2" => Some(1000),
            _ => Some(0),
        };
        assert_eq!(unseen(&hooks, skipped), Some(10));
        let without = |program: &str| if program.ends_with("_2") { None } else { skipped(program) };
        assert_eq!(unseen(&hooks, without), Some(74));
        assert_eq!(unseen(&hooks, |_| None), None);
    }
}
