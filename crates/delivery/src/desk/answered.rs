//! What an answer leads to, beyond the entry itself: the gate, what is learned of the target, what is counted.

use std::time::Duration;

use identity::{AccessToken, TokenCache, TokenError};
use remote_write::Version;
use spool::{Counts, Rejection};

use super::{Arrival, Desk, Now, Ticket, shape};
use crate::case::Circumstances;
use crate::known_bad::KnownBad;
use crate::message::Cause;
use crate::{Answer, Reach, SendError, Verdict, backoff, judge};

impl Desk {
    /// A request is answered, or did not leave.
    pub(crate) fn arrived(&mut self, ticket: Ticket, arrival: Arrival, tokens: &TokenCache) {
        let now = self.now();
        self.in_flight -= 1;
        match arrival {
            Arrival::NoToken(error) => self.no_token(ticket, &error, now),
            Arrival::Answered { answer, token, took, body_bytes } => {
                self.state.lock().body_bytes += body_bytes as u64;
                self.answered(ticket, &answer, &token, took, tokens, now);
            }
        }
    }

    fn no_token(&mut self, ticket: Ticket, error: &TokenError, now: Now) {
        if let Some(case) = self.window.get_mut(ticket.id) {
            case.take_back();
        }
        let failures = self.gate.failures_with(ticket.epoch);
        let after = backoff::delay(TOKEN_WAIT, failures, self.rng.next_f64());
        if self.gate.failed(ticket.epoch, "no_token", None, after, now.monotonic, now.wall) {
            self.say_no_token(error, now);
        }
    }

    fn answered(
        &mut self,
        ticket: Ticket,
        answer: &Result<Answer, SendError>,
        token: &AccessToken,
        took: Duration,
        tokens: &TokenCache,
        now: Now,
    ) {
        let around = Circumstances {
            tried: self.learned.tried,
            deliveries_before: ticket.deliveries,
            target_failures: self.gate.failures_with(ticket.epoch),
            since_success: self.gate.since_success(now.monotonic),
            token_fresh: self.gate.is_token_fresh(ticket.epoch, now.monotonic),
            chance: self.rng.next_f64(),
        };
        let Some(case) = self.window.get_mut(ticket.id) else {
            self.gate.take_back(ticket.epoch);
            return;
        };
        let age = self.ages.of(case.received_at);
        let attempt = case.attempt(answer, around, &self.known_bad);
        let verdict = judge(answer, &attempt, age, &self.policy);
        if ticket.target == self.target {
            self.learn(answer, &verdict, attempt.bytes, attempt.version, now);
        }
        let given_up = gives_up_target(&verdict);
        let shape = shape(&self.learned, &self.policy, &self.known_bad, now.wall);
        let case = self.window.get_mut(ticket.id).expect("seen above");
        let flying = concerns_known_bad(&self.known_bad, &verdict).then(|| case.flying_hashes());
        let mut delivered = Counts::default();
        if given_up.is_none() {
            delivered = case.follow(&verdict, answer, shape);
        }
        if let Verdict::Retry { after, reach: Reach::Entry, .. } = verdict {
            case.not_before = Some(now.monotonic.plus(after));
        } else {
            case.not_before = None;
        }
        let done = case.is_done();
        if let Some(hashes) = flying {
            self.learn_bad(&verdict, answer, &hashes);
        }
        self.count(answer, &verdict, delivered, age, took, now);
        self.move_gate(ticket, answer, &verdict, token, tokens, now);
        match (given_up, verdict) {
            (Some(reason), _) => {
                let cause = Cause::of(reason, answer);
                self.give_up(ticket.id, &cause, now);
                self.gate.give_up(cause);
            }
            (None, Verdict::Expired) => self.expire(ticket.id, now),
            _ if done => self.settle(ticket.id, now),
            _ => {}
        }
    }

    /// What the answer tells of the target itself.
    fn learn(
        &mut self,
        answer: &Result<Answer, SendError>,
        verdict: &Verdict,
        bytes: usize,
        version: Version,
        now: Now,
    ) {
        match (verdict, answer) {
            (Verdict::Split, Ok(Answer { status: 413, .. })) => {
                let smaller = (bytes as u64).saturating_sub(1);
                let known = self.learned.body_bytes_max.map_or(smaller, |(known, _)| known.min(smaller));
                self.learned.body_bytes_max = Some((known, now.monotonic));
                self.say_body_limit(known, now);
            }
            (Verdict::Transcode, Ok(answer)) if version == Version::V2 && !self.learned.transcode => {
                self.learned.transcode = true;
                self.say_transcode(answer.status, now);
            }
            _ => {}
        }
    }

    fn learn_bad(&mut self, verdict: &Verdict, answer: &Result<Answer, SendError>, hashes: &[u32]) {
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        match (verdict, status) {
            (Verdict::Delivered { .. }, _) => self.known_bad.forget(hashes),
            // Several that were not told apart are not all bad.
            (Verdict::Quarantine { .. }, 500) if hashes.len() == 1 => self.known_bad.poison.add(hashes[0]),
            (Verdict::Quarantine { .. }, 400 | 409 | 422) if hashes.len() == 1 => self.known_bad.refused.add(hashes[0]),
            _ => {}
        }
    }

