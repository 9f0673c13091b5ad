//! `doctor`: the chain from the settings to the samples, examined by the crate `doctor` with what the settings say.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use doctor::{Endpoint, Listener, Plan, Queue, Report};
use environment::Clock as _;
use host::HostClock;
use proxy::Medium;

use crate::outgoing::environment_for;
use crate::program::failed;
use crate::{InvalidSettings, Settings};

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Examination {
    /// For programs: one JSON document
    #[arg(long)]
    json: bool,
    /// Query endpoint of the workspace, to read back what arrived [default: REMORA_QUERY_URL]
    #[arg(long, value_name = "URL")]
    query_url: Option<String>,
    /// Write one sample of the series remora_doctor_test; without this nothing is stored
    #[arg(long)]
    write_sample: bool,
}

/// Examines the chain of the settings that `variable` and the settings file `config` give, and prints the report. `name` is
/// what the program is called in messages.
///
/// Exit codes: 0 all is well, 1 a link is broken, 2 the settings are wrong, 3 there are warnings alone.
pub async fn examine(
    name: &str,
    doctor: &Examination,
    config: Option<&Path>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> ExitCode {
    let variable = |name: &str| match (name, &doctor.query_url) {
        ("REMORA_QUERY_URL", Some(given)) => Some(given.clone()),
        _ => variable(name),
    };
    let settings = Settings::load(variable, config);
    let report = match settings {
        Ok(settings) => match plan(doctor, &settings) {
            Ok(plan) => doctor::run(&plan).await,
            Err(error) => return failed(name, &error.to_string()),
        },
        Err(invalid) => misconfigured(&invalid),
    };
    let text = if doctor.json { format!("{}\n", report.to_json()) } else { report.render_human() };
    #[expect(clippy::print_stdout, reason = "the report is what was asked for")]
    {
        print!("{text}");
    }
    ExitCode::from(report.exit_code())
}

fn misconfigured(invalid: &InvalidSettings) -> Report {
    let mistakes: Vec<_> =
        invalid.0.iter().map(|mistake| (mistake.place.to_string(), mistake.message.clone())).collect();
    doctor::misconfigured(env!("CARGO_PKG_VERSION"), HostClock::new().now(), &mistakes)
}

fn plan(doctor: &Examination, settings: &Settings) -> Result<Plan, identity::SettingError> {
    let environment = environment_for(settings);
    let on_disk = settings.queue.as_ref().filter(|queue| queue.medium == Medium::Disk);
    Ok(Plan {
        version: env!("CARGO_PKG_VERSION"),
        cloud: settings.cloud,
        identity: settings.identity.name().to_owned(),
        credential: settings.identity.credential(environment.clone())?,
        ingestion: Endpoint { url: settings.ingestion_url.clone(), scope: settings.ingestion_scope.clone() },
        query: settings.query.as_ref().map(|query| Endpoint { url: query.url.clone(), scope: query.scope.clone() }),
        roots: Arc::clone(&settings.roots),
        outbound_proxy: settings.outbound_proxy.clone(),
        // Port 0 is a free one, which only the sidecar's log tells.
        listener: (settings.listen.port() != 0)
            .then_some(Listener { address: settings.listen, tls: settings.listener.certificate.is_some() }),
        queue: on_disk.map(|queue| Queue { directory: queue.directory.clone(), bytes_max: queue.settings.bytes_max }),
        write_sample: doctor.write_sample,
        clock: environment.clock,
    })
}
