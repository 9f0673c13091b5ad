//! Many connections, slow ones, and more requests at once than there is memory for.

use std::time::Duration;

use proxy::Limits;

use crate::support::{Client, Setup, Step, Upstream, ask, connector, get, write};

/// What is in flight at once, with `bytes` for all of it.
fn limits(bytes: usize) -> Limits {
    Limits { kept_bytes_total_max: bytes, request_bytes: 1 << 10, ..Limits::default() }
}

#[tokio::test]
async fn senders_that_drip_take_nothing_from_others() {
    let upstream = Upstream::start([]).await;
    let limits = Limits { streams_max: 1, memory_timeout: Duration::from_secs(20), ..limits(100 << 10) };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let mut dripping = Vec::new();
    for number in 0..300 {
        let mut client = Client::connect(proxy.address).await;
        // Heads, bodies that were announced, bodies in chunks; with and without a beginning.
        client
            .send(match number % 5 {
                0 => "POST /api/v1/write HTTP/1.1\r\nHo".to_owned(),
                1 => write(&"x".repeat(80_000)).trim_end_matches('x').to_owned(),
                2 => write(&"x".repeat(80_000)).trim_end_matches('x').to_owned() + "xxx",
                3 => "POST /api/v1/write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                _ => String::new(),
            })
            .await;
        dripping.push(client);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..20 {
        client.send(write(&"y".repeat(80_000))).await;
        let answered = tokio::time::timeout(Duration::from_secs(2), client.answer()).await;
        assert_eq!(answered.expect("a good sender does not wait for slow ones").status, 204);
    }
    assert_eq!(get(proxy.address, "/health").await.status, 200);
    assert_eq!(upstream.requests().len(), 20);
}

#[tokio::test]
async fn requests_wait_for_memory_in_order_and_all_are_answered() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup { limits: limits(40 << 10), ..Setup::default() }.start(upstream.address).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::connect(proxy.address).await);
    }
    for client in &mut clients {
        client.send(write(&"z".repeat(30_000))).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 204);
    }
    assert!(upstream.requests().iter().all(|request| request.body.len() == 30_000));
    let metrics = get(proxy.address, "/metrics").await.body;
    let limited =
        metrics.lines().find_map(|line| line.strip_prefix("remora_sidecar_limited_total{limit=\"kept_bytes\"} "));
    assert!(limited.is_some_and(|count| count.parse::<u32>().unwrap() > 0), "{metrics}");
}

#[tokio::test]
async fn who_waits_too_long_may_come_again() {
    let upstream = Upstream::start([Step::Hang]).await;
    let limits = Limits { memory_timeout: Duration::from_millis(100), ..limits(40 << 10) };
    let limits = Limits { answer_timeout: Duration::from_millis(600), ..limits };
    let proxy = Setup { limits, ..Setup::default() }.start(upstream.address).await;
    let mut first = Client::connect(proxy.address).await;
    first.send(write(&"z".repeat(30_000))).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = ask(proxy.address, write(&"z".repeat(30_000))).await;
    assert_eq!(second.status, 503);
    assert!(second.body.contains("TooManyRequests"), "{}", second.body);
    // Small ones still fit beside the one that hangs.
    assert_eq!(ask(proxy.address, write("z")).await.status, 204);
    assert!(first.answer().await.body.contains("UpstreamTimeout"));
    assert_eq!(ask(proxy.address, write(&"z".repeat(30_000))).await.status, 204);
}

/// The rest of a long body is charged as it comes; when that is too much, it passes through, whole.
#[tokio::test]
async fn a_long_body_for_which_memory_runs_out_passes_through_whole() {
    let upstream = Upstream::start([]).await;
    let proxy = Setup { limits: limits(200 << 10), ..Setup::default() }.start(upstream.address).await;
    let body: String = (0..40_000).map(|number| format!("{number:>7} ")).collect();
    let chunks: String = body
        .as_bytes()
        .chunks(10_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
    let chunked =
        format!("POST /api/v1/write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for request in [write(&body), chunked] {
        assert_eq!(ask(proxy.address, request).await.status, 204);
    }
    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.body == body.as_bytes()));
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn a_thousand_connections_and_their_requests_are_served() {
    let upstream = Upstream::start([]).await;
    // The upstream of the test is busy with hundreds of connections at once, too.
    let connector = Some(connector().with_timeout(Duration::from_secs(20)));
    let proxy = Setup { limits: limits(1 << 20), connector, ..Setup::default() }.start(upstream.address).await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(Client::connect(proxy.address).await);
    }
    for round in 0..2 {
        for client in &mut clients {
            client.send(write(&"w".repeat(2000))).await;
        }
        for client in &mut clients {
            let answer = client.answer().await;
            assert_eq!(answer.status, 204, "round {round}: {}", answer.body);
        }
    }
    let metrics = get(proxy.address, "/metrics").await.body;
    assert!(metrics.contains("remora_sidecar_connections 1001\n"), "{metrics}");
    assert_eq!(upstream.requests().len(), 2000);
}
