//! Rounds of random queries: one data set, one peer, many queries, what differs made small.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use promql::EvalTime;
use promql_syntax::parse_expr;

use crate::answer::Answer;
use crate::comparison::{Difference, Rules};
use crate::dataset::{Contents, Dataset};
use crate::dialect::Dialect;
use crate::generator::Generator;
use crate::known;
use crate::own::{Backwards, Database, Own};
use crate::peer::Peer;
use crate::shrink::{parts, shrink};

/// What one round does; everything else follows from the seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// The seed of data and queries.
    pub seed: u64,
    /// What the peer understands.
    pub dialect: Dialect,
    /// How many queries.
    pub queries: usize,
    /// Without native histograms, even where the peer has them.
    pub floats: bool,
    /// The peer is started on a copy of our directory, of blocks and a log, instead of being sent the data.
    pub carried: bool,
}

/// What was found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// Queries asked.
    pub queries: usize,
    /// Answers with something in them.
    pub values: usize,
    /// Queries that both refuse.
    pub errors: usize,
    /// Queries on which the versions differ, by reason.
    pub known: BTreeMap<&'static str, usize>,
    /// Queries on which the sides differ, each of another kind.
    pub found: Vec<Found>,
    /// Further queries on which they differ.
    pub more: usize,
}

/// A query on which the sides differ.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The round's seed.
    pub seed: u64,
    /// What the peer understands.
    pub dialect: Dialect,
    /// Whether the peer has our directory.
    pub carried: bool,
    /// The query as it was made.
    pub query: String,
    /// When it was evaluated.
    pub time: EvalTime,
    /// The smallest query that differs still.
    pub smallest: String,
    /// When that was evaluated.
    pub smallest_time: EvalTime,
    /// How the sides differ on it.
    pub difference: Difference,
}

/// Both sides over one data set.
pub struct Sides {
    dialect: Dialect,
    own: Own,
    /// Ours over data that differ in the last digits, and in the opposite order.
    nudged: Own,
    peer: Peer,
}

impl Sides {
    /// Makes the data set of a round and gives it to both.
    ///
    /// # Errors
    /// A peer that does not start.
    pub fn start(program: &Path, round: Round) -> anyhow::Result<Self> {
        let Round { seed, dialect, floats, carried, .. } = round;
        let contents = Contents {
            histograms: dialect.has_histograms() && !floats,
            on_grid: dialect != Dialect::Old,
            tame: dialect == Dialect::Old,
        };
        let data = Dataset::generate(seed, contents);
        let (peer, database) = if carried {
            let database = Database::holding_in_blocks(&data)?;
            (Peer::start_on(&database, program, dialect)?, database)
        } else {
            (Peer::start(program, dialect, &data)?, Database::holding(&data)?)
        };
        let own = Own::new(Box::new(database), dialect);
        let nudged = Own::new(Box::new(Backwards(data.nudged().store())), dialect);
        Ok(Self { dialect, own, nudged, peer })
    }

    /// What both answer, the peer first.
    ///
    /// # Errors
    /// A peer that does not answer.
    pub fn ask(&mut self, query: &str, time: EvalTime) -> anyhow::Result<(Answer, Answer)> {
        Ok((self.peer.ask(query, time)?, self.own.ask(query, time)))
    }

    /// How the answers differ, if they do.
    pub fn difference(&self, query: &str, theirs: &Answer, ours: &Answer) -> Option<Difference> {
        self.rules(query).compare(theirs, ours).err()
    }

    /// Why the answers may differ, if that is known.
    fn reason(&self, query: &str, time: EvalTime, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
        known::reason(self.dialect, self.peer.version(), query, theirs, ours)
            .or_else(|| self.fails_in_part(query, time, theirs, ours).then_some(known::TWO_REASONS))
            .or_else(|| {
                let nudged = self.nudged.ask(query, time);
                self.rules(query).compare(ours, &nudged).is_err().then_some(known::ROUNDING)
            })
    }

    /// Whether both refuse the query, and a part of it for the peer's reason.
    fn fails_in_part(&self, query: &str, time: EvalTime, theirs: &Answer, ours: &Answer) -> bool {
        let both_fail = matches!((theirs, ours), (Answer::Error { .. }, Answer::Error { kind, .. }) if kind != "panic");
        let Some(expr) = both_fail.then(|| parse_expr(query, self.dialect.grammar()).ok()).flatten() else {
            return false;
        };
        let mut rest = parts(&expr);
        while let Some(part) = rest.pop() {
            let text = part.to_string();
            if self.rules(&text).compare(theirs, &self.own.ask(&text, time)).is_ok() {
                return true;
            }
            rest.extend(parts(part));
        }
        false
    }

