//! What was found: one step per link, for people and for programs.

use std::fmt;
use std::time::Duration;

use environment::UnixTime;

mod human;
mod json;

#[cfg(test)]
mod tests;

/// A link of the chain, in the order of the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Link {
    /// The settings.
    Configuration,
    /// The queue's directory.
    Queue,
    /// The name of the ingestion endpoint.
    Dns,
    /// The forward proxy.
    Proxy,
    /// A connection.
    Tcp,
    /// Its certificate.
    Tls,
    /// This machine's clock against the endpoint's.
    Clock,
    /// A token for ingestion.
    Token,
    /// Whether the endpoint lets the request in: a valid token of the right audience, from a network that it serves.
    Admission,
    /// The role on the rule.
    Role,
    /// Whether the endpoint knows the rule.
    Binding,
    /// The test write.
    Write,
    /// Samples read back.
    ReadBack,
    /// The sidecar that runs here.
    Sidecar,
}

impl Link {
    /// All of them, in the order of the chain.
    pub const ALL: [Self; 14] = [
        Self::Configuration,
        Self::Queue,
        Self::Dns,
        Self::Proxy,
        Self::Tcp,
        Self::Tls,
        Self::Clock,
        Self::Token,
        Self::Admission,
        Self::Role,
        Self::Binding,
        Self::Write,
        Self::ReadBack,
        Self::Sidecar,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Proxy => "proxy",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Token => "token",
            Self::Admission => "admission",
            Self::Role => "role",
            Self::Binding => "binding",
            Self::Write => "write",
            Self::ReadBack => "read_back",
            Self::Sidecar => "sidecar",
        }
    }
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// All is well.
    Ok,
    /// Samples flow, but something wants attention.
    Warning,
    /// Samples do not get past this link.
    Failed,
    /// Not looked at; the finding says why.
    Skipped,
}

impl Status {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What was found at one link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Where.
    pub link: Link,
    /// Whether it holds.
    pub status: Status,
    /// One line.
    pub finding: String,
    /// Facts by name; a name may stand more than once.
    pub details: Vec<(&'static str, String)>,
    /// What to do about it.
    pub mend: Option<String>,
    /// How long looking took.
    pub took: Duration,
}

impl Step {
    fn new(link: Link, status: Status, finding: impl Into<String>) -> Self {
        Self { link, status, finding: finding.into(), details: Vec::new(), mend: None, took: Duration::ZERO }
    }

    pub(crate) fn ok(link: Link, finding: impl Into<String>) -> Self {
        Self::new(link, Status::Ok, finding)
    }

    pub(crate) fn warning(link: Link, finding: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..Self::new(link, Status::Warning, finding) }
    }

    pub(crate) fn failed(link: Link, finding: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..Self::new(link, Status::Failed, finding) }
    }

    pub(crate) fn skipped(link: Link, why: impl Into<String>) -> Self {
        Self::new(link, Status::Skipped, why)
    }

    /// Adds a fact.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((name, value.to_string()));
        self
    }

    /// Adds a fact if there is one.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// The whole examination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// When it began.
    pub at: UnixTime,
    /// What was examined: host and identity, in a line.
    pub subject: String,
    /// In the order of [`Link`]. Each link once; of [`misconfigured`] the first alone.
    pub steps: Vec<Step>,
}

impl Report {
    /// The first link that does not hold: what to mend first.
    pub fn first_broken(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.status == Status::Failed)
    }

    /// For programs: 0 all is well, 1 a link is broken, 2 the configuration is wrong (whatever else is), 3 warnings only.
    pub fn exit_code(&self) -> u8 {
        match self.first_broken() {
            Some(step) if step.link == Link::Configuration => 2,
            Some(_) => 1,
            None if self.steps.iter().any(|step| step.status == Status::Warning) => 3,
            None => 0,
        }
    }

    /// In a word: `ok`, `broken`, `misconfigured` or `warning`.
    pub fn verdict(&self) -> &'static str {
        match self.exit_code() {
            0 => "ok",
            2 => "misconfigured",
            3 => "warning",
            _ => "broken",
        }
    }

    /// For people: a table, and at its end what to do first.
    pub fn render_human(&self) -> String {
        human::render(self)
    }

    /// For programs: the schema is described in `docs/doctor.md` and only ever grows.
    pub fn to_json(&self) -> serde_json::Value {
        json::of(self)
    }
}

/// The report for settings that cannot be used: nothing else is looked at. `mistakes` are pairs of a setting's name and what
/// is wrong with it, with the mend.
pub fn misconfigured(version: &'static str, at: UnixTime, mistakes: &[(String, String)]) -> Report {
    let count = mistakes.len();
    let finding = match mistakes {
        [(name, message)] => format!("{name}: {message}"),
        _ => format!("{count} settings are wrong; with these the container ends at once and keeps restarting"),
    };
    let mend = match mistakes {
        [(name, _)] => format!("correct {name} and start again"),
        _ => "correct each of these settings and start again".to_owned(),
    };
    let mut step = Step::failed(Link::Configuration, finding, mend);
    for (name, message) in mistakes {
        step = step.with("mistake", format!("{name}: {message}"));
    }
    Report { version, at, subject: "settings that cannot be used".to_owned(), steps: vec![step] }
}
