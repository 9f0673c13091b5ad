//! The log lines of delivery. Of each kind one in ten seconds, with the number of those withheld; no secret, and no more of
//! an answer than fits a line.

use identity::TokenError;
use spool::Refusal;

use super::{Desk, Now};
use crate::answer_text::{AnswerText, shortened};
use crate::{Answer, Blocked, SendError};

impl Desk {
    pub(super) fn say_blocked(&mut self, answer: &Result<Answer, SendError>, now: Now) {
        let Some(Blocked { reason, retry_at, status, .. }) = self.gate.blocked() else { return };
        let Some(withheld) = self.quiet.may_say(reason, now.monotonic) else { return };
        let said = match answer {
            Ok(answer) => shortened(AnswerText::of(answer).as_str()),
            Err(error) => shortened(&error.message),
        };
        let retry_in_secs = retry_at.since(now.wall).as_secs_f64();
        tracing::warn!(
            reason,
            status,
            said,
            retry_in_secs,
            withheld,
            "delivery is blocked; the queue keeps what comes"
        );
    }

    pub(super) fn say_no_token(&mut self, error: &TokenError, now: Now) {
        if let Some(withheld) = self.quiet.may_say("no_token", now.monotonic) {
            let said = shortened(&error.to_string());
            tracing::warn!(said, withheld, "delivery waits for a token; the queue keeps what comes");
        }
    }

    pub(super) fn say_open(&mut self, blocked: &Blocked, now: Now) {
        if let Some(withheld) = self.quiet.may_say("open", now.monotonic) {
            let Blocked { reason, since, .. } = blocked;
            let blocked_secs = now.wall.since(*since).as_secs();
            tracing::info!(reason, blocked_secs, withheld, "delivery goes on");
        }
    }

    pub(super) fn say_refused(&mut self, refusal: &Refusal, now: Now) {
        if let Some(withheld) = self.quiet.may_say("refused", now.monotonic) {
            let Refusal { reason, status, answer, series, .. } = refusal;
            tracing::warn!(
                reason = reason.name(),
                status,
                said = shortened(answer),
                series = shortened(series),
                withheld,
                "samples are refused for good; `ledger tail` shows them"
            );
        }
    }

    pub(super) fn say_expired(&mut self, now: Now) {
        if let Some(withheld) = self.quiet.may_say("expired", now.monotonic) {
            let age_max_secs = self.policy.age_max.as_secs();
            tracing::warn!(age_max_secs, withheld, "a request waited too long and has expired");
        }
    }

    pub(super) fn say_body_limit(&mut self, bytes: u64, now: Now) {
        if let Some(withheld) = self.quiet.may_say("body_limit", now.monotonic) {
            tracing::info!(body_bytes_max = bytes, withheld, "the target takes no larger bodies; requests are split");
        }
    }

    pub(super) fn say_transcode(&mut self, status: u16, now: Now) {
        if let Some(withheld) = self.quiet.may_say("transcode", now.monotonic) {
            tracing::info!(
                status,
                withheld,
                "the target does not take remote write 2.0; it is sent as 1.0 from now on"
            );
        }
    }

    pub(super) fn say_queue_unreadable(&mut self, error: &str, now: Now) {
        if let Some(withheld) = self.quiet.may_say("queue_unreadable", now.monotonic) {
            tracing::error!(said = shortened(error), withheld, "the queue cannot be read; it is tried again");
        }
    }
}
