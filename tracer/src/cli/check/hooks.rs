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
        armed::Trial,
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
    let (reason, hooks) = match &trial.outcome {
        Ok(hooks) => (None, hooks.iter().map(|(hook, verdict)| hook_state(hook, verdict)).collect()),
        Err(refusal) => (Some(refusal.to_string()), Vec::new()),
    };
    BackendState { name: trial.backend.name(), usable: trial.outcome.is_ok(), reason, hooks }
}

fn text(trials: &[Trial], verbose: bool) -> String {
    let mut out = String::new();
    let best = trials.iter().find(|trial| trial.outcome.is_ok()).map(|trial| trial.backend);
    let headline = match best {
        Some(Backend::Fentry) => "everything is visible".to_owned(),
        Some(Backend::Kprobe) => "everything is visible; exits can be missed under contention".to_owned(),
        Some(Backend::Tracepoint) => {
            format!("not visible: {}", Backend::Tracepoint.blind_fields().join(", "))
        }
        None if is_locked_down() => "the kernel is locked down for confidentiality: none can run".to_owned(),
        None => "no backend runs on this kernel".to_owned(),
    };
    let name = best.map_or("BLIND", Backend::name);
    line(&mut out, &format!("{name}  {headline}  ({})", release()));
    for trial in trials {
        match &trial.outcome {
            Ok(hooks) => {
                let count =
                    |what: &dyn Fn(&Verdict) -> bool| hooks.iter().filter(|(_, has)| what(has)).count();
                let attached = count(&|verdict| *verdict == Verdict::Attached);
                let wanted = count(&|verdict| *verdict != Verdict::NotWanted);
                let told = format!("{:<11} works: {attached} of {wanted} hooks", trial.backend.name());
                line(&mut out, &told);
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
