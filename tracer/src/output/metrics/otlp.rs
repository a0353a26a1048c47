//! Families as a message of OTLP.
//!
//! Names and units are such that a collector which turns them into those of Prometheus (`_total`, `_seconds`) arrives at the
//! names that a scrape has. An empty label says nothing to Prometheus, so an attribute is not there then.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prometheus_client::registry::Unit;
use prost::Message as _;

use super::{
    Buckets, Served, Snapshot,
    families::Families,
    labels::{self, Labels},
    sink::{Done, Family, Number, Sink},
};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// The body of a request that exports a snapshot; counters are since `since_ns`, a time of day.
///
/// # Errors
///
/// None today: the list of families is shared with an encoder that can refuse.
pub fn export_request(
    snapshot: &Arc<Snapshot>,
    served: Served,
    since_ns: u64,
) -> Result<Vec<u8>, fmt::Error> {
    let at = Duration::try_from_secs_f64(snapshot.at_s).unwrap_or_default();
    let mut told =
        Told { metrics: Vec::new(), since_ns, at_ns: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX) };
    Families { snapshot: Arc::clone(snapshot), served }.tell(&mut told)?;
    let header = &snapshot.report.header;
    let host = labels::value(&header.host);
    let scope = InstrumentationScope {
        name: "portscope".to_owned(),
        version: header.version.clone(),
        ..InstrumentationScope::default()
    };
    let attributes = [
        ("service.name", "portscope"),
        ("service.version", header.version.as_str()),
        // What becomes `instance`, by which Prometheus tells hosts apart.
        ("service.instance.id", host.as_str()),
        ("host.name", host.as_str()),
    ];
    let resource = Resource {
        attributes: attributes.map(|(key, value)| attribute(key, value)).into(),
        ..Resource::default()
    };
    let scope_metrics = ScopeMetrics { scope: Some(scope), metrics: told.metrics, ..ScopeMetrics::default() };
    let resource_metrics = ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    Ok(ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }.encode_to_vec())
}

struct Told {
    metrics: Vec<Metric>,
    since_ns: u64,
    at_ns: u64,
}

impl Told {
    fn add(&mut self, family: &Family<'_>, data: Data) {
        self.metrics.push(Metric {
            name: family.name.to_owned(),
            description: family.help.to_owned(),
            unit: unit(family.unit.as_ref()).to_owned(),
            data: Some(data),
            ..Metric::default()
        });
    }

    fn points(&self, all: &[(Labels, Number)], since_ns: u64) -> Vec<NumberDataPoint> {
        let point = |(labels, number): &(Labels, Number)| NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: since_ns,
            time_unix_nano: self.at_ns,
            value: Some(match number {
                // There is no unsigned one.
                Number::Whole(number) => {
                    number_data_point::Value::AsInt(i64::try_from(*number).unwrap_or(i64::MAX))
                }
                Number::Real(number) => number_data_point::Value::AsDouble(*number),
            }),
            ..NumberDataPoint::default()
        };
        all.iter().map(point).collect()
    }
}

impl Sink for Told {
    fn counters(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done {
        // A metric without a point is not allowed.
        if !all.is_empty() {
            let data_points = self.points(all, self.since_ns);
            self.add(
                family,
                Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true }),
            );
        }
        Ok(())
    }

    fn gauges(&mut self, family: &Family<'_>, all: &[(Labels, Number)]) -> Done {
        if !all.is_empty() {
            // A gauge is of a moment: it has no start.
            self.add(family, Data::Gauge(Gauge { data_points: self.points(all, 0) }));
        }
        Ok(())
    }

    fn histogram(&mut self, family: &Family<'_>, buckets: &Buckets) -> Done {
        let point = HistogramDataPoint {
            start_time_unix_nano: self.since_ns,
            time_unix_nano: self.at_ns,
            count: buckets.all(),
            sum: Some(buckets.sum),
            bucket_counts: buckets.counts.iter().map(|(_, count)| *count).chain([buckets.above]).collect(),
            explicit_bounds: buckets.counts.iter().map(|(edge, _)| *edge).collect(),
            ..HistogramDataPoint::default()
        };
        self.add(
            family,
            Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: CUMULATIVE }),
        );
        Ok(())
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let told = labels.iter().filter(|(_, value)| !value.is_empty());
    told.map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// The word of UCUM.
fn unit(unit: Option<&Unit>) -> &str {
    match unit {
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "By",
        Some(Unit::Ratios) => "1",
        Some(Unit::Other(word)) if word == "ratio" => "1",
        Some(other) => other.as_str(),
        None => "",
    }
}
