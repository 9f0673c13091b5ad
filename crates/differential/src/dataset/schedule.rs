//! When a series has samples.

use model::TimestampMs;
use testkit::chance::Chance;

use super::{Contents, SPAN_MS, START};

/// How a series is scraped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gaps {
    /// Always.
    None,
    /// It comes and goes; its end is marked, or just happens.
    Flapping,
    /// So seldom that the lookback ends in between.
    Sparse,
}

/// What happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tick {
    Sample(TimestampMs),
    /// A staleness marker.
    End(TimestampMs),
}

/// Scrapes over the whole data set, or over a part of it.
pub(crate) fn ticks(chance: &mut Chance, contents: Contents, gaps: Gaps) -> Vec<Tick> {
    let interval = match gaps {
        Gaps::Sparse => *chance.one_of(&[240_000, 390_000, 600_000]),
        Gaps::None | Gaps::Flapping => *chance.one_of(&[5_000, 15_000, 15_000, 15_000, 30_000, 60_000]),
    };
    let aligned = contents.on_grid && !chance.one_in(3);
    let phase = if aligned { 0 } else { chance.between(0, interval / 1000 - 1) * 1000 + chance.between(1, 999) };
    let (mut ticks, mut alive) = (Vec::new(), !chance.one_in(8));
    let mut left = run_length(chance);
    let last = match chance.one_in(10) {
        true => START.0 + SPAN_MS / 2,
        false => START.0 + SPAN_MS,
    };
    let mut at = START.0 + phase;
    while at < last {
        let time = TimestampMs(if aligned { at } else { jittered(chance, at, interval) });
        if time.0 > last {
            break;
        }
        if alive {
            ticks.push(Tick::Sample(time));
        }
        left -= 1;
        if gaps == Gaps::Flapping && left <= 0 {
            left = run_length(chance);
            let end = time.0 + interval / 2;
            if alive && chance.one_in(2) && end < last {
                // The marker comes before the next sample would.
                ticks.push(Tick::End(TimestampMs(if aligned { end } else { off_grid(end) })));
            }
            alive = !alive;
        }
        at += interval;
    }
    ticks
}

/// A scrape is late now and then, by less than half of the interval, and never at a whole second.
fn jittered(chance: &mut Chance, at: i64, interval: i64) -> i64 {
    let late = if chance.one_in(5) { chance.between(0, interval / 5) } else { 0 };
    off_grid(at + late)
}

fn off_grid(at: i64) -> i64 {
    if at % 1000 == 0 { at + 1 } else { at }
}

fn run_length(chance: &mut Chance) -> i64 {
    chance.between(3, 40)
}
