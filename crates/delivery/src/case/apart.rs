//! Taking an entry apart: cutting, halving, searching, saying it in another version.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use remote_write::{Limits, Refused, Transcoded, Version, framing, transcode_to_v1};
use spool::{Counts, Rejection};

use super::{Case, Chunk, Flying, Load, Shape};
use crate::answer_text::AnswerText;
use crate::bisection::Bisection;
use crate::counts::{is_none, less};
use crate::message::{Cause, Message, refusal, with_message};
use crate::sections::Sections;
use crate::{Answer, SendError};

impl Case {
    /// The body with these units, and what it holds.
    pub(super) fn cut(&self, units: Range<usize>, limits: &Limits) -> (Bytes, Counts) {
        let sections = self.sections.as_ref().expect("units are of sections");
        let series = sections.series(units.clone());
        // The first part takes the metadata of a 1.0 request along.
        self.opened(limits, |message| (message.cut(series, units.start == 0), message.tally(series)))
            .expect("it was opened when its sections were made")
    }

    /// Cuts the chunk at hand in two, for its size. Answers whether it can be.
    pub(super) fn split(&mut self, limits: &Limits) -> bool {
        if !self.make_sections(limits) {
            return false;
        }
        self.halve(None, |_| {})
    }

    /// Makes two chunks of the one at hand, in the middle if not `cut_at` some place. Answers whether it can be.
    pub(super) fn halve(&mut self, cut_at: Option<usize>, change: impl Fn(&mut Chunk)) -> bool {
        let Some(chunk) = self.chunks.front() else { return false };
        let units = chunk.units.clone();
        if units.len() < 2 || chunk.search.is_some() {
            return false;
        }
        let middle = cut_at.unwrap_or(units.start + units.len() / 2);
        let half = |units| {
            let Chunk { part_of_failing, sent_before, .. } = *chunk;
            let mut half = Chunk { units, part_of_failing, sent_before, ..Chunk::default() };
            change(&mut half);
            half
        };
        let (first, second) = (half(units.start..middle), half(middle..units.end));
        self.chunks.pop_front();
        self.chunks.push_front(second);
        self.chunks.push_front(first);
        true
    }

    /// The part on its way was refused although there must be something good in it.
    pub(super) fn bisect(&mut self, flying: Flying, answer: &Result<Answer, SendError>, shape: Shape<'_>) {
        if !self.make_sections(shape.limits) {
            return;
        }
        let Some(chunk) = self.chunks.front() else { return };
        let first = chunk.search.is_none();
        if first && matches!(answer, Ok(Answer { status: 500, .. })) {
            return self.cut_failing(shape);
        }
        let units = flying.units.unwrap_or_else(|| chunk.units.clone());
        let cut_at = self.set_suspects_apart(units.clone(), answer, first, shape);
        let cause = Arc::new(Cause::of(Rejection::Undecided, answer));
        let Some(chunk) = self.chunks.front_mut() else { return };
        chunk.start_anew();
        match &mut chunk.search {
            Some(search) => search.refused(cut_at, cause),
            None => chunk.search = Some(Bisection::new(units, cut_at, cause)),
        }
    }

    /// Moves what the answer names to the end of the part; or at the `first` refusal what was refused before, or what breaks
    /// known limits.
    fn set_suspects_apart(
        &mut self,
        units: Range<usize>,
        answer: &Result<Answer, SendError>,
        first: bool,
        shape: Shape<'_>,
    ) -> Option<usize> {
        let (Ok(answer), Some(mut sections)) = (answer, self.sections.take()) else { return None };
        let text = AnswerText::of(answer);
        let cut_at = self.opened(shape.limits, |message| {
            let named = message.named_in(&text, sections.series(units.clone()));
            let cut_at = sections.set_apart(units.clone(), |series| named.contains(&series));
            if cut_at.is_some() || !first {
                return cut_at;
            }
            let known: Vec<bool> = (0..sections.series_count())
                .map(|series| shape.known_bad.refused.holds(sections.hash(series)))
                .collect();
            let cut_at = sections.set_apart(units.clone(), |series| known[series as usize]);
            if cut_at.is_some() {
                return cut_at;
            }
            let suspects = message.suspects(shape.now);
            sections.set_apart(units, |series| suspects.get(series as usize).copied().unwrap_or(false))
        });
        self.sections = Some(sections);
        cut_at.flatten()
    }

