use bytes::Bytes;
use http::Request;

use crate::testing::{Bench, TENANT};

#[tokio::test]
async fn every_version_names_what_clients_need() {
    let bench = Bench::new().await;
    let ask = async |version: &str, uri: &str, host: Option<&str>| {
        let mut request = Request::get(format!("{uri}/metadata/endpoints?api-version={version}"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let said = bench.send(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(said.status, 200, "{version}");
        said.body
    };
    let first = ask("2015-01-01", "", Some("LocalHost:7090")).await;
    assert_eq!(first["galleryEndpoint"], "https://localhost:7090/");
    assert_eq!(first["graphEndpoint"], "https://remora.example/");
    assert_eq!(first["authentication"]["loginEndpoint"], "https://login.example/");
    assert_eq!(first["authentication"]["audiences"][0], "https://management.azure.com");

    let list = ask("2019-05-01", "", Some("[::1]:7090")).await;
    assert_eq!(list[0]["resourceManager"], "https://[::1]:7090/");
    assert!(list[0]["suffixes"].is_object() && list[0]["name"].is_string(), "az crashes without them");

    let one = ask("2022-09-01", "", Some("localhost")).await;
    assert_eq!(one["resourceManager"], "https://localhost/");
    assert_eq!(one["microsoftGraphResourceId"], "https://remora.example/");
    assert_eq!(one["authentication"]["tenant"], TENANT);
    // HTTP/2 has the host in the URI.
    assert_eq!(ask("2022-09-01", "https://a.example:8443", None).await["resourceManager"], "https://a.example:8443/");
    for host in [None, Some("user@evil.example"), Some("a b"), Some("x/y")] {
        assert_eq!(ask("2022-09-01", "", host).await["resourceManager"], "https://remora.example/", "{host:?}");
    }
}
