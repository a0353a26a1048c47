//! The BPF object: embedded, or a file in its place during development.

use std::{borrow::Cow, env, fs, path::PathBuf};

use aya::include_bytes_aligned;

use super::KernelError;

/// Names a file to load instead of the embedded object.
const OVERRIDE: &str = "PORTSCOPE_BPF_OBJECT";

#[cfg(target_arch = "x86_64")]
static EMBEDDED: &[u8] = include_bytes_aligned!("../../bpf/portscope.x86_64.o");
#[cfg(target_arch = "aarch64")]
static EMBEDDED: &[u8] = include_bytes_aligned!("../../bpf/portscope.aarch64.o");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("portscope has BPF programs for x86-64 and aarch64 alone");

/// The bytes of the object.
///
/// # Errors
///
/// The file that `PORTSCOPE_BPF_OBJECT` names cannot be read.
pub fn bytes() -> Result<Cow<'static, [u8]>, KernelError> {
    match env::var_os(OVERRIDE) {
        None => Ok(Cow::Borrowed(EMBEDDED)),
        Some(path) => {
            let path = PathBuf::from(path);
            fs::read(&path).map(Cow::Owned).map_err(|source| KernelError::Read { path, source })
        }
    }
}