    /// The search of the chunk at hand ended: what it could not tell apart is given up, or counts as taken if the target
    /// says that it has it.
    pub(super) fn end_search(&mut self, shape: Shape<'_>) {
        let Some(search) = self.chunks.pop_front().and_then(|chunk| chunk.search) else { return };
        for (part, cause) in search.into_rest() {
            let Some(sections) = &self.sections else { return };
            let series = sections.series(part.clone()).to_vec();
            let counts = self.opened(shape.limits, |message| message.tally(&series)).unwrap_or_default();
            if cause.repetition {
                self.account.deliver_unconfirmed(counts);
                continue;
            }
            let reason = match (part.len(), cause.status) {
                (1, Some(413)) => Rejection::TooLarge,
                // Told apart by what was taken around it.
                (1, _) => Rejection::Invalid,
                _ => Rejection::Undecided,
            };
            self.put_in_ring(Some(series), counts, &Cause { reason, ..Cause::clone(&cause) }, shape);
            self.account.reject(reason, counts);
        }
    }

    /// Says what is left in version 1.0.
    pub(super) fn transcode(&mut self, shape: Shape<'_>) {
        let series = self.series_left();
        let transcoded = self.opened(shape.limits, |message| {
            let all = series.clone().unwrap_or_else(|| message.all());
            let tally = message.tally(&all);
            transcode_to_v1(&message.cut_message(&all, true), shape.limits).map(|transcoded| (transcoded, tally))
        });
        let sent_before = self.chunks.iter().any(|chunk| chunk.sent_before);
        let cannot = Cause {
            reason: Rejection::Unsupported,
            status: None,
            text: "cannot be said in version 1.0".to_owned(),
            repetition: false,
        };
        let Some(Ok((Transcoded { message, refused }, tally))) = transcoded else {
            let left = self.account.left();
            self.put_in_ring(series, left, &cannot, shape);
            self.account.reject(Rejection::Unsupported, left);
            self.chunks.clear();
            return;
        };
        let lost = lost_in(&refused);
        if !is_none(lost) {
            let text = match &refused[..] {
                [one] => one.error.to_string(),
                [first, ..] => format!("{} and {} more", first.error, refused.len() - 1),
                [] => String::new(),
            };
            self.refusals.push(refusal(text, Bytes::new(), lost, &cannot, shape.now, self.id));
            self.account.reject(Rejection::Unsupported, lost);
        }
        let body = Bytes::from(framing::encode(&message));
        self.load = Load { version: Version::V1, body, tally: less(tally, lost), solid: false };
        (self.sections, self.taken) = (None, None);
        self.chunks.clear();
        self.chunks.push_back(Chunk { sent_before, ..Chunk::default() });
    }

    /// The series of what is left, none for all of the load.
    pub(super) fn series_left(&mut self) -> Option<Vec<u32>> {
        let sections = self.sections.as_ref()?;
        let mut series = Vec::new();
        for chunk in &mut self.chunks {
            let parts = match chunk.search.take() {
                Some(search) => search.into_rest().into_iter().map(|(part, _)| part).collect(),
                None => vec![chunk.units.clone()],
            };
            parts.into_iter().for_each(|part| series.extend_from_slice(sections.series(part)));
        }
        Some(series)
    }

    pub(super) fn series_of(&self, flying: &Flying) -> Option<Vec<u32>> {
        let (sections, units) = (self.sections.as_ref()?, flying.units.clone()?);
        Some(sections.series(units).to_vec())
    }

    /// Sees to it that the load has sections, several of them. Answers whether it has.
    fn make_sections(&mut self, limits: &Limits) -> bool {
        if self.sections.is_some() {
            return true;
        }
        let opened = self.opened(limits, |message| (Sections::of(message.hashes()), message.tally(&message.all())));
        match opened {
            Some((sections, tally)) if sections.len() > 1 && tally == self.load.tally => {
                if let Some(chunk) = self.chunks.front_mut() {
                    chunk.units = 0..sections.len();
                }
                self.sections = Some(sections);
                true
            }
            // Damaged, or not what the queue says it is: it can be sent and accounted for only as a whole.
            _ => {
                self.load.solid = true;
                false
            }
        }
    }

    fn opened<R>(&self, limits: &Limits, look: impl FnOnce(&Message<'_>) -> R) -> Option<R> {
        with_message(self.load.version, &self.load.body, limits, look)
    }
}

fn lost_in(refused: &[Refused]) -> Counts {
    let mut lost = Counts::default();
    for Refused { tally, .. } in refused {
        lost += Counts { samples: tally.samples, histograms: tally.histograms, exemplars: tally.exemplars };
    }
    lost
}
