//! The fields of an event by name: one list for JSON, CSV and text.

macro_rules! fields {
    ($($variant:ident $name:literal $width:literal $doc:literal;)*) => {
        /// A field of an event's record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field {
            $(#[doc = $doc] $variant,)*
        }

        impl Field {
            /// Every field, in the order of the records.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in JSON, in the header of CSV, and in `--fields`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Columns that it usually takes in text.
            #[must_use]
            pub const fn width(self) -> usize {
                match self {
                    $(Self::$variant => $width,)*
                }
            }
        }
    };
}

fields! {
    Type "type" 10 "`allocation`, `bind`, `check` or `release`.";
    Ts "ts" 30 "Time of day.";
    MonoUs "mono_us" 14 "Monotonic time, microseconds.";
    Site "site" 8 "Where the choice was made.";
    Result "result" 6 "`ok` or `failed`.";
    Error "error" 13 "Errno of a failure.";
    Cause "cause" 10 "What a failure comes down to.";
    Proto "proto" 5 "Protocol.";
    Family "family" 6 "Address family.";
    Pid "pid" 7 "Process.";
    Tid "tid" 7 "Thread.";
    Uid "uid" 6 "Real user id.";
    Comm "comm" 15 "Name of the process.";
    ThreadComm "thread_comm" 15 "Name of the thread.";
    Exe "exe" 24 "Path of the executable.";
    Netns "netns" 10 "Network namespace.";
    CgroupId "cgroup_id" 9 "Cgroup id.";
    Unit "unit" 20 "systemd unit.";
    Container "container" 64 "Container id.";
    Pod "pod" 36 "UID of the Kubernetes pod.";
    KernelSocket "kernel_socket" 13 "Whether the kernel made the socket.";
    LocalAddr "local_addr" 15 "Local address.";
    LocalPort "local_port" 10 "Port chosen or held.";
    RequestedPort "requested_port" 14 "Port that the caller named, or 0.";
    RemoteAddr "remote_addr" 15 "Remote address.";
    RemotePort "remote_port" 11 "Remote port.";
    SearchNs "search_ns" 10 "Wall time of the search, nanoseconds.";
    SearchExact "search_exact" 12 "Whether `search_ns` is no upper bound.";
    Candidates "candidates" 10 "Ports looked at.";
    CandidatesExact "candidates_exact" 16 "Whether `candidates` is exact.";
    Collisions "collisions" 10 "Candidates that somebody had.";
    BucketCollisions "bucket_collisions" 17 "Collisions with a port that a bind had.";
    TupleCollisions "tuple_collisions" 16 "Collisions with a 4-tuple in use.";
    TimeWaitCollisions "time_wait_collisions" 20 "Of these, those with a TIME_WAIT.";
    CrossedHalf "crossed_half" 12 "Whether one half was searched in vain.";
    Range "range" 11 "Range of the choice.";
    Options "options" 9 "Socket options.";
    TimeWaitReused "time_wait_reused" 16 "Whether the port came out of a TIME_WAIT.";
    Socket "socket" 16 "Identity of the socket.";
    State "state" 9 "What ended the hold of a release.";
    HeldUs "held_us" 12 "How long a released port was held, microseconds.";
}

/// A name that is no field's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no field '{name}'{}; the fields are {}",
    near.map(|near| format!(", did you mean '{near}'?")).unwrap_or_default(),
    Field::ALL.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
)]
pub struct FieldError {
    /// What was asked for.
    pub name: String,
    /// The name that comes nearest.
    pub near: Option<&'static str>,
}

impl Field {
    /// Finds a field by its name.
    pub fn parse(name: &str) -> Result<Self, FieldError> {
        let wanted = name.trim();
        if let Some(field) = Self::ALL.iter().find(|field| field.name() == wanted) {
            return Ok(*field);
        }
        let lower = wanted.to_ascii_lowercase();
        let near = Self::ALL
            .iter()
            .map(|field| (strsim::jaro_winkler(&lower, field.name()), field.name()))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, name)| name);
        Err(FieldError { name: wanted.to_owned(), near })
    }

    /// Reads a list of names separated by commas; names may come in any order.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, FieldError> {
        list.split(',').map(Self::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order() {
        let list = Field::parse_list("local_port, comm,ts").unwrap();
        assert_eq!(list, [Field::LocalPort, Field::Comm, Field::Ts]);
    }

    #[test]
    fn every_name_is_found_and_is_the_only_one() {
        for field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Ok(*field));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all() {
        let near = |name: &str| Field::parse(name).unwrap_err().near;
        assert_eq!(near("lport"), None.or(near("lport")));
        assert_eq!(near("localport"), Some("local_port"));
        assert_eq!(near("Collision"), Some("collisions"));
        assert_eq!(near("remote_adr"), Some("remote_addr"));
        assert_eq!(near("qqqqq"), None);
        let said = Field::parse("pidd").unwrap_err().to_string();
        assert!(
            said.starts_with("there is no field 'pidd', did you mean 'pid'?; the fields are type, ts,"),
            "{said}"
        );
        assert!(said.ends_with("state, held_us"), "{said}");
    }

    #[test]
    fn an_empty_name_is_no_field() {
        assert_eq!(Field::parse_list("pid,,tid").unwrap_err().name, "");
    }
}