    fn move_gate(
        &mut self,
        ticket: Ticket,
        answer: &Result<Answer, SendError>,
        verdict: &Verdict,
        token: &AccessToken,
        tokens: &TokenCache,
        now: Now,
    ) {
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let epoch = ticket.epoch;
        let closed = match verdict {
            Verdict::Delivered { .. } => {
                self.opened(epoch, true, now);
                return;
            }
            Verdict::Quarantine { reason, .. } if gives_up_target(verdict).is_some() => {
                let after = self.delay(self.policy.probe, epoch);
                self.gate.failed(epoch, hold_word(*reason), status, after, now.monotonic, now.wall)
            }
            // 500: it is not known whose trouble it is.
            Verdict::Bisect | Verdict::Retry { reach: Reach::Entry, .. } if !matches!(status, Some(400..=499)) => {
                self.gate.take_back(epoch);
                return;
            }
            Verdict::Quarantine { .. } | Verdict::Bisect | Verdict::Split | Verdict::Transcode => {
                self.opened(epoch, false, now);
                return;
            }
            Verdict::Retry { reach: Reach::Entry, .. } => {
                self.gate.take_back(epoch);
                return;
            }
            Verdict::Retry { after, reason, .. } => {
                self.gate.failed(epoch, reason, status, *after, now.monotonic, now.wall)
            }
            Verdict::Hold { after, reason } => {
                self.gate.failed(epoch, hold_word(*reason), status, *after, now.monotonic, now.wall)
            }
            Verdict::RefreshToken => {
                tokens.reject(token);
                self.gate.refresh(epoch, now.monotonic, now.wall);
                return;
            }
            Verdict::Expired => {
                let after = self.delay(self.policy.backoff, epoch);
                self.gate.failed(epoch, word_of(answer), status, after, now.monotonic, now.wall)
            }
        };
        if closed {
            self.say_blocked(answer, now);
        }
    }

    fn opened(&mut self, epoch: u64, taken: bool, now: Now) {
        let blocked = self.gate.blocked();
        let opened = if taken { self.gate.taken(epoch, now.monotonic) } else { self.gate.answered(epoch) };
        if let Some(blocked) = blocked.filter(|_| opened) {
            self.say_open(&blocked, now);
        }
    }

    fn delay(&self, bounds: (Duration, Duration), epoch: u64) -> Duration {
        backoff::delay(bounds, self.gate.failures_with(epoch), self.rng.next_f64())
    }

    fn count(
        &mut self,
        answer: &Result<Answer, SendError>,
        verdict: &Verdict,
        delivered: Counts,
        age: Duration,
        took: Duration,
        now: Now,
    ) {
        let mut state = self.state.lock();
        *state.verdicts.entry(verdict.name()).or_default() += 1;
        if let Ok(answer) = answer {
            *state.answers.entry(answer.status).or_default() += 1;
            self.learned.tried.server_errors += u64::from(answer.status == 500);
        }
        let wrote = delivered != Counts::default();
        if wrote || matches!(verdict, Verdict::Delivered { .. }) {
            self.learned.tried.deliveries += 1;
            state.last_delivery = Some(now.wall);
        }
        if matches!(verdict, Verdict::Delivered { .. }) {
            state.delivered_requests += 1;
            state.delivered_time += took;
        }
        if age > self.policy.late_after {
            state.late += delivered;
        }
    }
}

/// Whether there is something to learn of series that the target does not take, or to forget.
fn concerns_known_bad(known_bad: &KnownBad, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Quarantine { .. } => true,
        Verdict::Delivered { .. } => !known_bad.is_empty(),
        _ => false,
    }
}

/// The reason, when a verdict is about the target rather than about what was sent.
fn gives_up_target(verdict: &Verdict) -> Option<Rejection> {
    match verdict {
        Verdict::Quarantine {
            reason:
                reason @ (Rejection::Unauthorized | Rejection::Forbidden | Rejection::NotFound | Rejection::Unsupported),
            ..
        } => Some(*reason),
        _ => None,
    }
}

/// The word of metrics for what is held.
fn hold_word(reason: Rejection) -> &'static str {
    match reason {
        Rejection::Unauthorized => "unauthorized",
        Rejection::Forbidden => "forbidden",
        Rejection::Unsupported => "unsupported",
        _ => "not_found",
    }
}

/// The word of metrics for a failure whose entry is too old to be tried again.
fn word_of(answer: &Result<Answer, SendError>) -> &'static str {
    match answer {
        Err(error) => error.kind,
        Ok(Answer { status, .. }) => match status {
            401 => "unauthorized",
            403 => "forbidden",
            408 => "timeout",
            415 => "unsupported",
            425 | 500..=599 => "unavailable",
            429 => "throttled",
            300..=499 => "not_found",
            _ => "invalid_answer",
        },
    }
}

/// First and longest wait before the token cache is asked again. It has a back-off of its own and answers at once.
const TOKEN_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
