//! What `serve --otlp` pushes is what a scrape of the same moment has, number by number.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{AggregationTemporality, Metric, NumberDataPoint, metric::Data, number_data_point},
};
use portscope::output::metrics::{Exposition, Served, Snapshot, export_request, exposition};
use prost::Message as _;

use crate::metrics::snapshot;

const SERVED: Served = Served { answered: 7, rejected: 1 };
const SINCE_NS: u64 = 1_794_990_000_000_000_007;

fn pushed(snapshot: Snapshot) -> ExportMetricsServiceRequest {
    let body = export_request(&Arc::new(snapshot), SERVED, SINCE_NS).unwrap();
    ExportMetricsServiceRequest::decode(body.as_slice()).unwrap()
}

fn metrics(request: &ExportMetricsServiceRequest) -> &[Metric] {
    assert_eq!(request.resource_metrics.len(), 1);
    assert_eq!(request.resource_metrics[0].scope_metrics.len(), 1);
    &request.resource_metrics[0].scope_metrics[0].metrics
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |one: &KeyValue| match one.value.clone().unwrap().value.unwrap() {
        Value::StringValue(value) => (one.key.clone(), value),
        other => unreachable!("{other:?} of {}", one.key),
    };
    attributes.iter().map(text).collect()
}

/// A series as Prometheus would have it: name, and labels that are not empty.
type Series = (String, BTreeMap<String, String>);

/// The series that a collector makes of a push, by the rules that turn OTLP into Prometheus.
fn series(request: &ExportMetricsServiceRequest) -> BTreeMap<Series, f64> {
    let mut all = BTreeMap::new();
    let mut add = |name: String, labels, value| {
        assert!(all.insert((name.clone(), labels), value).is_none(), "{name} is there twice");
    };
    for metric in metrics(request) {
        let is_gauge = matches!(metric.data, Some(Data::Gauge(_)));
        let unit = match metric.unit.as_str() {
            "s" => "_seconds",
            "By" => "_bytes",
            "1" if is_gauge => "_ratio",
            "" => "",
            other => unreachable!("{} in {other}", metric.name),
        };
        let name = format!("{}{unit}", metric.name);
        match metric.data.clone().unwrap() {
            Data::Gauge(gauge) => {
                for point in gauge.data_points {
                    add(name.clone(), texts(&point.attributes), number(&point));
                }
            }
            Data::Sum(sum) => {
                for point in sum.data_points {
                    add(format!("{name}_total"), texts(&point.attributes), number(&point));
                }
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.data_points.len(), 1);
                let point = &histogram.data_points[0];
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                let mut up_to = 0;
                let edges = point.explicit_bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
                for (count, edge) in point.bucket_counts.iter().zip(edges) {
                    up_to += count;
                    add(format!("{name}_bucket"), BTreeMap::from([("le".to_owned(), edge)]), real(up_to));
                }
                add(format!("{name}_count"), BTreeMap::new(), real(point.count));
                add(format!("{name}_sum"), BTreeMap::new(), point.sum.unwrap());
            }
            other => unreachable!("{other:?}"),
        }
    }
    all
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value.unwrap() {
        number_data_point::Value::AsInt(value) => real(u64::try_from(value).unwrap()),
        number_data_point::Value::AsDouble(value) => value,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
fn real(count: u64) -> f64 {
    count as f64
}

/// The same of a text: `name{label="value",…} 1`.
fn scraped(text: &str) -> BTreeMap<Series, f64> {
    let line = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, mut rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = BTreeMap::new();
        while let Some((label, after)) = rest.split_once("=\"") {
            let mut text = String::new();
            let mut letters = after.char_indices();
            let end = loop {
                match letters.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => match letters.next().unwrap().1 {
                        'n' => text.push('\n'),
                        other => text.push(other),
                    },
                    (_, letter) => text.push(letter),
                }
            };
            if !text.is_empty() {
                let text = if label == "le" && text != "+Inf" {
                    text.parse::<f64>().unwrap().to_string()
                } else {
                    text
                };
                labels.insert(label.to_owned(), text);
            }
            rest = after[end + 1..].trim_start_matches(',');
        }
        ((name.to_owned(), labels), value.parse::<f64>().unwrap())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

#[test]
fn a_push_has_every_series_of_a_scrape_and_no_other() {
    for most in [1, 100] {
        let snapshot = Snapshot { most, ..snapshot() };
        let text = exposition(Arc::new(snapshot.clone()), SERVED, Exposition::OpenMetrics).unwrap();
        let (pushed, scraped) = (series(&pushed(snapshot)), scraped(&text));
        assert!(scraped.len() > 50, "{text}");
        assert_eq!(pushed, scraped);
    }
}

#[test]
fn sums_grow_from_the_start_and_every_number_is_of_the_moment() {
    let request = pushed(snapshot());
    let mut kinds = [0; 3];
    for metric in metrics(&request) {
        assert!(!metric.description.is_empty(), "{metric:?}");
        let mut is_of_now = |kind: usize, starts: &[u64], times: &[u64], start: u64| {
            kinds[kind] += 1;
            assert!(!times.is_empty(), "{metric:?}");
            assert!(starts.iter().all(|one| *one == start), "{metric:?}");
            assert!(times.iter().all(|one| *one == 1_795_000_000_250_000_000), "{metric:?}");
        };
        let of = |points: &[NumberDataPoint]| -> (Vec<u64>, Vec<u64>) {
            points.iter().map(|point| (point.start_time_unix_nano, point.time_unix_nano)).unzip()
        };
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => {
                let (starts, times) = of(&gauge.data_points);
                is_of_now(0, &starts, &times, 0);
            }
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{metric:?}");
                assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
                let (starts, times) = of(&sum.data_points);
                is_of_now(1, &starts, &times, SINCE_NS);
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
                let point = &histogram.data_points[0];
                is_of_now(2, &[point.start_time_unix_nano], &[point.time_unix_nano], SINCE_NS);
            }
            other => unreachable!("{other:?}"),
        }
    }
    assert!(kinds.iter().all(|count| *count >= 3), "{kinds:?}");
}

#[test]
fn a_push_says_whose_it_is() {
    let snapshot = snapshot();
    let request = pushed(snapshot.clone());
    let resource = request.resource_metrics[0].resource.clone().unwrap();
    let header = &snapshot.report.header;
    let expected = [
        ("host.name", header.host.as_str()),
        ("service.instance.id", &header.host),
        ("service.name", "portscope"),
        ("service.version", &header.version),
    ];
    let told = texts(&resource.attributes);
    assert_eq!(told, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let scope = request.resource_metrics[0].scope_metrics[0].scope.clone().unwrap();
    assert_eq!((scope.name.as_str(), &scope.version), ("portscope", &header.version));
}
