//! The way back of an answer: unchanged, but for the headers of the connection.

use host::Connection;

use super::{After, Conversation, Ended, within};
use crate::answer_head::AnswerBody;
use crate::forward::{AnswerStream, Destination, Kind, end_frame, frame, write_answer_head};
use crate::upstream::UpstreamConnection;

impl Conversation {
    /// Passes the answer whose head is in `answer` to the sender, unchanged but for the headers of the connection.
    pub(super) async fn relay(&mut self, destination: &Destination, mut connection: UpstreamConnection) -> Ended {
        let status = self.answer.status;
        // What is left of the request's body when the upstream answered early would be read as the next request.
        let mut after = if self.closes() { After::Close } else { After::Continue };
        if !self.sender.body_is_done() {
            after = After::Linger;
        }
        let framing = match self.answer.body {
            AnswerBody::Chunked | AnswerBody::UntilClose if self.sender.request.is_http_1_0 => {
                after = if after == After::Continue { After::Close } else { after };
                AnswerBody::UntilClose
            }
            AnswerBody::UntilClose => AnswerBody::Chunked,
            framing => framing,
        };
        let closes = after != After::Continue;
        let head = &self.incoming[..self.answer.length];
        write_answer_head(&mut self.outgoing, destination.kind, &self.answer, head, framing, closes);
        self.incoming.drain(..self.answer.length);
        let mut untold = status >= 300 && destination.kind == Kind::Write;
        let relayed = self.relay_body(&mut connection, framing, &mut untold).await;
        if untold {
            // What it would have said has not come.
            self.shared.complain_of_answer(status, b"");
        }
        match relayed {
            Ok(()) => {
                if self.answer.keeps_alive && self.incoming.is_empty() {
                    destination.upstream.put_idle(connection);
                }
                Ended { status, after }
            }
            // The sender sees a body that ends too soon, as we did.
            Err(error) => {
                tracing::debug!(statusCode = status, "an answer was not passed on completely: {error}");
                Ended { status, after: After::Close }
            }
        }
    }

    /// An answer that is `untold` is logged with the beginning of its body, once that is here: it may come after the head.
    async fn relay_body(
        &mut self,
        connection: &mut Connection,
        framing: AnswerBody,
        untold: &mut bool,
    ) -> std::io::Result<()> {
        let allowed = self.limits.stall_timeout;
        let mut stream = AnswerStream::new(self.answer.body);
        loop {
            self.piece.clear();
            stream.take(&mut self.incoming, &mut self.piece)?;
            if *untold && !self.piece.is_empty() {
                *untold = false;
                self.shared.complain_of_answer(self.answer.status, &self.piece);
            }
            frame(&mut self.outgoing, framing, &self.piece);
            if stream.is_done() {
                end_frame(&mut self.outgoing, framing);
            }
            within(allowed, self.sender.write_all(&self.outgoing)).await?;
            if stream.is_done() {
                return Ok(());
            }
            self.outgoing.clear();
            tokio::select! {
                biased;
                read = within(allowed, stream.read_more(connection, &mut self.incoming)) => read?,
                () = self.sender.hung_up() => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
}
