//! The document of `what-if`.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What other settings would have done to what was recorded, by a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "what-if")]
pub struct WhatIf {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// The recording.
    pub file: String,
    /// Its length.
    pub seconds: f64,
    /// What is different, a word of the command line each.
    pub change: Vec<String>,
    /// Where the random numbers began.
    pub seed: u64,
    /// Requests that were replayed.
    pub asked: u64,
    /// Of these, refused in truth.
    pub refused: u64,
    /// Refused by the model on the recorded settings: how far that is from the truth is how sure the rest is.
    pub refused_as_recorded: u64,
    /// Refused by the model on the other settings.
    pub refused_what_if: u64,
    /// Requests of the recording that cannot be replayed.
    pub skipped: u64,
    /// Holds whose end was not seen: they last to the end.
    pub unended: u64,
    /// Holds that were drawn, since their requests were refused.
    pub drawn: u64,
    /// Whether the recording has releases at all.
    pub has_releases: bool,
    /// Each pool, those that were refused most first.
    pub pools: Vec<WhatIfPool>,
}

/// A pool as recorded, and as it would have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIfPool {
    /// Network namespace.
    pub netns: u32,
    /// `tcp` or `udp`.
    pub proto: String,
    /// Local address.
    pub local_addr: IpAddr,
    /// Remote address; null of a pool of binds.
    pub remote_addr: Option<IpAddr>,
    /// Remote port; null of a pool of binds.
    pub remote_port: Option<u16>,
    /// Requests.
    pub asked: u64,
    /// Refused in truth.
    pub refused: u64,
    /// The model on the recorded settings.
    pub as_recorded: ModelRecord,
    /// The model on the other settings.
    pub what_if: ModelRecord,
}

/// What the model says of a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRecord {
    /// Unreserved ports of the range.
    pub effective: u32,
    /// Refused.
    pub refused: u64,
    /// When the first was, in seconds from the first request of all.
    pub first_refused_s: Option<f64>,
    /// Most ports that it could not use.
    pub peak_barred: u32,
    /// Their mean over time.
    pub mean_barred: f64,
    /// Ports that a search looked at, on average.
    pub candidates_mean: Option<f64>,
    /// The same that 99 % of the searches did not exceed.
    pub candidates_p99: Option<u32>,
}
