//! Prometheus' remote read: samples in one message, or a stream of chunks, as the client asks.
//!
//! The request is one snappy block of protobuf. Of the response types that the client accepts the first that we have is
//! answered; without any, samples. A stream that fails after its beginning is broken off, so that nobody takes a part for
//! the whole. Mistakes are told in plain text, as clients of this protocol expect.

mod chunks;
mod request;
mod samples;

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http_serving::{Body, BodySender, Request, Response, read_body, text};
use model::Kinded as _;
use storage::{LeftOut, Queryable};
use tokio::sync::oneshot;

pub(crate) use self::request::{ReadRequest, ResponseType};
use crate::call::Call;
use crate::error::ApiError;
use crate::params::Params;
use crate::scope::Scope;
use crate::slots::Job;
use crate::statistics::Observed;
use crate::{FORM_TIMEOUT, QueryApi};

impl QueryApi {
    /// `/read`.
    pub(crate) async fn remote_read(&self, request: Request, scope: &Scope) -> Result<Response, ApiError> {
        match self.read(request, scope).await {
            // What this protocol's clients show to people is the body as it is.
            Err(error @ (ApiError::RemoteRead(_) | ApiError::SampleLimit { .. } | ApiError::AnswerTooLarge { .. })) => {
                if let Some(bound) = error.bound() {
                    self.metrics.refused(bound);
                }
                let status = match error {
                    ApiError::AnswerTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::BAD_REQUEST,
                };
                Ok(text(status, format!("{error}\n")))
            }
            other => other,
        }
    }

    async fn read(&self, request: Request, scope: &Scope) -> Result<Response, ApiError> {
        let (head, mut body) = request.into_parts();
        let body = read_body(&mut body, BODY_BYTES_MAX, FORM_TIMEOUT).await?;
        let mut message = Vec::new();
        let decoded = remote_write::framing::decode(&body, MESSAGE_BYTES_MAX, &mut message);
        decoded.map_err(|error| ApiError::RemoteRead(error.to_string()))?;
        let read = ReadRequest::parse(&message).map_err(|error| ApiError::RemoteRead(error.to_string()))?;
        let kind = read.response_type()?;
        let Call { view, .. } = scope.call(&self.parts, &Params::parse(head.uri.query(), b"")?).await?;
        match kind {
            ResponseType::Samples => self.read_samples(read, view).await,
            ResponseType::StreamedChunks => self.read_chunks(read, view).await,
        }
    }

    async fn read_samples(&self, read: ReadRequest, view: Arc<dyn Queryable>) -> Result<Response, ApiError> {
        let (samples_max, bytes_max) = (self.settings.read_samples_max, self.settings.answer_bytes_max);
        let work = move |job: &Job| {
            let view = Observed::new(view, false);
            let message = samples::response(&read, &view, samples_max, bytes_max, job)?;
            note_left_out(&view.left_out);
            Ok(remote_write::framing::encode(&message))
        };
        let body = self.slots.run(self.settings.timeout, work).await?;
        self.metrics.answered("read", body.len());
        let mut response = Response::new(Body::full(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        Ok(response)
    }

    async fn read_chunks(&self, read: ReadRequest, view: Arc<dyn Queryable>) -> Result<Response, ApiError> {
        let (sender, body) = Body::channel(FRAMES_AHEAD);
        let (begun, begins) = oneshot::channel();
        let metrics = self.metrics.clone();
        let work = move |job: &Job| {
            let view = Observed::new(view, false);
            let mut stream = Stream { sender, begun: Some(begun), bytes: 0 };
            let outcome = chunks::stream(&read, &view, job, &mut |frame| stream.send(frame));
            metrics.answered("read", stream.bytes);
            note_left_out(&view.left_out);
            stream.end(outcome, job);
        };
        self.slots.spawn(self.settings.timeout, work).await?;
        begins.await.map_err(|_| ApiError::Internal("the read panicked; its log line says where"))??;
        let mut response = Response::new(body);
        let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(response)
    }
}

/// The protocol has no place for warnings.
fn note_left_out(left_out: &LeftOut) {
    let chunks = left_out.damaged_chunks();
    if chunks > 0 {
        tracing::warn!(chunks, "a remote read was answered without damaged chunks");
    }
}

/// Frames on their way to the client, from a thread that waits for it.
struct Stream {
    sender: BodySender,
    /// Told once, when the first frame is there or there will be none.
    begun: Option<oneshot::Sender<Result<(), ApiError>>>,
    bytes: usize,
}

impl Stream {
    fn send(&mut self, frame: Vec<u8>) -> Result<(), ApiError> {
        self.begin(Ok(()));
        self.bytes += frame.len();
        let gone = |_| ApiError::Eval(promql::EvalError::Canceled);
        self.sender.blocking_send(frame).map_err(gone)
    }

    /// Ends the body, as broken when not everything is in it.
    fn end(mut self, outcome: Result<(), ApiError>, job: &Job) {
        match outcome {
            Ok(()) => self.begin(Ok(())),
            Err(error) if self.begun.is_some() => self.begin(Err(error)),
            Err(error) => {
                if error.kind() != model::ErrorKind::Canceled {
                    tracing::warn!(%error, "a remote read is broken off");
                }
                let _told = job.wait(self.sender.abort(error.to_string()));
            }
        }
    }

    fn begin(&mut self, outcome: Result<(), ApiError>) {
        if let Some(begun) = self.begun.take() {
            // Nobody there means that the client went away, which the next frame tells, too.
            let _ = begun.send(outcome);
        }
    }
}

/// Bytes of a compressed request: matchers, however many, are not long.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a request's message.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Frames that wait for the client.
const FRAMES_AHEAD: usize = 2;

#[cfg(test)]
mod tests;
