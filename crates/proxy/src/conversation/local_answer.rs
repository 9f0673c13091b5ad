//! Answers that need no upstream: our pages and our refusals.

use super::{After, Conversation, within};
use crate::forward::Kind;
use crate::pages::Content;
use crate::refusal::{Refusal, reason};

impl Conversation {
    pub(super) async fn answer_refusal(&mut self, kind: Kind, refusal: &Refusal) -> After {
        let closes = self.closes() || !self.sender.body_is_done();
        let without_body = self.sender.request.method.of(self.sender.head()) == b"HEAD";
        let written = self.answer_json(refusal, body_of(kind, refusal), closes, without_body).await;
        if closes || written.is_err() { After::Close } else { After::Continue }
    }

    pub(super) async fn answer_refusal_closing(&mut self, kind: Kind, refusal: &Refusal) -> std::io::Result<()> {
        self.answer_json(refusal, body_of(kind, refusal), true, false).await
    }

    pub(super) async fn answer_json(
        &mut self,
        refusal: &Refusal,
        json: Vec<u8>,
        closes: bool,
        without_body: bool,
    ) -> std::io::Result<()> {
        let content = Content { status: refusal.status, content_type: "application/json", body: json };
        self.write_page(&content, Some(refusal), closes, without_body).await
    }

    pub(super) async fn answer_page(&mut self, content: &Content, closes: bool, without_body: bool) -> After {
        let written = self.write_page(content, None, closes, without_body).await;
        if closes || written.is_err() { After::Close } else { After::Continue }
    }

    async fn write_page(
        &mut self,
        content: &Content,
        refusal: Option<&Refusal>,
        closes: bool,
        without_body: bool,
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", content.status, reason(content.status));
        if !content.body.is_empty() {
            head.push_str(&format!("Content-Type: {}\r\n", content.content_type));
        }
        head.push_str(&format!("Content-Length: {}\r\n", content.body.len()));
        if let Some(allow) = refusal.and_then(|refusal| refusal.allow) {
            head.push_str(&format!("Allow: {allow}\r\n"));
        }
        if let Some(secs) = refusal.and_then(|refusal| refusal.retry_after_secs) {
            head.push_str(&format!("Retry-After: {secs}\r\n"));
        }
        if content.status == 401 {
            head.push_str("WWW-Authenticate: Bearer\r\n");
        }
        head.push_str(if closes { "Connection: close\r\n\r\n" } else { "\r\n" });
        self.outgoing.clear();
        self.outgoing.extend_from_slice(head.as_bytes());
        if !without_body {
            self.outgoing.extend_from_slice(&content.body);
        }
        within(self.limits.stall_timeout, self.sender.write_all(&self.outgoing)).await
    }
}

fn body_of(kind: Kind, refusal: &Refusal) -> Vec<u8> {
    match kind {
        Kind::Write => refusal.json(),
        Kind::Query => refusal.query_api_json(),
    }
}
