//! An HTTP client that never leaves memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use environment::{BoxFuture, Clock, HttpClient, HttpError, HttpErrorKind, Request, Response};

/// Answers requests by calling a closure, and remembers them. Clones share both.
#[derive(Clone)]
pub struct ScriptedHttp {
    handler: Arc<Mutex<Handler>>,
    requests: Arc<Mutex<Vec<Request>>>,
    latency: Option<(Arc<dyn Clock>, Duration)>,
}

type Handler = Box<dyn FnMut(&Request) -> Result<Response, HttpError> + Send>;

impl ScriptedHttp {
    /// A client that answers at once with what `handler` returns.
    pub fn new(handler: impl FnMut(&Request) -> Result<Response, HttpError> + Send + 'static) -> Self {
        Self { handler: Arc::new(Mutex::new(Box::new(handler))), requests: Arc::default(), latency: None }
    }

    /// Answers `latency` later on `clock`; as a timeout when the caller allows less.
    #[must_use]
    pub fn with_latency(mut self, clock: impl Clock, latency: Duration) -> Self {
        self.latency = Some((Arc::new(clock), latency));
        self
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests since the last call, oldest first.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests are remembered.
    pub fn request_count(&self) -> usize {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl HttpClient for ScriptedHttp {
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            if let Some((clock, latency)) = &self.latency {
                clock.sleep((*latency).min(timeout)).await;
                if *latency > timeout {
                    let host = request.uri().host().unwrap_or_default();
                    return Err(HttpError::new(HttpErrorKind::Timeout, format!("no answer from {host} in time")));
                }
            }
            (self.handler.lock().unwrap_or_else(PoisonError::into_inner))(&request)
        })
    }
}

/// A response of `status` with `body`.
///
/// # Panics
/// When `status` is not an HTTP status.
pub fn response(status: u16, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status between 100 and 999");
    response
}

/// A response of `status` with a JSON `body`.
///
/// # Panics
/// When `status` is not an HTTP status.
pub fn json_response(status: u16, body: impl Into<Bytes>) -> Response {
    let mut response = response(status, body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use environment::UnixTime;

    use super::*;
    use crate::Simulation;

    fn get(uri: &'static str) -> Request {
        http::Request::get(uri).body(Bytes::new()).unwrap()
    }

    #[test]
    fn the_handler_answers_and_requests_are_remembered() {
        let client = ScriptedHttp::new(|request| Ok(json_response(200, request.uri().path().to_owned())));
        let mut simulation = Simulation::new(UnixTime::EPOCH);
        let asked = client.clone();
        let answer =
            simulation.block_on(async move { asked.send(get("http://a/b"), Duration::from_secs(1)).await }).unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"/b"[..]));
        assert_eq!(client.request_count(), 1);
        assert_eq!(client.take_requests()[0].uri().host(), Some("a"));
        assert!(client.requests().is_empty());
    }

    #[test]
    fn an_answer_later_than_allowed_is_a_timeout() {
        let mut simulation = Simulation::new(UnixTime::EPOCH);
        let client =
            ScriptedHttp::new(|_| Ok(response(200, ""))).with_latency(simulation.clock(), Duration::from_secs(5));
        let error = simulation
            .block_on(async move { client.send(get("http://a/"), Duration::from_secs(2)).await })
            .unwrap_err();
        assert_eq!(error.kind, HttpErrorKind::Timeout);
        assert_eq!(simulation.clock().now(), UnixTime::from_secs(2));
    }
}
