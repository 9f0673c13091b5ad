//! Limits of rules and workspaces, several destinations, fairness: over real connections.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use environment::Clock as _;
use model::{Exemplar, Labels, NativeHistogram, TimestampMs};
use quota::RuleLimits;
use remote_write::{Encoder, Sample, Version, framing};
use support::{
    AZURE, AZURE_RULE, Answer, BOTH_RULE, EMPTY_RULE, Endpoint, HALF_OPEN_RULE, OTHER, OTHER_RULE, STRICT, STRICT_RULE,
    TWO_RULE, TestStorage,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// One sample of each of these series, at the same time.
fn samples(endpoint: &Endpoint, version: Version, series: &[(&str, &str)], ms: i64) -> Vec<u8> {
    let at = TimestampMs(endpoint.clock.now().as_millis()).plus(ms);
    let mut encoder = Encoder::new(version);
    for (name, index) in series {
        let labels = Labels::from_pairs([("__name__", *name), ("i", *index)]).unwrap();
        encoder.series(&labels).sample(Sample::new(at, 1.0));
    }
    encoder.finish()
}

/// So many series of one metric.
fn many(endpoint: &Endpoint, metric: &str, count: usize) -> Vec<u8> {
    many_of(endpoint, Version::V1, metric, count)
}

fn many_of(endpoint: &Endpoint, version: Version, metric: &str, count: usize) -> Vec<u8> {
    let indices: Vec<String> = (0..count).map(|index| index.to_string()).collect();
    let series: Vec<(&str, &str)> = indices.iter().map(|index| (metric, index.as_str())).collect();
    samples(endpoint, version, &series, 0)
}

fn message_of(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_throttled(answer: &Answer, limit: &str, retry_after: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some(retry_after)), "{}", answer.body);
    assert_eq!(answer.header("x-ms-error-code"), Some("TooManyRequests"));
    let message = message_of(answer);
    assert!(message[..message.len().min(200)].contains(limit), "{message}");
}

#[tokio::test]
async fn requests_and_bytes_of_a_rule_are_limited_in_both_profiles() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.quotas.set_rule_limits(RuleLimits { requests_per_minute: 2, bytes_per_minute: 1 << 20 });
    for (rule, workspace) in [(STRICT_RULE, STRICT), (AZURE_RULE, AZURE)] {
        // Few enough that metrics are counted one by one.
        endpoint.limit(workspace, Some(8000), None);
        let body = many(&endpoint, "m", 10);
        for _ in 0..2 {
            assert_eq!(endpoint.write(rule, Version::V1, &body).await.status, 204);
        }
        endpoint.clock.advance(Duration::from_secs(15));
        let refused = endpoint.write(rule, Version::V1, &body).await;
        assert_throttled(&refused, &format!("limit of 2 requests per minute of rule {rule} is reached: 2 used"), "45");
        assert!(message_of(&refused).ends_with("most events by metric: m 20"), "{}", refused.body);
        assert_eq!(endpoint.responses(rule), [(204, 2), (429, 1)]);
        endpoint.clock.advance(Duration::from_secs(45));
        assert_eq!(endpoint.write(rule, Version::V1, &body).await.status, 204);
        endpoint.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(endpoint.strict.contents().await.len(), 10);

    endpoint.quotas.set_rule_limits(RuleLimits { requests_per_minute: 100, bytes_per_minute: 1000 });
    let body = Bytes::from(framing::encode(&many(&endpoint, "m", 120)));
    assert!((500..1000).contains(&body.len()), "{} bytes", body.len());
    let announced = || endpoint.write_request(STRICT_RULE, Version::V1).body(body.clone()).unwrap();
    assert_eq!(endpoint.send(announced()).await.status, 204);
    let refused = endpoint.send(announced()).await;
    assert_throttled(&refused, "limit of 1000 bytes per minute of rule", "60");
    assert_eq!(endpoint.metric("ingest_requests_throttled_total{limit=\"ruleBytesPerMinute\"}").as_deref(), Some("1"));
}

