//! What the tests of several modules need: files and an [`Environment`] in memory.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use environment::{Disk, DiskFile, DiskLock, DiskRead, FileKind, HttpError, Request, Response};
use testkit::{ScriptedHttp, SeededRng, Simulation};

use crate::{AccessToken, Application, Authority, Credential, Environment, Scope, TokenError};

/// A directory in memory that a test can change while credentials read it.
#[derive(Clone, Default)]
pub(crate) struct Files(Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>);

impl Files {
    pub(crate) fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.0.lock().unwrap().insert(path.into(), content.into());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().remove(Path::new(path));
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Credentials only ever read.
impl Disk for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.lock().unwrap().get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
    fn open_read(&self, _: &Path) -> io::Result<Box<dyn DiskRead>> {
        unsupported()
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn DiskLock>> {
        unsupported()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<(PathBuf, FileKind)>> {
        unsupported()
    }
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        unsupported()
    }
    fn open_append(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        unsupported()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn remove_directory(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
}

/// A simulated machine: its clock, its files, and a network that `handler` answers for.
pub(crate) struct World {
    pub(crate) simulation: Simulation,
    pub(crate) files: Files,
    pub(crate) http: ScriptedHttp,
    pub(crate) environment: Environment,
}

/// 2027-01-15T08:00:00Z, after the fixtures were made
pub(crate) const START: i64 = 1_800_000_000;

impl World {
    pub(crate) fn new(handler: impl FnMut(&Request) -> Result<Response, HttpError> + Send + 'static) -> Self {
        let simulation = Simulation::new(environment::UnixTime::from_secs(START));
        let (files, http) = (Files::default(), ScriptedHttp::new(handler));
        let environment = Environment {
            clock: Arc::new(simulation.clock()),
            rng: Arc::new(SeededRng::new(1)),
            disk: Arc::new(files.clone()),
            http: Arc::new(http.clone()),
        };
        Self { simulation, files, http, environment }
    }

    #[track_caller]
    pub(crate) fn fetch(&mut self, credential: &Arc<dyn Credential>) -> Result<AccessToken, TokenError> {
        let credential = Arc::clone(credential);
        self.simulation.block_on(async move { credential.fetch(&scope()).await })
    }
}

pub(crate) fn scope() -> Scope {
    Scope::parse("https://monitor.azure.com//.default").unwrap()
}

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
pub(crate) const DISCOVERY: &str =
    "https://login.example/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration";
pub(crate) const TOKEN_ENDPOINT: &str = "https://login.example/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token";

pub(crate) fn application() -> Application {
    Application::new(Authority::parse("https://login.example/").unwrap(), TENANT, CLIENT).unwrap()
}

/// The discovery document of [`application`]'s directory.
pub(crate) fn discovery_document() -> String {
    format!(r#"{{"issuer":"https://login.example/{TENANT}/v2.0","token_endpoint":"{TOKEN_ENDPOINT}"}}"#)
}

/// A token answer of the v2 endpoint.
pub(crate) fn token_answer(secret: &str, expires_in: u64) -> Response {
    testkit::json_response(
        200,
        format!(
            r#"{{"token_type":"Bearer","expires_in":{expires_in},"ext_expires_in":{expires_in},"access_token":"{secret}"}}"#
        ),
    )
}

/// Method, URL, headers without random ids, and body, one per line.
pub(crate) fn wire(request: &Request) -> String {
    let mut lines = vec![format!("{} {}", request.method(), request.uri())];
    for (name, value) in request.headers() {
        let value = if name.as_str().ends_with("request-id") { "<id>" } else { value.to_str().unwrap() };
        lines.push(format!("{name}: {value}"));
    }
    lines.push(String::from_utf8(request.body().to_vec()).unwrap());
    lines.join("\n").trim_end().to_owned()
}
