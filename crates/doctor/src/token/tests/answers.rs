//! The answers of Entra and of managed identity endpoints, through the credentials that ask them.

use std::sync::Arc;

use identity::{Application, Authority, ClientSecret, Environment, IdentitySelector, IdentitySource, ManagedIdentity};
use secrecy::SecretString;
use testkit::{MemoryDisk, ScriptedHttp, SeededRng, json_response};

use super::*;

fn environment(http: ScriptedHttp) -> Environment {
    Environment {
        clock: Arc::new(host::HostClock::new()),
        rng: Arc::new(SeededRng::new(1)),
        disk: Arc::new(MemoryDisk::new()),
        http: Arc::new(http),
    }
}

async fn refused(credential: &dyn Credential) -> Step {
    let scope = Scope::parse("https://monitor.azure.com").unwrap();
    let (mut steps, held) = look(credential, &scope, Cloud::UsGovernment, NOW).await;
    assert!(held.is_none() && steps.len() == 1 && steps[0].status == Status::Failed, "{steps:?}");
    steps.remove(0)
}

#[tokio::test(start_paused = true)]
async fn every_code_of_entra_has_its_mend() {
    for (status, code, mend) in [
        (401, 7_000_215, "secret's value"),
        (401, 7_000_222, "has expired"),
        (400, 700_016, "not in this directory"),
        (400, 90_002, "one of AzureGovernment (CLOUD)"),
        (400, 900_144, "client id and the tenant id are set"),
        (400, 500_011, "audience and the cloud"),
        (400, 50_001, "audience and the cloud"),
        (400, 70_011, "/.default"),
        (400, 1_002_012, "/.default"),
        (401, 700_027, "upload this certificate"),
        (401, 700_024, "clock"),
        (401, 700_211, "issuer"),
        (401, 700_212, "api://AzureADTokenExchange"),
        (401, 700_213, "system:serviceaccount:"),
        (401, 700_223, "policy"),
    ] {
        let http = ScriptedHttp::new(move |request| {
            let body = format!(
                r#"{{"error":"invalid_client","error_description":"AADSTS{code}: no. You sent geheim.\r\nTrace ID: x","error_codes":[{code}]}}"#
            );
            // Discovery is not what is tried here.
            Ok(json_response(if request.method() == "GET" { 404 } else { status }, body))
        });
        let authority = Authority::parse("https://login.microsoftonline.us").unwrap();
        let id = "11111111-2222-3333-4444-555555555555";
        let application = Application::new(authority, id, id).unwrap();
        let step = refused(&ClientSecret::new(application, SecretString::from("geheim"), environment(http))).await;
        let told = step.mend.as_deref().unwrap();
        assert!(told.contains(mend) && step.finding.contains(&format!("AADSTS{code}")), "{step:?}");
        assert!(!step.finding.contains(told), "the mend stands in one place: {step:?}");
        assert!(step.details.contains(&("aadsts", format!("AADSTS{code}"))), "{step:?}");
        assert!(!format!("{step:?}").contains("geheim"), "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_managed_identity_endpoints_have_theirs() {
    for (status, body, mend) in [
        (400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#, "assign this identity"),
        (400, r#"{"error":"bad_request_102","error_description":"Required metadata header not specified"}"#, "proxy"),
        (400, r#"{"error":"invalid_resource","error_description":"AADSTS50001: no"}"#, "audience and the cloud"),
        (401, r#"{"error":"unknown_source"}"#, "address"),
        (403, "unreachable network", "no managed identity endpoint"),
        (404, "", "being updated"),
        (410, "", "70 s"),
        (429, "", "throttles"),
        (500, r#"{"error":"unknown"}"#, "cannot get a token now"),
    ] {
        let http = ScriptedHttp::new(move |_| Ok(json_response(status, body)));
        let selector = IdentitySelector::ClientId("11111111-2222-3333-4444-555555555555".to_owned());
        let source = IdentitySource::imds(identity::IMDS_BASE).unwrap();
        let step = refused(&ManagedIdentity::new(selector, source, environment(http))).await;
        assert!(step.mend.as_deref().unwrap().contains(mend), "{status}: {step:?}");
        assert!(step.details.contains(&("status", status.to_string())), "{step:?}");
    }
}
