//! The log's text form: one line per event, as logrus writes it.
//!
//! `time="2026-11-22T10:46:55Z" level=info msg="what happened" key=value …` with keys in order of their names: tools that
//! read the logs of the sidecar this replaces keep working. Names of fields are those at the call site
//! (`tracing::info!(avgBytesPerRequest = 1, "…")`).

mod format;
mod rfc3339;

use std::io;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::{EnvFilter, reload};

pub use format::LogrusText;
pub use rfc3339::Rfc3339;

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("log filter {filter:?} is wrong: {source} (examples: info, debug, warn,ingest=debug)")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something else writes the log already.
    #[error("logging is set up already")]
    Twice,
}

/// Sends events that `filter` lets through to standard error, for the rest of the process.
///
/// `filter` is a level (`info`) or a list of levels by module (`warn,ingest=debug`).
///
/// # Errors
/// [`LoggingError`] for a wrong filter, or when called twice.
pub fn init(filter: &str) -> Result<(), LoggingError> {
    tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(io::stderr)
        .event_format(LogrusText::new())
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

/// The same with a filter that can be changed later.
///
/// # Errors
/// As [`init`].
pub fn init_changeable(filter: &str) -> Result<Changeable, LoggingError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .with_writer(io::stderr)
        .event_format(LogrusText::new())
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.try_init().map_err(|_| LoggingError::Twice)?;
    Ok(Changeable(Box::new(move |filter| handle.reload(filter))))
}

/// Changes what the log lets through.
pub struct Changeable(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Changeable {
    /// Lets through what `filter` does, from now on.
    ///
    /// # Errors
    /// [`LoggingError::Filter`]; then it stays as it was.
    pub fn set(&self, filter: &str) -> Result<(), LoggingError> {
        let parsed = parse(filter)?;
        // The log lives as long as the process, which is the one way in which this could fail.
        let _gone = (self.0)(parsed);
        Ok(())
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::try_new(filter).map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })
}
