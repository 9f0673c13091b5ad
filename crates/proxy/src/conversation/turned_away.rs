//! A connection beyond the bound: the head of one request is read, so that it is answered and counted as what it is.
//!
//! Pages are answered all the same, as a liveness probe that gets 503 has the process restarted; a body is not read, and no
//! upstream is asked. A connection that brings no request in a short time is told why it ends, and counts as no request.

use std::sync::Arc;

use tokio::time::timeout;

use super::Conversation;
use crate::forward::Kind;
use crate::pages;
use crate::refusal::Refusal;
use crate::route::Route;
use crate::sender::Waited;

impl Conversation {
    /// Serves the connection to its end, which is near.
    pub(crate) async fn turn_away(mut self: Box<Self>) {
        let full = self.full();
        let waiting = self.sender.next_request(&self.limits, &mut self.stopping);
        match timeout(self.limits.turned_away_timeout, waiting).await {
            Ok(Waited::Request) => self.answer_turned_away(full).await,
            Ok(Waited::Closed) => return,
            Ok(Waited::Malformed(refusal)) => self.answer_malformed(&refusal).await,
            Err(_) => drop(self.answer_refusal_closing(Kind::Write, &full).await),
        }
        self.sender.linger().await;
    }

    /// The same where so many are being turned away that looking at what comes would be unbounded work itself.
    pub(crate) async fn turn_away_unread(mut self: Box<Self>) {
        let _ = self.answer_refusal_closing(Kind::Write, &self.full()).await;
    }

    /// Answers whatever comes with `refusal`.
    pub(crate) async fn refuse_unread(mut self: Box<Self>, refusal: &Refusal) {
        let _ = self.answer_refusal_closing(Kind::Write, refusal).await;
        self.sender.linger().await;
    }

    fn full(&self) -> Refusal {
        let message = format!("{} connections are open", self.limits.connections_max);
        Refusal::unavailable("TooManyConnections", message)
    }

    async fn answer_turned_away(&mut self, full: Refusal) {
        let started = self.shared.clock.monotonic();
        let shared = Arc::clone(&self.shared);
        let without_body = self.sender.request.method.of(self.sender.head()) == b"HEAD";
        let (kind, refusal) = match shared.routing().route(&self.sender.request, self.sender.head(), self.sender.peer) {
            Route::Page(page) => {
                self.answer_page(&pages::render(page, &shared), true, without_body).await;
                return;
            }
            Route::Write => (Kind::Write, full),
            Route::Query => (Kind::Query, full),
            Route::Refuse(kind, refusal) => {
                let _ = self.answer_refusal_closing(kind, &refusal).await;
                return;
            }
        };
        shared.complain_of_refusal(&refusal);
        let _ = self.answer_refusal_closing(kind, &refusal).await;
        if kind == Kind::Write {
            shared.record_write(refusal.status, 0, self.elapsed(started));
        }
    }
}
