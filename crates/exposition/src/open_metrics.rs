//! OpenMetrics 1.0, a line at a time.
//!
//! Stricter than the text format that it came from: one space between parts, no blank lines, no comments but `TYPE`, `HELP`,
//! `UNIT` and the last line, which is `# EOF`. Times are seconds. Names in quotes, which Prometheus 3 writes for names of
//! other characters, are understood. Exemplars are checked and left out.

mod number;
mod text;

use model::{Labels, LabelsBuilder, METRIC_NAME, TimestampMs};

use number::{timestamp, value};
use text::Cursor;

/// What a line says.
#[derive(Clone, PartialEq, Debug)]
pub enum Line {
    /// A sample of a series.
    Sample {
        /// The series, its name included.
        labels: Labels,
        /// Its time, if the line has one.
        at: Option<TimestampMs>,
        /// Its value. Every NaN but one with a payload of its own, which text cannot hold.
        value: f64,
    },
    /// Something about a metric family.
    Metadata,
    /// The end of the text.
    End,
}

/// Text that is no OpenMetrics.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct NotOpenMetrics {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads lines in their order.
#[derive(Debug, Default)]
pub struct OpenMetrics {
    line: u64,
    ended: bool,
    builder: LabelsBuilder,
    exemplar: LabelsBuilder,
    scratch: String,
}

impl OpenMetrics {
    /// Reads the next line, without its line feed.
    ///
    /// # Errors
    /// When it is none that can stand here.
    pub fn parse(&mut self, line: &[u8]) -> Result<Line, NotOpenMetrics> {
        self.line += 1;
        self.parse_line(line).map_err(|what| NotOpenMetrics { line: self.line, what })
    }

    /// Lines read so far.
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// Is told that the text ends here.
    ///
    /// # Errors
    /// When `# EOF` has not come: the text was cut.
    pub fn finish(&self) -> Result<(), NotOpenMetrics> {
        match self.ended {
            true => Ok(()),
            false => Err(NotOpenMetrics { line: self.line + 1, what: "the text does not end with # EOF: it was cut" }),
        }
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<Line, &'static str> {
        if self.ended {
            return Err("there is something after # EOF");
        }
        if line.len() > LINE_BYTES_MAX {
            return Err("the line is too long");
        }
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
        match line.strip_prefix('#') {
            Some(" EOF") => {
                self.ended = true;
                Ok(Line::End)
            }
            Some(descriptor) => metadata(descriptor).map(|()| Line::Metadata),
            None => self.sample(line),
        }
    }

    fn sample(&mut self, line: &str) -> Result<Line, &'static str> {
        let Self { builder, exemplar, scratch, .. } = self;
        let mut cursor = Cursor::new(line);
        builder.clear();
        let mut is_named = false;
        if cursor.peek() != Some(b'{') {
            builder.push(METRIC_NAME, cursor.metric_name()?);
            is_named = true;
        }
        if cursor.peek() == Some(b'{') {
            read_labels(&mut cursor, builder, scratch, &mut is_named)?;
        }
        if !is_named {
            return Err("the sample has no name");
        }
        cursor.expect(b' ', "one space must follow the name and labels")?;
        let value = value(cursor.word()).ok_or("the value is no number")?;
        let mut at = None;
        if !cursor.is_empty() {
            cursor.expect(b' ', "one space must follow the value")?;
            if cursor.peek() != Some(b'#') {
                at = Some(timestamp(cursor.word()).ok_or("the time is no number of seconds, or too far away")?);
            }
            if at.is_none() || !cursor.is_empty() {
                if at.is_some() {
                    cursor.expect(b' ', "one space must follow the time")?;
                }
                read_exemplar(&mut cursor, exemplar, scratch)?;
            }
        }
        let labels = builder.build().map_err(|_| "a label stands there twice, or the labels are too long")?;
        Ok(Line::Sample { labels, at, value })
    }
}

/// `{name="value",…}`; a lone text in quotes is the metric's name.
fn read_labels(
    cursor: &mut Cursor<'_>,
    builder: &mut LabelsBuilder,
    scratch: &mut String,
    is_named: &mut bool,
) -> Result<(), &'static str> {
    cursor.expect(b'{', "labels begin with a brace")?;
    for count in 0.. {
        if count == LABELS_MAX {
            return Err("there are too many labels");
        }
        if cursor.peek() == Some(b'}') {
            break;
        }
        let quoted = if cursor.peek() == Some(b'"') { Some(cursor.quoted(scratch)?.to_owned()) } else { None };
        match quoted {
            Some(name) if cursor.peek() != Some(b'=') => {
                if *is_named || name.is_empty() {
                    return Err("the name stands there twice, or is empty");
                }
                builder.push(METRIC_NAME, &name);
                *is_named = true;
            }
            quoted => {
                let name = match &quoted {
                    Some(name) => name,
                    None => cursor.label_name()?,
                };
                if name.is_empty() {
                    return Err("a label's name is empty");
                }
                cursor.expect(b'=', "an equals sign must follow a label's name")?;
                builder.push(name, cursor.quoted(scratch)?);
            }
        }
        match cursor.peek() {
            Some(b',') => cursor.skip(),
            Some(b'}') => {}
            _ => return Err("a comma or a brace must follow a label"),
        }
    }
    cursor.expect(b'}', "the labels have no end")
}

/// `# {labels} value [time]`
fn read_exemplar(
    cursor: &mut Cursor<'_>,
    builder: &mut LabelsBuilder,
    scratch: &mut String,
) -> Result<(), &'static str> {
    cursor.expect(b'#', "only an exemplar can follow here")?;
    cursor.expect(b' ', "one space must follow the # of an exemplar")?;
    builder.clear();
    let mut is_named = true;
    read_labels(cursor, builder, scratch, &mut is_named)?;
    builder.build().map_err(|_| "a label of the exemplar stands there twice")?;
    cursor.expect(b' ', "one space must follow the labels of an exemplar")?;
    value(cursor.word()).ok_or("the value of the exemplar is no number")?;
    if !cursor.is_empty() {
        cursor.expect(b' ', "one space must follow the value of an exemplar")?;
        timestamp(cursor.word()).ok_or("the time of the exemplar is no number of seconds")?;
    }
    if cursor.is_empty() { Ok(()) } else { Err("there is something after the exemplar") }
}

/// What follows the `#` of a line that describes a family.
fn metadata(descriptor: &str) -> Result<(), &'static str> {
    let unknown = "a line that begins with # must be a TYPE, HELP, UNIT or the EOF";
    let (keyword, rest) = descriptor.strip_prefix(' ').and_then(|rest| rest.split_once(' ')).ok_or(unknown)?;
    let mut cursor = Cursor::new(rest);
    match cursor.peek() {
        Some(b'"') => drop(cursor.quoted(&mut String::new())?),
        _ => drop(cursor.metric_name()?),
    }
    // Prometheus takes a HELP or UNIT without any text, with or without the space before it.
    let text = match cursor.rest() {
        "" if keyword != "TYPE" => "",
        rest => rest.strip_prefix(' ').ok_or("one space must follow the family's name")?,
    };
    match keyword {
        "TYPE" if TYPES.contains(&text) => Ok(()),
        "TYPE" => Err("there is no such type"),
        "HELP" | "UNIT" => Ok(()),
        _ => Err(unknown),
    }
}

/// Longer lines are refused. Prometheus' bound on a whole label set is far below it.
pub const LINE_BYTES_MAX: usize = 1 << 20;

const LABELS_MAX: usize = 1024;

const TYPES: [&str; 8] = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];

#[cfg(test)]
mod tests;
