//! What holds for every route: paths, versions, bodies, headers.

use bytes::Bytes;
use http::Request;
use serde_json::json;

use crate::testing::{Bench, GROUP, OWNER, STRANGER, SUBSCRIPTION};

#[tokio::test]
async fn headers_of_every_answer() {
    let bench = Bench::new().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/g");
    for said in [bench.get(&path).await, bench.get_as(STRANGER, &path).await, bench.get("/subscriptions/x/y/z").await] {
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("pragma", "no-cache"),
            ("expires", "-1"),
            ("x-content-type-options", "nosniff"),
            ("x-ms-request-id", "00000000-0000-0000-0000-000000000042"),
            ("x-ms-correlation-request-id", "00000000-0000-0000-0000-000000000042"),
            ("x-ms-client-request-id", ""),
            ("content-type", "application/json; charset=utf-8"),
        ] {
            assert_eq!(said.header(name), value, "{name} of {said:?}");
        }
        assert!(!said.header("strict-transport-security").is_empty());
    }
    let ids = [("x-ms-client-request-id", "mine"), ("x-ms-correlation-request-id", "theirs")];
    let said = bench.ask("GET", &path, Some(OWNER), &ids, None).await;
    assert_eq!((said.header("x-ms-client-request-id"), said.header("x-ms-correlation-request-id")), ("", "theirs"));
    let ids = [("x-ms-client-request-id", "mine"), ("x-ms-return-client-request-id", "true")];
    let said = bench.ask("GET", &path, Some(OWNER), &ids, None).await;
    assert_eq!(said.header("x-ms-client-request-id"), "mine");
    let accounts = bench.get(&format!("{path}/providers/Microsoft.Monitor/accounts")).await;
    assert!(accounts.header("api-supported-versions").ends_with("2025-10-03-preview, 2025-10-03"), "{accounts:?}");
}

