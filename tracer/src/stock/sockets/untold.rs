//! What a dump does not tell, and does not say so.

/// Whether a kernel of this release leaves TCP sockets that are bound, and nothing else, out of its dumps
/// (`inet_diag_dump_icsk`, before 6.8). No answer of a dump tells. Nothing is done otherwise on a guess: it only
/// makes us say what was not seen, and ask the flow for it.
#[must_use]
pub fn leaves_out_bound(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (6, 8))
}

/// Whether this kernel does.
pub(super) fn leaves_out_bound_here() -> bool {
    leaves_out_bound(&rustix::system::uname().release().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_sockets_are_told_from_6_8_on() {
        for release in ["6.1.0-56-amd64", "5.10.0", "6.7"] {
            assert!(leaves_out_bound(release), "{release}");
        }
        for release in ["6.8.0", "6.18.44-fc", "7.2", "strange", ""] {
            assert!(!leaves_out_bound(release), "{release}");
        }
    }
}
