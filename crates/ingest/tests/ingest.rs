//! The endpoint over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use bytes::Bytes;
use environment::Clock as _;
use host::HostClock;
use model::{Exemplar, Labels, Metadata, MetricType, TimestampMs};
use remote_write::{Encoder, Sample, Version, framing};
use support::{AZURE_RULE, Answer, BOTH_RULE, CLOSED_RULE, Endpoint, PUBLISHER, STRANGER, STRICT_RULE, TestStorage};
use testkit::series_notation::parse_series_line;
use testkit::series_store::StoredValue;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn now() -> TimestampMs {
    TimestampMs(HostClock::new().now().as_millis())
}

/// One sample per series, by labels and milliseconds from now.
fn message(version: Version, series: &[(&[(&str, &str)], i64)]) -> Vec<u8> {
    let (mut encoder, now) = (Encoder::new(version), now());
    for (pairs, ms) in series {
        encoder.series(&labels(pairs)).sample(Sample::new(now.plus(*ms), 1.0));
    }
    encoder.finish()
}

const UP: &[(&str, &str)] = &[("__name__", "up"), ("job", "a")];
const NAMELESS: &[(&str, &str)] = &[("job", "a")];

fn error_of(answer: &Answer) -> (String, String) {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-ms-error-code"), Some(text("code").as_str()));
    assert_eq!(answer.header("x-ms-request-id").unwrap().len(), 36);
    (text("code"), text("message"))
}

#[tokio::test]
async fn what_is_valid_is_stored_and_answered_with_nothing() {
    let endpoint = Endpoint::start(|_| {}).await;
    for (version, written) in [(Version::V1, None), (Version::V2, Some([2, 0, 0]))] {
        let name = if version == Version::V1 { "one" } else { "two" };
        // A second apart: within one millisecond the second round would be the first one said again.
        for ms in [-1000, 0] {
            let series: &[(&[(&str, &str)], i64)] =
                &[(&[("__name__", name), ("i", "1")], ms), (&[("__name__", name)], ms)];
            let answer = endpoint.write(STRICT_RULE, version, &message(version, series)).await;
            assert_eq!((answer.status, answer.written(), answer.body.as_str()), (204, written, ""), "{version:?}");
        }
    }
    let contents = endpoint.strict.contents().await;
    assert_eq!(contents.len(), 4, "{contents:?}");
    assert!(contents.contains(&"one{i=\"1\"} 2".to_owned()), "{contents:?}");
    for (metric, value) in [
        ("ingest_requests_total{code=\"204\"}", "4"),
        ("ingest_elements_received_total{kind=\"sample\"}", "8"),
        ("ingest_elements_stored_total{kind=\"sample\"}", "8"),
        ("ingest_requests_in_flight", "0"),
        ("ingest_decode_duration_seconds_count", "4"),
    ] {
        assert_eq!(endpoint.metric(metric).as_deref(), Some(value), "{metric}");
    }
}

