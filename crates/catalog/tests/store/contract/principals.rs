//! Applications and managed identities.

use catalog::*;
use futures_executor::block_on;
use uuid::Uuid;

use crate::fixture::*;

const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn secret(n: u128) -> ApplicationSecret {
    ApplicationSecret {
        key_id: Uuid::from_u128(n),
        name: "ci".to_owned(),
        hint: "abc".to_owned(),
        sha256_hex: DIGEST.to_owned(),
        expires_at: Some(1_800_000_000),
    }
}

fn federation(name: &str, subject: &str) -> Federation {
    Federation {
        id: Uuid::from_u128(9),
        name: name.to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: subject.to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
        key_set: None,
    }
}

pub(crate) fn applications_keep_digests_only(mut f: Fixture) {
    let made = f.application("ci");
    let change = |f: &Fixture, change| block_on(f.store.change_application(&f.actor, made.client_id, change));
    let changed = change(&f, CredentialChange::AddSecret(secret(1))).unwrap();
    assert_ne!(changed.etag, made.etag);
    let certificate =
        ApplicationCertificate { key_id: Uuid::from_u128(2), name: String::new(), der_base64: "AAAA".to_owned() };
    change(&f, CredentialChange::AddCertificate(certificate)).unwrap();
    change(&f, CredentialChange::PutFederation(federation("github", "repo:a"))).unwrap();
    f.reopen();
    let now = f.snapshot();
    let found = &now.applications()[&made.client_id];
    assert_eq!((found.secrets[0].sha256_hex.as_str(), found.certificates.len()), (DIGEST, 1));
    assert_eq!(found.federations[0].subject, "repo:a");
    assert_eq!(now.application_by_object_id(made.application_object_id).unwrap().client_id, made.client_id);
    // Nothing of a secret is in the audit log, not even what it could be guessed with.
    for record in f.audit() {
        let text = format!("{record:?}");
        assert!(!text.contains(DIGEST) && !text.contains("hint"), "{text}");
    }
    assert!(!format!("{found:?}").contains(DIGEST));

    change(&f, CredentialChange::RemoveKey(Uuid::from_u128(1))).unwrap();
    change(&f, CredentialChange::RemoveKey(Uuid::from_u128(2))).unwrap();
    let missing = change(&f, CredentialChange::RemoveKey(Uuid::from_u128(3)));
    assert!(matches!(missing, Err(StoreError::Unknown { what: "secret or certificate", .. })));
    change(&f, CredentialChange::RemoveFederation("GitHub".to_owned())).unwrap();
    let found = f.snapshot().applications()[&made.client_id].clone();
    assert!(found.secrets.is_empty() && found.certificates.is_empty() && found.federations.is_empty());

    let ids = Some((made.client_id, Uuid::from_u128(5)));
    let twin = ApplicationSpec { name: "twin".to_owned(), ids, ..ApplicationSpec::default() };
    assert_eq!(conflict(block_on(f.store.create_application(&f.actor, twin))), "Conflict");
    assert!(block_on(f.store.delete_application(&f.actor, made.client_id)).unwrap());
    assert!(!block_on(f.store.delete_application(&f.actor, made.client_id)).unwrap());
    assert!(f.snapshot().application_by_object_id(made.object_id).is_none());
    assert!(matches!(change(&f, CredentialChange::AddSecret(secret(1))), Err(StoreError::Unknown { .. })));
}

pub(crate) fn identities_are_found_by_their_ids(mut f: Fixture) {
    let put = |f: &Fixture, name: &str, ids, is_default| {
        let spec = IdentitySpec { location: "local".to_owned(), ids, is_default, ..IdentitySpec::default() };
        block_on(f.store.put_identity(&f.actor, &identity(name), spec, Precondition::None))
    };
    let ids = (Uuid::from_u128(1), Uuid::from_u128(2));
    let first = put(&f, "first", Some(ids), true).unwrap().resource;
    assert_eq!((first.client_id, first.principal_id), ids);
    assert_eq!(conflict(put(&f, "second", Some((Uuid::from_u128(3), Uuid::from_u128(2))), false)), "Conflict");
    put(&f, "second", None, true).unwrap();
    f.reopen();
    let now = f.snapshot();
    let default: Vec<&str> = now
        .identities()
        .values()
        .filter(|identity| identity.is_default)
        .map(|identity| identity.envelope.id.name())
        .collect();
    assert_eq!(default, ["second"], "there is one default at most");
    assert!(put(&f, "second", None, false).unwrap().resource.is_default, "what is not said stays");
    assert_eq!(problems(put(&f, "-x", None, false)), ["name"]);
    assert!(block_on(f.store.delete_identity(&f.actor, &identity("FIRST"), Precondition::None)).unwrap());
    let now = f.snapshot();
    assert!(now.identity_by_client_id(ids.0).is_none() && now.identity_by_principal_id(ids.1).is_none());
}

