//! Which series of a block meet a selector's matchers.
//!
//! An absent label has the empty value. So a matcher that the empty value meets cannot be answered from postings alone:
//! it takes away the series whose value does not meet it, and leaves those without the label.
//!
//! Lists of postings are walked where they lie in the file. The shortest ones come first; a matcher that would have to look
//! at more values than there are series left is asked of each series instead, when its labels are read.

use bytes::Bytes;
use model::{MatchOp, Matcher, TimestampMs};
use tsdb_format::block::CorruptBlock;
use tsdb_format::block::index::{BlockSeriesRef, Index, Postings, SeriesReader};

use super::loaded::Loaded;
use super::series_set::SeriesBits;

/// Series in rising order, and what their labels still have to meet.
pub(super) struct Selection {
    pub(super) series: Vec<BlockSeriesRef>,
    /// Matchers that are cheaper to ask of each of these series than of each value of their label.
    pub(super) rest: Vec<Matcher>,
}

/// The series that meet all matchers.
pub(super) fn matching(loaded: &Loaded, matchers: &[Matcher]) -> Result<Selection, CorruptBlock> {
    let index = &loaded.index;
    let mut exact = Vec::new();
    // Those that need the label to be there, then those that take away.
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for matcher in matchers.iter().filter(|matcher| !meets_everything(matcher)) {
        match matcher.op() {
            MatchOp::Equal if !matcher.value().is_empty() => exact.push(matcher),
            _ if matcher.matches_empty() => absent.push(matcher),
            _ => present.push(matcher),
        }
    }
    let mut series = intersect_exact(index, &exact)?;
    let mut rest = Vec::new();
    for matcher in present.into_iter().chain(absent) {
        if series.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        let values = index.label_values_near(matcher.name(), walked_prefix(matcher)).len();
        match series {
            Some(ref some) if some.len() * VALUES_PER_SERIES < values && matcher.set_matches().is_none() => {
                rest.push(matcher.clone());
            }
            candidates => series = Some(narrow(index, candidates, matcher)?),
        }
    }
    let series = match series {
        Some(series) => series,
        None => index.all_postings()?.iter().collect(),
    };
    Ok(Selection { series, rest })
}

/// The series that have all these pairs; `None` when none is asked for.
fn intersect_exact(index: &Index<Bytes>, exact: &[&Matcher]) -> Result<Option<Vec<BlockSeriesRef>>, CorruptBlock> {
    let mut lists = Vec::with_capacity(exact.len());
    for matcher in exact {
        match index.postings(matcher.name(), matcher.value())? {
            Some(list) => lists.push(list),
            None => return Ok(Some(Vec::new())),
        }
    }
    lists.sort_by_key(Postings::len);
    Ok(match lists[..] {
        [] => None,
        [only] => Some(only.iter().collect()),
        [first, second, ref others @ ..] => {
            let mut series = first.intersection(second);
            others.iter().for_each(|list| list.filter(&mut series, true));
            Some(series)
        }
    })
}

/// Leaves those of the candidates (`None`: of all series) that meet the matcher.
fn narrow(
    index: &Index<Bytes>,
    candidates: Option<Vec<BlockSeriesRef>>,
    matcher: &Matcher,
) -> Result<Vec<BlockSeriesRef>, CorruptBlock> {
    let takes_away = matcher.matches_empty();
    let lists = lists_of(index, matcher, takes_away)?;
    if let [only] = lists[..] {
        return Ok(match candidates {
            None if !takes_away => only.iter().collect(),
            candidates => {
                let mut series = or_all(index, candidates)?;
                only.filter(&mut series, !takes_away);
                series
            }
        });
    }
    if candidates.is_none() && !takes_away {
        return Ok(SeriesBits::union(&lists).into_series());
    }
    let mut series = or_all(index, candidates)?;
    let marked = SeriesBits::union(&lists);
    series.retain(|series| marked.contains(*series) != takes_away);
    Ok(series)
}

fn or_all(index: &Index<Bytes>, candidates: Option<Vec<BlockSeriesRef>>) -> Result<Vec<BlockSeriesRef>, CorruptBlock> {
    candidates.map_or_else(|| Ok(index.all_postings()?.iter().collect()), Ok)
}

/// Lists of the values of the matcher's label that meet it, or with `failing` that do not.
fn lists_of<'a>(index: &'a Index<Bytes>, matcher: &Matcher, failing: bool) -> Result<Vec<Postings<'a>>, CorruptBlock> {
    let named: Option<Vec<&str>> = match matcher.op() {
        // The values that meet `=~`, and those that do not meet `!~`.
        MatchOp::Regex if !failing => texts(matcher),
        MatchOp::NotRegex if failing => texts(matcher),
        MatchOp::NotEqual if failing => Some(vec![matcher.value()]),
        _ => None,
    };
    let mut lists = Vec::new();
    if let Some(values) = named {
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            lists.extend(index.postings(matcher.name(), value)?);
        }
        return Ok(lists);
    }
    for (value, place) in index.label_values_near(matcher.name(), walked_prefix(matcher)) {
        if matcher.matches(value) != failing {
            lists.push(index.postings_at(place)?);
        }
    }
    Ok(lists)
}

