//! ULIDs: names of blocks that sort by the time at which they were made.

use std::fmt;
use std::str::FromStr;

/// 48 bits of milliseconds since the epoch, 80 random bits; as text 26 characters of Crockford's base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(u128);

/// A text that is no ULID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a ULID, which has 26 digits and capital letters without I, L, O and U, the first at most 7")]
pub struct NotUlid;

impl Ulid {
    /// Of a time in milliseconds since the epoch (its low 48 bits count) and 80 random bits (the low ones of `random`).
    pub const fn new(milliseconds: u64, random: u128) -> Self {
        Self((milliseconds as u128) << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// When it was made: milliseconds since the epoch.
    pub const fn milliseconds(self) -> u64 {
        (self.0 >> RANDOM_BITS) as u64
    }

    /// The one after, of the same time: for several in one millisecond.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; CHARACTERS];
        for (index, character) in text.iter_mut().enumerate() {
            *character = DIGITS[(self.0 >> (5 * (CHARACTERS - 1 - index))) as usize & 31];
        }
        f.pad(std::str::from_utf8(&text).expect("digits and letters"))
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = NotUlid;

    fn from_str(text: &str) -> Result<Self, NotUlid> {
        let text: &[u8; CHARACTERS] = text.as_bytes().try_into().map_err(|_| NotUlid)?;
        // 26 characters hold 130 bits.
        if text[0] > b'7' {
            return Err(NotUlid);
        }
        text.iter().try_fold(Self(0), |Self(bits), character| {
            let digit = DIGITS.iter().position(|digit| digit == character).ok_or(NotUlid)?;
            Ok(Self(bits << 5 | digit as u128))
        })
    }
}

const RANDOM_BITS: u32 = 80;
const CHARACTERS: usize = 26;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["01JFJBS3YP1SHZ3PJQ6HK76EC3", "01BZJ9WJQPWHGNC2W4J9TA62KC", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(text.parse::<Ulid>().unwrap().to_string(), text);
        }
        let made = Ulid::new(1_734_709_383_126, u128::MAX);
        assert_eq!(made.milliseconds(), 1_734_709_383_126);
        assert_eq!(made.to_string(), "01JFJBS3YPZZZZZZZZZZZZZZZZ");
        let first = Ulid::new(5, 7);
        assert!(first < first.next() && first.to_string() < first.next().to_string());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "01JFJBS3YP1SHZ3PJQ6HK76EC",
            "81JFJBS3YP1SHZ3PJQ6HK76EC3",
            "01jfjbs3yp1shz3pjq6hk76ec3",
            "01JFJBS3YP1SHZ3PJQ6HK76ECU",
            "01JFJBS3YP1SHZ3PJQ6HK76EC3.tmp",
        ] {
            assert_eq!(text.parse::<Ulid>(), Err(NotUlid), "{text}");
        }
    }
}
