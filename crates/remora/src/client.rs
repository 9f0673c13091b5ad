//! The service's management API as the command line uses it: Azure Resource Manager and a part of Microsoft Graph.
//!
//! The order of events of a call: token of the credential (a cache keeps it) → request → an answer, or [`ClientError`] with
//! everything the service said and what would mend it. Lists follow `nextLink`, deletions that go on in the background are
//! waited for, changes are made of what was read and carry its etag.
//!
//! Invariants: a token is sent to the one service and to nobody else, wherever a link points, and in the clear to loopback
//! alone; every wait, repetition and list has a bound.

mod answer;
mod arm;
mod connect;
mod credential;
mod error;
mod graph;
mod lookup;
mod mend;
mod names;
#[cfg(test)]
pub(crate) mod test_support;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use environment::{Clock, HttpClient, Request, Response, Rng};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use identity::{Credential, Scope, TokenCache};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

pub(crate) use answer::{number, rfc3339, text, text_or};
pub(crate) use arm::{Precondition, filtered_path};
pub(crate) use connect::connect;
pub(crate) use error::{ClientError, Refusal};
pub(crate) use graph::Principal;
pub(crate) use names::{
    ENDPOINT, IDENTITY, Kind, RULE, WORKSPACE, encode as encode_segment, encode_id, segment_after, versions,
};

use crate::up_facts::Facts;

/// What a client is made of.
pub(crate) struct Parts {
    /// The network on the way to the service.
    pub(crate) http: Arc<dyn HttpClient>,
    /// Waits between repetitions, and the times of tokens.
    pub(crate) clock: Arc<dyn Clock>,
    /// Names of role assignments.
    pub(crate) rng: Arc<dyn Rng>,
    /// Base URL of the service.
    pub(crate) base: Url,
    /// Who we are.
    pub(crate) credential: Arc<dyn Credential>,
    /// Where the credential is from, for people: `the environment`, `the administrator of …`.
    pub(crate) credential_source: String,
    /// What tokens for Azure Resource Manager are for.
    pub(crate) audience: Scope,
    /// The subscription that was asked for, by id or name.
    pub(crate) subscription: Option<String>,
    /// The resource group that was asked for.
    pub(crate) resource_group: Option<String>,
    /// The `remora up` that the service is part of, if it is.
    pub(crate) facts: Option<Facts>,
}

impl Parts {
    /// Whose credential it is, for messages.
    fn who(&self) -> String {
        let other = if self.facts.is_some() { " (--admin is its administrator)" } else { "" };
        format!("the credential is {}, from {}{other}", self.credential.describe(), self.credential_source)
    }
}

/// The service, for one command.
pub(crate) struct Client {
    parts: Parts,
    tokens: Mutex<HashMap<String, Arc<TokenCache>>>,
    /// Looked up once.
    subscription: tokio::sync::OnceCell<String>,
    metadata: tokio::sync::OnceCell<Value>,
}

/// Which of the service's two interfaces a call is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Api {
    /// Azure Resource Manager.
    Arm,
    /// Microsoft Graph.
    Graph,
}

/// One request.
pub(crate) struct Call<'a> {
    api: Api,
    method: Method,
    /// Path and query, percent-encoded.
    target: &'a str,
    precondition: Precondition,
    body: Option<&'a Value>,
    timeout: Duration,
}

impl<'a> Call<'a> {
    /// A request without body or precondition.
    pub(crate) fn new(api: Api, method: Method, target: &'a str) -> Self {
        Self { api, method, target, precondition: Precondition::None, body: None, timeout: TIMEOUT }
    }

    /// With a JSON body.
    pub(crate) fn with_body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// With a condition on the resource's state.
    pub(crate) fn when(self, precondition: Precondition) -> Self {
        Self { precondition, ..self }
    }

    /// That may take `timeout`.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null when there was none.
    pub(crate) body: Value,
}

impl Client {
    /// A client of `parts`; nothing is sent yet.
    ///
    /// # Errors
    /// When the URL would carry tokens in the clear to another machine, or is no base URL.
    pub(crate) fn new(mut parts: Parts) -> Result<Self, ClientError> {
        check_base(&parts.base)?;
        let path = parts.base.path().trim_end_matches('/').to_owned();
        parts.base.set_path(&path);
        Ok(Self {
            parts,
            tokens: Mutex::default(),
            subscription: tokio::sync::OnceCell::new(),
            metadata: tokio::sync::OnceCell::new(),
        })
    }

