//! Settings and keys.

use super::*;

#[test]
fn rotated_keys_overlap_once() {
    let disk = MemoryDisk::new();
    let clock = ManualClock::new(UnixTime::from_secs(NOW));
    let open = || Authority::open(config(), Path::new("keys"), environment(&clock, &disk, cluster_web())).unwrap();
    let ids = |authority: &Authority| -> Vec<String> {
        let document = authority.keys.ring().document.clone();
        document["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let authority = open();
    let first = ids(&authority);
    authority.rotate_keys().unwrap();
    let second = ids(&authority);
    assert_eq!((first.len(), second.len(), &second[1]), (1, 2, &first[0]));
    let token = authority.keys.sign(&json!({}));
    assert_eq!(Jws::parse(&token, 16_384).unwrap().header().key_id.as_ref(), Some(&second[0]), "the new key signs");
    authority.rotate_keys().unwrap();
    assert_eq!(ids(&authority)[1], second[0]);
    assert_eq!(ids(&open()), ids(&authority), "a restart changes nothing");
}

#[test]
fn settings_that_do_not_fit() {
    let open = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        let clock = ManualClock::new(UnixTime::from_secs(NOW));
        let opened = Authority::open(config, Path::new("keys"), environment(&clock, &DISK, cluster_web()));
        opened.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    };
    let base = |text: &'static str| open(&move |config: &mut Config| config.issuer_base = text.to_owned());
    assert_eq!(base("https://entra.local:1"), "");
    for wrong in ["", "127.0.0.1:7091", "https://a/b", "https://a?x", "https://u@a", "ftp://a"] {
        assert!(base(wrong).contains("issuer base"), "{wrong}");
    }
    for microsoft in
        ["https://login.microsoftonline.com", "https://sts.windows.net", "https://X.LOGIN.MICROSOFTONLINE.us"]
    {
        assert!(base(microsoft).contains("Microsoft host"), "{microsoft}");
    }
    assert_eq!(base("https://notwindows.net"), "");
    for (part, change) in [
        ("have the id", &(|c: &mut Config| c.managed_identities[0].client_id = APP) as &dyn Fn(&mut Config)),
        ("have the id", &|c| c.managed_identities[0].object_id = APP_OBJECT),
        ("have the resource id", &|c| {
            c.managed_identities[1].resource_id = IDENTITY_ID.to_uppercase().parse().unwrap();
        }),
        ("are the default", &|c| c.managed_identities[1].is_default = true),
        ("not a host name", &|c| c.host_names.push("entra.local:7091".to_owned())),
        ("not a host name", &|c| c.host_names.push("https://entra.local".to_owned())),
        ("cannot name the directory", &|c| c.tenant_names.push("common".to_owned())),
        ("cannot name the directory", &|c| c.tenant_names.push("a/b".to_owned())),
        ("lifetimes", &|c| c.lifetimes.managed_identity = Duration::ZERO),
        ("lifetimes", &|c| c.lifetimes.application_max = Duration::from_secs(60)),
        ("federation of", &|c| c.applications[0].federations[0].issuer = "http://cluster.example".to_owned()),
        ("federation of", &|c| c.applications[0].federations[0].issuer = "cluster".to_owned()),
    ] {
        let found = open(change);
        assert!(found.contains(part), "{part:?} in {found:?}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let config = config();
    let shown = format!("{config:?} {:?} {:?}", Bench::new().authority, SIGNER.certificate());
    for secret in [SECRET, "header-of-the-app", "PRIVATE KEY"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(Claims::parse(b"{}").is_err());
}
