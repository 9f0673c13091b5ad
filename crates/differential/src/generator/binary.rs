//! Binary operators, with operands that match.

use super::Generator;
use crate::Dialect;

const ARITHMETIC: [&str; 7] = ["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISON: [&str; 6] = ["==", "!=", "<", ">", "<=", ">="];

impl Generator {
    /// A vector made by a binary operator.
    pub(super) fn binary(&mut self, depth: usize) -> String {
        match self.chance.below(10) {
            0..=2 => self.with_scalar(depth),
            3 | 4 => self.of_groups(depth),
            5 => self.of_metric(depth),
            6 | 7 => self.many_to_one(depth),
            8 => self.set_operation(depth),
            _ => {
                let operator = self.operator_between();
                format!("{} {operator} {}", self.operand(depth - 1), self.operand(depth - 1))
            }
        }
    }

    fn operator_between(&mut self) -> String {
        match self.chance.below(3) {
            0 => format!("{}{}", self.pick(&COMPARISON), self.either("", " bool")),
            // Kept the metric's name in 2.42.
            _ if self.dialect == Dialect::Old => self.pick(&ARITHMETIC[..6]).to_owned(),
            _ => self.pick(&ARITHMETIC).to_owned(),
        }
    }

    fn with_scalar(&mut self, depth: usize) -> String {
        if self.dialect.is_experimental() && self.chance.one_in(8) {
            return format!("{} {} {}", self.operand(depth - 1), self.either("</", ">/"), self.number());
        }
        let operator = self.operator_between();
        let (vector, scalar) = (self.operand(depth - 1), self.scalar_operand(depth.saturating_sub(2)));
        match self.chance.one_in(3) {
            true => format!("{scalar} {operator} {vector}"),
            false => format!("{vector} {operator} {scalar}"),
        }
    }

    /// Two aggregations by the same labels.
    fn of_groups(&mut self, depth: usize) -> String {
        let labels = self.pick(&["job", "instance", "job, instance", ""]);
        let side = |generator: &mut Self| {
            let operator = generator.operator();
            format!("{operator} by ({labels}) ({})", generator.vector(depth - 1))
        };
        let (left, right) = (side(self), side(self));
        let matching = match self.chance.below(4) {
            0 => format!(" on ({labels})"),
            1 => " ignoring (path)".to_owned(),
            _ => String::new(),
        };
        format!("{left} {}{matching}{} {right}", self.operator_between(), self.fill())
    }

    /// Two computations over one metric.
    fn of_metric(&mut self, depth: usize) -> String {
        let metric = self.metric();
        let operator = self.operator_between();
        let side = |generator: &mut Self| match generator.chance.one_in(2) {
            true => format!("{}{}", generator.series(metric), generator.modifiers()),
            false => generator.range_call_of(metric, depth),
        };
        let (left, right) = (side(self), side(self));
        format!("{left} {operator}{} {right}", self.fill())
    }

    /// Many elements of one side for each of the other.
    fn many_to_one(&mut self, depth: usize) -> String {
        let one = self.pick(&["limit_bytes", "build_info", "target_info", "temperature", "flapping"]);
        let many = match self.chance.one_in(2) {
            true => {
                self.pick(&["memory_bytes", "requests_total", "rate(requests_total[2m])", "errors_total"]).to_owned()
            }
            false => format!("sum by (job, instance, path, kind) ({})", self.vector(depth - 1)),
        };
        let include = self.pick(&["", "", "(version)", "(region)", "(version, nothing)"]);
        let operator = self.operator_between();
        let on = self.pick(&["on (job, instance)", "ignoring (path, code, kind, version, region)"]);
        let fill = self.fill();
        match self.chance.one_in(2) {
            true => format!("{many} {operator} {on} group_left {include}{fill} {one}"),
            false => format!("{one} {operator} {on} group_right {include}{fill} {many}"),
        }
    }

    fn set_operation(&mut self, depth: usize) -> String {
        let operator = self.pick(&["and", "or", "unless"]);
        let matching = self.pick(&["", "", " on (job)", " on (job, instance)", " ignoring (path, code)", " on ()"]);
        format!("{} {operator}{matching} {}", self.operand(depth - 1), self.operand(depth - 1))
    }

    fn fill(&mut self) -> &'static str {
        match self.dialect.is_experimental() && self.chance.one_in(4) {
            true => {
                self.pick(&[" fill (0)", " fill_left (1)", " fill_right (-2.5)", " fill_left (3) fill_right (NaN)"])
            }
            false => "",
        }
    }
}
