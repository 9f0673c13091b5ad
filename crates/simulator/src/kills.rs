//! A real process on a real disk, killed again and again while it writes, compacts and merges.
//!
//! The victim says on its standard output which batches were answered. Whoever killed it opens the directory and looks: every
//! batch that was answered is there, whole, with its values, and nothing that was never sent. Then the next victim goes on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use environment::UnixTime;
use host::{HostClock, HostDisk};
use model::{Labels, TimestampMs};
use storage::{Batch, Queryable as _, SelectHints, Storage as _, TimeRange};
use tsdb::{Db, Engine, EngineSettings, Settings, WalSync};

use crate::chance::Chance;
use crate::value::{Kind, Value};

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Processes killed.
    pub kills: u64,
    /// Batches that they had answered.
    pub batches: u64,
    /// Blocks that were there in the end.
    pub blocks: u64,
    /// Starts that found late samples in their log.
    pub starts_with_late: u64,
}

/// Batches answered, by writer: those below the number.
type Answered = [u64; WRITERS];

/// Starts `program` as a victim in `directory`, kills it, looks; `rounds` times.
///
/// # Errors
/// What is gone, wrong or invented.
pub fn kill_again_and_again(program: &Path, directory: &Path, rounds: u64, seed: u64) -> Result<Report, String> {
    let mut chance = Chance::new(seed);
    let mut answered = [0; WRITERS];
    let mut report = Report::default();
    for round in 0..rounds {
        let mut victim = spawn(program, directory, answered).map_err(|error| format!("no victim: {error}"))?;
        let after = Duration::from_millis(chance.below(LIFE_MS_MAX));
        let ended = killed_after(&mut victim, after, &mut answered);
        ended.map_err(|error| format!("round {round}: {error}"))?;
        report.kills += 1;
        let seen = look(directory, answered)
            .map_err(|error| format!("round {round}, killed after {after:?}, answered {answered:?}: {error}"))?;
        report.blocks = seen.blocks;
        report.starts_with_late += u64::from(seen.late > 0);
    }
    report.batches = answered.iter().sum();
    Ok(report)
}

