//! What the endpoints answer.

use std::io::Read as _;
use std::sync::Arc;

use model::{Exemplar, Labels, Metadata, MetricType, TimestampMs};
use promql::EngineOptions;
use query_api::Settings;
use storage::Storage as _;
use testkit::series_store::SeriesStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Administered, Api, READER, account};

/// The workspace `eu` with exemplars, metadata and histograms besides.
pub(crate) async fn richer(api: &Api) {
    let store = SeriesStore::new();
    store.load(10_000, "up{job=\"a\"} 1 1 1\nup{job=\"b\"} 1 1 1\nodd{x=\"<&>\"} 0.1 1e21 NaN").unwrap();
    store
        .load(10_000, "h {{schema:0 sum:5 count:4 buckets:[1 2 1]}} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}")
        .unwrap();
    store.load(10_000, "c {{schema:-53 sum:5 count:4 custom_values:[1 2] buckets:[1 2 1]}}").unwrap();
    let mut appender = store.appender(TimestampMs(0));
    let help = "Whether it is up <now>.".to_owned();
    appender.set_metadata("up", Metadata { metric_type: MetricType::Gauge, help, unit: String::new() });
    appender.set_metadata(
        "h",
        Metadata { metric_type: MetricType::Histogram, help: "Sizes.".into(), unit: "bytes".into() },
    );
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]).unwrap();
    let series = appender.series(None, &labels).unwrap();
    let exemplar = Exemplar {
        labels: Labels::from_pairs([("trace_id", "x")]).unwrap(),
        timestamp: TimestampMs(10_500),
        value: 6.0,
    };
    appender.append_exemplar(series, exemplar).unwrap();
    appender.commit().await.unwrap();
    let storage = Administered { store, done: Arc::default() };
    api.open.0.lock().unwrap().insert(account(0), Arc::new(storage));
}

