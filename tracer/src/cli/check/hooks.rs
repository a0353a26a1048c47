//! `check --hooks`: what this kernel lets us see.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    cli::{
        Failure,
        exit::{json, say},
        options::{Format, KernelOptions},
    },
    kernel::{
        Backend, Settings,
        armed::{Shown, Trial},
        facts::is_locked_down,
        hooks::{Hook, Role, Verdict},
    },
    output::{escape, records::HookState},
    pipeline::hook_state,
};

/// Tries every backend, and tells hook by hook what this kernel makes of it.
pub(super) fn run(output: Format, verbose: bool, kernel: &KernelOptions) -> Result<(), Failure> {
    let settings = Settings {
        btf: kernel.btf.clone(),
        buffer_bytes: kernel.buffer,
        releases: true,
        collisions: true,
        ..Settings::default()
    };
    let trials = crate::kernel::armed::survey(&settings)?;
    match output {
        Format::Text | Format::Html => say(&text(&trials, verbose)),
        Format::Json => say(&json(&document(&trials))?),
        Format::Csv => Err(Failure::usage("check has no csv: there are text and json")),
    }
}

/// The document of `check --hooks -o json`.
#[derive(Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    kernel: String,
    backends: Vec<BackendState>,
}

#[derive(Serialize)]
struct BackendState {
    name: &'static str,
    usable: bool,
    reason: Option<String>,
    /// Fields of the records that are never filled in; none where it does not run.
    fields_unavailable: Option<Vec<&'static str>>,
    hooks: Vec<HookState>,
}

fn document(trials: &[Trial]) -> Document {
    Document {
        kind: "hooks",
        schema: crate::output::records::SCHEMA,
        kernel: release(),
        backends: trials.iter().map(state).collect(),
    }
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn state(trial: &Trial) -> BackendState {
    let usable = trial.outcome.is_ok();
    let (reason, hooks, fields_unavailable) = match &trial.outcome {
        Ok(Shown { hooks, unavailable, .. }) => {
            let hooks = hooks.iter().map(|(hook, verdict)| hook_state(hook, verdict)).collect();
            (None, hooks, Some(unavailable.clone()))
        }
        Err(refusal) => (Some(refusal.to_string()), Vec::new(), None),
    };
    BackendState { name: trial.backend.name(), usable, reason, fields_unavailable, hooks }
}

fn text(trials: &[Trial], verbose: bool) -> String {
    let mut out = String::new();
    let best = trials.iter().find_map(|trial| Some((trial.backend, trial.outcome.as_ref().ok()?)));
    let headline = match best {
        Some((backend, shown)) => headline(backend, shown),
        None if is_locked_down() => "the kernel is locked down for confidentiality: none can run".to_owned(),
        None => "no backend runs on this kernel".to_owned(),
    };
    let name = best.map_or("BLIND", |(backend, _)| backend.name());
    line(&mut out, &format!("{name}  {headline}  ({})", release()));
    for trial in trials {
        match &trial.outcome {
            Ok(Shown { hooks, no_candidates, .. }) => {
                let count =
                    |what: &dyn Fn(&Verdict) -> bool| hooks.iter().filter(|(_, has)| what(has)).count();
                let attached = count(&|verdict| *verdict == Verdict::Attached);
                let wanted = count(&|verdict| *verdict != Verdict::NotWanted);
                let told = format!("{:<11} works: {attached} of {wanted} hooks", trial.backend.name());
                line(&mut out, &told);
                if let Some(why) = no_candidates {
                    line(&mut out, &format!("  no candidates: {why}"));
                }
                let quiet = [Verdict::Attached, Verdict::NotWanted];
                for (hook, verdict) in hooks.iter().filter(|(_, verdict)| verbose || !quiet.contains(verdict))
                {
                    line(&mut out, &hook_line(hook, verdict));
                }
            }
            Err(refusal) => {
                line(&mut out, &format!("{:<11} no: {}", trial.backend.name(), escape(&refusal.to_string())));
            }
        }
    }
    out
}

/// What the best backend shows, in a line.
fn headline(backend: Backend, shown: &Shown) -> String {
    let visible = match shown.unavailable.as_slice() {
        [] => "everything is visible".to_owned(),
        fields => format!("not visible: {}", fields.join(", ")),
    };
    match backend {
        Backend::Kprobe => format!("{visible}; exits can be missed under contention"),
        Backend::Fentry | Backend::Tracepoint => visible,
    }
}

fn hook_line(hook: &Hook, verdict: &Verdict) -> String {
    let why = if let Verdict::Not(refusal) = verdict { format!(": {refusal}") } else { String::new() };
    let lost = match hook.role {
        Role::Optional(lost) | Role::Release(lost) if *verdict != Verdict::Attached => {
            format!("; not seen: {lost}")
        }
        Role::Spare(first) if *verdict == Verdict::NotWanted => {
            format!(": spare of {first}, which this kernel does not preempt")
        }
        Role::Spare(first) => format!(": spare of {first}"),
        _ => String::new(),
    };
    escape(&format!("  {:<15} {} at {}{why}{lost}", hook.program, verdict.word(), hook.target.place()))
        .into_owned()
}

fn line(out: &mut String, text: &str) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
