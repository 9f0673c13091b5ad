//! Holds what a queue does with requests against prost: counting them, taking them apart, saying 2.0 in 1.0.

use std::collections::BTreeSet;

use remote_write::{
    DecodeError, Item, Request, SeriesIndex, Survey, SurveyScratch, WrittenCounts, series_hash, survey, transcode_to_v1,
};

use super::*;
use crate::said::UNLIMITED;

/// What a survey says: tally, number of series and their hashes.
type Surveyed = (WrittenCounts, usize, Vec<u32>);

fn surveyed(version: Version, message: &[u8]) -> Result<Surveyed, DecodeError> {
    let mut scratch = SurveyScratch::default();
    let Survey { tally, series, hashes } = survey(version, message, &UNLIMITED, &mut scratch)?;
    Ok((tally, series, hashes.to_vec()))
}

fn v1_tally(series: &[TimeSeries]) -> WrittenCounts {
    let mut tally = WrittenCounts::default();
    for series in series {
        tally += WrittenCounts {
            samples: series.samples.len() as u64,
            histograms: series.histograms.len() as u64,
            exemplars: series.exemplars.len() as u64,
        };
    }
    tally
}

fn v2_tally(series: &[TimeSeriesV2]) -> WrittenCounts {
    let mut tally = WrittenCounts::default();
    for series in series {
        tally += WrittenCounts {
            samples: series.samples.len() as u64,
            histograms: series.histograms.len() as u64,
            exemplars: series.exemplars.len() as u64,
        };
    }
    tally
}

/// Hashes of the series that make sense, by the walk.
fn walked_hashes(version: Version, message: &[u8]) -> Vec<u32> {
    let request = Request::parse(version, message, &UNLIMITED).expect("written by us");
    let (mut scratch, mut hashes) = (Vec::new(), Vec::new());
    let mut walk = request.walk(&mut scratch);
    while let Some(item) = walk.next_item().expect("written by us") {
        if let Item::Series(series) = item {
            hashes.push(series_hash(series.label_block()));
        }
    }
    hashes
}

/// The series of a request in two parts, drawn by lot.
fn split(series: usize, choices: &mut Choices) -> [Vec<usize>; 2] {
    (0..series).partition::<Vec<_>, _>(|_| choices.below(2) == 0).into()
}

fn cut(index: &SeriesIndex<'_>, series: &[usize], with_metadata: bool) -> Vec<u8> {
    let mut out = b"overwritten".to_vec();
    index.cut(series.iter().copied(), with_metadata, &mut out);
    out
}