#[tokio::test]
async fn bytes_without_an_announced_length_are_charged_when_they_are_known() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.quotas.set_rule_limits(RuleLimits { requests_per_minute: 100, bytes_per_minute: 100 });
    let body = framing::encode(&many(&endpoint, "m", 60));
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/x-protobuf\r\n\
         content-encoding: snappy\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n",
        Endpoint::write_path(STRICT_RULE),
        endpoint.token(support::PUBLISHER),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()).await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 204"));
    let used = endpoint.quotas.rule(STRICT_RULE).usage(endpoint.clock.monotonic()).bytes.used;
    assert_eq!(used, body.len() as u64);
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(stream, &mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn of_a_request_over_the_events_limit_nothing_is_stored() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.limit(STRICT, Some(100), None);
    let write = async |metric, count| endpoint.write(STRICT_RULE, Version::V1, &many(&endpoint, metric, count)).await;
    assert_eq!(write("first", 60).await.status, 204);
    endpoint.clock.advance(Duration::from_secs(20));
    let refused = write("second", 41).await;
    assert_throttled(
        &refused,
        &format!("limit of 100 events per minute of workspace {STRICT} is reached: 60 used"),
        "40",
    );
    assert!(message_of(&refused).ends_with("most events by metric: first 60"), "{}", refused.body);
    let usage = endpoint.usage(STRICT);
    assert_eq!((usage.events.used, usage.active_series, usage.received, usage.stored), (60, 60, 101, 60));
    assert_eq!(endpoint.dropped(STRICT), [], "what is to come again is not dropped");
    assert_eq!(endpoint.strict.contents().await.len(), 60);
    assert_eq!(write("third", 40).await.status, 204, "what still fits is let in");

    // The minute is used up: nothing of a body is looked at.
    let refused =
        endpoint.send(endpoint.write_request(STRICT_RULE, Version::V1).body("nonsense".into()).unwrap()).await;
    assert_throttled(&refused, "100 used", "40");
    endpoint.clock.advance(Duration::from_secs(40));
    assert_eq!(write("fourth", 250).await.status, 204, "larger than the limit, into an unused minute");
    let refused = write("fifth", 1).await;
    assert_throttled(&refused, "250 used", "120");
}

#[tokio::test]
async fn azure_drops_events_over_the_limit_and_says_nothing() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.limit(AZURE, Some(100), None);
    for (count, status) in [(60, 204), (60, 204), (10, 204)] {
        let answer = endpoint.write(AZURE_RULE, Version::V1, &many(&endpoint, "m", count)).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""));
    }
    let usage = endpoint.usage(AZURE);
    assert_eq!((usage.events.used, usage.received, usage.stored), (100, 130, 100));
    assert_eq!(endpoint.dropped(AZURE), [("EventsDropped", "LimitThrottling", 30)]);
    assert_eq!(endpoint.responses(AZURE_RULE), [(204, 3)]);
}