fn spawn(program: &Path, directory: &Path, answered: Answered) -> std::io::Result<Child> {
    let numbers = answered.map(|number| number.to_string()).join(",");
    let mut command = Command::new(program);
    command.arg("--victim").arg(directory).args(["--from", &numbers]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Kills the victim some time after its first answer, and takes note of all its answers.
fn killed_after(victim: &mut Child, after: Duration, answered: &mut Answered) -> Result<(), String> {
    let lines = BufReader::new(victim.stdout.take().expect("it is piped")).lines();
    let (first, waits) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for line in lines.map_while(Result::ok) {
            // The last line may have been cut short; it ends with a full stop when it was not.
            let Some(line) = line.strip_suffix('.') else { continue };
            let parsed =
                line.split_once(' ').and_then(|(writer, number)| Some((writer.parse().ok()?, number.parse().ok()?)));
            if let Some((writer, number)) = parsed {
                let (writer, number): (usize, u64) = (writer, number);
                seen.push((writer, number));
                let _ = first.send(());
            }
        }
        seen
    });
    let began = waits.recv_timeout(PATIENCE);
    pause(after);
    let killed = victim.kill();
    let status = victim.wait().map_err(|error| format!("waiting for the victim: {error}"))?;
    for (writer, number) in reader.join().expect("reading lines does not panic") {
        answered[writer] = answered[writer].max(number + 1);
    }
    let mut said = String::new();
    if let Some(mut stderr) = victim.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    match (began, killed, status.code()) {
        (Err(_), ..) => Err(format!("the victim answered nothing: {said}")),
        (_, _, Some(code)) => Err(format!("the victim ended by itself with {code}: {said}")),
        _ => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a process is watched in real time")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

struct Seen {
    blocks: u64,
    late: u64,
}

/// Opens the database and compares.
fn look(directory: &Path, answered: Answered) -> Result<Seen, String> {
    let (_engine, db) = open(directory)?;
    let recovery = db.recovery();
    if !recovery.damage.is_empty() || recovery.unreadable_records > 0 || recovery.without_series > 0 {
        return Err(format!("a kill damages nothing: {recovery:?}"));
    }
    let late = recovery.out_of_order;
    let mut found = all_samples(&db)?;
    for (writer, last) in (0..WRITERS).zip(answered) {
        // One batch may have been on its way.
        for number in 0..=last {
            for (labels, at, value) in batch(writer, number) {
                match found.get_mut(&labels).and_then(|samples| samples.remove(&at)) {
                    Some(there) if there == value => {}
                    None if number == last => {}
                    there => {
                        return Err(format!("{labels} at {at} of batch {number} is {there:?} instead of {value:?}"));
                    }
                }
            }
        }
    }
    if let Some((labels, samples)) = found.iter().find(|(_, samples)| !samples.is_empty()) {
        return Err(format!(
            "{labels} has {} samples that were never sent: {:?}",
            samples.len(),
            samples.iter().next()
        ));
    }
    let seen = Seen { blocks: db.stats().blocks, late };
    db.close().map_err(|error| format!("closing: {error}"))?;
    Ok(seen)
}

fn all_samples(db: &Db) -> Result<BTreeMap<Labels, BTreeMap<i64, Value>>, String> {
    let querier = db.querier(TimeRange::ALL);
    let mut set = wait(querier.select(&[], SelectHints::samples(TimeRange::ALL))).map_err(|error| error.to_string())?;
    let (mut found, mut batch) = (BTreeMap::new(), Batch::default());
    while let Some(mut series) = set.next().map_err(|error| error.to_string())? {
        let samples: &mut BTreeMap<i64, Value> = found.entry(series.labels).or_default();
        while series.samples.next_batch(&mut batch).map_err(|error| error.to_string())? {
            let floats = batch.floats.iter().map(|value| Value::Float(value.to_bits()));
            let histograms = batch.histograms.iter().map(|histogram| Value::Histogram(Arc::clone(histogram)));
            samples.extend(batch.timestamps.iter().map(|at| at.0).zip(floats.chain(histograms)));
        }
    }
    Ok(found)
}

/// Writes until it is killed: in order, late, histograms, and maintenance all the time.
///
/// # Errors
/// What went wrong before.
pub fn be_victim(directory: &Path, from: &[u64]) -> Result<(), String> {
    let (_engine, db) = open(directory)?;
    let (failed, failures) = std::sync::mpsc::channel();
    for writer in 0..WRITERS {
        let (db, failed, first) = (Arc::clone(&db), failed.clone(), from.get(writer).copied().unwrap_or(0));
        std::thread::spawn(move || {
            let outcome = (first..).try_for_each(|number| write(&db, writer, number));
            let _ = failed.send(outcome);
        });
    }
    loop {
        // Rounds of maintenance beside those that the engine makes when it likes.
        db.maintain(UnixTime::from_millis(NOW_MS as u64)).map_err(|error| error.to_string())?;
        if let Ok(outcome) = failures.recv_timeout(Duration::from_millis(10)) {
            return outcome;
        }
    }
}

fn write(db: &Db, writer: usize, number: u64) -> Result<(), String> {
    let answer = loop {
        let mut appender = db.appender(TimestampMs(NOW_MS));
        for (labels, at, value) in batch(writer, number) {
            let key = labels.as_packed();
            let series = match appender.resolve(key) {
                Some(series) => series,
                None => appender.series(Some(key), &labels).map_err(|error| error.to_string())?,
            };
            let appended = match value {
                Value::Float(bits) => appender.append(series, TimestampMs(at), f64::from_bits(bits)),
                Value::Histogram(histogram) => appender.append_histogram(series, TimestampMs(at), histogram),
            };
            appended.map_err(|error| error.to_string())?;
        }
        match wait(appender.commit()) {
            Err(storage::CommitError::Busy(_)) => std::thread::yield_now(),
            answer => break answer,
        }
    };
    let committed = answer.map_err(|error| error.to_string())?;
    assert!(committed.rejected.is_empty(), "{:?}", committed.rejected);
    let line = format!("{writer} {number}.\n");
    std::io::stdout().write_all(line.as_bytes()).map_err(|error| error.to_string())
}

/// What a writer sends as its batch of this number, always the same.
fn batch(writer: usize, number: u64) -> Vec<(Labels, i64, Value)> {
    let step = number as i64;
    let at = match writer {
        // The newest of sixteen first.
        LATE => (step / 16 * 16 + 15 - step % 16) * STEP_MS,
        // One in fifty of yesterday.
        OLD if step % 50 == 0 => step * STEP_MS - 86_400_000,
        _ => step * STEP_MS,
    };
    let series = if writer == WIDE { 40 } else { 6 };
    let sample = |index: usize| {
        let texts = [writer.to_string(), index.to_string()];
        let pairs = [("__name__", "killed"), ("writer", &texts[0]), ("series", &texts[1])];
        let labels = Labels::from_pairs(pairs).expect("names differ and are not empty");
        let kind = if index % 5 == 4 { Kind::Histogram } else { Kind::Distinct };
        let mut chance = Chance::new(number << 8 | (index as u64) << 2 | writer as u64);
        (labels, START_MS + at, kind.value(index, START_MS + at, 0, &mut chance))
    };
    (0..series).map(sample).collect()
}

fn open(directory: &Path) -> Result<(Arc<Engine>, Arc<Db>), String> {
    let settings = Settings {
        // Ranges of a minute: a block for each sixty batches.
        block_range_ms: 60_000,
        segment_bytes_max: 256 << 10,
        out_of_order_bytes_max: 64 << 10,
        wal_sync: WalSync::Interval(Duration::from_millis(200)),
        ..Settings::default()
    };
    let threads = EngineSettings { commit_threads: 2, background_threads: 2, ..EngineSettings::default() };
    let engine = Engine::start(Arc::new(HostDisk), Arc::new(HostClock::new()), threads);
    let engine = engine.map_err(|error| error.to_string())?;
    let db = Db::open(&engine, directory, settings).map_err(|error| format!("does not open: {error}"))?;
    db.wait_ready().map_err(|error| format!("does not open: {error}"))?;
    Ok((engine, db))
}

/// Waits for a future on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

const WRITERS: usize = 4;
const LATE: usize = 1;
const OLD: usize = 2;
const WIDE: usize = 3;
const STEP_MS: i64 = 1000;
/// Any time; a multiple of all ranges.
const START_MS: i64 = 1_767_225_600_000;
/// After all that is written.
const NOW_MS: i64 = START_MS + 100 * 86_400_000;
const LIFE_MS_MAX: u64 = 700;
const PATIENCE: Duration = Duration::from_secs(60);
