//! Requests that mean harm, or do harm without meaning it: a clear answer, and the service lives on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use environment::Clock as _;
use host::HostClock;
use model::{Labels, Matcher, TimestampMs};
use promql::EngineOptions;
use query_api::Settings;
use storage::{
    Appender, Batch, BoxFuture, Querier, QueryError, Queryable, SampleIterator, SelectHints, Series, SeriesSet,
    Storage, TimeRange,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Api, READER, account};

/// A storage whose series never end.
#[derive(Clone, Default)]
pub(crate) struct Endless {
    /// Selections that are being walked over.
    walked: Arc<AtomicUsize>,
}

struct EndlessSet {
    next: u64,
    walked: Arc<AtomicUsize>,
}

struct OneSample(bool);

impl Storage for Endless {
    fn appender(&self, now: TimestampMs) -> Box<dyn Appender> {
        // Nobody reads what is written here.
        testkit::series_store::SeriesStore::new().appender(now)
    }
}

impl Queryable for Endless {
    fn querier(&self, _: TimeRange) -> Box<dyn Querier> {
        Box::new(self.clone())
    }
}

impl Querier for Endless {
    fn select<'a>(&'a self, _: &'a [Matcher], _: SelectHints) -> BoxFuture<'a, Result<Box<dyn SeriesSet>, QueryError>> {
        self.walked.fetch_add(1, Ordering::SeqCst);
        let set: Box<dyn SeriesSet> = Box::new(EndlessSet { next: 0, walked: Arc::clone(&self.walked) });
        Box::pin(std::future::ready(Ok(set)))
    }

    fn label_names<'a>(&'a self, _: &'a [Matcher], _: usize) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(std::future::ready(Ok(vec!["__name__".to_owned()])))
    }

    fn label_values<'a>(
        &'a self,
        _: &'a str,
        _: &'a [Matcher],
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, QueryError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

impl SeriesSet for EndlessSet {
    fn next(&mut self) -> Result<Option<Series>, QueryError> {
        self.next += 1;
        let labels = Labels::from_pairs([("__name__", "up"), ("n", &format!("{:020}", self.next))]).unwrap();
        Ok(Some(Series { labels, samples: Box::new(OneSample(true)) }))
    }
}

