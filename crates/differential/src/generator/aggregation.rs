//! Aggregations.

use super::Generator;

impl Generator {
    /// An aggregation over a vector.
    pub(super) fn aggregation(&mut self, depth: usize) -> String {
        let grouping = self.grouping();
        let inner = self.vector(depth - 1);
        match self.chance.below(14) {
            0 => format!("quantile{grouping}({}, {inner})", self.quantile()),
            1 => match self.chance.one_in(3) {
                // Texts of floats whose last digits may differ say nothing.
                true => format!("count_values{grouping}(\"value\", round({inner}, 0.3))"),
                false => format!("count_values{grouping}(\"value\", {})", self.selector()),
            },
            2 => {
                let inner = self.without_ties(depth - 1);
                format!(
                    "{}{grouping}({}, {inner})",
                    self.either("topk", "bottomk"),
                    self.pick(&["1", "2", "3", "0", "100"])
                )
            }
            3 if self.dialect.is_experimental() => match self.chance.one_in(2) {
                // Which ones are taken follows from the order of the storage.
                true => format!("count{grouping}(limitk{grouping}({}, {inner}))", self.pick(&["0", "1", "2", "5"])),
                false => format!("limit_ratio{grouping}({}, {inner})", self.pick(&["0.5", "-0.5", "0", "1", "0.1"])),
            },
            _ => format!("{}{grouping}({inner})", self.operator()),
        }
    }

    /// Whose parameter is nothing but a vector.
    pub(super) fn operator(&mut self) -> &'static str {
        self.pick(&["sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"])
    }

    fn grouping(&mut self) -> String {
        if self.chance.one_in(3) {
            return " ".to_owned();
        }
        let word = self.either("by", "without");
        let number = self.chance.below(3);
        let labels: Vec<&str> =
            (0..number).map(|_| self.pick(&["job", "instance", "path", "code", "kind", "le", "nothing"])).collect();
        format!(" {word} ({}) ", labels.join(", "))
    }

    /// A vector whose values differ: which of two equal ones is the larger nobody has promised.
    fn without_ties(&mut self, depth: usize) -> String {
        let modifiers = self.modifiers();
        match self.chance.below(3) {
            0 => format!("temperature{modifiers} > -40 < 40 != 0"),
            1 if depth > 0 => {
                format!("sum_over_time((temperature < 40 > 0)[{}:30s]{modifiers})", self.pick(&["1m", "5m"]))
            }
            _ => format!("limit_bytes{modifiers} * on (job, instance) (temperature > -40 < 40 != 0)"),
        }
    }
}
