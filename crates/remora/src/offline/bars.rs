//! Progress on a terminal; nothing where standard error is none.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tsdb::offline::Progress;

/// One bar at a time.
#[derive(Default)]
pub(super) struct Bars(Mutex<Option<ProgressBar>>);

impl Progress for Bars {
    fn begin(&self, what: &str, total: u64) {
        let template = if total == 0 { COUNTED } else { MEASURED };
        let style = ProgressStyle::with_template(template).expect("the templates are right").progress_chars("=> ");
        let bar = if total == 0 { ProgressBar::no_length() } else { ProgressBar::new(total) };
        let bar = bar.with_style(style).with_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        if let Some(before) = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replace(bar) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, parts: u64) {
        if let Some(bar) = &*self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            bar.inc(parts);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(bar) = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

const MEASURED: &str = "{msg:18} [{bar:40}] {percent:>3} % {elapsed_precise} (still {eta})";
const COUNTED: &str = "{msg:18} {human_pos} {elapsed_precise}";
const TICK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_follow_each_other() {
        let bars = Bars::default();
        bars.advance(1);
        for total in [0, 10] {
            bars.begin("blocks", total);
            bars.advance(3);
            assert_eq!(bars.0.lock().unwrap().as_ref().map(ProgressBar::position), Some(3));
        }
    }
}