#[tokio::test]
async fn known_series_are_stored_and_new_ones_over_the_limit_named() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.limit(STRICT, None, Some(3));
    let known = [("a", "1"), ("a", "2"), ("a", "3")];
    let all = [known[0], ("b", "1"), known[1], ("b", "2"), known[2], ("b", "1")];
    for (version, written) in [(Version::V1, None), (Version::V2, Some([3, 0, 0]))] {
        let body = samples(&endpoint, version, &known, 0);
        assert_eq!(endpoint.write(STRICT_RULE, version, &body).await.status, 204);
        let answer = endpoint.write(STRICT_RULE, version, &samples(&endpoint, version, &all, 1)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (400, None), "never 429: it would not pass later");
        assert_eq!(answer.written(), written);
        let message = message_of(&answer);
        let start = format!(
            "refused 3 of 6 samples; everything else is stored. 2 new series are among them: limit of 3 active time \
             series of workspace {STRICT} is reached: 3 used, "
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(message.ends_with(r#". b{i="1"}; b{i="2"}; b{i="1"}"#), "{message}");
    }
    let contents = endpoint.strict.contents().await;
    assert_eq!(contents.len(), 3, "{contents:?}");
    assert_eq!(endpoint.dropped(STRICT), [("TimeSeriesSamplesDropped", "LimitThrottling", 6)]);
    let metric = "ingest_elements_rejected_total{reason=\"active-series-limit\"}";
    assert_eq!(endpoint.metric(metric).as_deref(), Some("6"));

    // After twelve hours others may come.
    endpoint.clock.advance(Duration::from_secs(13 * 3600));
    let body = samples(&endpoint, Version::V1, &[("b", "1"), ("b", "2")], 2);
    assert_eq!(endpoint.write(STRICT_RULE, Version::V1, &body).await.status, 204);
    let body = samples(&endpoint, Version::V1, &[("a", "1"), ("a", "2")], 3);
    let answer = endpoint.write(STRICT_RULE, Version::V1, &body).await;
    assert!(
        message_of(&answer).contains("1 new series is among them"),
        "known to the storage, but not active any more"
    );
    assert_eq!(endpoint.usage(STRICT).active_series, 3);
}

#[tokio::test]
async fn a_flood_of_new_series_makes_no_more_than_the_limit() {
    let db = support::database();
    let endpoint = Endpoint::start_over(db.clone(), TestStorage::default(), |_| {}).await;
    endpoint.limit(STRICT, None, Some(100));
    for (metric, refused) in [("a", 9_900), ("b", 10_000), ("a", 9_900)] {
        let answer = endpoint.write(STRICT_RULE, Version::V1, &many(&endpoint, metric, 10_000)).await;
        let message = message_of(&answer);
        let start = format!("refused {refused} of 10000 samples; everything else is stored. {refused} new series are");
        assert!(answer.status == 400 && message.starts_with(&start), "{message}");
        assert!(message.len() < 1000, "few are named: {} bytes", message.len());
    }
    assert_eq!((db.stats().series, endpoint.usage(STRICT).active_series), (100, 100));
    assert_eq!(db.stats().samples_appended, 200);
}

#[tokio::test]
async fn a_series_that_is_new_and_stands_twice_keeps_its_order() {
    let db = support::database();
    let endpoint = Endpoint::start_over(db.clone(), TestStorage::default(), |_| {}).await;
    for round in 0..3 {
        let mut encoder = Encoder::new(Version::V2);
        let at = TimestampMs(endpoint.clock.now().as_millis()).plus(round * 1000);
        for (metric, ms) in [("a", 1), ("b", 1), ("a", 2), ("a", 3)] {
            let labels = Labels::from_pairs([("__name__", metric)]).unwrap();
            encoder.series(&labels).sample(Sample::new(at.plus(ms), 1.0));
        }
        let answer = endpoint.write(STRICT_RULE, Version::V2, &encoder.finish()).await;
        assert_eq!((answer.status, answer.written()), (204, Some([4, 0, 0])), "{}", answer.body);
        // The series are to be asked for anew in the next slot of time.
        endpoint.clock.advance(Duration::from_secs(900));
    }
    assert_eq!((db.stats().series, endpoint.usage(STRICT).active_series), (2, 2));
}

#[tokio::test]
async fn azure_drops_new_series_over_the_limit_and_takes_none_for_dropped_samples() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.limit(AZURE, None, Some(2));
    let old = samples(&endpoint, Version::V1, &[("old", "1"), ("old", "2")], -3_600_000);
    assert_eq!(endpoint.write(AZURE_RULE, Version::V1, &old).await.status, 204);
    assert_eq!(endpoint.usage(AZURE).active_series, 0);
    let body = samples(&endpoint, Version::V1, &[("a", "1"), ("a", "2"), ("a", "3")], 0);
    assert_eq!(endpoint.write(AZURE_RULE, Version::V1, &body).await.status, 204);
    assert_eq!(endpoint.azure.contents().await, ["a{i=\"1\"} 1", "a{i=\"2\"} 1"]);
    let dropped = [("EventsDropped", "OldData", 2), ("TimeSeriesSamplesDropped", "LimitThrottling", 1)];
    assert_eq!(endpoint.dropped(AZURE), dropped);
    assert_eq!(endpoint.usage(AZURE).stored, 2);
}

#[tokio::test]
async fn series_of_which_nothing_is_taken_are_not_active() {
    let endpoint = Endpoint::start(|_| {}).await;
    endpoint.limit(STRICT, None, Some(2));
    let ahead = samples(&endpoint, Version::V2, &[("ahead", "1"), ("ahead", "2")], 601_000);
    let answer = endpoint.write(STRICT_RULE, Version::V2, &ahead).await;
    assert_eq!((answer.status, answer.written()), (400, Some([0, 0, 0])), "{}", answer.body);
    assert!(message_of(&answer).contains("is too far in the future"), "{}", answer.body);

    let at = TimestampMs(endpoint.clock.now().as_millis());
    let mut encoder = Encoder::new(Version::V2);
    for name in ["broken_a", "broken_b"] {
        let labels = Labels::from_pairs([("__name__", name)]).unwrap();
        let broken = NativeHistogram { schema: 53, sum: 1.0, ..NativeHistogram::stale() };
        let exemplar = Exemplar { labels: Labels::default(), value: 1.0, timestamp: at };
        encoder.series(&labels).histogram(at, None, &broken).exemplar(&exemplar);
    }
    let answer = endpoint.write(STRICT_RULE, Version::V2, &encoder.finish()).await;
    assert_eq!((answer.status, answer.written()), (400, Some([0, 0, 0])), "{}", answer.body);
    assert!(message_of(&answer).starts_with("refused 2 of 2 histograms, 2 of 2 exemplars"), "{}", answer.body);

    assert_eq!(endpoint.usage(STRICT).active_series, 0);
    let answer = endpoint.write(STRICT_RULE, Version::V2, &many_of(&endpoint, Version::V2, "taken", 2)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

#[tokio::test]
async fn azure_takes_twenty_minutes_on_both_sides_of_now() {
    let endpoint = Endpoint::start(|_| {}).await;
    for (name, minutes) in [("ahead", 19), ("behind", -19), ("too_new", 21), ("too_old", -21)] {
        let body = samples(&endpoint, Version::V1, &[(name, "1")], minutes * 60_000);
        assert_eq!(endpoint.write(AZURE_RULE, Version::V1, &body).await.status, 204);
    }
    assert_eq!(endpoint.azure.contents().await, ["ahead{i=\"1\"} 1", "behind{i=\"1\"} 1"]);
    let dropped = [("EventsDropped", "OldData", 1), ("TimeSeriesSamplesDropped", "InvalidTimeRange", 1)];
    assert_eq!(endpoint.dropped(AZURE), dropped);
}

#[tokio::test]
async fn a_limit_of_one_destination_holds_for_all() {
    let endpoint = Endpoint::start(|_| {}).await;
    let body = many(&endpoint, "m", 10);
    endpoint.limit(OTHER, Some(5), None);
    assert_eq!(endpoint.write(OTHER_RULE, Version::V1, &many(&endpoint, "m", 1)).await.status, 204);
    let refused = endpoint.write(TWO_RULE, Version::V1, &body).await;
    assert_throttled(&refused, &format!("of workspace {OTHER} is reached"), "60");
    assert!(endpoint.strict.contents().await.is_empty());
    let usage = endpoint.usage(STRICT);
    assert_eq!((usage.events.used, usage.active_series), (0, 0), "the first destination is charged nothing");

    // Beside a strict destination one of profile azure refuses, too: the sender is told.
    endpoint.limit(AZURE, Some(5), None);
    assert_eq!(endpoint.write(AZURE_RULE, Version::V1, &many(&endpoint, "m", 5)).await.status, 204);
    let refused = endpoint.write(BOTH_RULE, Version::V1, &body).await;
    assert_throttled(&refused, &format!("of workspace {AZURE} is reached"), "60");
    assert!(endpoint.strict.contents().await.is_empty());
}

#[tokio::test]
async fn the_most_retryable_outcome_of_several_destinations_is_told() {
    let endpoint = Endpoint::start(|_| {}).await;
    let body = |version| samples(&endpoint, version, &[("a", "1"), ("a", "2")], 0);

    // New series are over the limit of one: a part is refused there, all is stored in the other.
    endpoint.limit(OTHER, None, Some(1));
    let answer = endpoint.write(TWO_RULE, Version::V2, &body(Version::V2)).await;
    assert_eq!((answer.status, answer.written()), (400, Some([1, 0, 0])), "the minimum: {}", answer.body);
    assert_eq!(endpoint.strict.contents().await.len(), 2);
    // The other fails: to be sent again, whatever the first says.
    endpoint.strict.fail(true);
    let answer = endpoint.write(TWO_RULE, Version::V2, &body(Version::V2)).await;
    assert_eq!((answer.status, answer.written()), (503, Some([0, 0, 0])), "{}", answer.body);
    assert_eq!(endpoint.other.contents().await, ["a{i=\"1\"} 2"], "it was tried");
    endpoint.strict.fail(false);

    // What azure drops is told when another destination is strict.
    let old = samples(&endpoint, Version::V2, &[("a", "1")], -3_600_000);
    let answer = endpoint.write(BOTH_RULE, Version::V2, &old).await;
    assert_eq!((answer.status, answer.written()), (400, Some([0, 0, 0])), "{}", answer.body);
    assert!(message_of(&answer).contains("is more than 20 minutes from now"), "{}", answer.body);

    // One that is closed: the others are tried all the same.
    let answer = endpoint.write(HALF_OPEN_RULE, Version::V2, &samples(&endpoint, Version::V2, &[("b", "1")], 0)).await;
    assert_eq!((answer.status, answer.written()), (503, Some([0, 0, 0])), "{}", answer.body);
    assert!(endpoint.strict.contents().await.contains(&"b{i=\"1\"} 1".to_owned()));

    // None left.
    let answer = endpoint.write(EMPTY_RULE, Version::V2, &body(Version::V2)).await;
    assert_eq!(answer.status, 404);
    let message = message_of(&answer);
    assert!(message.contains(EMPTY_RULE) && message.contains("has no destination any more"), "{message}");
}

#[tokio::test]
async fn answers_of_a_rule_are_counted_by_status() {
    let endpoint = Endpoint::start(|_| {}).await;
    let body = many(&endpoint, "m", 1);
    let path = Endpoint::write_path(STRICT_RULE);
    let send = async |path: &str, object_id: &str, body: &[u8]| {
        let request = http::Request::post(path)
            .header("authorization", format!("Bearer {}", endpoint.token(object_id)))
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy");
        endpoint.send(request.body(framing::encode(body).into()).unwrap()).await.status
    };
    assert_eq!(send(&path, support::PUBLISHER, &body).await, 204);
    assert_eq!(send(&path.to_uppercase().replace("API-VERSION", "api-version"), support::PUBLISHER, &body).await, 204);
    assert_eq!(send(&path, support::PUBLISHER, b"nonsense").await, 400);
    assert_eq!(send(&path, support::STRANGER, &body).await, 403);
    assert_eq!(send(&path.replace("Microsoft-", "Other-"), support::PUBLISHER, &body).await, 404);
    endpoint.strict.fail(true);
    assert_eq!(send(&path, support::PUBLISHER, &body).await, 503);
    assert_eq!(endpoint.responses(STRICT_RULE), [(204, 2), (400, 1), (403, 1), (404, 1), (503, 1)]);
    let unknown = path.replace("0001/", "0fff/");
    assert_eq!(send(&unknown, support::PUBLISHER, &body).await, 404);
    assert!(
        endpoint.quotas.rule_used("dcr-00000000000000000000000000000fff").is_none(),
        "nothing is kept of what is not"
    );
}

/// Announces a body and sends none of it.
async fn stalled(endpoint: &Endpoint, rule: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(endpoint.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/x-protobuf\r\n\
         content-encoding: snappy\r\ncontent-length: {length}\r\n\r\n",
        Endpoint::write_path(rule),
        endpoint.token(support::PUBLISHER)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_rule_with_slow_large_bodies_does_not_keep_others_out() {
    let endpoint = Endpoint::start(|settings| {
        settings.in_flight_bytes_max = 8 << 20;
        settings.admission_time_max = Duration::from_millis(300);
    })
    .await;
    let body = many(&endpoint, "m", 100);
    let mut flood = Vec::new();
    for _ in 0..40 {
        flood.push(stalled(&endpoint, STRICT_RULE, 1 << 20).await);
    }
    // Until those that do not fit wait, so that nothing changes any more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    for rule in [OTHER_RULE, AZURE_RULE, TWO_RULE, OTHER_RULE] {
        let answer = tokio::time::timeout(Duration::from_millis(200), endpoint.write(rule, Version::V1, &body)).await;
        assert_eq!(answer.expect("admitted at once").status, 204, "{rule}");
    }
    let large = endpoint.write_request(STRICT_RULE, Version::V1).body(Bytes::from(vec![0; 1 << 20])).unwrap();
    let answer = endpoint.send(large).await;
    assert_eq!(answer.status, 503, "the noisy rule itself is asked to come again: {}", answer.body);
    assert!(endpoint.metric("ingest_requests_crowded_out_total").unwrap().parse::<u64>().unwrap() > 0);
    drop(flood);
    let answer = endpoint.write(STRICT_RULE, Version::V1, &body).await;
    assert_eq!(answer.status, 204, "what was held is free again: {}", answer.body);
}
