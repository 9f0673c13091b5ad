//! A token endpoint whose failures are switched by the test: of the App Service form, and as Entra has it (over TLS).

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::passing_time::now;
use super::ports::free_port;
use super::wire::{Connection, answer};

/// Issues tokens and knows which of them are still valid.
#[derive(Clone)]
pub(crate) struct Tokens {
    shared: Arc<Mutex<Shared>>,
    port: u16,
}

struct Shared {
    lifetime: Duration,
    failing: Option<(u16, &'static str)>,
    issued: HashMap<String, Instant>,
    asked: u64,
}

impl Tokens {
    /// Issues tokens of an hour.
    pub(crate) fn serve() -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let lifetime = Duration::from_secs(3600);
        let shared = Shared { lifetime, failing: None, issued: HashMap::new(), asked: 0 };
        let tokens = Self { shared: Arc::new(Mutex::new(shared)), port };
        let serving = tokens.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let tokens = serving.clone();
                thread::spawn(move || tokens.serve_connection(Connection::new(stream.unwrap())));
            }
        });
        tokens
    }

    /// The variables that lead a sidecar here.
    pub(crate) fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("IDENTITY_TYPE", "systemAssigned".to_owned()),
            ("IDENTITY_ENDPOINT", format!("http://127.0.0.1:{}/msi/token", self.port)),
            ("IDENTITY_HEADER", HEADER.to_owned()),
        ]
    }

    /// How long tokens live that are issued from now on.
    pub(crate) fn set_lifetime(&self, lifetime: Duration) {
        self.shared.lock().unwrap().lifetime = lifetime;
    }

    /// Answers this from now on; none: tokens again.
    pub(crate) fn fail_with(&self, failing: Option<(u16, &'static str)>) {
        self.shared.lock().unwrap().failing = failing;
    }

    /// Takes back every token that was issued.
    pub(crate) fn revoke_all(&self) {
        self.shared.lock().unwrap().issued.clear();
    }

    /// Whether a token was issued here and has neither expired nor been taken back.
    pub(crate) fn is_valid(&self, token: &str) -> bool {
        self.shared.lock().unwrap().issued.get(token).is_some_and(|expires| *expires > now())
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.shared.lock().unwrap().asked
    }

    fn serve_connection(&self, mut connection: Connection) {
        while let Ok(Some(request)) = connection.read() {
            assert!(request.start.starts_with("GET /msi/token?"), "{}", request.start);
            assert_eq!(request.header("x-identity-header"), Some(HEADER));
            if connection.write(&self.answer()).is_err() {
                return;
            }
        }
    }

    /// The next token, or the failure in force.
    pub(crate) fn answer(&self) -> Vec<u8> {
        let mut shared = self.shared.lock().unwrap();
        shared.asked += 1;
        if let Some((status, body)) = shared.failing {
            return answer(status, "Content-Type: application/json\r\n", body.as_bytes());
        }
        let token = format!("{SECRET}-{}", shared.asked);
        let lifetime = shared.lifetime;
        shared.issued.insert(token.clone(), now() + lifetime);
        let body = format!(
            "{{\"access_token\":\"{token}\",\"expires_in\":{},\"resource\":\"https://monitor.azure.com\",\"token_type\":\"Bearer\"}}",
            lifetime.as_secs()
        );
        answer(200, "Content-Type: application/json\r\n", body.as_bytes())
    }
}

/// Stands in every token; must never be seen in a log or on a page.
pub(crate) const SECRET: &str = "geheimes-wort";

const HEADER: &str = "h34d3r-of-the-harness";