#[tokio::test]
async fn versions_are_asked_for_and_any_date_that_can_be_one_is_taken() {
    let bench = Bench::new().await;
    let ask = async |query: &str| {
        let token = bench.token(OWNER, crate::testing::MANAGEMENT);
        let request = Request::get(format!("{GROUP}{query}")).header("authorization", format!("Bearer {token}"));
        bench.send(request.body(Bytes::new()).unwrap()).await
    };
    for (query, status, code) in [
        ("", 400, "MissingApiVersionParameter"),
        ("?api-version=", 400, "MissingApiVersionParameter"),
        ("?api-version=new", 400, "InvalidApiVersionParameter"),
        ("?api-version=2014-01-01-preview", 200, ""),
        ("?API-VERSION=2027-06-30", 200, ""),
        ("?api-version=2099-12-31", 400, "InvalidApiVersionParameter"),
        ("?api-version=1999-01-01", 400, "InvalidApiVersionParameter"),
    ] {
        let said = ask(query).await;
        assert_eq!((said.status, said.code()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn paths_have_one_meaning() {
    let bench = Bench::new().await;
    // A principal that may only read in one group, and tricks to reach beyond it.
    let reader = "aaaaaaaa-0000-0000-0000-000000000555";
    bench.grant(reader, access::roles::READER, GROUP);
    bench.put(&GROUP.replace("/g", "/secret"), json!({ "location": "local" })).await;
    let long = "x".repeat(5000);
    for (path, status) in [
        (GROUP.to_owned(), 200),
        (GROUP.to_uppercase(), 200),
        (format!("/{GROUP}"), 200),
        (format!("{GROUP}/"), 200),
        (GROUP.replace("/g", "/%67"), 200),
        (GROUP.replace("/g", "/%2567"), 400),
        (GROUP.replace("/g", "/secret"), 403),
        (GROUP.replace("/g", "/SECRET"), 403),
        (format!("{GROUP}/../secret"), 400),
        (format!("{GROUP}/%2e%2e/secret"), 400),
        (format!("{GROUP}%2f..%2fsecret"), 400),
        (format!("{GROUP}%00"), 400),
        (format!("{GROUP}%5c..%5csecret"), 400),
        (format!("{GROUP};x=1"), 400),
        (GROUP.replace("/resourceGroups", "//resourceGroups"), 400),
        (format!("{GROUP}/{long}"), 400),
        (format!("{GROUP}/resourceGroups/secret"), 404),
        (format!("{GROUP}%20"), 403),
        (format!("{GROUP}%C3%A9"), 403),
        (format!("{GROUP}%ff"), 400),
    ] {
        let said = bench.get_as(reader, &path).await;
        assert_eq!(said.status, status, "{path}: {said:?}");
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let bench = Bench::new().await;
    let said = bench.delete("/subscriptions").await;
    assert_eq!((said.status, said.code(), said.header("allow")), (405, "MethodNotAllowed", "GET"));
    let said = bench.ask("TRACE", GROUP, Some(OWNER), &[], None).await;
    assert_eq!(said.status, 405);
    assert_eq!(bench.get("/subscriptions/a/b/c/d").await.code(), "InvalidResourceType");
    let simple = SUBSCRIPTION.replace('-', "");
    for writing in ["nonsense", &simple, &format!("{{{SUBSCRIPTION}}}"), &format!("urn:uuid:{SUBSCRIPTION}")] {
        let groups = format!("/subscriptions/{writing}/resourceGroups").replace('{', "%7b").replace('}', "%7d");
        assert_eq!(bench.get(&groups).await.code(), "InvalidSubscriptionId", "{writing}");
        let said = bench.put(&format!("{groups}/new"), json!({ "location": "local" })).await;
        assert_eq!((said.status, said.code()), (400, "InvalidSubscriptionId"), "{writing}");
    }
    let said = bench.put(&format!("{GROUP}/providers/Microsoft.Resources/deployments/main"), json!({})).await;
    assert_eq!((said.status, said.code()), (404, "InvalidResourceType"), "{said:?}");
    assert!(said.body["error"]["message"].as_str().unwrap().contains("templates are not deployed"), "{said:?}");
    let other = "/subscriptions/11111111-2222-3333-4444-000000000000";
    assert_eq!(bench.get(&format!("{other}/resourceGroups")).await.code(), "SubscriptionNotFound");
    assert_eq!(bench.get(&format!("{other}/resourceGroups/g")).await.code(), "SubscriptionNotFound");
    let no_group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/no");
    assert_eq!(bench.get(&no_group).await.code(), "ResourceGroupNotFound");
    assert_eq!(bench.get(&format!("{no_group}/resources")).await.code(), "ResourceGroupNotFound");
    let in_it = format!("{no_group}/providers/Microsoft.Monitor/accounts/ws");
    assert_eq!(bench.get(&in_it).await.code(), "ResourceGroupNotFound");
    let said = bench.put(&in_it, json!({ "location": "local" })).await;
    assert_eq!((said.status, said.code()), (404, "ResourceGroupNotFound"), "{said:?}");
}

#[tokio::test]
async fn bodies_are_bounded_and_mistakes_have_a_place() {
    let bench = Bench::new().await;
    let put =
        async |body: Vec<u8>, headers: &[(&str, &str)]| bench.ask("PUT", GROUP, Some(OWNER), headers, Some(body)).await;
    let large = put(vec![b' '; (1 << 20) + 1], &[]).await;
    assert_eq!((large.status, large.code()), (413, "RequestContentTooLarge"));
    let said = put(b"{\n  \"location\": }".to_vec(), &[]).await;
    assert_eq!((said.status, said.code()), (400, "InvalidRequestContent"));
    let message = said.body["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("expected value, at line 2, column 15."), "{message}");
    assert_eq!(put(b" ".to_vec(), &[]).await.code(), "InvalidRequestContent");
    assert_eq!(put(vec![b'['; 100_000], &[]).await.code(), "InvalidRequestContent");
    assert_eq!(put(b"{\"location\": \"\xff\"}".to_vec(), &[]).await.code(), "InvalidRequestContent");
    assert_eq!(put(b"[]".to_vec(), &[]).await.targets(), ["body"]);
    let xml = put(b"<x/>".to_vec(), &[("content-type", "application/xml")]).await;
    assert_eq!((xml.status, xml.code()), (415, "UnsupportedMediaType"));
    let with_mark =
        put(b"\xef\xbb\xbf{\"location\":\"local\"}".to_vec(), &[("content-type", "application/json; charset=utf-8")]);
    assert_eq!(with_mark.await.status, 200);
    // Who may not write is refused before the body is looked at.
    let said = bench.ask("PUT", GROUP, Some(STRANGER), &[], Some(vec![b' '; 2 << 20])).await;
    assert_eq!(said.status, 403);
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let rate = crate::Rate { burst: 3, per_second: 1 };
    let bench =
        Bench::with(|settings| settings.rates = crate::Rates { reads: rate, writes: rate, deletes: rate }).await;
    for left in ["2", "1", "0"] {
        let said = bench.get(GROUP).await;
        assert_eq!((said.status, said.header("x-ms-ratelimit-remaining-subscription-reads")), (200, left));
    }
    let said = bench.get(GROUP).await;
    assert_eq!((said.status, said.code(), said.header("retry-after")), (429, "TooManyRequests", "1"), "{said:?}");
    assert_eq!(bench.get_as(STRANGER, GROUP).await.status, 403, "others go on");
    bench.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(bench.get(GROUP).await.status, 200);
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let bench = Bench::new().await;
    bench.get(GROUP).await;
    bench.get("/subscriptions/1/2/3").await;
    let mut registry = prometheus_client::registry::Registry::default();
    bench.api.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let pattern = "/subscriptions/{subscription}/resourceGroups/{group}";
    for line in [
        format!("management_requests_total{{route=\"{pattern}\",method=\"PUT\",code=\"201\"}} 1"),
        format!("management_requests_total{{route=\"{pattern}\",method=\"GET\",code=\"200\"}} 1"),
        "management_requests_total{route=\"none\",method=\"GET\",code=\"404\"} 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
}