    fn rules(&self, query: &str) -> Rules {
        Rules {
            // These make much of the last digit of what they are of, wherever that comes from: a tangent near its pole, a
            // power.
            fraction: if ["tan(", "^"].iter().any(|word| query.contains(word)) { 1e-4 } else { 1e-6 },
            margin: 1e-12,
            texts: self.dialect != Dialect::Old,
            ordered: query.starts_with("sort(") || query.starts_with("sort_desc("),
        }
    }
}

impl Round {
    /// Asks all queries of the round.
    ///
    /// # Errors
    /// A peer that does not start or does not answer.
    pub fn run(&self, program: &Path) -> anyhow::Result<Report> {
        let mut sides = Sides::start(program, *self)?;
        let mut generator = Generator::new(self.seed, self.dialect, self.floats);
        let mut report = Report { queries: self.queries, ..Report::default() };
        let mut kinds = BTreeSet::new();
        for _ in 0..self.queries {
            let (query, time) = generator.query();
            let (theirs, ours) = sides.ask(&query, time)?;
            match &theirs {
                Answer::Error { .. } => report.errors += 1,
                Answer::Value { .. } => report.values += usize::from(!theirs.is_empty()),
            }
            let Some(difference) = sides.difference(&query, &theirs, &ours) else { continue };
            if let Some(reason) = sides.reason(&query, time, &theirs, &ours) {
                *report.known.entry(reason).or_default() += 1;
                continue;
            }
            if report.found.len() >= FOUND_MAX {
                report.more += 1;
                continue;
            }
            let found = self.shrink(&mut sides, query, time, difference);
            match kinds.insert(found.smallest.clone()) {
                true => report.found.push(found),
                false => report.more += 1,
            }
        }
        Ok(report)
    }

    fn shrink(&self, sides: &mut Sides, query: String, time: EvalTime, mut difference: Difference) -> Found {
        let (smallest, smallest_time) = shrink(&query, time, self.dialect.grammar(), |query, time| {
            let (theirs, ours) = sides.ask(query, time).ok()?;
            let found = sides.difference(query, &theirs, &ours)?;
            if sides.reason(query, time, &theirs, &ours).is_some() {
                return None;
            }
            difference = found;
            Some(difference.at)
        });
        let Self { seed, dialect, carried, .. } = *self;
        Found { seed, dialect, carried, query, time, smallest, smallest_time, difference }
    }
}

impl Report {
    /// Whether the sides agree, known differences aside.
    pub fn agrees(&self) -> bool {
        self.found.is_empty() && self.more == 0
    }

    /// Puts another round's findings to these.
    pub fn add(&mut self, other: Self) {
        self.queries += other.queries;
        self.values += other.values;
        self.errors += other.errors;
        self.more += other.more;
        for (reason, number) in other.known {
            *self.known.entry(reason).or_default() += number;
        }
        self.found.extend(other.found);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in &self.found {
            writeln!(f, "{found}")?;
        }
        for (reason, number) in &self.known {
            writeln!(f, "{number} queries: {reason}")?;
        }
        write!(
            f,
            "{} queries, {} with values, {} refused by both or one, {} differences",
            self.queries,
            self.values,
            self.errors,
            self.found.len() + self.more
        )
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, carried, query, smallest, smallest_time, difference, .. } = self;
        writeln!(f, "DIFFERS  {query}")?;
        writeln!(f, "  small  {smallest}")?;
        writeln!(f, "  how    {}", difference.what)?;
        write!(
            f,
            "  repeat --seed {seed} --peer {}{} --query '{}' {}",
            self.dialect,
            if *carried { " --carried" } else { "" },
            smallest.replace('\'', "'\\''"),
            Times(*smallest_time)
        )
    }
}

/// A time as the program takes it.
struct Times(EvalTime);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            EvalTime::Instant(at) => write!(f, "--time {}", at.0),
            EvalTime::Range { start, end, step_ms } => write!(f, "--time {} --end {} --step {step_ms}", start.0, end.0),
        }
    }
}

/// Differences that are made small; more say little that is new.
const FOUND_MAX: usize = 12;
