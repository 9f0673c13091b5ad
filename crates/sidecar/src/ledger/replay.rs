//! `ledger replay`: sends refused series again, through the sidecar, so that the account holds them again.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use environment::{Clock, HttpClient, Request, Response};
use host::logging::Rfc3339;
use host::{HostClock, HostDisk, HostHttp};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use secrecy::ExposeSecret as _;
use serde_json::json;
use spool::Refusal;
use url::Url;

use super::replayed::Replayed;
use super::words::{counts_text, harmless, refusal_json};
use super::{Common, LedgerError, print};
use crate::quantity;
use crate::settings::LedgerSettings;

/// Arguments of `ledger replay`.
#[derive(Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    common: Common,
    /// Where to write to [default: the sidecar on this machine, http://127.0.0.1:<port>/api/v1/write]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Only what was refused for this reason, such as forbidden; may be repeated
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only what was refused within this time, such as 2h
    #[arg(long, value_name = "SPAN")]
    since: Option<String>,
    /// Also what an earlier replay has sent again already (remembered in the file `replayed` of the queue's directory)
    #[arg(long)]
    again: bool,
    /// Show what would be sent and send nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(replay: &Replay, settings: &LedgerSettings) -> Result<ExitCode, LedgerError> {
    let directory = replay.common.directory(settings)?;
    let since = replay.since.as_deref().map(quantity::duration).transpose();
    let since = since.map_err(|wrong| LedgerError::Argument(format!("--since {wrong}")))?;
    if let Some(reason) = replay.reason.iter().find(|reason| !is_reason(reason)) {
        let known = REASONS.map(spool::Rejection::name).join(", ");
        return Err(LedgerError::Argument(format!("--reason {reason:?} is not known: it is one of {known}")));
    }
    let clock = HostClock::new();
    let oldest = since.map(|since| clock.now().minus(since));
    let mut refusals = spool::read_refusals(&HostDisk, &directory)?;
    let sender = Sender::new(replay, settings)?;
    let mut memory = Memory::open(&directory);
    if !replay.dry_run {
        memory.begin(&refusals);
    }
    refusals.retain(|refusal| {
        let right_reason =
            replay.reason.is_empty() || replay.reason.iter().any(|reason| reason == refusal.reason.name());
        right_reason && oldest.is_none_or(|oldest| refusal.at >= oldest)
    });
    let all = refusals.len();
    refusals.retain(|refusal| replay.again || !memory.replayed.contains(refusal));
    let (before, mut accepted) = (all - refusals.len(), 0);
    for (place, refusal) in refusals.iter().enumerate() {
        let result = if replay.dry_run { Ok(None) } else { sender.send(refusal, &clock).await.map(Some) };
        accepted += usize::from(result.is_ok());
        if matches!(result, Ok(Some(_))) {
            memory.remember(refusal);
        }
        print(&line(replay, refusal, (place + 1, refusals.len()), &result))?;
    }
    if !replay.common.json {
        if before > 0 {
            let were = if before == 1 { "was" } else { "were" };
            eprintln!("{before} {were} sent again before; --again sends them once more");
        }
        let what = if replay.dry_run { "would be sent again" } else { "were taken again" };
        eprintln!("{accepted} of {} refused series {what}, to {}", refusals.len(), sender.url);
    }
    Ok(if accepted == refusals.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was sent again before. Best effort: where nothing can be remembered that is said, once.
struct Memory {
    replayed: Replayed,
    works: bool,
}

impl Memory {
    fn open(directory: &Path) -> Self {
        let (replayed, read) = Replayed::read(&HostDisk, directory);
        let mut memory = Self { replayed, works: true };
        memory.note(read);
        memory
    }

    fn begin(&mut self, refusals: &[Refusal]) {
        if self.works {
            let begun = self.replayed.begin(&HostDisk, refusals);
            self.note(begun);
        }
    }

    fn remember(&mut self, refusal: &Refusal) {
        if self.works {
            let written = self.replayed.remember(refusal);
            self.note(written);
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.works = false;
            let path = self.replayed.path().display();
            eprintln!("cannot remember what is sent again ({path}: {error}): the next replay will send it once more");
        }
    }
}

/// What became of one: the status that took it (none in a dry run), or why it was not taken.
type Taken = Result<Option<u16>, String>;

fn line(replay: &Replay, refusal: &Refusal, (place, all): (usize, usize), result: &Taken) -> String {
    if replay.common.json {
        let mut value = refusal_json(refusal);
        value["sent"] = json!(!replay.dry_run);
        value["taken"] = json!(result.as_ref().is_ok_and(Option::is_some));
        value["error"] = json!(result.as_ref().err());
        return format!("{value}\n");
    }
    let became = match result {
        Ok(None) => "would be sent".to_owned(),
        Ok(Some(status)) => format!("taken ({status})"),
        Err(why) => format!("NOT TAKEN: {}", harmless(why)),
    };
    let (at, series, tally) = (Rfc3339(refusal.at), harmless(&refusal.series), counts_text(refusal.tally));
    format!("{place}/{all}  {at} {}  {series}  {tally}: {became}\n", refusal.reason.name())
}

/// Sends to one sidecar.
struct Sender<'a> {
    url: Url,
    settings: &'a LedgerSettings,
    http: Box<dyn HttpClient>,
}