#[tokio::test]
async fn who_may_not_write_is_told_in_the_contracts_words() {
    let endpoint = Endpoint::start(|_| {}).await;
    let path = Endpoint::write_path(STRICT_RULE);
    let unknown = path.replace("0001", "0009");
    let token = |object_id: &str| Some(format!("Bearer {}", endpoint.token(object_id)));
    let query_token = Some(format!("Bearer {}", endpoint.token_for("https://prometheus.monitor.azure.com")));
    for (path, authorization, status, code, message) in [
        (&path, None, 401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
        (&unknown, None, 401, "AuthenticationFailed", "Authentication failed."),
        (&path, Some("Bearer x".to_owned()), 401, "InvalidAuthenticationToken", "The access token is invalid."),
        (&path, query_token, 401, "InvalidAuthenticationToken", "audience"),
        (
            &path,
            token(STRANGER),
            403,
            "OperationFailed",
            "The authentication token provided does not have access to ingest data for the data collection rule with \
             immutable Id 'dcr-00000000000000000000000000000001' PipelineAccessResult: AccessGranted: False, \
             IsRbacPresent: False, IsDcrDceBindingValid: , DcrArmId: /subscriptions/s/resourceGroups/g/providers/\
             Microsoft.Insights/dataCollectionRules/dcr-00000000000000000000000000000001, Message: Required \
             authorization action was not found for tenantId t objectId 00000000-0000-0000-0000-000000000099 on",
        ),
        (
            &unknown,
            token(STRANGER),
            404,
            "NotFound",
            "Data collection rule with immutable Id 'dcr-00000000000000000000000000000009' not found.",
        ),
        (&path.replace("Microsoft-", "Other-"), token(PUBLISHER), 404, "NotFound", "Stream 'Other-PrometheusMetrics'"),
        (&"/dataCollectionRules/x".to_owned(), token(PUBLISHER), 404, "NotFound", "this path"),
        (&path.replace("2023-04-24", "tomorrow"), token(PUBLISHER), 400, "InvalidApiVersionParameter", "tomorrow"),
    ] {
        // A body that is larger than a socket's buffer: the answer must come although nobody wants it.
        let mut request = http::Request::post(path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = endpoint.send(request.body(Bytes::from(vec![0; 1 << 20])).unwrap()).await;
        let (found_code, found_message) = error_of(&answer);
        assert_eq!((answer.status, found_code.as_str()), (status, code), "{path}: {found_message}");
        assert!(found_message.contains(message), "{found_message}");
        let challenge = answer.header("www-authenticate");
        let expected = "Bearer authorization_uri=\"http://127.0.0.1/issuer/authorize\"";
        assert_eq!(challenge, (status == 401).then_some(expected));
        assert_eq!(answer.written(), None, "nothing is negotiated yet");
    }
    assert_eq!(endpoint.metric("ingest_tokens_refused_total{reason=\"missing\"}").as_deref(), Some("2"));
}

#[tokio::test]
async fn paths_and_versions_are_lenient() {
    let endpoint = Endpoint::start(|_| {}).await;
    let path = Endpoint::write_path(STRICT_RULE);
    let body = framing::encode(&message(Version::V1, &[(UP, 0)]));
    for path in [
        path.to_uppercase().replace("API-VERSION", "api-version"),
        path.replace("2023-04-24", "2021-11-01-preview"),
        path.split('?').next().unwrap().to_owned(),
    ] {
        let request =
            http::Request::post(&path).header("authorization", format!("bearer {}", endpoint.token(PUBLISHER)));
        let answer = endpoint.send(request.body(body.clone().into()).unwrap()).await;
        assert_eq!(answer.status, 204, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_not_a_write_request() {
    let endpoint = Endpoint::start(|settings| settings.decoded_bytes_max = 4 << 20).await;
    let good = framing::encode(&message(Version::V2, &[(UP, 0)]));
    let v2 = Version::V2.content_type();
    let bomb = framing::encode(&vec![0; (4 << 20) + 1]);
    let too_long = vec![b'x'; (1 << 20) + 1];
    for (method, content_type, encoding, body, status, code, written) in [
        ("GET", v2, "snappy", &good, 405, "MethodNotAllowed", None),
        ("POST", "application/json", "snappy", &good, 415, "UnsupportedMediaType", None),
        ("POST", "application/x-protobuf;proto=yolo", "snappy", &good, 415, "UnsupportedMediaType", None),
        ("POST", v2, "gzip", &good, 415, "UnsupportedMediaType", None),
        ("POST", v2, "snappy", &too_long, 413, "ContentLengthLimitExceeded", None),
        ("POST", v2, "snappy", &bomb, 413, "ContentLengthLimitExceeded", Some([0, 0, 0])),
        ("POST", v2, "snappy", &Vec::new(), 400, "InvalidRequestBody", Some([0, 0, 0])),
        ("POST", v2, "snappy", &b"not snappy".to_vec(), 400, "InvalidRequestBody", Some([0, 0, 0])),
        ("POST", v2, "snappy", &framing::encode(b"\x2a\xff\xff"), 400, "InvalidRequestBody", Some([0, 0, 0])),
        ("POST", "application/x-protobuf", "snappy", &framing::encode(b"\x0a\xff"), 400, "InvalidRequestBody", None),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(Endpoint::write_path(STRICT_RULE))
            .header("authorization", format!("Bearer {}", endpoint.token(PUBLISHER)))
            .header("content-type", content_type)
            .header("content-encoding", encoding);
        let answer = endpoint.send(request.body(Bytes::from(body.clone())).unwrap()).await;
        let (found, message) = error_of(&answer);
        assert_eq!((answer.status, found.as_str(), answer.written()), (status, code, written), "{message}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"));
        if body.len() == too_long.len() {
            let expected =
                "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length: 1048577 bytes.";
            assert_eq!(message, expected);
        }
    }
    assert!(endpoint.strict.contents().await.is_empty());
}

#[tokio::test]
async fn the_valid_part_is_stored_and_the_rest_told() {
    let endpoint = Endpoint::start(|_| {}).await;
    let day = 86_400_000;
    let series: &[(&[(&str, &str)], i64)] = &[(UP, 0), (NAMELESS, 0), (&[("__name__", "ahead"), ("i", "1")], day)];
    for (version, written) in [(Version::V1, None), (Version::V2, Some([1, 0, 0]))] {
        let answer = endpoint.write(STRICT_RULE, version, &message(version, series)).await;
        let (code, text) = error_of(&answer);
        assert_eq!((answer.status, code.as_str(), answer.written()), (400, "SamplesRefused", written));
        assert!(text.starts_with("refused 2 of 3 samples; everything else is stored. "), "{text}");
        assert!(text.contains("no metric name") && text.contains("ahead{i=\"1\"}: sample at"), "{text}");
    }
    // One value after the other for the same time, many times over.
    let (mut encoder, at) = (Encoder::new(Version::V2), now());
    let mut twice = encoder.series(&labels(&[("__name__", "twice")]));
    for value in 0..20 {
        twice.sample(Sample::new(at, f64::from(value)));
    }
    let answer = endpoint.write(STRICT_RULE, Version::V2, &encoder.finish()).await;
    let (_, text) = error_of(&answer);
    assert_eq!((answer.status, answer.written()), (400, Some([1, 0, 0])), "{text}");
    assert!(text.starts_with("refused 19 of 20 samples") && text.ends_with("; and 9 more"), "{text}");
    assert_eq!(text.matches("twice: ").count(), 10);

    let contents = endpoint.strict.contents().await;
    assert_eq!(contents, ["twice 1", "up{job=\"a\"} 2"]);
    assert_eq!(endpoint.metric("ingest_elements_rejected_total{reason=\"no-metric-name\"}").as_deref(), Some("2"));

    endpoint.strict.fill();
    let fresh: &[(&[(&str, &str)], i64)] = &[(UP, 1), (&[("__name__", "fresh")], 0)];
    let answer = endpoint.write(STRICT_RULE, Version::V2, &message(Version::V2, fresh)).await;
    let (_, text) = error_of(&answer);
    assert!(answer.written() == Some([1, 0, 0]) && text.contains("fresh: the limit of 3 active series"), "{text}");
}

#[tokio::test]
async fn metadata_exemplars_and_what_each_version_promises_of_them() {
    let endpoint = Endpoint::start(|_| {}).await;
    let about = |help: &str| Metadata { metric_type: MetricType::Counter, help: help.to_owned(), unit: String::new() };
    let mut encoder = Encoder::new(Version::V1);
    encoder.family("requests", &about("alone"));
    let answer = endpoint.write(STRICT_RULE, Version::V1, &encoder.finish()).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "metadata alone is fine in 1.0");

    let mut encoder = Encoder::new(Version::V2);
    for index in ["1", "2"] {
        let mut series = encoder.series(&labels(&[("__name__", "requests_total"), ("i", index)]));
        series.sample(Sample::new(now(), 1.0)).metadata(&about(&"h".repeat(5000)));
    }
    let answer = endpoint.write(STRICT_RULE, Version::V2, &encoder.finish()).await;
    assert_eq!(answer.written(), Some([2, 0, 0]), "{}", answer.body);
    let metadata = endpoint.strict.metadata();
    assert_eq!(metadata[0], ("requests".to_owned(), about("alone")));
    assert_eq!(metadata[1..], [("requests_total".to_owned(), about(&"h".repeat(4096)))], "cut, and said once");

    // An exemplar that the storage refuses.
    let exemplar = Exemplar { labels: labels(&[("trace_id", "t")]), timestamp: TimestampMs(1), value: 1.0 };
    for (version, status, written) in [(Version::V1, 204, None), (Version::V2, 400, Some([1, 0, 0]))] {
        let mut encoder = Encoder::new(version);
        encoder.series(&labels(UP)).sample(Sample::new(now(), 1.0)).exemplar(&exemplar);
        let answer = endpoint.write(STRICT_RULE, version, &encoder.finish()).await;
        assert_eq!((answer.status, answer.written()), (status, written), "{version:?}: {}", answer.body);
    }
    assert_eq!(
        endpoint.metric("ingest_elements_rejected_total{reason=\"out-of-order-exemplar\"}").as_deref(),
        Some("2")
    );
}

/// One series' elements by seconds from `at`: floats, histograms, exemplars.
fn elements(
    version: Version,
    at: TimestampMs,
    floats: &[i64],
    histograms: &[(i64, &str)],
    exemplars: &[i64],
) -> Vec<u8> {
    let mut encoder = Encoder::new(version);
    let mut series = encoder.series(&labels(&[("__name__", "x"), ("job", "a")]));
    for seconds in floats {
        series.sample(Sample::new(at.plus(seconds * 1000), 1.0));
    }
    for (seconds, count) in histograms {
        let line = format!("x {{{{schema:0 count:{count} sum:1 buckets:[{count}]}}}}");
        let Some(StoredValue::Histogram(histogram)) = parse_series_line(&line).unwrap().values.remove(0) else {
            panic!()
        };
        series.histogram(at.plus(seconds * 1000), None, &histogram);
    }
    for seconds in exemplars {
        let exemplar =
            Exemplar { labels: labels(&[("trace_id", "t")]), timestamp: at.plus(seconds * 1000), value: 1.0 };
        series.exemplar(&exemplar);
    }
    encoder.finish()
}

#[tokio::test]
async fn a_series_of_exemplars_alone_fails_no_request_of_version_1() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.strict.fill();
    for (version, floats, status) in
        [(Version::V1, &[][..], 204), (Version::V1, &[0], 400), (Version::V2, &[][..], 400), (Version::V2, &[0], 400)]
    {
        let answer = endpoint.write(STRICT_RULE, version, &elements(version, now(), floats, &[], &[0])).await;
        assert_eq!(answer.status, status, "{version:?} {floats:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_only_the_commit_refuses_is_told_by_its_kind() {
    let db = support::database();
    let endpoint = Endpoint::start_over(db, TestStorage::default(), |_| {}).await;
    let at = now();
    let first = elements(Version::V2, at, &[0], &[(1, "1")], &[0]);
    assert_eq!(endpoint.write(STRICT_RULE, Version::V2, &first).await.written(), Some([1, 1, 1]));

    // Its exemplar is nine seconds older than the one stored.
    let answer = endpoint.write(STRICT_RULE, Version::V1, &elements(Version::V1, at, &[2], &[], &[-9])).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "exemplars never fail a request of version 1.0");
    let answer = endpoint.write(STRICT_RULE, Version::V2, &elements(Version::V2, at, &[3], &[], &[-9])).await;
    let (_, text) = error_of(&answer);
    assert_eq!((answer.status, answer.written()), (400, Some([1, 0, 0])), "{text}");
    assert!(text.starts_with("refused 1 of 1 exemplars; everything else is stored. "), "{text}");
    assert!(text.contains("x{job=\"a\"}: out of order exemplar at "), "{text}");

    for (version, written) in [(Version::V1, None), (Version::V2, Some([2, 1, 0]))] {
        let after = if version == Version::V1 { 10 } else { 20 };
        // One is older than the retention.
        let mixed = elements(version, at, &[-600 * 86_400, after, after + 1], &[(1, "2"), (after + 2, "1")], &[]);
        let answer = endpoint.write(STRICT_RULE, version, &mixed).await;
        let (_, text) = error_of(&answer);
        assert_eq!((answer.status, answer.written()), (400, written), "{text}");
        assert!(text.starts_with("refused 1 of 3 samples, 1 of 2 histograms; everything else is stored. "), "{text}");
        assert!(text.contains(" is too old: ") && text.contains("duplicate histogram for timestamp "), "{text}");
    }
    // Before the commit a histogram is one, too.
    let ahead = elements(Version::V1, at, &[], &[(86_400, "1")], &[]);
    let (_, text) = error_of(&endpoint.write(STRICT_RULE, Version::V1, &ahead).await);
    assert!(text.starts_with("refused 1 of 1 histograms") && text.contains(": histogram at "), "{text}");
    for (reason, count) in [("out-of-order-exemplar", "2"), ("too-old", "2"), ("duplicate-timestamp", "2")] {
        let metric = format!("ingest_elements_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(endpoint.metric(&metric).as_deref(), Some(count), "{reason}");
    }
}

#[tokio::test]
async fn what_passes_is_asked_for_again() {
    let endpoint = Endpoint::start(|_| {}).await;
    let body = message(Version::V2, &[(UP, 0)]);
    endpoint.strict.fail(true);
    for rule in [STRICT_RULE, BOTH_RULE, CLOSED_RULE] {
        let answer = endpoint.write(rule, Version::V2, &body).await;
        let (code, message) = error_of(&answer);
        assert_eq!((answer.status, code.as_str()), (503, "ServiceUnavailable"), "{message}");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.written(), if rule == CLOSED_RULE { None } else { Some([0, 0, 0]) });
    }
    assert_eq!(endpoint.azure.contents().await, ["up{job=\"a\"} 1"], "the other destination was tried");
    endpoint.strict.fail(false);
    let answer = endpoint.write(BOTH_RULE, Version::V2, &body).await;
    assert_eq!((answer.status, answer.written()), (204, Some([1, 0, 0])), "repeating is harmless");
}

#[tokio::test]
async fn large_bodies_are_taken_too() {
    let endpoint = Endpoint::start(|settings| settings.large_decodes_max = 1).await;
    let (mut encoder, mut random, count) = (Encoder::new(Version::V2), 1_u64, 50);
    for _ in 0..count {
        // Values without a pattern, so that the body stays large when it is compressed.
        let value: String = (0..600)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{random:016x}")
            })
            .collect();
        encoder.series(&labels(&[("__name__", "large"), ("value", &value)])).sample(Sample::new(now(), 1.0));
    }
    let body = framing::encode(&encoder.finish());
    assert!(body.len() > 256 << 10, "{} bytes", body.len());
    let request = || endpoint.write_request(STRICT_RULE, Version::V2).body(Bytes::from(body.clone())).unwrap();
    let (first, second) = tokio::join!(endpoint.send(request()), endpoint.send(request()));
    for answer in [first, second] {
        assert_eq!((answer.status, answer.written()), (204, Some([count, 0, 0])), "{}", answer.body);
    }
}

#[tokio::test]
async fn profile_azure_drops_silently_and_counts() {
    let endpoint = Endpoint::start(|settings| settings.body_bytes_max = 4 << 20).await;
    let minute = 60_000;
    let long = "v".repeat(1024);
    let series: &[(&[(&str, &str)], i64)] = &[
        (UP, 0),
        (&[("__name__", "old")], -21 * minute),
        (&[("__name__", "ahead")], 21 * minute),
        (NAMELESS, 0),
        (&[("__name__", "long"), ("l", &long)], 0),
    ];
    let answer = endpoint.write(AZURE_RULE, Version::V1, &message(Version::V1, series)).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.written()), (204, "", None));
    assert_eq!(endpoint.azure.contents().await, ["up{job=\"a\"} 1"]);
    for (reason, count) in [("OldData", "1"), ("InvalidTimeRange", "1"), ("BadInputFormat", "2")] {
        let metric = format!("ingest_elements_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(endpoint.metric(&metric).as_deref(), Some(count), "{reason}");
    }
    let answer = endpoint.write(AZURE_RULE, Version::V2, &message(Version::V2, series)).await;
    assert_eq!(answer.status, 415, "Azure speaks 1.0 only");
    let request = endpoint.write_request(AZURE_RULE, Version::V1).body(Bytes::from(vec![0; (1 << 20) + 1])).unwrap();
    assert_eq!(endpoint.send(request).await.status, 413, "Azure's own limit");

    // A strict destination beside it decides how the sender is told.
    let answer = endpoint.write(BOTH_RULE, Version::V2, &message(Version::V2, series)).await;
    assert_eq!((answer.status, answer.written()), (400, Some([1, 0, 0])), "{}", answer.body);
}
