//! Commands that only read recordings and reports: files that others may have made. They write where they were told to,
//! run nothing and reach nobody.
//!
//! Commands that trace are not confined so. Landlock keeps a process from looking at any that is not confined, too:
//! `/proc/PID/exe`, `fd` and `ns` of all others are closed to it (`hook_ptrace_access_check` in
//! security/landlock/task.c), and with them who holds a port.

use std::{
    fs,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

/// What is written, before ioctl on devices is, which terminals need.
const WRITING: ABI = ABI::V4;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Confined as far as it goes.
    Full,
    /// This kernel confines less.
    Partial,
    /// This kernel has no Landlock, or it is off.
    None,
}

/// Lets this thread, and those that it starts, write to these files and beside them, and nowhere else. Best effort: what
/// the kernel does not know is not confined.
///
/// # Errors
///
/// The kernel has Landlock and refuses.
pub fn confine(outputs: &[&Path]) -> Result<Sandbox, RulesetError> {
    let writing = AccessFs::from_write(WRITING);
    let mut ruleset = Ruleset::default()
        .handle_access(writing | AccessFs::Execute)?
        .handle_access(AccessNet::from_all(WRITING))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    for place in places(outputs) {
        // What is not there cannot be opened later either, and that is told then.
        let Ok(opened) = PathFd::new(&place) else { continue };
        let allowed = if place.is_dir() { writing } else { AccessFs::WriteFile | AccessFs::Truncate };
        ruleset = ruleset.add_rule(PathBeneath::new(opened, allowed))?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Sandbox::Full,
        RulesetStatus::PartiallyEnforced => Sandbox::Partial,
        RulesetStatus::NotEnforced => Sandbox::None,
    })
}

/// Files that are there, the directories of all, those that links lead to included; and the terminal.
fn places(outputs: &[&Path]) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/dev/tty")];
    for output in outputs {
        let real = fs::canonicalize(output).unwrap_or_else(|_new| output.to_path_buf());
        let parents = [*output, &real].map(Path::parent);
        let parents = parents
            .into_iter()
            .flatten()
            .map(|parent| if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() });
        places.extend(parents);
        places.push(real);
    }
    places
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, net::TcpListener, process::Command, thread};

    use super::*;

    #[test]
    fn only_what_was_named_is_written_and_nothing_is_run() {
        let root = std::env::temp_dir().join(format!("portscope-{}-sandbox", std::process::id()));
        let (mine, other) = (root.join("mine"), root.join("other"));
        for folder in [&mine, &other] {
            fs::create_dir_all(folder).unwrap();
        }
        let (output, elsewhere) = (mine.join("new"), other.join("new"));
        let confined = thread::spawn(move || {
            let sandbox = confine(&[&output]).unwrap();
            (
                sandbox,
                fs::write(&output, "x").and_then(|()| fs::rename(&output, output.with_extension("y"))),
                fs::write(elsewhere, "x"),
                Command::new("/bin/true").status(),
                fs::read("/etc/passwd"),
                TcpListener::bind("127.0.0.1:0"),
            )
        });
        let (sandbox, written, elsewhere, run, read, listening) = confined.join().unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert!(written.is_ok() && read.is_ok(), "{written:?} {read:?}");
        let denied = |kind: ErrorKind| kind == ErrorKind::PermissionDenied;
        if sandbox != Sandbox::None {
            assert!(denied(elsewhere.unwrap_err().kind()) && denied(run.unwrap_err().kind()));
        }
        if sandbox == Sandbox::Full {
            assert!(denied(listening.unwrap_err().kind()));
        }
    }

    #[test]
    fn a_file_in_a_directory_that_is_not_there_is_no_reason_to_fail() {
        let tried = thread::spawn(|| confine(&[Path::new("/nowhere/at/all"), Path::new("new")]));
        assert!(tried.join().unwrap().is_ok());
    }
}
