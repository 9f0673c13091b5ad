//! The operating system's randomness.

use environment::Rng;
use rand::TryRng as _;
use rand::rngs::SysRng;

/// Random bits from the operating system: fit for keys, salts and identifiers.
#[derive(Clone, Copy, Default, Debug)]
pub struct HostRng;

impl Rng for HostRng {
    fn fill(&self, bytes: &mut [u8]) {
        SysRng.try_fill_bytes(bytes).expect("the operating system always has random bytes once it has booted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(HostRng.next_u64(), HostRng.next_u64());
        let mut bytes = [0; 64];
        HostRng.fill(&mut bytes);
        assert_ne!(bytes, [0; 64]);
    }
}