impl<'a> Sender<'a> {
    fn new(replay: &Replay, settings: &'a LedgerSettings) -> Result<Self, LedgerError> {
        let text = replay.url.clone().unwrap_or_else(|| settings.write_url());
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            let example = "give one such as http://127.0.0.1:8081/api/v1/write";
            return Err(LedgerError::Argument(format!("--url is not an http or https URL: {example}")));
        };
        // The listener's token goes to nobody who could read along. Our own address never leaves the machine.
        let is_given = replay.url.is_some();
        if is_given && settings.token.is_some() && proxy::check_upstream_url(&url).is_err() {
            let mend = "give an https URL, or one of a loopback address";
            return Err(LedgerError::Argument(format!("--url would send the listener's token unprotected: {mend}")));
        }
        Ok(Self { url, settings, http: Box::new(HostHttp::new(Arc::clone(&settings.roots), None)) })
    }

    /// The status on success. A sidecar whose queue is full is asked again a few times.
    async fn send(&self, refusal: &Refusal, clock: &dyn Clock) -> Result<u16, String> {
        let mut tries = 1;
        loop {
            let answer =
                self.http.send(self.request(refusal)?, ANSWER_TIMEOUT).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            if status.is_success() {
                return Ok(status.as_u16());
            }
            let passing = matches!(status.as_u16(), 429 | 503);
            if !passing || tries >= TRIES_MAX {
                let text =
                    String::from_utf8_lossy(&answer.body()[..answer.body().len().min(SHOWN_BYTES_MAX)]).into_owned();
                return Err(format!("{} {text}", status.as_u16()));
            }
            clock.sleep(wait(&answer)).await;
            tries += 1;
        }
    }

    fn request(&self, refusal: &Refusal) -> Result<Request, String> {
        let mut request = http::Request::post(self.url.as_str())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0");
        if let Some(token) = &self.settings.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        request.body(Bytes::clone(&refusal.body)).map_err(|error| error.to_string())
    }
}

/// How long a busy sidecar asks to be left alone, within reason.
fn wait(answer: &Response) -> Duration {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(asked.unwrap_or(1)).clamp(Duration::from_millis(100), WAIT_MAX)
}

fn is_reason(text: &str) -> bool {
    REASONS.iter().any(|reason| reason.name() == text)
}

const REASONS: [spool::Rejection; 9] = [
    spool::Rejection::Invalid,
    spool::Rejection::Unauthorized,
    spool::Rejection::Forbidden,
    spool::Rejection::NotFound,
    spool::Rejection::TooLarge,
    spool::Rejection::Unsupported,
    spool::Rejection::NotWritten,
    spool::Rejection::Undecided,
    spool::Rejection::Damaged,
];

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(10);
const TRIES_MAX: u32 = 5;
const SHOWN_BYTES_MAX: usize = 400;