    /// Base URL of the service, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        self.parts.base.as_str().trim_end_matches('/')
    }

    /// The `remora up` that the service is part of, if it is.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.parts.facts.as_ref()
    }

    /// The resource group that was asked for.
    pub(crate) fn requested_group(&self) -> Option<&str> {
        self.parts.resource_group.as_deref()
    }

    /// Whose credential it is, for messages.
    pub(crate) fn who(&self) -> String {
        self.parts.who()
    }

    /// The clock that waits are on.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// A random GUID.
    pub(crate) fn draw_guid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.parts.rng.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Sends a request; one that the service puts off (429, 503) is repeated when it says, a few times.
    ///
    /// # Errors
    /// When no token or answer comes, or the answer is a refusal.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let mut repetitions = 0;
        loop {
            let response = self.send(&call).await?;
            let pause = put_off(&response).filter(|pause| *pause <= PUT_OFF_MAX && repetitions < REPETITIONS_MAX);
            let Some(pause) = pause else { return self.judge(&call, response) };
            repetitions += 1;
            self.parts.clock.sleep(pause).await;
        }
    }

    async fn send(&self, call: &Call<'_>) -> Result<Response, ClientError> {
        let token =
            self.tokens(call.api).await?.token().await.map_err(|error| ClientError::Token {
                error,
                credential_source: self.parts.credential_source.clone(),
            })?;
        self.exchange(call, Some(token.authorization().clone())).await
    }

    async fn exchange(&self, call: &Call<'_>, authorization: Option<HeaderValue>) -> Result<Response, ClientError> {
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base(), call.target))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match &call.precondition {
            Precondition::None => {}
            Precondition::Match(etag) => request = request.header(IF_MATCH, etag),
            Precondition::Absent => request = request.header(IF_NONE_MATCH, "*"),
        }
        let body = match call.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(serde_json::to_vec(body).expect("JSON values can be written"))
            }
            None => Bytes::new(),
        };
        let request: Request = request.body(body).map_err(|error| {
            ClientError::Usage(format!("no request can be made of {:?}: {error}", shorten(call.target)))
        })?;
        let sent = self.parts.http.send(request, call.timeout).await;
        sent.map_err(|error| ClientError::unreachable(self.base(), &error))
    }

    fn judge(&self, call: &Call<'_>, response: Response) -> Result<Answer, ClientError> {
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let refusal = Refusal::read(call.method.as_str(), call.target, head.status, &head.headers, &body);
            return Err(ClientError::Refused(Box::new(refusal.with_mend(call.api, &self.parts))));
        }
        let body = match body.iter().all(u8::is_ascii_whitespace) {
            true => Value::Null,
            false => serde_json::from_slice(&body).map_err(|error| ClientError::Unintelligible {
                what: format!("{} {}{}", call.method, self.base(), shorten(call.target)),
                reason: error.to_string(),
            })?,
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn tokens(&self, api: Api) -> Result<Arc<TokenCache>, ClientError> {
        let audience = match api {
            Api::Arm => self.parts.audience.clone(),
            Api::Graph => self.graph_audience().await?,
        };
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = tokens.entry(audience.resource().to_owned()).or_insert_with(|| {
            let parts = &self.parts;
            let (clock, rng) = (Arc::clone(&parts.clock), Arc::clone(&parts.rng));
            Arc::new(TokenCache::new(Arc::clone(&parts.credential), audience, clock, rng))
        });
        Ok(Arc::clone(cache))
    }

    /// Path and query of an absolute or relative link that the service gave, below its own base.
    fn target_of_link(&self, link: &str) -> Option<String> {
        let url = self.parts.base.join(link).ok()?;
        let path = url.path().strip_prefix(self.parts.base.path().trim_end_matches('/')).unwrap_or(url.path());
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        path.starts_with('/').then(|| format!("{path}{query}"))
    }
}

/// How long the service asks to be left alone, if it puts the request off.
fn put_off(response: &Response) -> Option<Duration> {
    matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        .then(|| retry_after(response.headers()))
        .flatten()
}

/// `Retry-After` in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn check_base(base: &Url) -> Result<(), ClientError> {
    let wrong = |reason: &str| {
        Err(ClientError::Usage(format!(
            "{base} cannot be the base URL of a service: {reason} (--service, REMORA_SERVICE)"
        )))
    };
    let is_loopback = match base.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return wrong("it names no host"),
    };
    match base.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return wrong("tokens would go over the network in the clear; use https"),
        _ => return wrong("it is neither https nor http"),
    }
    if !base.username().is_empty() || base.password().is_some() || base.query().is_some() || base.fragment().is_some() {
        return wrong("it holds more than scheme, host, port and path");
    }
    Ok(())
}

/// The start of a long text, for messages.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A change waits for the disk, and a busy service takes its time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a request that the service puts off is repeated.
const REPETITIONS_MAX: u32 = 3;

/// A longer wait is for the user to decide on.
const PUT_OFF_MAX: Duration = Duration::from_secs(60);

const SHOWN_CHARACTERS_MAX: usize = 400;

#[cfg(test)]
mod tests;
