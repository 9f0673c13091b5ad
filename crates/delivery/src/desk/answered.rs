//! What an answer leads to, beyond the entry itself: the gate, what is learned of the target, what is counted.

use std::time::Duration;

use identity::{AccessToken, TokenCache, TokenError};
use remote_write::Version;
use spool::{Counts, Rejection};

use super::{Arrival, Desk, Now, Ticket, shape};
use crate::answer_text::AnswerText;
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
            refusals: self.gate.refusals_with(ticket.epoch),
            refused_for: self.gate.refused_for_with(ticket.epoch, now.monotonic),
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
                self.give_up(ticket.id, &Cause::of(reason, answer), now);
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
            (Verdict::Split, Ok(answer @ Answer { status: 413, .. })) => {
                let named = AnswerText::of(answer).body_bytes_max(bytes as u64);
                let known = self.learned.refused_for_size(bytes as u64, named, now.monotonic);
                self.say_body_limit(known, now);
            }
            (Verdict::Delivered { .. }, Ok(_)) => self.learned.taken(bytes as u64),
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
                self.refused(epoch, *reason, answer, None, now)
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
            Verdict::Hold { after, reason } => self.refused(epoch, *reason, answer, Some(*after), now),
            Verdict::RefreshToken => {
                tokens.reject(token);
                self.gate.refresh(epoch, now.monotonic, now.wall);
                return;
            }
            Verdict::Expired => match failure_of(answer) {
                Failure::Refusal(reason) => self.refused(epoch, reason, answer, None, now),
                Failure::Other(word) => {
                    let failures = self.gate.failures_with(epoch);
                    let after = backoff::delay(self.policy.backoff, failures, self.rng.next_f64());
                    self.gate.failed(epoch, word, status, after, now.monotonic, now.wall)
                }
            },
        };
        if closed {
            self.say_blocked(answer, now);
        }
    }

    fn opened(&mut self, epoch: u64, taken: bool, now: Now) {
        let blocked = self.gate.blocked();
        let opened = if taken { self.gate.taken(epoch) } else { self.gate.answered(epoch) };
        if let Some(blocked) = blocked.filter(|_| opened) {
            self.say_open(&blocked, now);
        }
    }

    fn refused(
        &mut self,
        epoch: u64,
        reason: Rejection,
        answer: &Result<Answer, SendError>,
        after: Option<Duration>,
        now: Now,
    ) -> bool {
        let after = after
            .unwrap_or_else(|| backoff::delay(self.policy.probe, self.gate.refusals_with(epoch), self.rng.next_f64()));
        let cause = Cause::of(reason, answer);
        self.gate.refused(epoch, hold_word(reason), cause, after, now.monotonic, now.wall)
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

/// What happened to an entry that is too old to be tried again.
enum Failure {
    Refusal(Rejection),
    /// With the word of metrics.
    Other(&'static str),
}

fn failure_of(answer: &Result<Answer, SendError>) -> Failure {
    match answer {
        Err(error) => Failure::Other(error.kind),
        Ok(Answer { status, .. }) => match status {
            401 => Failure::Refusal(Rejection::Unauthorized),
            403 => Failure::Refusal(Rejection::Forbidden),
            408 => Failure::Other("timeout"),
            415 => Failure::Refusal(Rejection::Unsupported),
            425 | 500..=599 => Failure::Other("unavailable"),
            429 => Failure::Other("throttled"),
            300..=499 => Failure::Refusal(Rejection::NotFound),
            _ => Failure::Other("invalid_answer"),
        },
    }
}

/// First and longest wait before the token cache is asked again. It has a back-off of its own and answers at once.
const TOKEN_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
