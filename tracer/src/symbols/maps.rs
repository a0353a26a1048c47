//! The mappings of a process: proc_pid_maps(5).

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The one behind its last.
    pub end: u64,
    /// Where it starts in its file.
    pub offset: u64,
    /// Inode of the file; 0 where there is none.
    pub inode: u64,
    /// Path of the file, or what the kernel calls it (`[vdso]`); empty where it has no name.
    pub path: Vec<u8>,
}

impl Mapping {
    /// Whether a file is mapped.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.inode != 0 && self.path.first() == Some(&b'/')
    }

    /// Where an address lies in its file.
    #[must_use]
    pub fn place(&self, address: u64) -> u64 {
        address.saturating_sub(self.start).saturating_add(self.offset)
    }
}

/// All executable mappings of a process, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Reads them from the text of `/proc/PID/maps`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(mapping).collect())
    }

    /// The mapping that an address lies in.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        let behind = self.0.partition_point(|mapping| mapping.start <= address);
        self.0.get(behind.checked_sub(1)?).filter(|mapping| address < mapping.end)
    }
}

/// `start-end perms offset dev inode      path`; none where nothing is to be run.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut field = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = field()?.split_once('-')?;
    let permits = field()?;
    let offset = hex(field()?)?;
    let _device = field()?;
    let inode = field()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start().to_vec();
    let is_run = permits.as_bytes().get(2) == Some(&b'x');
    is_run.then_some(Mapping { start: hex(start)?, end: hex(end)?, offset, inode, path })
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"55d0a000-55d0b000 r--p 00000000 fe:01 77   /usr/bin/a b\n\
        55d0b000-55d0f000 r-xp 00001000 fe:01 77                 /usr/bin/a b\n\
        7f000000-7f001000 rwxp 00000000 00:00 0 \n\
        7f100000-7f180000 r-xp 00028000 fe:01 12                 /lib/libc.so.6 (deleted)\n\
        7ffe0000-7ffe2000 r-xp 00000000 00:00 0                  [vdso]\n";

    #[test]
    fn an_address_is_found_in_what_is_run() {
        let maps = Mappings::parse(TEXT);
        let program = maps.find(0x55d0_b123).unwrap();
        assert_eq!((program.path.as_slice(), program.inode), (b"/usr/bin/a b".as_slice(), 77));
        assert_eq!((program.place(0x55d0_b123), program.has_file()), (0x1123, true));
        let made = maps.find(0x7f00_0fff).unwrap();
        assert_eq!((made.path.as_slice(), made.has_file()), (b"".as_slice(), false));
        assert_eq!(maps.find(0x7ffe_0000).map(Mapping::has_file), Some(false));
        for outside in [0, 0x55d0_a000, 0x55d0_f000, 0x7f00_1000, u64::MAX] {
            assert_eq!(maps.find(outside), None, "{outside:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..200), address: u64) {
            if let Some(found) = Mappings::parse(&text).find(address) {
                prop_assert!(found.start <= address && address < found.end);
            }
        }
    }
}