fn texts(matcher: &Matcher) -> Option<Vec<&str>> {
    matcher.set_matches().map(|texts| texts.iter().map(String::as_str).collect())
}

/// What the values begin with that [`lists_of`] has to look at.
fn walked_prefix(matcher: &Matcher) -> &str {
    match (matcher.op(), matcher.matches_empty()) {
        // Values that begin otherwise do not meet `=~`, and are none that `!~` takes away.
        (MatchOp::Regex, false) | (MatchOp::NotRegex, true) => matcher.prefix().unwrap_or(""),
        _ => "",
    }
}

fn meets_everything(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::Regex && matcher.value() == ".*"
}

/// Whether the labels of the series read last meet all matchers.
pub(super) fn meets_rest(
    reader: &mut SeriesReader,
    index: &Index<Bytes>,
    rest: &[Matcher],
) -> Result<bool, CorruptBlock> {
    for matcher in rest {
        if !matcher.matches(reader.value(index, matcher.name())?.unwrap_or("")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names of the labels of the series that meet all matchers, sorted, each once.
pub(super) fn label_names(loaded: &Loaded, matchers: &[Matcher]) -> Result<Vec<String>, CorruptBlock> {
    let index = &loaded.index;
    if matchers.iter().all(meets_everything) {
        return Ok(index.label_names().map(str::to_owned).collect());
    }
    let mut symbols = Vec::new();
    let mut reader = each_match(loaded, matchers, |reader| {
        for symbol in reader.name_symbols() {
            insert(&mut symbols, symbol);
        }
        Ok(())
    })?;
    sorted_texts(&mut reader, index, &symbols)
}

/// Values of the label `name` of the series that meet all matchers, sorted, each once.
pub(super) fn label_values(loaded: &Loaded, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, CorruptBlock> {
    let index = &loaded.index;
    // Those that ask this label alone need no series.
    if matchers.iter().all(|matcher| matcher.name() == name || meets_everything(matcher)) {
        let meets = |value: &str| matchers.iter().all(|matcher| matcher.matches(value));
        return Ok(index.label_values(name).filter(|(value, _)| meets(value)).map(|(value, _)| value.into()).collect());
    }
    let Selection { series, rest } = matching(loaded, matchers)?;
    if rest.is_empty() && index.label_values(name).len() < series.len() {
        let mut values = Vec::new();
        for (value, place) in index.label_values(name) {
            if index.postings_at(place)?.meets(&series) {
                values.push(value.to_owned());
            }
        }
        return Ok(values);
    }
    let mut symbols = Vec::new();
    let mut reader = each(loaded, &Selection { series, rest }, |reader| {
        symbols.extend(reader.value_symbol(index, name)?);
        Ok(())
    })?;
    symbols.sort_unstable();
    symbols.dedup();
    sorted_texts(&mut reader, index, &symbols)
}

fn each_match(
    loaded: &Loaded,
    matchers: &[Matcher],
    visit: impl FnMut(&mut SeriesReader) -> Result<(), CorruptBlock>,
) -> Result<SeriesReader, CorruptBlock> {
    each(loaded, &matching(loaded, matchers)?, visit)
}

/// Shows each series of a selection. Damaged ones are told of and left out.
fn each(
    loaded: &Loaded,
    selection: &Selection,
    mut visit: impl FnMut(&mut SeriesReader) -> Result<(), CorruptBlock>,
) -> Result<SeriesReader, CorruptBlock> {
    let (index, mut reader) = (&loaded.index, SeriesReader::default());
    for &series in &selection.series {
        let mut look = || {
            reader.read(index, series, TimestampMs::MAX, TimestampMs::MIN)?;
            if meets_rest(&mut reader, index, &selection.rest)? { visit(&mut reader) } else { Ok(()) }
        };
        if let Err(error) = look() {
            loaded.tell_series(series, &error);
        }
    }
    Ok(reader)
}

/// Keeps a short list sorted, each number once.
fn insert(numbers: &mut Vec<u32>, number: u32) {
    if let Err(place) = numbers.binary_search(&number) {
        numbers.insert(place, number);
    }
}

fn sorted_texts(reader: &mut SeriesReader, index: &Index<Bytes>, symbols: &[u32]) -> Result<Vec<String>, CorruptBlock> {
    let mut texts = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        texts.push(reader.symbol(index, *symbol)?.to_owned());
    }
    // Symbols are in order in version 2, and places in version 1; others cost nothing here.
    texts.sort_unstable();
    Ok(texts)
}

/// How many values of a label cost as much to look at as the label of one series.
const VALUES_PER_SERIES: usize = 4;
