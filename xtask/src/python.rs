//! The Python that reads exported tables in the live tests: an environment of its own, in `target`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{packages, process, tree};

/// Makes sure that it has what `tests/requirements.txt` names, and tells its path.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = tree::target("python");
    let (python, done) = (folder.join("bin/python"), folder.join("requirements.txt"));
    let wanted = tree::root().join("tests/requirements.txt");
    let named = tree::read(&wanted)?;
    if python.is_file() && fs::read(&done).is_ok_and(|had| had == named) {
        return Ok(python);
    }
    packages::ensure(packages::PYTHON, "reading exported tables")?;
    println!("installing what tests/requirements.txt names into {}", folder.display());
    process::run(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:", "--requirement"];
    process::run(Command::new(&python).args(pip).arg(&wanted))?;
    fs::write(&done, named).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(python)
}
