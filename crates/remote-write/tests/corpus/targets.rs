//! What the fuzz targets `rw_v1`, `rw_v2`, `rw_cut`, `rw_transcode` and `snappy_frame` do with their input. Also compiled by `fuzz/`.
//!
//! Each tells whether the input is taken as a whole; beyond that, it asserts what must hold for any input.

use remote_write::{
    BlockLabels, DecodeError, Encoder, Item, LabelError, LabelLimits, Limits, Request, Sample, Series, SeriesIndex,
    SurveyScratch, Transcoded, Version, WrittenCounts, framing, labels_of_block, survey, transcode_to_v1,
};

/// A decompressed request of version 1.0.
pub(crate) fn rw_v1(body: &[u8]) -> bool {
    walk(Version::V1, body).is_ok()
}

/// A decompressed request of version 2.0.
pub(crate) fn rw_v2(body: &[u8]) -> bool {
    walk(Version::V2, body).is_ok()
}

/// A decompressed request that is sent in two parts. The first byte is no part of it: its lowest bit is the version, the
/// others draw the lots.
pub(crate) fn rw_cut(input: &[u8]) -> bool {
    let Some((&lots, message)) = input.split_first() else { return false };
    let version = if lots & 1 == 0 { Version::V1 } else { Version::V2 };
    let mut scratch = SurveyScratch::default();
    let whole = survey(version, message, &LIMITS, &mut scratch);
    let index = SeriesIndex::of(version, message, &LIMITS);
    assert_eq!(whole.is_ok(), index.is_ok());
    let (Ok(whole), Ok(index)) = (whole, index) else { return false };
    assert!(walk(version, message).is_ok(), "what the survey lets pass can be read");
    assert_eq!((index.len(), index.tally(0..index.len())), (whole.series, whole.tally));
    assert!(whole.hashes.iter().copied().eq((0..index.len()).map(|at| index.hash(at))));

    let (first, second): (Vec<usize>, Vec<usize>) = (0..index.len()).partition(|at| lots >> (1 + at % 7) & 1 == 0);
    let mut sum = WrittenCounts::default();
    for part in [first, second] {
        let mut cut = Vec::new();
        index.cut(part.iter().copied(), true, &mut cut);
        let again = SeriesIndex::of(version, &cut, &LIMITS).expect("a part is as whole as the request");
        assert_eq!(again.len(), part.len());
        sum += again.tally(0..again.len());
        for (at, &before) in part.iter().enumerate() {
            assert_eq!(again.hash(at), index.hash(before));
            assert_eq!(again.labels(at, &LIMITS.labels).ok(), index.labels(before, &LIMITS.labels).ok());
            assert!(again.text(at, &LIMITS.labels).len() < ERROR_BYTES_MAX);
        }
        let mut cut_again = Vec::new();
        again.cut(0..again.len(), true, &mut cut_again);
        assert_eq!(cut_again, cut);
    }
    assert_eq!(sum, whole.tally);
    true
}

/// A decompressed request of version 2.0, said in 1.0.
pub(crate) fn rw_transcode(message: &[u8]) -> bool {
    let Ok(Transcoded { message: said, refused }) = transcode_to_v1(message, &LIMITS) else { return false };
    assert!(said.len() <= 2 * (message.len() + LIMITS.unfolded_bytes_max));
    let index = SeriesIndex::of(Version::V2, message, &LIMITS).expect("it was read just now");
    let limits = Limits { unfolded_bytes_max: 0, symbols_max: 0, ..LIMITS };
    let after = SeriesIndex::of(Version::V1, &said, &limits).expect("written by us");
    let mut tally = after.tally(0..after.len());
    refused.iter().for_each(|refused| tally += refused.tally);
    assert_eq!(tally, index.tally(0..index.len()), "nothing gets lost unseen");
    // Series keep their order and names.
    let mut before = (0..index.len()).map(|at| index.hash(at));
    for at in 0..after.len() {
        assert!(before.any(|hash| hash == after.hash(at)));
    }
    true
}

/// A request body as it is received; and the same bytes as a message to send.
pub(crate) fn snappy_frame(body: &[u8]) -> bool {
    let mut decoded = Vec::new();
    let taken = framing::decode(body, DECODED_BYTES_MAX, &mut decoded).is_ok();
    assert!(decoded.len() <= DECODED_BYTES_MAX && (taken || decoded.is_empty()));
    for message in [&decoded, body] {
        let mut again = Vec::new();
        framing::decode(&framing::encode(message), usize::MAX, &mut again).expect("encoded by us");
        assert!(again == message, "compression must be exact");
    }
    taken
}

