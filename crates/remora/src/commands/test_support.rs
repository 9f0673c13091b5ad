//! A session for tests: a service in memory, and what is written kept.

use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use environment::Response;
use serde_json::Value;

use super::Session;
use super::console::{Console, Format};
use crate::cli::{Cli, Command};
use crate::client::ClientError;
use crate::client::test_support::Scene;

/// What a command wrote.
#[derive(Clone, Default)]
pub(crate) struct Written {
    out: Arc<Mutex<Vec<u8>>>,
    notes: Arc<Mutex<Vec<u8>>>,
}

impl Written {
    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.out.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn notes(&self) -> String {
        String::from_utf8(self.notes.lock().unwrap().clone()).unwrap()
    }
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A console that writes to `written`; a terminal if it has a width, at which somebody has typed `typed`.
pub(crate) fn console(written: &Written, format: Format, width: Option<u16>, typed: &str) -> Console {
    Console::of_parts(
        Box::new(Shared(Arc::clone(&written.out))),
        Box::new(Shared(Arc::clone(&written.notes))),
        Box::new(Cursor::new(typed.as_bytes().to_vec())),
        width,
        format,
    )
}

/// The subscription of tests.
pub(crate) const SUBSCRIPTION: &str = "11111111-1111-1111-1111-111111111111";

/// The outcome of a command line.
pub(crate) struct Outcome {
    pub(crate) result: Result<(), ClientError>,
    pub(crate) written: Written,
    /// Methods and targets, in order.
    pub(crate) requests: Vec<String>,
    /// Bodies of them.
    pub(crate) bodies: Vec<Value>,
}

/// Words of a line, some of them in single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// A success of the service.
pub(crate) fn ok(body: &Value) -> Response {
    testkit::json_response(200, body.to_string())
}

/// A refusal of the service.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response {
    testkit::json_response(status, serde_json::json!({"error": {"code": code, "message": message}}).to_string())
}

/// Runs `remora {line}` against a service that answers with what `handler` makes of method, target and body.
pub(crate) fn run(line: &str, handler: impl FnMut(&str, &str, Value) -> Response + Send + 'static) -> Outcome {
    let mut scene = Scene::new(handler);
    let words = std::iter::once("remora".to_owned()).chain(words(line));
    let command = match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).command {
        Command::Manage(command) => command,
        other => panic!("{line} is no command that manages: {other:?}"),
    };
    let options = command.service().clone();
    let written = Written::default();
    let console = console(&written, Format::of(&options), None, "");
    let client = scene.client_with(|parts| {
        parts.subscription = Some(options.subscription.clone().unwrap_or_else(|| SUBSCRIPTION.to_owned()));
        parts.resource_group.clone_from(&options.resource_group);
    });
    let mut session = Session { client, console, options: options.as_arguments() };
    let result = scene.simulation.block_on(async move { session.perform(*command).await });
    let bodies =
        scene.http.requests().into_iter().map(|request| serde_json::from_slice(request.body()).unwrap_or(Value::Null));
    Outcome { result, written, requests: scene.requests(), bodies: bodies.collect() }
}
