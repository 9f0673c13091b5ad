//! A client for tests, over an HTTP client in memory.

use std::sync::Arc;
use std::time::Duration;

use environment::{BoxFuture, Clock as _, Request, Response, UnixTime};
use identity::{AccessToken, Credential, Scope, TokenError};
use serde_json::Value;
use testkit::{ManualClock, ScriptedHttp, SeededRng, Simulation};

use super::{Client, Parts};

/// Gives a token that names its audience.
struct Fixed(ManualClock);

impl Credential for Fixed {
    fn fetch<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        let secret = format!("token-for-{}", scope.resource());
        let token = AccessToken::new(&secret, self.0.now(), Duration::from_secs(3600), None).unwrap();
        Box::pin(async move { Ok(token) })
    }

    fn describe(&self) -> String {
        "a test's credential".to_owned()
    }

    fn kind(&self) -> &'static str {
        "test"
    }
}

/// A service in memory, and time.
pub(crate) struct Scene {
    pub(crate) http: ScriptedHttp,
    pub(crate) simulation: Simulation,
}

impl Scene {
    /// A service that answers with what `handler` makes of method, path with query, and body.
    pub(crate) fn new(mut handler: impl FnMut(&str, &str, Value) -> Response + Send + 'static) -> Self {
        let http = ScriptedHttp::new(move |request: &Request| {
            let target = request.uri().path_and_query().map_or("", |target| target.as_str());
            let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
            Ok(handler(request.method().as_str(), target, body))
        });
        Self { http, simulation: Simulation::new(UnixTime::from_secs(1_700_000_000)) }
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        self.client_with(|_| {})
    }

    /// A client of it that is told more.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut Parts)) -> Client {
        let clock = self.simulation.clock();
        let mut parts = Parts {
            http: Arc::new(self.http.clone()),
            clock: Arc::new(clock.clone()),
            rng: Arc::new(SeededRng::new(1)),
            base: "https://remora.test".parse().unwrap(),
            credential: Arc::new(Fixed(clock)),
            credential_source: "a test".to_owned(),
            audience: Scope::parse("https://management.azure.com").unwrap(),
            subscription: None,
            resource_group: None,
            facts: None,
        };
        change(&mut parts);
        Client::new(parts).unwrap()
    }

    /// Methods and targets of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let line = |request: &Request| format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
        self.http.requests().iter().map(line).collect()
    }
}
