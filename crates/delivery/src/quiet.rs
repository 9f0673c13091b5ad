//! Log lines that do not flood: of each kind one in a while, with the number of those withheld since.

use std::collections::HashMap;
use std::time::Duration;

use environment::Monotonic;

/// Says which lines are written. Kinds are words of ours, so there are few.
#[derive(Default)]
pub(crate) struct Quiet {
    kinds: HashMap<&'static str, Kind>,
}

struct Kind {
    written_at: Monotonic,
    withheld: u64,
}

impl Quiet {
    /// Whether a line of this kind may be written now; then also how many were withheld before it.
    pub(crate) fn may_say(&mut self, kind: &'static str, now: Monotonic) -> Option<u64> {
        match self.kinds.get_mut(kind) {
            Some(known) if now.since(known.written_at) < INTERVAL => {
                known.withheld += 1;
                None
            }
            Some(known) => {
                known.written_at = now;
                Some(std::mem::take(&mut known.withheld))
            }
            None => {
                self.kinds.insert(kind, Kind { written_at: now, withheld: 0 });
                Some(0)
            }
        }
    }
}

/// Of each kind at most one line in this time.
const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_a_kind_in_a_while() {
        let at = |seconds| Monotonic::from_duration(Duration::from_secs(seconds));
        let mut quiet = Quiet::default();
        let said: Vec<_> = [0, 3, 9, 10, 11, 30].into_iter().map(|time| quiet.may_say("blocked", at(time))).collect();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
        assert_eq!(quiet.may_say("refused", at(30)), Some(0));
    }
}