#[tokio::test]
async fn exactly_as_prometheus() {
    let api = Api::start();
    richer(&api).await;
    for (call, expected) in [
        ("query?query=1e21&time=1.5", r#"{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}"#),
        ("query?query=%22a%3Cb%22&time=2", r#"{"resultType":"string","result":[2,"a\u003cb"]}"#),
        (
            "query?query=odd%5B30s%5D&time=20",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"odd","x":"<&>"},"values":[[0,"0.1"],[10,"1e+21"],[20,"NaN"]]}]}"#,
        ),
        (
            "query?query=h&time=10.001",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[10.001,{"count":"4","sum":"5","buckets":[[0,"0.5","1","1"],[0,"1","2","2"],[0,"2","4","1"]]}]}]}"#,
        ),
        ("query?query=up&time=20&limit=1", r#""value":[20,"1"]}]},"warnings":["results truncated due to limit"]"#),
        (
            "query_range?query=up&start=0&end=20&step=10&limit=1",
            r#"[20,"1"]]}]},"warnings":["results truncated due to limit"]"#,
        ),
        ("query?query=up&time=60&lookback_delta=30s", r#"{"resultType":"vector","result":[]}"#),
        ("query?query=up&time=60&lookback_delta=60s", r#""value":[60,"1"]"#),
        ("query?query=up&time=20&stats=true", r#""samples":{"totalQueryableSamples":"#),
        (
            "query?query=up&time=20&stats=x",
            r#""warnings":["value \"x\" for parameter \"stats\" is deprecated and will be rejected in the next major release, use \"true\" or \"all\""]"#,
        ),
        ("features", r#""promql":{"anchored":false,"at_modifier":true"#),
        ("features", r#""limitk":false"#),
        (
            "query?query=rate(up%5B30s%5D)&time=20",
            r#""infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"up\" (1:6)"]"#,
        ),
        ("label/x/values", r#"["\u003c\u0026\u003e"]"#),
        ("label/U__x/values", r#"["\u003c\u0026\u003e"]"#),
        ("series?match%5B%5D=odd", r#"[{"__name__":"odd","x":"<&>"}]"#),
        ("format_query?query=sum(up)by(job)", r#""sum by (job) (up)""#),
        (
            "parse_query?query=-(1)",
            r#"{"expr":{"expr":{"type":"numberLiteral","val":"1"},"type":"parenExpr"},"op":"-","type":"unaryExpr"}"#,
        ),
        (
            "metadata",
            r#"{"h":[{"type":"histogram","help":"Sizes.","unit":"bytes"}],"up":[{"type":"gauge","help":"Whether it is up \u003cnow\u003e.","unit":""}]}"#,
        ),
        ("metadata?metric=h&limit=1", r#"{"h":[{"type":"histogram","help":"Sizes.","unit":"bytes"}]}"#),
        ("metadata?limit=0", "{}"),
        (
            "query_exemplars?query=rate(up%5B1m%5D)",
            r#"[{"seriesLabels":{"__name__":"up","job":"a"},"exemplars":[{"labels":{"trace_id":"x"},"value":"6","timestamp":10.500}]}]"#,
        ),
        ("query_exemplars?query=up&start=11", "[]"),
        ("status/buildinfo", r#"{"version":"3."#),
        (
            "status/flags",
            r#""query.lookback-delta":"300000ms","query.max-concurrency":"20","query.max-samples":"50000000","query.timeout":"120s""#,
        ),
        ("status/config", r#"{"yaml":"global:\n  evaluation_interval: 60s\n"}"#),
        (
            "status/tsdb?limit=1",
            r#"{"headStats":{"chunkCount":5,"maxTime":2,"minTime":1,"numLabelPairs":4,"numSeries":3},"seriesCountByMetricName":[{"name":"up","value":2}]"#,
        ),
        ("targets", r#"{"activeTargets":[],"droppedTargetCounts":{},"droppedTargets":[]}"#),
        ("rules?type=alert", r#"{"groups":[]}"#),
        ("alerts", r#"{"alerts":[]}"#),
        ("alertmanagers", r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#),
        ("scrape_pools", r#"{"scrapePools":[]}"#),
    ] {
        let data = Api::data(&api.get(READER, None, &format!("/workspaces/eu/api/v1/{call}")).await);
        assert!(data.contains(expected), "{call}: {data}");
    }
    // What selects nothing has no exemplars, not even an empty list.
    assert_eq!(api.get(READER, None, "/workspaces/eu/api/v1/query_exemplars?query=1").await, (204, String::new()));
}

#[tokio::test]
async fn forms_and_compression() {
    let api = Api::start();
    let (status, body) = api.post(READER, "/workspaces/eu/api/v1/query?time=20", "query=up%7Bjob%3D%22a%22%7D").await;
    assert!(status == 200 && body.contains(r#""value":[20,"1"]"#), "{body}");
    let path = "/workspaces/eu/api/v1/query_range?query=up&start=0&end=1000&step=1";
    let (_, plain) = api.get(READER, None, path).await;
    let answer = api.send("GET", READER, path, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    assert!(answer.body().len() * 5 < plain.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body()[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain);
    let answer =
        api.send("GET", READER, "/workspaces/eu/api/v1/query?query=1", &[("accept-encoding", "gzip")], "").await;
    assert!(!answer.headers().contains_key("content-encoding"), "a short answer is not worth it");
}

/// `Up{…} value time` lines of a federation now.
#[tokio::test]
async fn federation() {
    let api = Api::start();
    let store = SeriesStore::new();
    let now = environment::Clock::now(&host::HostClock::new()).as_millis();
    let series = |labels: &[(&str, &str)]| Labels::from_pairs(labels.iter().copied()).unwrap();
    for (labels, ago_ms, value) in [
        (series(&[("__name__", "up"), ("instance", "i")]), 1_000, 1.0),
        (series(&[("__name__", "old")]), 400_000, 1.0),
        (series(&[("__name__", "down")]), 2_000, f64::from_bits(0x7ff0_0000_0000_0002)),
        (series(&[("job", "nameless")]), 1_000, 1.0),
    ] {
        store.insert(&labels, TimestampMs(now - ago_ms), testkit::series_store::StoredValue::Float(value));
    }
    api.open.0.lock().unwrap().insert(account(0), Arc::new(store));
    let path = "/workspaces/eu/federate?match%5B%5D=%7B__name__%3D~%22.%2B%22%7D&match%5B%5D=up";
    let at = now - 1_000;
    let answer = api.send("GET", READER, path, &[], "").await;
    let text = |answer: &http::Response<bytes::Bytes>| String::from_utf8(answer.body().to_vec()).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    assert_eq!(text(&answer), format!("# TYPE up untyped\nup{{instance=\"i\"}} 1 {at}\n"));
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let answer = text(&api.send("GET", READER, path, &accept, "").await);
    let seconds = format!("{}.{:03}", at / 1000, at % 1000);
    let expected = format!("# TYPE up unknown\nup{{instance=\"i\"}} 1.0 {}\n# EOF\n", seconds.trim_end_matches(".000"));
    assert_eq!(answer, expected);
    let eu = Some("eu.local.prometheus.example.org");
    let (status, body) = api.get(READER, eu, "/federate?match%5B%5D=up").await;
    assert!(status == 200 && body.starts_with("# TYPE up untyped"), "{status} {body}");
    assert_eq!(api.get(READER, None, "/workspaces/eu/federate").await, (200, String::new()));
    assert_eq!(api.get(READER, None, "/workspaces/eu/federate?match%5B%5D=up%7B").await.0, 400);
}

/// A message's field with its length in front; everything here is short.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

fn read_request(accepted: &[u8]) -> Vec<u8> {
    let matcher = [field(2, b"__name__"), field(3, b"up")].concat();
    // From 0 to 20,000 ms.
    let query = [&[0x10, 0xa0, 0x9c, 0x01][..], &field(3, &matcher)].concat();
    remote_write::framing::encode(&[field(1, &query), field(2, accepted)].concat())
}

#[tokio::test]
async fn remote_read() {
    let api = Api::start();
    let path = "/workspaces/eu/api/v1/read";
    let answer = api.send("POST", READER, path, &[], read_request(&[])).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-encoding"]), (200, &"snappy".parse().unwrap()));
    assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
    let mut message = Vec::new();
    remote_write::framing::decode(answer.body(), 1 << 20, &mut message).unwrap();
    let text = String::from_utf8_lossy(&message).into_owned();
    assert_eq!(text.matches("__name__").count(), 2, "{text:?}");
    let answer = api.send("POST", READER, path, &[], read_request(&[5, 1])).await;
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    );
    let length = usize::from(answer.body()[0]);
    let frame = &answer.body()[1..][..4 + length];
    assert_eq!(crc32c::crc32c(&frame[4..]).to_be_bytes(), frame[..4]);
    for (body, status, text) in [
        (read_request(&[7]), 400, "server does not support any of the requested response types: [7]"),
        (b"no snappy".to_vec(), 400, ""),
        (remote_write::framing::encode(&[0x0a, 0x7f]), 400, "proto: cannot parse the message"),
        (vec![0; 5 << 20], 413, "larger than 4194304 bytes"),
    ] {
        let answer = api.send("POST", READER, path, &[], body).await;
        let found = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(answer.status().as_u16() == status && found.contains(text), "{status}: {found}");
    }
    assert_eq!(api.get(READER, None, path).await.0, 405);
}

#[tokio::test]
async fn what_is_large_comes_in_pieces_and_is_the_same() {
    let api = Api::start();
    // Time itself, so that no data are needed: 30 series of 10,001 points.
    let one = |number: usize| format!("label_replace(vector(time()),\"n\",\"{number:02}\",\"\",\"\")");
    let query = (0..30).map(one).collect::<Vec<_>>().join(" or ");
    let query = percent_encoding::utf8_percent_encode(&query, percent_encoding::NON_ALPHANUMERIC);
    let form = format!("query={query}&start=0&end=10000&step=1");
    let (head, plain) = large(&api, &form, "").await;
    assert!(head.contains(" 200 "), "{head}");
    assert!(head.contains("content-type: application/json") && !head.contains("content-length"), "{head}");
    let answer: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!((&answer["status"], &answer["data"]["resultType"]), (&"success".into(), &"matrix".into()));
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 30);
    for (number, series) in result.iter().enumerate() {
        assert_eq!(series["metric"]["n"], format!("{number:02}"));
        assert_eq!(series["values"].as_array().unwrap().len(), 10_001);
        assert_eq!(series["values"][7], serde_json::json!([7, "7"]));
    }
    let (head, zipped) = large(&api, &form, "accept-encoding: gzip\r\n").await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut text).unwrap();
    assert!(text == plain);
    let sent: usize = api.metric("query_answer_bytes_total{endpoint=\"query_range\"}").unwrap().parse().unwrap();
    assert_eq!(sent, plain.len() + zipped.len());

    // The bound holds for them, too, before anything is sent.
    let settings = Settings { answer_bytes_max: plain.len() - 1000, ..Settings::default() };
    let api = Api::with(settings, EngineOptions::default());
    let (head, body) = large(&api, &form, "").await;
    assert!(head.contains(" 422 ") && body.starts_with(b"{\"status\":\"error\",\"errorType\":\"execution\""), "{head}");
}

/// Head and body of an answer that ends with its connection, as HTTP/1.0 has it.
async fn large(api: &Api, form: &str, header: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let request = format!(
        "POST /workspaces/eu/api/v1/query_range HTTP/1.0\r\nhost: x\r\nauthorization: Bearer {}\r\n{header}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        api.token(READER),
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}
