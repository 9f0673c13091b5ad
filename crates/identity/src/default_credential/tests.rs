use std::sync::Mutex;

use testkit::json_response;

use super::*;
use crate::test_support::{CLIENT, TENANT, World, discovery_document, token_answer};

fn settings() -> DefaultSettings {
    DefaultSettings {
        authority: Authority::parse("https://login.example").unwrap(),
        tenant_id: Some(TENANT.to_owned()),
        client_id: Some(CLIENT.to_owned()),
        client_secret: None,
        client_certificate_path: None,
        client_certificate_password: None,
        federated_token_file: None,
        managed_identity: ManagedIdentitySettings::default(),
    }
}

/// Entra and IMDS that answer with the given statuses, 200 with a token.
fn world(entra: u16, imds: u16) -> (World, Arc<Mutex<(u16, u16)>>) {
    let statuses = Arc::new(Mutex::new((entra, imds)));
    let current = Arc::clone(&statuses);
    let world = World::new(move |request| {
        let (entra, imds) = *current.lock().unwrap();
        match (request.uri().host(), request.method().as_str()) {
            (Some("169.254.169.254"), _) if imds == 200 => Ok(token_answer("imds", 3600)),
            (Some("169.254.169.254"), _) => Ok(json_response(imds, r#"{"error":"invalid_request"}"#)),
            (_, "GET") => Ok(json_response(200, discovery_document())),
            _ if entra == 200 => Ok(token_answer("entra", 3600)),
            _ => Ok(json_response(entra, r#"{"error":"invalid_client","error_description":"AADSTS7000215: no"}"#)),
        }
    });
    (world, statuses)
}

fn default(settings: &DefaultSettings, world: &World) -> Arc<dyn Credential> {
    Arc::new(DefaultCredential::from_settings(settings, &world.environment).unwrap())
}

#[test]
fn the_first_that_is_configured_and_works_is_used() {
    let secret = DefaultSettings { client_secret: Some("s".into()), ..settings() };
    let federated = DefaultSettings { federated_token_file: Some("/token".into()), ..settings() };
    let unreadable = DefaultSettings { client_certificate_path: Some("/none".into()), ..settings() };
    let no_tenant = DefaultSettings { tenant_id: None, ..secret.clone() };
    for (settings, entra, imds, expected) in [
        (&settings(), 200, 200, "imds"),
        (&secret, 200, 200, "entra"),
        (&federated, 200, 200, "entra"),
        (&unreadable, 200, 200, "imds"),
        (&no_tenant, 200, 200, "imds"),
        (&secret, 401, 200, "imds"),
    ] {
        let (mut world, _) = world(entra, imds);
        world.files.put("/token", "jwt");
        let credential = default(settings, &world);
        assert_eq!(world.fetch(&credential).unwrap().secret(), expected);
    }
}

#[test]
fn once_one_worked_no_other_is_asked() {
    let (mut world, statuses) = world(401, 200);
    let credential = default(&DefaultSettings { client_secret: Some("s".into()), ..settings() }, &world);
    assert_eq!(credential.describe(), "default credential");
    assert_eq!(world.fetch(&credential).unwrap().secret(), "imds");
    assert!(credential.describe().contains("managed identity"));
    *statuses.lock().unwrap() = (200, 400);
    let error = world.fetch(&credential).unwrap_err();
    assert!(error.credential().contains("managed identity"), "{error}");
}

#[test]
fn a_credential_that_cannot_work_now_is_not_replaced_by_another_principal() {
    let (mut world, statuses) = world(503, 200);
    let credential = default(&DefaultSettings { client_secret: Some("s".into()), ..settings() }, &world);
    let error = world.fetch(&credential).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("answered 503"), "{error}");
    *statuses.lock().unwrap() = (200, 200);
    assert_eq!(world.fetch(&credential).unwrap().secret(), "entra");
}

#[test]
fn all_failures_are_named() {
    let (mut world, _) = world(401, 400);
    let credential = default(
        &DefaultSettings { client_secret: Some("s".into()), federated_token_file: Some("/none".into()), ..settings() },
        &world,
    );
    let text = world.fetch(&credential).unwrap_err().to_string();
    for part in ["(1) client secret", "AADSTS7000215", "(2) workload identity", "/none", "(3) managed identity"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_source_that_is_not_supported_matters_only_when_nothing_else_is_configured() {
    let (world, _) = world(200, 200);
    let cloud_shell = ManagedIdentitySettings { msi_endpoint: Some("http://x/".to_owned()), ..Default::default() };
    let alone = DefaultSettings { managed_identity: cloud_shell, ..settings() };
    let error = DefaultCredential::from_settings(&alone, &world.environment).err().unwrap();
    assert!(error.to_string().contains("MSI_ENDPOINT"), "{error}");
    let with_secret = DefaultSettings { client_secret: Some("s".into()), ..alone };
    assert!(DefaultCredential::from_settings(&with_secret, &world.environment).is_ok());
    assert!(matches!(DefaultCredential::new(Vec::new()), Err(SettingError::NothingConfigured)));
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let mut settings = DefaultSettings {
        client_secret: Some("hunter2".into()),
        client_certificate_password: Some("hunter2".into()),
        ..settings()
    };
    settings.managed_identity.identity_header = Some("hunter2".into());
    settings.managed_identity.msi_secret = Some("hunter2".into());
    let shown = format!("{settings:?}");
    assert!(shown.contains(CLIENT) && !shown.contains("hunter2"), "{shown}");
}
