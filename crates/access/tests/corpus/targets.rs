//! What must hold for any input. Shared with the fuzz targets; answers whether the input is taken.

use access::{Algorithm, Claims, Jws, KeySet};

/// A token as it comes in a request, and the same bytes as a payload alone, which a mutator reaches more easily.
pub(crate) fn access_token(input: &[u8]) -> bool {
    let _ = Claims::parse(input);
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let jws = match Jws::parse(text, BYTES_MAX) {
        Ok(jws) => jws,
        Err(error) => {
            assert!(error.to_string().len() < 500, "an error repeats what it refuses");
            return false;
        }
    };
    assert!(text.len() <= BYTES_MAX);
    assert_eq!(text.matches('.').count(), 2);
    assert!(text.as_bytes().starts_with(jws.signed()) && text.as_bytes()[jws.signed().len()] == b'.');
    assert!(Algorithm::ALL.contains(&jws.header().algorithm));
    match Claims::parse(jws.payload()) {
        Ok(claims) => {
            assert!(!claims.issuer.is_empty() && (1..=16).contains(&claims.audiences.len()));
            true
        }
        Err(_) => false,
    }
}

/// A key set as an issuer publishes it.
pub(crate) fn access_key_set(input: &[u8]) -> bool {
    let Ok(keys) = KeySet::from_jwks(input) else { return false };
    assert!((1..=64).contains(&keys.len()));
    for algorithm in Algorithm::ALL {
        if let Some(key) = keys.find(None, algorithm) {
            assert!(keys.holds(key));
            for length in [0, 1, 64, 96, 256, 512] {
                assert!(!key.verifies(algorithm, b"message", &vec![0; length]), "zeros are no signature");
            }
        }
    }
    true
}

const BYTES_MAX: usize = 16 * 1024;
