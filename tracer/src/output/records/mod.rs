//! The records of a trace as data: what JSON Lines hold, and what the committed JSON Schema is made from.
//!
//! `null` means absent or unseen, always.

mod answer;
mod call_sites;
mod check;
mod choice;
mod diff;
mod frame;
mod report;
mod whatif;
mod who;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

pub use answer::{
    CommandRecord, FindingRecord, ForecastRecord, HalfRecord, HalvesRecord, HoldRecord, LineRecord,
    PoolHolderRecord, PoolRecord, PoolSearchRecord, SideRecord, VerdictRecord,
};
pub use call_sites::{CallSiteRecord, CallSitesRecord, FrameRecord};
pub use check::{Bundle, Check, ConntrackRecord, SocketCount, SpaceDetail, SpaceRecord, TracingRecord};
pub use choice::{Choice, ExplicitBind, FamilyName, Holder, Release, ReleaseStateName, ResultName};
pub use diff::{
    Change, Diff, FindingChange, Measure, PoolChange, PoolSide, RowChange, SettingChange, SourceRecord, Unit,
    Word,
};
pub use frame::{Diagnostics, FilterValue, Footer, Header, HookState, LostBy, NetnsState, SelfCost, Totals};
pub use report::{
    Accounting, CollisionsRecord, CommandEnd, ComparedRecord, CountedRecord, DestinationRecord,
    DistributionRecord, HotPortRecord, ProcessRecord, Report, ReportTotals, ReuseRecord, RowRecord,
    RowsBound, SearchIntervals, SearchRecord, SearchTimes, SiteCollisions, Window,
};
pub use whatif::{ModelRecord, WhatIf, WhatIfPool};
pub use who::{
    OccupancyRecord, OwnerRecord, PortRecord, RecordedRecord, RefusedRecord, SocketRecord, TenureRecord, Who,
};

/// Version of these records: goes up when a field is renamed or changes its meaning.
pub const SCHEMA: u32 = 1;

/// Rows of processes and of destinations that a report has at most.
pub const MOST_SHOWN: usize = 100;

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TraceRecord {
    /// The first line: what was traced, and how.
    Header(Header),
    /// The kernel chose a port, or failed to.
    Allocation(Choice),
    /// A bind to a port that the caller named.
    Bind(ExplicitBind),
    /// A check of a bound port: the 4-tuple of a connect, or the re-check of a listen.
    Check(Choice),
    /// A port that the kernel had chosen became free again.
    Release(Release),
    /// The last line: what was counted.
    Footer(Footer),
}

/// The JSON Schema of a trace line, as it is committed.
#[must_use]
pub fn schema() -> schemars::Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<TraceRecord>()
}

/// What a command tells as one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Document {
    /// Of `report`.
    Report(Box<Report>),
    /// Of `check`.
    Check(Box<Check>),
    /// Of `check --bundle`.
    Bundle(Box<Bundle>),
    /// Of `who`.
    Who(Box<Who>),
    /// Of `diff`.
    Diff(Box<Diff>),
    /// Of `what-if`.
    WhatIf(Box<WhatIf>),
}

/// The JSON Schema of the documents, as it is committed.
#[must_use]
pub fn document_schema() -> schemars::Schema {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>();
    for kind in ["report", "check", "bundle", "who", "diff", "what-if"] {
        // A struct's own tag is no field to schemars.
        let place = schema.pointer_mut(&format!("/$defs/{kind}"));
        let Some(object) = place.and_then(serde_json::Value::as_object_mut) else { continue };
        if let Some(fields) = object.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            fields.insert("type".to_owned(), serde_json::json!({ "type": "string", "const": kind }));
        }
        if let Some(required) = object.get_mut("required").and_then(serde_json::Value::as_array_mut) {
            required.insert(0, "type".into());
        }
    }
    schema
}
