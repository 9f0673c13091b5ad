use std::time::Duration;

use environment::Clock as _;
use http::HeaderValue;
use serde_json::json;
use testkit::{json_response, response};

use super::test_support::Scene;
use super::*;

fn ok(body: &Value) -> Response {
    json_response(200, body.to_string())
}

fn refusal(status: u16, code: &str, message: &str) -> Response {
    json_response(status, json!({"error": {"code": code, "message": message}}).to_string())
}

fn with_header(mut response: Response, name: &'static str, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[test]
fn pages_are_followed_and_tokens_stay_with_the_service() {
    let mut scene = Scene::new(|_, target, _| {
        let (items, link) = match target {
            "/things?api-version=1" => (json!([1, 2]), "https://elsewhere.test/things?api-version=1&$skiptoken=a"),
            "/things?api-version=1&$skiptoken=a" => (json!([3]), "/things?$skiptoken=b"),
            "/things?$skiptoken=b" => (json!([4]), ""),
            other => panic!("{other}"),
        };
        ok(&json!({"value": items, "nextLink": link}))
    });
    let client = scene.client();
    let found = scene.simulation.block_on(async move { client.list("/things", "1").await }).unwrap();
    assert_eq!(found, [json!(1), json!(2), json!(3), json!(4)]);
    for request in scene.http.requests() {
        assert_eq!(request.uri().host(), Some("remora.test"), "a link may not lead the token away");
        assert_eq!(request.headers()["authorization"], "Bearer token-for-https://management.azure.com");
    }
}

#[test]
fn a_base_with_a_path_is_not_doubled_by_links() {
    let mut scene = Scene::new(|_, target, _| match target {
        "/below/things?api-version=1" => ok(&json!({"value": [1], "nextLink": "https://remora.test/below/things?p=2"})),
        "/below/things?p=2" => ok(&json!({"value": [2]})),
        other => panic!("{other}"),
    });
    let client = scene.client_with(|parts| parts.base = "https://remora.test/below/".parse().unwrap());
    let found = scene.simulation.block_on(async move { client.list("/things", "1").await }).unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn pages_in_circles_and_answers_that_are_no_list_are_told() {
    for (answer, reason) in [
        (json!({"value": [1], "nextLink": "/things?again"}), "circles"),
        (json!({"name": "one"}), "no list"),
        (json!([1]), "no list"),
    ] {
        let mut scene = Scene::new(move |_, _, _| ok(&answer));
        let client = scene.client();
        let error = scene.simulation.block_on(async move { client.list("/things", "1").await }).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(scene.http.request_count() <= 3);
    }
    let mut scene = Scene::new(|_, _, _| response(200, "<html>a portal</html>"));
    let client = scene.client();
    let error = scene.simulation.block_on(async move { client.get("/things", "1").await }).unwrap_err();
    assert!(error.to_string().contains("Remora service"), "{error}");
}

#[test]
fn no_more_pages_are_read_than_wanted() {
    let mut scene = Scene::new(|_, _, _| ok(&json!({"value": [1, 2, 3], "nextLink": "/things?more"})));
    let client = scene.client();
    let found = scene.simulation.block_on(async move { client.list_first("/things", "1", 2).await }).unwrap();
    assert_eq!((found.len(), scene.http.request_count()), (2, 1));
}

/// A resource that somebody else changes before each of the first `changes` PUTs arrive.
fn contended(changes: u32) -> Scene {
    let (mut etag, mut left) = (1, changes);
    Scene::new(move |method, _, body| match method {
        "GET" => ok(&json!({"etag": format!("\"{etag}\""), "tags": {"other": etag}})),
        _ if left > 0 => {
            (left, etag) = (left - 1, etag + 1);
            refusal(412, "PreconditionFailed", "changed meanwhile")
        }
        _ => ok(&body),
    })
}

#[test]
fn changes_are_made_of_what_was_read_last() {
    for (changes, succeeds) in [(0, true), (2, true), (3, false)] {
        let mut scene = contended(changes);
        let client = scene.client();
        let outcome = scene.simulation.block_on(async move {
            let change = |resource: &mut Value| {
                resource["tags"]["own"] = json!("x");
                Ok(())
            };
            client.update("/thing", "1", change).await
        });
        assert_eq!(outcome.is_ok(), succeeds, "{changes} changes of others");
        let puts: Vec<_> = scene.http.requests().into_iter().filter(|request| request.method() == "PUT").collect();
        assert_eq!(puts.len(), (changes + 1).min(3) as usize);
        for (index, put) in puts.iter().enumerate() {
            assert_eq!(put.headers()["if-match"], format!("\"{}\"", index + 1), "each with the etag it was made of");
        }
        match outcome {
            Ok(made) => assert_eq!(made["tags"], json!({"other": changes + 1, "own": "x"})),
            Err(error) => assert!(error.to_string().contains("repeat the command"), "{error}"),
        }
    }
}

#[test]
fn what_is_put_off_is_repeated_when_it_may() {
    for (answers, asked, waited) in [(2, 3, 10), (9, 4, 15)] {
        let mut left = answers;
        let mut scene = Scene::new(move |_, _, _| {
            left -= 1;
            match left {
                0.. => with_header(refusal(429, "TooManyRequests", "later"), "retry-after", "5"),
                _ => ok(&json!({})),
            }
        });
        let (client, clock) = (scene.client(), scene.simulation.clock());
        let begin = clock.monotonic();
        let outcome = scene.simulation.block_on(async move { client.get("/thing", "1").await });
        assert_eq!(outcome.is_ok(), answers < 4);
        assert_eq!(scene.http.request_count(), asked);
        assert_eq!(clock.monotonic().since(begin), Duration::from_secs(waited));
    }
    // Longer than a user would wait without being told.
    let mut scene = Scene::new(|_, _, _| with_header(refusal(429, "TooManyRequests", "later"), "retry-after", "3600"));
    let client = scene.client();
    scene.simulation.block_on(async move { client.get("/thing", "1").await }).unwrap_err();
    assert_eq!(scene.http.request_count(), 1);
}

#[test]
fn deletions_in_the_background_are_waited_for() {
    let mut polls = 0;
    let mut scene = Scene::new(move |method, target, _| match (method, target) {
        ("DELETE", "/thing?api-version=1") => {
            let answer = with_header(response(202, ""), "location", "https://remora.test/operations/7?api-version=1");
            with_header(answer, "retry-after", "2")
        }
        ("GET", "/operations/7?api-version=1") => {
            polls += 1;
            match polls {
                1 => with_header(response(202, ""), "location", "https://remora.test/operations/7?api-version=1"),
                _ => response(200, ""),
            }
        }
        other => panic!("{other:?}"),
    });
    let (client, clock) = (scene.client(), scene.simulation.clock());
    let begin = clock.monotonic();
    assert!(scene.simulation.block_on(async move { client.delete("/thing", "1").await }).unwrap());
    assert_eq!(clock.monotonic().since(begin), Duration::from_secs(3), "as asked, then the usual");
}

#[test]
fn a_deletion_that_never_ends_is_given_up() {
    let mut scene = Scene::new(|_, _, _| with_header(response(202, ""), "location", "/operations/7"));
    let client = scene.client();
    let error = scene.simulation.block_on(async move { client.delete("/thing", "1").await }).unwrap_err();
    assert!(error.to_string().contains("not done"), "{error}");
}

#[test]
fn what_is_gone_already_is_no_failure() {
    for (answer, existed) in
        [(response(204, ""), false), (refusal(404, "ResourceNotFound", "gone"), false), (response(200, ""), true)]
    {
        let mut scene = Scene::new(move |_, _, _| answer.clone());
        let client = scene.client();
        assert_eq!(scene.simulation.block_on(async move { client.delete("/thing", "1").await }).unwrap(), existed);
    }
    let mut scene = Scene::new(|_, _, _| refusal(404, "SubscriptionNotFound", "no such subscription"));
    let client = scene.client();
    scene.simulation.block_on(async move { client.delete("/thing", "1").await }).unwrap_err();
}

#[test]
fn a_refusal_tells_everything_that_is_wrong() {
    let answer = json!({"error": {"code": "InvalidPayload", "message": "two things are wrong", "details": [
        {"code": "InvalidProperty", "target": "properties.a", "message": "is too long"},
        {"code": "InvalidPayload", "target": "properties.b", "message": "is missing",
         "details": [{"message": "and so is c"}]},
    ]}});
    let mut scene =
        Scene::new(move |_, _, _| with_header(json_response(400, answer.to_string()), "x-ms-request-id", "r-1"));
    let client = scene.client();
    let error = scene.simulation.block_on(async move { client.put("/t", "1", &json!({}), Precondition::None).await });
    assert_eq!(
        error.unwrap_err().to_string(),
        "InvalidPayload (400): two things are wrong\n  - InvalidProperty properties.a: is too long\n  - properties.b: is \
         missing\n  - and so is c\n  request r-1"
    );
}

#[test]
fn refusals_come_with_a_mend() {
    let forbidden = |action: &str, scope: &str| {
        format!(
            "The client 'me' with object id 'o-1' does not have authorization to perform action '{action}' over scope \
             '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
        )
    };
    for (status, code, message, mends) in [
        (
            401,
            "InvalidAuthenticationTokenAudience",
            "wrong audience".to_owned(),
            vec!["a test's credential", "management.azure.com"],
        ),
        (
            403,
            "AuthorizationFailed",
            forbidden("Microsoft.Monitor/accounts/write", "/subscriptions/s/resourceGroups/g"),
            vec![
                "a test's credential",
                "--principal o-1",
                "--role Contributor",
                "--scope /subscriptions/s/resourceGroups/g",
            ],
        ),
        (
            403,
            "AuthorizationFailed",
            forbidden("Microsoft.Monitor/accounts/read", "/subscriptions/s"),
            vec!["--role Reader"],
        ),
        (
            403,
            "AuthorizationFailed",
            forbidden("Microsoft.Authorization/roleAssignments/write", "/subscriptions/s"),
            vec!["--role 'User Access Administrator'"],
        ),
        (404, "SubscriptionNotFound", "no".to_owned(), vec!["--subscription"]),
        (429, "TooManyRequests", "slow down".to_owned(), vec!["later"]),
    ] {
        let answer = refusal(status, code, &message);
        let mut scene = Scene::new(move |_, _, _| answer.clone());
        let client = scene.client();
        let error = scene.simulation.block_on(async move { client.get("/thing", "1").await }).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(&format!("{code} ({status}): {message}")), "{told}");
        for mend in mends {
            assert!(told.contains(mend), "{told} does not say {mend}");
        }
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn an_answer_of_something_else_is_not_taken_for_one_of_the_service() {
    let mut scene = Scene::new(|_, _, _| response(404, "404 page not found"));
    let client = scene.client();
    let told = scene.simulation.block_on(async move { client.get("/thing", "1").await }).unwrap_err().to_string();
    assert!(told.contains("GET /thing was answered 404: 404 page not found") && told.contains("--service"), "{told}");
}

#[test]
fn graph_has_tokens_of_its_own() {
    let mut scene = Scene::new(|_, target, _| match target {
        "/metadata/endpoints?api-version=2022-09-01" => {
            ok(&json!({"microsoftGraphResourceId": "https://graph.test/", "graph": "https://published.test/"}))
        }
        "/v1.0/servicePrincipals" => ok(&json!({"value": [{"id": "a"}], "@odata.nextLink": "https://x/v1.0/sp?page"})),
        "/v1.0/sp?page" => ok(&json!({"value": [{"id": "b"}]})),
        other => panic!("{other}"),
    });
    let client = scene.client();
    let (listed, published) = scene.simulation.block_on(async move {
        (client.graph_list("/servicePrincipals").await.unwrap(), client.published_url().await.unwrap())
    });
    assert_eq!((listed.len(), &*published), (2, "https://published.test"));
    let requests = scene.http.requests();
    assert_eq!(requests.len(), 3, "metadata are read once");
    assert!(!requests[0].headers().contains_key("authorization"), "metadata are for everybody");
    assert_eq!(requests[1].headers()["authorization"], "Bearer token-for-https://graph.test/");
}

#[test]
fn the_only_subscription_is_meant() {
    let one = |id: &str, name: &str| json!({"subscriptionId": id, "displayName": name});
    let id = "11111111-1111-1111-1111-111111111111";
    for (subscriptions, wanted, found) in [
        (json!([one("s1", "main")]), None, Ok("s1")),
        (json!([one("s1", "main"), one("s2", "other")]), None, Err("--subscription")),
        (json!([one("s1", "main"), one("s2", "other")]), Some("OTHER"), Ok("s2")),
        (json!([one("s1", "main")]), Some("none"), Err("main")),
        (json!([one("s1", "twin"), one("s2", "twin")]), Some("twin"), Err("s2")),
        (json!([]), None, Err("role")),
        (json!([]), Some(id), Ok(id)),
    ] {
        let mut scene = Scene::new(move |_, target, _| {
            assert_eq!(target, "/subscriptions?api-version=2022-12-01");
            ok(&json!({"value": subscriptions}))
        });
        let client = scene.client_with(|parts| parts.subscription = wanted.map(str::to_owned));
        let chosen = scene.simulation.block_on(async move { client.subscription().await.map(str::to_owned) });
        match (chosen, found) {
            (Ok(chosen), Ok(found)) => assert_eq!(chosen, found),
            (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error} does not tell {told}"),
            (chosen, found) => panic!("{chosen:?} instead of {found:?}"),
        }
    }
}

#[test]
fn resources_are_found_by_what_people_call_them() {
    let account = |group: &str, name: &str, account: &str| {
        json!({
            "id": format!("/subscriptions/s/resourcegroups/{group}/providers/microsoft.monitor/accounts/{name}"),
            "name": name,
            "properties": {"accountId": account},
        })
    };
    let all = [
        account("remora", "fleet", "a-1"),
        account("other", "far", "a-2"),
        account("other", "twin", "a-3"),
        account("third", "twin", "a-4"),
    ];
    for (named, group, found) in [
        ("fleet", None, Ok("a-1")),
        ("FLEET", None, Ok("a-1")),
        ("far", None, Ok("a-2")),
        ("A-2", None, Ok("a-2")),
        ("twin", None, Err("/resourcegroups/third/")),
        ("twin", Some("third"), Ok("a-4")),
        ("fleat", None, Err("is fleet meant?")),
        ("zzz", None, Err("remora workspace list")),
        ("/subscriptions/s/resourceGroups/other/providers/Microsoft.Monitor/accounts/far", None, Ok("a-2")),
        (
            "/subscriptions/s/resourceGroups/other/providers/Microsoft.Insights/dataCollectionRules/far",
            None,
            Err("no id of a workspace"),
        ),
    ] {
        let all = all.to_vec();
        let mut scene = Scene::new(move |_, target, _| {
            let path = target.split('?').next().unwrap().to_ascii_lowercase();
            let within =
                |one: &&Value| one["id"].as_str().unwrap().starts_with(path.split("/providers").next().unwrap());
            if path.ends_with("/accounts") {
                return ok(&json!({"value": all.iter().filter(within).collect::<Vec<_>>()}));
            }
            match all.iter().find(|one| one["id"] == path.as_str()) {
                Some(one) => ok(one),
                None => refusal(404, "ResourceNotFound", "not there"),
            }
        });
        let client = scene.client_with(|parts| parts.resource_group = group.map(str::to_owned));
        let found_one = scene.simulation.block_on(async move {
            client.subscription.set("s".to_owned()).unwrap();
            client.resolve(&WORKSPACE, named).await
        });
        match (found_one, found) {
            (Ok(one), Ok(account)) => assert_eq!(text(&one, "/properties/accountId"), account),
            (Err(error), Err(told)) => assert!(error.to_string().contains(told), "{error} does not tell {told}"),
            (one, found) => panic!("{named}: {one:?} instead of {found:?}"),
        }
    }
}

#[test]
fn what_may_not_be_read_is_no_slip_of_the_pen() {
    let mut scene = Scene::new(|_, target, _| match target.contains("/accounts?") {
        true => ok(&json!({"value": []})),
        false => refusal(403, "AuthorizationFailed", "not for you"),
    });
    let client =
        scene.client_with(|parts| parts.subscription = Some("11111111-1111-1111-1111-111111111111".to_owned()));
    let error = scene.simulation.block_on(async move { client.resolve(&WORKSPACE, "fleet").await }).unwrap_err();
    assert!(error.to_string().contains("it needs the role"), "{error}");
}

#[test]
fn only_the_default_group_is_made() {
    let check = |group: Option<&str>, requests: &[&str], made: bool| {
        let mut scene = Scene::new(|method, _, body| match method {
            "GET" => refusal(404, "ResourceGroupNotFound", "no such group"),
            _ => json_response(201, body.to_string()),
        });
        let client = scene.client_with(|parts| parts.resource_group = group.map(str::to_owned));
        let place = scene.simulation.block_on(async move {
            client.subscription.set("s".to_owned()).unwrap();
            client.id_to_create(&RULE, "r").await
        });
        assert_eq!(place.is_ok(), made);
        assert_eq!(scene.requests(), requests);
        place
    };
    let get = "GET /subscriptions/s/resourcegroups/remora?api-version=2024-11-01";
    let put = "PUT /subscriptions/s/resourcegroups/remora?api-version=2024-11-01";
    let place = check(None, &[get, put], true).unwrap();
    assert_eq!(place.path, "/subscriptions/s/resourceGroups/remora/providers/Microsoft.Insights/dataCollectionRules/r");
    assert_eq!(place.region, "local");
    let error = check(Some("typo"), &["GET /subscriptions/s/resourcegroups/typo?api-version=2024-11-01"], false);
    assert!(error.unwrap_err().to_string().contains("ResourceGroupNotFound"));
}
