//! A blocking HTTP client for tests, over the same client that the programs use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use environment::HttpClient;
use serde_json::Value;
use tokio::runtime::Runtime;

/// Sends requests and waits for answers.
pub(crate) struct Client {
    runtime: Runtime,
    http: host::HostHttp,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The error code of Azure's envelope.
    #[track_caller]
    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error code in {}", self.text())).to_owned()
    }
}

impl Client {
    /// Trusts the certificates in `ca_file` besides the usual ones.
    pub(crate) fn new(ca_file: Option<&Path>) -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let roots = host::tls::roots(ca_file).unwrap();
        let http = runtime.block_on(async { host::HostHttp::new(roots, None) });
        Arc::new(Self { runtime, http })
    }

    /// Sends a request; `None` when no answer came.
    pub(crate) fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.runtime.block_on(self.http.send(request, Duration::from_secs(30))).ok()?;
        let (head, body) = response.into_parts();
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends a request whose answer must come.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.try_send(method, url, headers, body).unwrap_or_else(|| panic!("no answer to {method} {url}"))
    }

    /// A GET whose answer must come.
    #[track_caller]
    pub(crate) fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[], Bytes::new())
    }

    /// `data` of a successful instant query at `base` (which ends before `/api`), with a token if one is given.
    pub(crate) fn query(&self, base: &str, token: Option<&str>, query: &str, time: Option<f64>) -> Option<Value> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("query", query);
        if let Some(time) = time {
            form.append_pair("time", &time.to_string());
        }
        self.api(base, token, "query", &form.finish())
    }

    /// `data` of a successful call to `{base}/api/v1/{endpoint}` with a form; `None` for no answer or another status.
    pub(crate) fn api(&self, base: &str, token: Option<&str>, endpoint: &str, form: &str) -> Option<Value> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let answer = self.try_send("POST", &format!("{base}/api/v1/{endpoint}"), &headers, form.to_owned())?;
        (answer.status == 200).then(|| answer.json()["data"].clone())
    }
}
