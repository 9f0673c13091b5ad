use environment::HttpErrorKind;
use testkit::json_response;

use super::*;
use crate::report::Status;

#[test]
fn answers_of_the_query_endpoint_are_told_apart() {
    let vector = |value: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
        )
    };
    for (status, body, outcome) in [
        (200, vector("12.5"), Ok(Some(12.5))),
        (200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.to_owned(), Ok(None)),
        (200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#.to_owned(), Ok(Some(2.0))),
        (200, "<html>".to_owned(), Err("the query fails (200): <html>")),
        (
            401,
            r#"{"error":{"code":"AuthenticationFailed","message":"bad geheim"}}"#.to_owned(),
            Err("refuses the token (401): bad ***"),
        ),
        (
            403,
            r#"{"error":{"code":"InsufficientAccessError","message":"no access"}}"#.to_owned(),
            Err("may not query (403): no access"),
        ),
        (404, String::new(), Err("no query API")),
        (429, String::new(), Err("throttled")),
        (
            503,
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#.to_owned(),
            Err("fails (503): query timed out"),
        ),
    ] {
        match (read(Ok(json_response(status, body)), "geheim"), outcome) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(step), Err(words)) => assert!(step.finding.contains(words) && step.mend.is_some(), "{step:?}"),
            other => panic!("{status}: {other:?}"),
        }
    }
    let broken = read(Err(HttpError::new(HttpErrorKind::Connect, "GET x: no")), "").unwrap_err();
    assert!(broken.finding.contains("does not answer"));
}

#[test]
fn old_or_absent_samples_are_a_warning() {
    for (found, status, words) in [
        (Some(14.2), Status::Ok, "14 s old"),
        (Some(-3.0), Status::Ok, "0 s old"),
        (Some(290.0), Status::Warning, "no data is flowing"),
        (None, Status::Warning, "within 5 minutes"),
    ] {
        let step = age(found);
        assert!(step.status == status && step.finding.contains(words), "{step:?}");
    }
}

#[test]
fn the_question_goes_below_the_base() {
    let base = Url::parse("https://ws.westus.prometheus.monitor.azure.com/").unwrap();
    assert_eq!(query_url(&base, "up").as_str(), "https://ws.westus.prometheus.monitor.azure.com/api/v1/query?query=up");
}
