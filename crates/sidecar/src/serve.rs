//! The sidecar started: log, limits of the system, signals, and new settings while it runs.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::outgoing::environment_for;
use crate::program::failed;
use crate::reload::{Load, Watch};
use crate::{Settings, Sidecar};

/// Serves until SIGTERM or SIGINT, and then until what is under way has ended; a second signal ends it at once. SIGHUP and
/// changed files make it read its settings anew, with `load`.
pub(crate) async fn serve(
    name: &str,
    mut settings: Settings,
    misspelt: &[(String, &'static str)],
    load: Arc<Load>,
) -> ExitCode {
    let log = match host::logging::init_changeable(log_filter(settings.trace)) {
        Ok(log) => log,
        Err(error) => return failed(name, &error.to_string()),
    };
    log_settings(&settings);
    for (given, meant) in misspelt {
        tracing::warn!(variable = given, meant, "Variable is not known and not read");
    }
    let listen_for = |kind: SignalKind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    let signals = || {
        // Handlers stay for the life of the process, also when nobody listens any more.
        drop(listen_for(SignalKind::from_raw(SIGXFSZ))?);
        let hang_up = listen_for(SignalKind::hangup())?;
        Ok::<_, String>((listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?, hang_up))
    };
    let (terminate, interrupt, hang_up) = match signals() {
        Ok(signals) => signals,
        Err(error) => return failed(name, &error),
    };
    let open_files_max = open_files_max();
    let load: Arc<Load> = Arc::new(move || {
        let (contents, settings) = load();
        (contents, settings.map(|settings| within(settings, open_files_max)))
    });
    settings = within(settings, open_files_max);
    let sidecar = match Sidecar::bind(&settings, environment_for(&settings)).await {
        Ok(sidecar) => sidecar,
        Err(error) => return failed(name, &error.to_string()),
    };
    let watching = tokio::spawn(Watch::new(sidecar.handle(), &settings, load, hang_up, log).run());
    sidecar.run(ordered(terminate, interrupt)).await;
    watching.abort();
    ExitCode::SUCCESS
}

/// What the log lets through.
pub(crate) fn log_filter(trace: bool) -> &'static str {
    if trace { TRACE_FILTER } else { "info" }
}

/// Resolves at the first signal to end. The second ends the process there and then.
async fn ordered(mut terminate: Signal, mut interrupt: Signal) {
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "Stopping: finishing what is under way");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("Stopping at once on a second signal");
        std::process::exit(EXIT_INTERRUPTED);
    });
}

/// How many files and sockets the system lets this process have, after asking it for as many as it gives.
fn open_files_max() -> u64 {
    match host::raise_open_files_max() {
        Ok(max) => {
            tracing::info!(max, "Open files allowed by the system");
            max
        }
        Err(error) => {
            tracing::warn!("cannot raise the limit of open files: {error}");
            u64::MAX
        }
    }
}

/// The settings with no more connections than the system allows.
fn within(mut settings: Settings, open_files_max: u64) -> Settings {
    let asked = settings.limits.connections_max;
    settings.limits = settings.limits.within_open_files(open_files_max);
    let max = settings.limits.connections_max;
    if asked > max && settings.given("REMORA_CONNECTIONS_MAX").is_some() {
        let mend = "raise the hard limit of open files";
        tracing::warn!(asked, max, "The system allows fewer connections than are set: {mend}");
    }
    settings
}

/// Names as the sidecar that this replaces logs them; no secrets.
fn log_settings(settings: &Settings) {
    tracing::info!(
        CLOUD = %settings.cloud,
        CLUSTER = settings.cluster,
        IDENTITY_TYPE = settings.identity.name(),
        INGESTION_AAD_AUDIENCE = %settings.ingestion_scope,
        INGESTION_URL = %settings.ingestion_url,
        LISTENING_PORT = settings.listen.port(),
        REMORA_CONFIG = settings.config.as_deref().map(|path| path.display().to_string()),
        REMORA_LISTEN_ADDRESS = %settings.listen.ip(),
        REMORA_QUEUE = settings.queue.as_ref().map(|queue| queue.medium.name()),
        REMORA_QUERY_URL = settings.query.as_ref().map(|query| query.url.as_str()),
        version = env!("CARGO_PKG_VERSION"),
        "Configuration settings loaded:"
    );
}

/// Comes with a write beyond the limit on the size of files (`ulimit -f`) and ends a process that has no handler for it; to one
/// that has, the write fails like one to a full disk. The number is that of Linux on all but MIPS and PA-RISC, and of macOS.
const SIGXFSZ: i32 = 25;

/// What shells show for a program that a signal ended (128 + SIGINT).
const EXIT_INTERRUPTED: i32 = 130;

const TRACE_FILTER: &str =
    "debug,proxy=trace,identity=trace,sidecar=trace,spool=trace,delivery=trace,hyper=info,hyper_util=info,rustls=info";
