//! Chance as an argument.

/// A source of random bits. Behind a shared reference so that one generator can serve many owners.
///
/// The real one is cryptographically strong (keys, salts and identifiers come from it); a test's one replays from a seed.
pub trait Rng: Send + Sync + 'static {
    /// Fills `bytes` with random bits.
    fn fill(&self, bytes: &mut [u8]);

    /// A uniformly random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A uniformly random number in `0.0..1.0`, for jitter.
    fn next_f64(&self) -> f64 {
        // 53 bits are the mantissa of a double: every value is equally likely and 1.0 is never reached.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}