/// What is said of some series alone; `at` leads from a series to its place among those that make sense.
fn said_of(said: &Said, series: &[usize], at: impl Fn(usize) -> Option<usize>) -> Said {
    let mut part = Said::default();
    for (place, index) in series.iter().enumerate() {
        match at(*index) {
            Some(found) => part.series.push(said.series[found].clone()),
            None => part.refused.push(place),
        }
    }
    part
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn first_version_is_surveyed_as_prost_reads_it(request in request(), seed in any::<u64>()) {
        let body = scramble(&request.encode_to_vec(), &REQUEST, &mut Choices(seed));
        let (tally, series, hashes) = surveyed(Version::V1, &body).unwrap();
        prop_assert_eq!(tally, v1_tally(&request.timeseries));
        prop_assert_eq!(series, request.timeseries.len());
        prop_assert_eq!(hashes, walked_hashes(Version::V1, &body));
    }

    #[test]
    fn second_version_is_surveyed_as_prost_reads_it(request in request_v2(), seed in any::<u64>()) {
        let body = scramble(&request.encode_to_vec(), &REQUEST_V2, &mut Choices(seed));
        let (tally, series, hashes) = surveyed(Version::V2, &body).unwrap();
        prop_assert_eq!(tally, v2_tally(&request.timeseries));
        prop_assert_eq!(series, request.timeseries.len());
        let hashes: BTreeSet<u32> = hashes.into_iter().collect();
        prop_assert!(walked_hashes(Version::V2, &body).iter().all(|hash| hashes.contains(hash)));
    }

    /// Nothing gets through the door that another reader would refuse.
    #[test]
    fn survey_sees_damage_as_prost_sees_it(request in request(), seed in any::<u64>()) {
        let mut body = request.encode_to_vec();
        damage(&mut body, &mut Choices(seed));
        verdicts_agree(&surveyed(Version::V1, &body), WriteRequest::decode(&body[..]).map(drop));
    }

    #[test]
    fn survey_sees_damage_of_the_second_version_as_prost_sees_it(request in request_v2(), seed in any::<u64>()) {
        let mut body = request.encode_to_vec();
        damage(&mut body, &mut Choices(seed));
        verdicts_agree(&surveyed(Version::V2, &body), RequestV2::decode(&body[..]).map(drop));
    }

    #[test]
    fn first_version_is_cut_without_loss(request in request(), seed in any::<u64>()) {
        let choices = &mut Choices(seed);
        let body = scramble(&request.encode_to_vec(), &REQUEST, choices);
        let index = SeriesIndex::of(Version::V1, &body, &UNLIMITED).unwrap();
        let read = |message: &[u8]| WriteRequest::decode(message).unwrap().encode_to_vec();
        let all: Vec<usize> = (0..index.len()).collect();
        prop_assert_eq!(read(&cut(&index, &all, true)), request.encode_to_vec());
        let parts = split(index.len(), choices);
        for part in &parts {
            let expected = WriteRequest {
                timeseries: part.iter().map(|&at| request.timeseries[at].clone()).collect(),
                metadata: Vec::new(),
            };
            let message = cut(&index, part, false);
            prop_assert_eq!(read(&message), expected.encode_to_vec());
            prop_assert_eq!(surveyed(Version::V1, &message).unwrap().0, v1_tally(&expected.timeseries));
            let again = SeriesIndex::of(Version::V1, &message, &UNLIMITED).unwrap();
            let hashes: Vec<u32> = part.iter().map(|&at| index.hash(at)).collect();
            prop_assert_eq!((0..again.len()).map(|at| again.hash(at)).collect::<Vec<_>>(), hashes);
        }
        let middle = index.len() / 2;
        prop_assert_eq!(index.tally(0..middle), v1_tally(&request.timeseries[..middle]));
        prop_assert_eq!(index.tally(middle..index.len()), v1_tally(&request.timeseries[middle..]));
    }

    #[test]
    fn second_version_is_cut_without_loss(request in request_v2(), seed in any::<u64>()) {
        let choices = &mut Choices(seed);
        let body = scramble(&request.encode_to_vec(), &REQUEST_V2, choices);
        let whole = ours(Version::V2, &body).unwrap();
        let index = SeriesIndex::of(Version::V2, &body, &UNLIMITED).unwrap();
        let all: Vec<usize> = (0..index.len()).collect();
        prop_assert_eq!(&ours(Version::V2, &cut(&index, &all, false)).unwrap(), &whole);
        let place = |at: usize| {
            let before = whole.refused.partition_point(|refused| *refused < at);
            (whole.refused.get(before) != Some(&at)).then_some(at - before)
        };
        for part in split(index.len(), choices) {
            let message = cut(&index, &part, false);
            prop_assert_eq!(ours(Version::V2, &message).unwrap(), said_of(&whole, &part, place));
            prop_assert!(message.len() <= body.len() + 2, "what is not needed stays away");
            let again = RequestV2::decode(&message[..]).unwrap();
            let series: Vec<_> = part.iter().map(|&at| request.timeseries[at].clone()).collect();
            prop_assert_eq!(v2_tally(&again.timeseries), v2_tally(&series));
            prop_assert_eq!(again.symbols.first().map(Vec::len).unwrap_or_default(), 0);
            let again = SeriesIndex::of(Version::V2, &message, &UNLIMITED).unwrap();
            let hashes: Vec<u32> = part.iter().map(|&at| index.hash(at)).collect();
            prop_assert_eq!((0..again.len()).map(|at| again.hash(at)).collect::<Vec<_>>(), hashes);
        }
    }

    #[test]
    fn transcoding_keeps_what_the_first_version_can_say(request in request_v2(), seed in any::<u64>()) {
        let body = scramble(&request.encode_to_vec(), &REQUEST_V2, &mut Choices(seed));
        let before = prost_v2(&RequestV2::decode(&body[..]).unwrap());
        let transcoded = transcode_to_v1(&body, &UNLIMITED).unwrap();
        let index = SeriesIndex::of(Version::V1, &transcoded.message, &UNLIMITED).unwrap();

        let mut total = index.tally(0..index.len());
        transcoded.refused.iter().for_each(|refused| total += refused.tally);
        prop_assert_eq!(total, v2_tally(&request.timeseries));

        let mut after = prost_v1(&WriteRequest::decode(&transcoded.message[..]).unwrap());
        // Those without text were refused, or make no set in either version.
        after.series.iter_mut().for_each(|series| series.exemplars.retain(|exemplar| exemplar.0.is_some()));
        let mut after_series = after.series.iter();
        for mut series in before.series {
            series.metadata = None;
            series.samples.iter_mut().for_each(|sample| sample.2 = 0);
            series.histograms.iter_mut().for_each(|sample| sample.1 = 0);
            series.exemplars.retain(|exemplar| exemplar.0.is_some());
            prop_assert!(after_series.any(|after| *after == series), "{series:?} is lost");
        }
        let hashes = walked_hashes(Version::V2, &body);
        let mut found = walked_hashes(Version::V1, &transcoded.message).into_iter();
        prop_assert!(hashes.iter().all(|hash| found.any(|other| other == *hash)), "in the same order, by the same hash");
    }
}