fn walk(version: Version, body: &[u8]) -> Result<(), DecodeError> {
    let request = Request::parse(version, body, &LIMITS)?;
    let mut scratch = Vec::new();
    let mut walk = request.walk(&mut scratch);
    let (mut encoder, mut series_seen, mut samples_seen) = (Encoder::new(version), 0, Vec::new());
    while let Some(item) = walk.next_item()? {
        match item {
            Item::Series(series) => {
                series_seen += 1;
                samples_seen.extend(series_is_sound(&series)?);
                write_again(&series, &mut encoder);
            }
            Item::Family(family) => drop(family.metadata.to_metadata()),
            Item::Refused(refused) => {
                series_seen += usize::from(refused.series.is_some());
                assert!(!refused.error.to_string().is_empty() && refused.error.to_string().len() < ERROR_BYTES_MAX);
            }
        }
    }
    assert_eq!(series_seen, request.series_count());
    let body = encoder.finish();
    let again = Request::parse(version, &body, &LIMITS).expect("written by us");
    let (mut scratch, mut samples) = (Vec::new(), Vec::new());
    let mut walk = again.walk(&mut scratch);
    while let Some(item) = walk.next_item().expect("written by us") {
        let Item::Series(series) = item else { continue };
        samples.extend(series_is_sound(&series).expect("written by us"));
    }
    // A series whose labels could not be written again took its samples along.
    assert!(samples.len() <= samples_seen.len());
    Ok(())
}

/// Timestamps and bits of the values of its samples.
fn series_is_sound(series: &Series<'_>) -> Result<Vec<(i64, u64)>, DecodeError> {
    match series.labels() {
        Ok(labels) => {
            assert!(!labels.metric_name().is_empty());
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
            // The set, written as a block, is itself again.
            let mut encoder = Encoder::new(Version::V1);
            encoder.series(&labels);
            let body = encoder.finish();
            let request = Request::parse(Version::V1, &body, &LIMITS).expect("written by us");
            let mut scratch = Vec::new();
            let mut walk = request.walk(&mut scratch);
            let Some(Item::Series(again)) = walk.next_item().expect("written by us") else { panic!("one series") };
            // It may be larger than the block it came from (an empty name or value can be left out), never much.
            let limits = LabelLimits { set_bytes_max: usize::MAX, ..LIMITS.labels };
            assert_eq!(labels_of_block(again.label_block(), &limits), Ok(labels));
        }
        Err(error) => assert!(error.to_string().len() < ERROR_BYTES_MAX, "{error}"),
    }
    let samples = series.samples().map(|sample| sample.map(|sample| (sample.timestamp.0, sample.value.to_bits())));
    let samples = samples.collect::<Result<Vec<_>, _>>()?;
    for sample in series.histograms() {
        let mut histogram = sample?.histogram;
        if histogram.make_storable().is_ok() {
            assert_eq!(histogram.validate(), Ok(()));
            let storable = format!("{histogram:?}");
            assert_eq!(histogram.make_storable(), Ok(()));
            assert_eq!(format!("{histogram:?}"), storable, "what is storable stays as it is");
        }
    }
    for exemplar in series.exemplars() {
        match exemplar?.to_exemplar(&LIMITS.labels) {
            Ok(exemplar) => assert!(exemplar.labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty())),
            Err(error) => assert!(error.to_string().len() < ERROR_BYTES_MAX, "{error}"),
        }
    }
    let tally = series.tally();
    assert_eq!(samples.len() as u64, tally.samples);
    Ok(samples)
}

/// Adds the series to another request; one with labels that are no text is left out.
fn write_again(series: &Series<'_>, encoder: &mut Encoder) {
    let text = BlockLabels::new(series.label_block()).all(|label| label.is_ok());
    match encoder.series_of_block(series.label_block()) {
        Ok(mut written) => {
            assert!(text);
            for sample in series.samples().map_while(Result::ok) {
                written.sample(Sample { start_timestamp: None, ..sample });
            }
        }
        Err(error) => {
            assert!(!text);
            assert!(
                matches!(
                    error,
                    LabelError::Broken { .. } | LabelError::NameNotUtf8 { .. } | LabelError::ValueNotUtf8 { .. }
                ),
                "{error}"
            );
        }
    }
}

/// Small, so that inputs of a fuzzer's size reach them.
const LIMITS: Limits = Limits {
    labels: LabelLimits { labels_max: 16, name_bytes_max: 64, value_bytes_max: 128, set_bytes_max: 512 },
    series_max: 1000,
    symbols_max: 64,
    unfolded_bytes_max: 4096,
};
const DECODED_BYTES_MAX: usize = 1 << 16;
/// Errors repeat only a start of what was sent.
const ERROR_BYTES_MAX: usize = 2000;
