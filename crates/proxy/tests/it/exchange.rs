//! Exchanging upstreams and bounds while requests come.

use proxy::{Limits, QueryUpstream};

use crate::support::{Client, Issuer, Setup, Upstream, ask, connector, get, tokens, write};

#[tokio::test]
async fn requests_that_begin_after_a_change_go_by_it() {
    let (old, new) = (Upstream::start([]).await, Upstream::start([]).await);
    let setup = Setup::default();
    let clock = setup.clock.clone();
    let proxy = setup.start(old.address).await;
    // One connection all along.
    let mut client = Client::connect(proxy.address).await;
    client.send(write("one")).await;
    assert_eq!(client.answer().await.status, 204);
    let url = format!("http://{}/new/write", new.address).parse().unwrap();
    let cache = || tokens(Issuer::Renews, "https://monitor.azure.com", &clock);
    proxy.handle.set_ingestion(&url, cache(), connector()).unwrap();
    client.send(write("two")).await;
    assert_eq!(client.answer().await.status, 204);
    assert_eq!(old.requests().len(), 1);
    assert!(new.requests()[0].head.starts_with("POST /new/write HTTP/1.1"), "{:?}", new.requests());

    let query = "GET /api/v1/labels HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(proxy.address, query).await.status, 404);
    let queries = |url: String| Some(QueryUpstream { url: url.parse().unwrap(), tokens: cache(), allow_remote: false });
    proxy.handle.set_query(queries(format!("http://{}/q", new.address)), connector()).unwrap();
    assert_eq!(ask(proxy.address, query).await.status, 204);
    proxy.handle.set_query(None, connector()).unwrap();
    assert_eq!(ask(proxy.address, query).await.status, 404);

    proxy.handle.set_limits(Limits { body_bytes_max: 2, ..Limits::default() });
    client.send(write("two")).await;
    // The bounds of a connection that rests are those of when it began to rest.
    let first = client.answer().await.status;
    assert!(matches!(first, 204 | 413), "{first}");
    client.send(write("three")).await;
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn a_change_that_cannot_be_changes_nothing() {
    let upstream = Upstream::start([]).await;
    let setup = Setup::default();
    let clock = setup.clock.clone();
    let proxy = setup.start(upstream.address).await;
    let cache = tokens(Issuer::Renews, "https://monitor.azure.com", &clock);
    let remote = "http://example.com/write".parse().unwrap();
    assert!(proxy.handle.set_ingestion(&remote, cache.clone(), connector()).is_err());
    let with_query = "https://example.com/q?x=1".parse().unwrap();
    let query = QueryUpstream { url: with_query, tokens: cache, allow_remote: false };
    assert!(proxy.handle.set_query(Some(query), connector()).is_err());
    assert_eq!(ask(proxy.address, write("x")).await.status, 204);
    let status: serde_json::Value = serde_json::from_str(&get(proxy.address, "/status").await.body).unwrap();
    assert_eq!(status["ingestion"]["host"], upstream.address.to_string());
}
