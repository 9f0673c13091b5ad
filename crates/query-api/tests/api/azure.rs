//! Workspaces of Azure's profile (contract §6).

use crate::support::{ALL, Api};

const QUERY_DAYS: &str = "start=0&end=2764801&step=3600";

#[tokio::test]
async fn what_is_refused_and_how() {
    let api = Api::start();
    for (call, status, text) in [
        // Cases are not told apart; health checks select nothing.
        ("query?query=UP&time=20", 200, r#""value":[20,"1"]"#),
        ("query?query=up%7BJOB%3D%22LATE%22%7D&time=20", 200, r#""value":[20,"1"]"#),
        // Neither where they name labels.
        ("query?query=sum%20by(JOB)(up)&time=20", 200, r#"{"metric":{"JOB":"late"},"value":[20,"1"]}"#),
        ("query?query=up%20*%20on(Job)%20up&time=20", 200, r#"{"metric":{"Job":"late"},"value":[20,"1"]}"#),
        ("query?query=count(sum%20without(JOB)(up))&time=20", 200, r#""value":[20,"1"]"#),
        ("query?query=1%2B1", 200, r#""2""#),
        ("labels?start=1e9&end=2e9", 200, r#"["__name__","job"]"#),
        ("label/__name__/values", 200, r#"["up"]"#),
        ("series?match%5B%5D=up", 200, "[]"),
        ("series?match%5B%5D=up&end=30", 200, r#"[{"__name__":"up","job":"late"}]"#),
        (
            "query?query=%7Bjob%3D%22late%22%7D",
            400,
            r#"{"error":{"code":"BadArgumentError","message":"Every selector must have exactly one __name__ matcher: {job=\"late\"}"}}"#,
        ),
        (
            &format!("query_range?query=up&{QUERY_DAYS}"),
            400,
            "Invalid time range. Timestamps must be valid and time range cannot exceed 32 days.",
        ),
        ("query_range?query=up&start=0&end=172800&step=30", 400, "The step must be at least 60 seconds"),
        (
            "query?query=up%7B",
            400,
            r#"{"error":{"code":"QueryValidationError","message":"Failed parsing the query","innererror":{"code":"ParseError","message":"1:4: parse error"#,
        ),
        ("query?query=up&limit=x", 400, r#""code":"BadArgumentError""#),
        ("series?match%5B%5D=up%7Bjob%3D~%22a%22%7D", 400, "Regular expressions are not supported"),
        (
            "query_exemplars?query=up",
            404,
            r#"{"error":{"code":"NotFound","message":"The endpoint query_exemplars is not supported."}}"#,
        ),
        ("status/tsdb", 404, "not supported"),
        ("nothing", 404, r#""code":"NotFound""#),
        (
            "query?query=count_values(%22x%22%2C%20up)%20or%20label_replace(count_values(%22x%22%2C%20up)%2C%22X%22%2C%22y%22%2C%22%22%2C%22%22)&time=20",
            200,
            "",
        ),
    ] {
        let (found, body) = api.get(ALL, None, &format!("/workspaces/late/api/v1/{call}")).await;
        assert!(found == status && body.contains(text), "{call}: {found} {body}");
    }
    let answer = api.send("GET", ALL, "/workspaces/late/api/v1/query?query=up%7B", &[], "").await;
    assert_eq!(answer.headers()["x-ms-error-code"], "QueryValidationError");
    // Together with a workspace of the other profile nothing is rehearsed.
    let (found, body) =
        api.get(ALL, None, "/workspaces/late,eu/api/v1/query?query=%7Bjob%3D%22late%22%7D&time=20").await;
    assert!(found == 200 && body.contains("late"), "{body}");
}

#[tokio::test]
async fn duplicates_and_time_outs() {
    let api = Api::start();
    let store = testkit::series_store::SeriesStore::new();
    store.load(10_000, "up{job=\"late\"} 1 1\nUp{job=\"late\"} 1 1\nup{job=\"b\"} 1 1").unwrap();
    api.open.0.lock().unwrap().insert(crate::support::account(3), std::sync::Arc::new(store));
    let query = |query: &str| format!("/workspaces/late/api/v1/query?time=10&query={query}");
    let (status, body) = api.get(ALL, None, &query("up")).await;
    assert!(status == 422 && body.contains("The result has duplicate series"), "{status} {body}");
    assert_eq!(api.get(ALL, None, &query("up%7Bjob%3D%22B%22%7D")).await.0, 200);
    api.open
        .0
        .lock()
        .unwrap()
        .insert(crate::support::account(3), std::sync::Arc::new(crate::bad_input::Endless::default()));
    let (status, body) = api.get(ALL, None, &query("count(up)&timeout=50ms")).await;
    assert_eq!((status, body.as_str()), (503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#));
}
