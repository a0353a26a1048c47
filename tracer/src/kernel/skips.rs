//! How often the kernel skipped a program because it was still running on the same CPU.

use aya::Ebpf;

use super::{
    hooks::{Hook, Role, Verdict},
    told::{SKIPPED, number},
};

/// Calls of attached programs that were skipped and that no spare saw; none where the kernel does not tell of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Skips {
    /// Of programs that see choices.
    pub(super) choices: Option<u64>,
    /// Of programs that count inside of searches.
    pub(super) inner: Option<u64>,
}

impl Skips {
    /// Since the programs were loaded.
    pub(super) fn now(ebpf: &Ebpf, hooks: &[(Hook, Verdict)]) -> Self {
        Self::of(hooks, |program| number(ebpf.program(program)?, SKIPPED))
    }

    /// What one of a pair saw is not lost: at most as many as the one that was skipped less often.
    fn of(hooks: &[(Hook, Verdict)], skipped: impl Fn(&str) -> Option<u64>) -> Self {
        let attached =
            || hooks.iter().filter(|(_, verdict)| *verdict == Verdict::Attached).map(|(hook, _)| hook);
        let spares: Vec<_> = attached()
            .filter_map(|spare| match spare.role {
                Role::Spare(first) => Some((first, skipped(spare.program)?)),
                _ => None,
            })
            .collect();
        let mut all = Self::default();
        for hook in attached().filter(|hook| !matches!(hook.role, Role::Spare(_))) {
            let Some(alone) = skipped(hook.program) else { continue };
            let spare = spares.iter().find(|(first, _)| *first == hook.program);
            let unseen = spare.map_or(alone, |(_, spare)| alone.min(*spare));
            let sum =
                if matches!(hook.role, Role::Collisions(_)) { &mut all.inner } else { &mut all.choices };
            *sum = Some(sum.unwrap_or(0) + unseen);
        }
        all
    }

    /// Those that came since it was looked before.
    pub(super) fn since(self, before: Self) -> Self {
        let since = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        Self { choices: since(self.choices, before.choices), inner: since(self.inner, before.inner) }
    }
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
        let told = Skips::of(&hooks, skipped);
        assert_eq!(told, Skips { choices: Some(10), inner: Some(0) });
        let without = |program: &str| if program.ends_with("_2") { None } else { skipped(program) };
        assert_eq!(Skips::of(&hooks, without).choices, Some(74));
        assert_eq!(Skips::of(&hooks, |_| None), Skips::default());
        let before = Skips { choices: Some(4), inner: None };
        assert_eq!(told.since(before), Skips { choices: Some(6), inner: None });
    }

    #[test]
    fn a_call_inside_of_a_search_is_no_choice() {
        let hooks: Vec<_> = hooks(Backend::Fentry).iter().map(|hook| (*hook, Verdict::Attached)).collect();
        let is_inner = |program: &str| {
            hooks.iter().any(|(hook, _)| hook.program == program && matches!(hook.role, Role::Collisions(_)))
        };
        let skipped = |program: &str| Some(if is_inner(program) || program.ends_with("_2") { 7 } else { 0 });
        let told = Skips::of(&hooks, skipped);
        assert_eq!(told.choices, Some(0));
        assert!(told.inner > Some(0), "{told:?}");
    }
}