impl Drop for EndlessSet {
    fn drop(&mut self) {
        self.walked.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SampleIterator for OneSample {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, QueryError> {
        batch.clear();
        if std::mem::take(&mut self.0) {
            batch.timestamps.push(TimestampMs(0));
            batch.floats.push(1.0);
            return Ok(true);
        }
        Ok(false)
    }
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn queries_that_are_monsters() {
    let api = Api::start();
    let clock = HostClock::new();
    let nested =
        |open: &str, inner: &str, close: &str, times| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
    let patterns: String = (0..150).map(|index| format!("l{index}=~\"(a|b)*{index}.+c{{1,9}}\",")).collect();
    for (query, status, text) in [
        (nested("(", "1", ")", 100_000), 400, "parse error"),
        (nested("sum(", "up", ")", 5_000), 400, "parse error"),
        (nested("-", "up", "", 200_000), 400, "parse error"),
        (nested("up + ", "up", "", 5_000), 400, "parse error"),
        (nested("max_over_time(", "up", "[1m:1s])", 1_000), 400, "parse error"),
        ("x".repeat(3 << 20), 400, "parse error"),
        (format!("up{{a=~\"{}\"}}", "(a{1,999}){1,999}".repeat(2)), 400, "parse error"),
        (format!("up{{a=~\"{}\"}}", "(".repeat(10_000)), 400, "parse error"),
        (format!("up{{{patterns}}}"), 400, "parse error"),
        ("up offset 9999999999y".to_owned(), 400, "parse error"),
        ("up[99999999999999999999s]".to_owned(), 400, "parse error"),
        ("up offset 292y".to_owned(), 200, "[]"),
        ("up @ 9e18".to_owned(), 200, "[]"),
        ("up @ 1e300".to_owned(), 400, "parse error"),
        ("up @ -9.2e15 offset 292y".to_owned(), 200, "[]"),
        ("up offset -292y".to_owned(), 200, "[]"),
        ("max_over_time(up[292y:1ms])".to_owned(), 0, ""),
        ("".to_owned(), 400, "unknown position: parse error"),
    ] {
        let began = clock.monotonic();
        let (found, body) =
            api.post(READER, "/workspaces/eu/api/v1/query?timeout=2s", &format!("query={}", escaped(&query))).await;
        let shown: String = query.chars().take(60).collect();
        let fits = if status == 0 { matches!(found, 200 | 400 | 422 | 503) } else { found == status };
        assert!(fits && body.contains(text), "{shown}: {found} {}", body.chars().take(300).collect::<String>());
        assert!(body.len() < 3000 + 2 * query.len(), "{shown}: the answer has {} bytes", body.len());
        let took = clock.monotonic().since(began);
        assert!(took < Duration::from_secs(10), "{shown}: {took:?}");
    }
    assert_eq!(api.get(READER, None, "/workspaces/eu/api/v1/query?query=1").await.0, 200);
}

#[tokio::test]
async fn parameters_that_are_none() {
    let api = Api::start();
    for (call, text) in [
        ("query_range?query=up&start=0&end=10&step=NaN", "cannot parse \\\"NaN\\\" to a valid duration"),
        ("query_range?query=up&start=0&end=10&step=-Inf", "It overflows int64"),
        ("query_range?query=up&start=0&end=10&step=0", "zero or negative query resolution step widths"),
        ("query_range?query=up&start=NaN&end=10&step=1", "cannot parse \\\"NaN\\\" to a valid timestamp"),
        ("query_range?query=up&start=10&end=0&step=1", "end timestamp must not be before start time"),
        ("query_range?query=up&start=0&end=1e12&step=1", "exceeded maximum resolution of 11,000 points per timeseries"),
        (
            "query_range?query=up%5B1m%5D&start=0&end=10&step=1",
            "invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for range query, must be Scalar or instant Vector",
        ),
        ("query?query=up&time=1e300", "invalid time value for 'time'"),
        ("query?query=up&timeout=-1", "timeout must be positive"),
        ("query?query=%FF", "the value of parameter \\\"query\\\" is not valid UTF-8"),
        ("query?query=up&lookback_delta=soon", "error parsing lookback delta duration"),
        ("series?match%5B%5D=up&start=10&end=0", "end timestamp must not be before start time"),
        (
            "series?match%5B%5D=%7Ba%3D%22%22%7D",
            "invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty matcher",
        ),
        ("labels?match%5B%5D=up%7B", "1:4: parse error"),
        ("labels?limit=-1", "limit must be non-negative"),
        ("label/%FF/values", "invalid label name"),
        ("label//values", "invalid label name"),
        ("query_exemplars?query=up&start=10&end=0", "end timestamp must not be before start timestamp"),
        ("metadata?limit=x", "limit must be a number"),
        ("status/tsdb?limit=0", "limit must be a positive number"),
        ("rules?type=other", "not supported value \\\"other\\\""),
    ] {
        let (status, body) = api.get(READER, None, &format!("/workspaces/eu/api/v1/{call}")).await;
        let expected = r#"{"status":"error","errorType":"bad_data","error":""#;
        assert!(status == 400 && body.starts_with(expected) && body.contains(text), "{call}: {status} {body}");
    }
    let many = "match%5B%5D=up&".repeat(20_000);
    let (status, body) = api.post(READER, "/workspaces/eu/api/v1/series", &many).await;
    assert!(status == 400 && body.contains("a request may have 10000 parameters"), "{body}");
}

#[tokio::test]
async fn a_body_of_a_hundred_megabytes_is_refused_before_it_is_sent() {
    let api = Api::start();
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /workspaces/eu/api/v1/query HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 104857600\r\n\r\nquery=",
        api.token(READER)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("the body is larger than 4194304 bytes: 104857600 bytes"), "{answer}");
    assert_eq!(api.metric("query_refused_total{bound=\"body-bytes\"}").as_deref(), Some("1"));
}

#[tokio::test]
async fn bounds_are_told_and_counted() {
    let settings = Settings { concurrency: 1, waiting_max: 0, answer_bytes_max: 500, ..Settings::default() };
    let api = Api::with(settings, EngineOptions { samples_max: 1000, ..EngineOptions::default() });
    let store = Endless::default();
    api.open.0.lock().unwrap().insert(account(1), Arc::new(store.clone()));
    let query = |workspace: &str, rest: &str| format!("/workspaces/{workspace}/api/v1/{rest}");
    for (path, status, kind, bound) in [
        (query("us", "query?query=up&time=0"), 422, "execution", "samples"),
        (query("us", "query?query=count(up)&time=0&timeout=50ms"), 503, "timeout", "time"),
        (query("us", "series?match%5B%5D=up&timeout=50ms"), 503, "timeout", "time"),
        (query("eu", "query_range?query=up&start=0&end=45&step=1"), 422, "execution", "answer-bytes"),
        (query("eu", "query_range?query=up&start=0&end=12000&step=1"), 400, "bad_data", "points"),
    ] {
        let before: u64 = refused(&api, bound);
        let (found, body) = api.get(READER, None, &path).await;
        assert!(found == status && body.contains(&format!("\"errorType\":\"{kind}\"")), "{path}: {found} {body}");
        assert_eq!(refused(&api, bound), before + 1, "{path}");
    }
    assert_eq!(store.walked.load(Ordering::SeqCst), 0, "nothing runs on");
}

fn refused(api: &Api, bound: &str) -> u64 {
    api.metric(&format!("query_refused_total{{bound=\"{bound}\"}}")).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn who_goes_away_is_not_worked_for() {
    let settings = Settings { concurrency: 1, waiting_max: 0, ..Settings::default() };
    let api = Api::with(settings, EngineOptions::default());
    let store = Endless::default();
    api.open.0.lock().unwrap().insert(account(1), Arc::new(store.clone()));
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "GET /workspaces/us/api/v1/query?query=count(up)&time=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        api.token(READER)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| store.walked.load(Ordering::SeqCst) == 1).await;
    // The only place is taken, and nobody may wait.
    let (status, body) = api.get(READER, None, "/workspaces/us/api/v1/query?query=1").await;
    assert!(status == 503 && body.contains("too many queries are waiting"), "{status} {body}");
    drop(stream);
    until(|| store.walked.load(Ordering::SeqCst) == 0).await;
    until(|| api.metric("query_evaluations_running").as_deref() == Some("0")).await;
    assert_eq!(api.get(READER, None, "/workspaces/us/api/v1/query?query=1").await.0, 200);
}

async fn until(condition: impl Fn() -> bool) {
    let clock = HostClock::new();
    let began = clock.monotonic();
    while !condition() {
        assert!(clock.monotonic().since(began) < Duration::from_secs(10), "it did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn slow_readers_hold_no_places() {
    let api = Api::with(Settings { concurrency: 2, waiting_max: 2, ..Settings::default() }, EngineOptions::default());
    let store = testkit::series_store::SeriesStore::new();
    for series in 0..50 {
        store.load(10_000, &format!("up{{n=\"{series}\"}} 1x1000")).unwrap();
    }
    api.open.0.lock().unwrap().insert(account(1), Arc::new(store));
    let mut readers = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let path = "/workspaces/us/api/v1/query_range?query=up&start=0&end=10000&step=1";
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", api.token(READER));
        stream.write_all(head.as_bytes()).await.unwrap();
        // The head of the answer is there; of its ten megabytes nothing is read.
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        readers.push(stream);
    }
    assert_eq!(api.get(READER, None, "/workspaces/us/api/v1/query?query=1").await.0, 200);
}

#[tokio::test]
async fn hundreds_of_heavy_queries_at_once() {
    const CLIENTS: usize = 400;
    let settings = Settings { concurrency: 4, waiting_max: 100, ..Settings::default() };
    let api = Api::with(settings, EngineOptions::default());
    let store = Endless::default();
    api.open.0.lock().unwrap().insert(account(1), Arc::new(store.clone()));
    let clock = HostClock::new();
    let began = clock.monotonic();
    let path = "/workspaces/us/api/v1/query?query=count(up)&time=0&timeout=300ms";
    let request = format!("GET {path} HTTP/1.0\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", api.token(READER));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    for mut stream in clients {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        // Whether it ran, waited or was turned away: it is told to come again.
        assert!(answer.contains(" 503 ") && answer.contains("\"status\":\"error\""), "{answer}");
    }
    let took = clock.monotonic().since(began);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(refused(&api, "time") >= 4 && refused(&api, "time") + refused(&api, "queue") == CLIENTS as u64);
    until(|| store.walked.load(Ordering::SeqCst) == 0).await;
    assert_eq!(api.get(READER, None, "/workspaces/us/api/v1/query?query=1").await.0, 200);
}
