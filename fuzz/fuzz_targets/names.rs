//! Any bytes, as a name that a process, a control group or a namespace may have: nothing that a terminal obeys gets
//! through, and no mark-up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portscope::{enrich::Cgroup, event::Comm, output::escape};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let group = Cgroup::parse(&text);
    let mut comm = [0; 16];
    for (place, byte) in comm.iter_mut().zip(bytes) {
        *place = *byte;
    }
    let comm = Comm(comm);
    let texts = [text.as_ref().to_owned(), comm.lossy().into_owned()];
    let of_group = [group.unit(), group.container(), group.pod(), group.path()].into_iter().flatten().map(str::to_owned);
    for text in texts.into_iter().chain(of_group) {
        let escaped = escape(&text);
        let harmful = escaped.chars().find(|char| {
            char.is_control() || matches!(*char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(harmful, None, "{escaped:?}");
    }
});
