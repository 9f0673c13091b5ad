//! Framing of records in a file.
//!
//! ```text
//! u8[4]  "RSQ1"
//! u8     kind
//! u8[3]  zero
//! u32    length of the payload
//! u32    crc32c of the file's number, the record's position, the fields above, and the payload
//! payload
//! ```
//!
//! Number and position are part of the checksum, so that what another file or an earlier use of a block left behind is not
//! taken for a record, nor are records inside a sender's body.

/// A record as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// What it is.
    pub(crate) kind: u8,
    /// Its content.
    pub(crate) payload: &'a [u8],
}

/// The bytes are no whole record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CorruptFrame {
    /// Not the beginning of a record.
    #[error("no record begins here")]
    Header,
    /// The file ends before the record does.
    #[error("the file ends inside the record")]
    Torn,
    /// The checksum does not match.
    #[error("the record's checksum is wrong")]
    Checksum,
}

/// Appends a record to `out`, which will be written at `base` of the file `number`. `payload` writes its content.
pub(crate) fn put_frame(out: &mut Vec<u8>, number: u64, base: u64, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    payload(out);
    let length = out.len() - start - HEADER_BYTES;
    let length = u32::try_from(length).expect("records are bounded far below 4 GiB");
    let header = &mut out[start..start + HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = kind;
    header[8..12].copy_from_slice(&length.to_le_bytes());
    let seed = seed(number, base + start as u64, &header[..12]);
    let crc = crc32c::crc32c_append(seed, &out[start + HEADER_BYTES..]);
    out[start + 12..start + HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// Reads the record at `position` of the file `number`, whose bytes from there on are `bytes`. `None` where they end.
///
/// # Errors
/// [`CorruptFrame`].
pub(crate) fn read_frame(number: u64, position: u64, bytes: &[u8]) -> Result<Option<Frame<'_>>, CorruptFrame> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (kind, length) = read_header(bytes)?;
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let payload = rest.get(..length).ok_or(CorruptFrame::Torn)?;
    let crc = crc32c::crc32c_append(seed(number, position, &header[..12]), payload);
    if crc.to_le_bytes() != header[12..] {
        return Err(CorruptFrame::Checksum);
    }
    Ok(Some(Frame { kind, payload }))
}

/// Kind and length that a header tells, unproven.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(u8, usize), CorruptFrame> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(CorruptFrame::Torn) };
    let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    if header[..4] != MAGIC || header[5..8] != [0; 3] || length > PAYLOAD_BYTES_MAX {
        return Err(CorruptFrame::Header);
    }
    Ok((header[4], length))
}

/// Whether `bytes`, which may be few, could be the beginning of a record.
pub(crate) fn begins_like_a_record(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC).all(|(left, right)| *left == right)
}

/// Of what a checksum covers beside the payload.
pub(crate) fn seed(number: u64, position: u64, header: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &position.to_le_bytes());
    crc32c::crc32c_append(crc, header)
}

/// Finds the next whole record behind damage at `from`. Gives up after checking a few times the file's size, so that
/// neither damage nor a sender's bodies can make a start slow.
pub(crate) fn resume(number: u64, bytes: &[u8], from: usize) -> Option<usize> {
    let mut budget = bytes.len().saturating_mul(RESUME_PASSES_MAX);
    let mut at = from + 1;
    while let Some(found) = bytes.get(at..)?.windows(MAGIC.len()).position(|window| window == MAGIC) {
        at += found;
        if let Ok((_, length)) = read_header(&bytes[at..]) {
            budget = budget.checked_sub(length.min(bytes.len() - at))?;
            if matches!(read_frame(number, at as u64, &bytes[at..]), Ok(Some(_))) {
                return Some(at);
            }
        }
        at += 1;
    }
    None
}

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 16;
/// No record is larger.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 256 << 20;
const MAGIC: [u8; 4] = *b"RSQ1";
const RESUME_PASSES_MAX: usize = 8;
