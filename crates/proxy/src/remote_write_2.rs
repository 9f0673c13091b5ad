//! Whether requests of version 2.0 are let in.
//!
//! A sender of version 2.0 that is answered 415 drops what it sent, and one whose request is kept is never told that the
//! target would not have it. So the target's ability is found out before: with an empty request of version 2.0. Only an
//! answer 2xx with written-headers proves it, as receivers that know 1.0 alone may overlook the content type and answer
//! 2xx to anything. While it is not known, senders are asked to come again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use delivery::{Answer, SendError, Shipment};
use environment::Monotonic;
use parking_lot::Mutex;
use remote_write::{Encoder, Version, framing};
use tokio::sync::watch;

use crate::Shared;
use crate::queue::Queue;

/// What a proxy with a queue does with requests of version 2.0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RemoteWrite2 {
    /// Takes them if the target does, which an empty request finds out.
    #[default]
    Probe,
    /// Takes them.
    Accept,
    /// Takes them and delivers them as version 1.0.
    Transcode,
    /// Refuses them (415), so that the sender is to be configured for version 1.0.
    Refuse,
}

impl RemoteWrite2 {
    /// The word of settings and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Accept => "accept",
            Self::Transcode => "transcode",
            Self::Refuse => "refuse",
        }
    }
}

/// Whether a request of version 2.0 is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Taken,
    /// By the setting.
    Refused,
    /// The target does not take it.
    TargetRefuses,
    /// Not known yet.
    Unknown,
}

/// The setting and what is known of the target.
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Counts what was learned, so that requests can wait for it.
    learned: watch::Sender<u64>,
}

struct State {
    setting: RemoteWrite2,
    target_takes: Option<bool>,
    probed_at: Option<Monotonic>,
    probing: bool,
    /// Counts targets, so that an answer of the one before is not taken for this one's.
    target: u64,
}

/// What to do about a request, by what is known.
#[derive(PartialEq, Eq, Debug)]
enum Step {
    Decided(Admission),
    /// Decided, but it is time to ask again.
    AskAgain(Admission, u64),
    /// Ask, then wait for the answer.
    Ask(u64),
    /// Somebody asks already.
    Wait,
}

impl Gate {
    pub(crate) fn new(setting: RemoteWrite2) -> Self {
        let state = State { setting, target_takes: None, probed_at: None, probing: false, target: 0 };
        Self { state: Mutex::new(state), learned: watch::Sender::new(0) }
    }

    pub(crate) fn set(&self, setting: RemoteWrite2) {
        self.state.lock().setting = setting;
    }

    /// There is another target.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        *state = State { target_takes: None, probed_at: None, probing: false, target: state.target + 1, ..*state };
    }

    /// The setting, and whether the target takes version 2.0 as far as that was found out.
    pub(crate) fn knowledge(&self) -> (RemoteWrite2, Option<bool>) {
        let state = self.state.lock();
        (state.setting, state.target_takes)
    }

    fn step(&self, now: Monotonic) -> Step {
        let mut state = self.state.lock();
        match state.setting {
            RemoteWrite2::Accept | RemoteWrite2::Transcode => return Step::Decided(Admission::Taken),
            RemoteWrite2::Refuse => return Step::Decided(Admission::Refused),
            RemoteWrite2::Probe => {}
        }
        let again_after = if state.target_takes.is_some() { ASK_AGAIN_KNOWN } else { ASK_AGAIN_UNKNOWN };
        let due = state.probed_at.is_none_or(|at| now.since(at) >= again_after);
        let starts = due && !state.probing && state.target_takes != Some(true);
        if starts {
            state.probing = true;
            state.probed_at = Some(now);
        }
        match state.target_takes {
            Some(true) => Step::Decided(Admission::Taken),
            Some(false) if starts => Step::AskAgain(Admission::TargetRefuses, state.target),
            Some(false) => Step::Decided(Admission::TargetRefuses),
            None if starts => Step::Ask(state.target),
            None if state.probing => Step::Wait,
            None => Step::Decided(Admission::Unknown),
        }
    }

    fn learn(&self, target: u64, takes: Option<bool>) {
        let mut state = self.state.lock();
        if state.target == target {
            state.probing = false;
            // An unclear answer does not unsay a clear one.
            state.target_takes = takes.or(state.target_takes);
            drop(state);
            self.learned.send_modify(|count| *count += 1);
        }
    }
}

/// Decides on a request of version 2.0; asks the target if need be, and waits a little for its answer.
pub(crate) async fn admit(shared: &Arc<Shared>, queue: &Queue) -> Admission {
    let mut learned = queue.gate.learned.subscribe();
    let now = shared.clock.monotonic();
    match queue.gate.step(now) {
        Step::Decided(admission) => return admission,
        Step::AskAgain(admission, target) => {
            tokio::spawn(probe(Arc::clone(shared), target));
            return admission;
        }
        Step::Ask(target) => drop(tokio::spawn(probe(Arc::clone(shared), target))),
        Step::Wait => {}
    }
    let _ = tokio::time::timeout(ANSWER_WAIT_MAX, learned.changed()).await;
    match queue.gate.knowledge().1 {
        Some(true) => Admission::Taken,
        Some(false) => Admission::TargetRefuses,
        None => Admission::Unknown,
    }
}

async fn probe(shared: Arc<Shared>, number: u64) {
    let Some(queue) = &shared.queue else { return };
    let (target, tokens) = (queue.target(), Arc::clone(&shared.ingestion.load().tokens));
    let takes = match tokens.token().await {
        Ok(token) => {
            let message = Encoder::new(Version::V2).finish();
            let body = Bytes::from(framing::encode(&message));
            let answer = target.ask(&Shipment { version: Version::V2, body, token: token.clone() }).await;
            if answer.as_ref().is_ok_and(|answer| answer.status == 401) {
                tokens.reject(&token);
            }
            let takes = takes_version_2(&answer);
            match &answer {
                Ok(answer) => tracing::info!(statusCode = answer.status, takes, "Asked for remote write 2.0"),
                Err(error) => tracing::warn!("Asked for remote write 2.0: {error}"),
            }
            takes
        }
        Err(error) => {
            tracing::warn!("Asking for remote write 2.0 takes a token: {error}");
            None
        }
    };
    queue.gate.learn(number, takes);
}

/// What an answer to an empty request of version 2.0 says; `None` when it is about something else.
fn takes_version_2(answer: &Result<Answer, SendError>) -> Option<bool> {
    let answer = answer.as_ref().ok()?;
    match answer.status {
        200..=299 => Some(answer.written.is_some()),
        // A receiver that knows the message may well dislike an empty one, and tells that nothing was written.
        400 | 422 => Some(answer.written.is_some()),
        406 | 415 | 501 => Some(false),
        _ => None,
    }
}

/// How long a request waits for the target's answer before its sender is asked to come again.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// How soon the target is asked again after an unclear answer or none.
const ASK_AGAIN_UNKNOWN: Duration = Duration::from_secs(60);
/// How soon a target that does not take version 2.0 is asked again: services learn.
const ASK_AGAIN_KNOWN: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
