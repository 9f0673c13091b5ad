//! Reading the sidecar's own `/metrics`.

/// Samples of an exposition, as far as they are plain numbers.
#[derive(Default, Debug)]
pub(crate) struct Exposition<'a>(Vec<Line<'a>>);

#[derive(Debug)]
struct Line<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Exposition<'a> {
    /// What `text` holds; lines that are none are left out, lines beyond a bound too.
    pub(crate) fn parse(text: &'a str) -> Self {
        Self(text.lines().take(LINES_MAX).filter_map(Line::parse).collect())
    }

    /// The sum over all series of `name`; none when there is none.
    pub(crate) fn sum(&self, name: &str) -> Option<f64> {
        self.lines(name).map(|line| line.value).reduce(|sum, value| sum + value)
    }

    /// Series of `name` with their value of the label `label`, those alone that are not zero.
    pub(crate) fn by(&self, name: &str, label: &str) -> Vec<(&'a str, f64)> {
        let lines = self.lines(name).filter(|line| line.value != 0.0);
        lines.filter_map(|line| Some((line.label(label)?, line.value))).collect()
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &Line<'a>> {
        self.0.iter().filter(move |line| line.name == name)
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        Some(Self { name, labels, value: value.parse().ok()? })
    }

    /// Values of our own labels hold no commas, quotes or escapes.
    fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.split(',').find_map(|pair| {
            let value = pair.trim().strip_prefix(name)?.strip_prefix('=')?;
            value.strip_prefix('"')?.strip_suffix('"')
        })
    }
}

const LINES_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_name_and_label() {
        let text = "# TYPE a counter\na_total{code=\"204\",kind=\"x\"} 3\na_total{code=\"429\"} 2\na_total{code=\"500\"} 0\nb 1.5\nbad\n\
                    c{x=\"1\" 2\n# EOF\n";
        let read = Exposition::parse(text);
        assert_eq!(
            (read.sum("a_total"), read.sum("b"), read.sum("c"), read.sum("a")),
            (Some(5.0), Some(1.5), None, None)
        );
        assert_eq!(read.by("a_total", "code"), [("204", 3.0), ("429", 2.0)]);
        assert!(read.by("a_total", "cod").is_empty() && read.by("b", "code").is_empty());
    }
}