pub(crate) fn certificates_change_all_or_nothing(f: Fixture) {
    let certificate = |n: u128| ApplicationCertificate {
        key_id: Uuid::from_u128(n),
        name: String::new(),
        der_base64: format!("certificate-{n}"),
    };
    let all: Vec<_> = (0..20).map(certificate).collect();
    let spec = |certificates| ApplicationSpec { name: "ci".to_owned(), certificates, ..ApplicationSpec::default() };
    let twice = vec![certificate(1), certificate(1)];
    assert_eq!(problems(block_on(f.store.create_application(&f.actor, spec(twice)))), ["keyId", "certificate"]);
    assert!(f.snapshot().applications().is_empty(), "what cannot have its certificates is not made");
    let made = block_on(f.store.create_application(&f.actor, spec(all))).unwrap();
    assert_eq!(made.certificates.len(), 20);

    let change = |add, remove| {
        let change = CredentialChange::Certificates { add, remove };
        block_on(f.store.change_application(&f.actor, made.client_id, change))
    };
    let ids = (0..20).map(Uuid::from_u128).collect::<Vec<_>>();
    let too_many = (30..51).map(certificate).collect();
    assert_eq!(problems(change(too_many, ids.clone())), ["certificate"]);
    assert!(change(vec![certificate(60)], vec![Uuid::from_u128(99)]).is_err());
    assert_eq!(f.snapshot().applications()[&made.client_id].certificates, made.certificates, "nothing of it was done");
    let changed = change((30..50).map(certificate).collect(), ids).unwrap();
    assert_eq!(changed.certificates, (30..50).map(certificate).collect::<Vec<_>>());
}

pub(crate) fn credentials_have_bounds(f: Fixture) {
    let made = f.application("ci");
    let change = |change| block_on(f.store.change_application(&f.actor, made.client_id, change));
    let wrong = ApplicationSecret { sha256_hex: "plain".to_owned(), hint: "abcd".to_owned(), ..secret(1) };
    assert_eq!(problems(change(CredentialChange::AddSecret(wrong))), ["secret", "hint"]);
    for n in 0..20 {
        change(CredentialChange::AddSecret(secret(n))).unwrap();
    }
    assert_eq!(problems(change(CredentialChange::AddSecret(secret(20)))), ["secret"]);
    assert_eq!(problems(change(CredentialChange::PutFederation(federation("x", "")))), ["name", "properties.subject"]);

    let user = f.identity("writer");
    let change = |change| block_on(f.store.change_identity(&f.actor, &user.envelope.id, change));
    let first = change(CredentialChange::PutFederation(federation("pod", "a"))).unwrap();
    let renewed = Federation { id: Uuid::from_u128(77), ..federation("POD", "b") };
    let second = change(CredentialChange::PutFederation(renewed)).unwrap();
    assert_eq!((second.federations.len(), second.federations[0].subject.as_str()), (1, "b"));
    assert_eq!(second.federations[0].id, first.federations[0].id);
    let same = change(CredentialChange::PutFederation(federation("other", "b")));
    assert_eq!(problems(same), ["properties.subject"]);
    assert_eq!(conflict(change(CredentialChange::AddSecret(secret(1)))), "Conflict");
    assert!(change(CredentialChange::RemoveFederation("pod".to_owned())).unwrap().federations.is_empty());
    assert!(change(CredentialChange::RemoveFederation("pod".to_owned())).is_err());
}
