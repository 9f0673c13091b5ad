//! From a credential of a client to the principal that a service sees.

use super::*;

/// The network as the identity crate sees it: this authority at two addresses, nothing else.
struct InProcess(Arc<Authority>);

impl HttpClient for InProcess {
    fn send(
        &self,
        request: environment::Request,
        _: Duration,
    ) -> BoxFuture<'_, Result<environment::Response, HttpError>> {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (tls, host) = (parts.uri.scheme_str() == Some("https"), parts.uri.authority().unwrap().to_string());
            parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
            parts.headers.insert("host", host.parse().unwrap());
            Ok(self.0.answer(Request::from_parts(parts, body), Caller { tls, loopback: true }).await)
        })
    }
}

#[test]
fn a_token_makes_the_whole_round() {
    let mut bench = Bench::new();
    let files = MemoryDisk::new();
    let write = |name: &str, text: &str| crate::files::replace(&files, Path::new(name), text.as_bytes()).unwrap();
    write("/client.pem", &SIGNER.pem);
    let workload = bench.authority.issue_workload_token(POD, EXCHANGE, Duration::from_secs(3600)).unwrap();
    write("/token", &workload);
    let outside = identity::Environment {
        clock: Arc::new(bench.simulation.clock()),
        rng: Arc::new(SeededRng::new(1)),
        disk: Arc::new(files),
        http: Arc::new(InProcess(Arc::clone(&bench.authority))),
    };
    let application = || {
        let authority = identity::Authority::parse(BASE).unwrap();
        identity::Application::new(authority, &TENANT.to_string(), &APP.to_string()).unwrap()
    };
    let imds = || identity::IdentitySource::imds("http://127.0.0.1:7091").unwrap();
    let app_service = || identity::IdentitySource::AppService {
        endpoint: "http://127.0.0.1:7091/msi/token".parse().unwrap(),
        header: SecretString::from("header-of-the-app"),
    };
    let managed = |selector, source| Box::new(identity::ManagedIdentity::new(selector, source, outside.clone()));
    let credentials: Vec<(&str, Box<dyn identity::Credential>, Uuid)> = vec![
        (
            "secret",
            Box::new(identity::ClientSecret::new(application(), SecretString::from(SECRET), outside.clone())),
            APP_OBJECT,
        ),
        (
            "certificate",
            Box::new(identity::ClientCertificate::new(application(), "/client.pem".into(), None, outside.clone())),
            APP_OBJECT,
        ),
        (
            "workload",
            Box::new(identity::WorkloadIdentity::new(application(), "/token".into(), outside.clone())),
            APP_OBJECT,
        ),
        ("imds, default", managed(identity::IdentitySelector::SystemAssigned, imds()), IDENTITY_OBJECT),
        (
            "imds, client id",
            managed(identity::IdentitySelector::ClientId(IDENTITY.to_string()), imds()),
            IDENTITY_OBJECT,
        ),
        (
            "imds, object id",
            managed(identity::IdentitySelector::ObjectId(IDENTITY_OBJECT.to_string()), imds()),
            IDENTITY_OBJECT,
        ),
        (
            "imds, resource id",
            managed(identity::IdentitySelector::ResourceId(IDENTITY_ID.to_owned()), imds()),
            IDENTITY_OBJECT,
        ),
        (
            "app service",
            managed(identity::IdentitySelector::ResourceId(IDENTITY_ID.to_owned()), app_service()),
            IDENTITY_OBJECT,
        ),
    ];
    let scope = Scope::parse(Cloud::Public.ingestion_audience().unwrap()).unwrap();
    // One verifier in this process without HTTP, one that discovers the authority as a remote service would.
    let verifiers: Vec<Arc<Verifier>> = [
        bench.authority.trusted_issuer(),
        Issuer::openid(bench.authority.issuer()).unwrap(),
        Issuer::entra_tenant(BASE, &TENANT.to_string()).unwrap(),
    ]
    .into_iter()
    .map(|issuer| Arc::new(Verifier::new([issuer], Arc::clone(&outside.http), Arc::clone(&outside.clock)).unwrap()))
    .collect();
    let mut last = String::new();
    for (name, credential, object_id) in credentials {
        let scope = scope.clone();
        let fetched = bench.simulation.block_on(async move { credential.fetch(&scope).await });
        let token = fetched.unwrap_or_else(|error| panic!("{name}: {error}")).secret().to_owned();
        for verifier in &verifiers {
            let (verifier, token) = (Arc::clone(verifier), token.clone());
            let verifying = async move { verifier.verify(&token, &["https://monitor.azure.com/"]).await };
            let principal = bench.simulation.block_on(verifying).unwrap_or_else(|refused| panic!("{name}: {refused}"));
            assert_eq!(principal.object_id, object_id.to_string(), "{name}");
        }
        last = token;
    }
    let verifier = Arc::clone(&verifiers[1]);
    bench.authority.rotate_keys().unwrap();
    bench.simulation.advance(Duration::from_secs(600));
    let (status, body) = bench.imds("api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com");
    assert_eq!(status, 200);
    let rotated = body["access_token"].as_str().unwrap().to_owned();
    let both = bench.simulation.block_on(async move {
        [
            verifier.verify(&last, &["https://monitor.azure.com"]).await.is_ok(),
            verifier.verify(&rotated, &["https://monitor.azure.com"]).await.is_ok(),
        ]
    });
    assert_eq!(both, [true, true], "the old key overlaps, the new one is found");
}
