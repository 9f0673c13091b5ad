//! What operators hand to each other, and what they share.

use hashbrown::HashMap;
use model::Labels;
use storage::SeriesSet;

use crate::budget::Budget;
use crate::column::{Column, Run};
use crate::grid::Grid;
use crate::label_set::{METADATA_BESIDE_NAME, without_metadata};
use crate::plan::SelectionId;
use crate::{Annotations, EvalError, Stop, Workers};

/// One series over all steps of the grid. A series may come in several rows of disjoint steps; the rows of one vector
/// never hold two samples of one label set at one step.
pub(crate) struct Row<'a> {
    pub(crate) labels: Labels,
    /// The name is to go when the query ends (delayed name removal).
    pub(crate) drop_name: bool,
    /// For the receiver to use as it likes: the sender fills it anew for the next series.
    pub(crate) column: &'a mut Column,
}

/// Takes the rows of a vector.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(&mut Context<'_>, Row<'_>) -> Result<(), EvalError>;

/// What all operators of one evaluation share.
pub(crate) struct Context<'i> {
    pub(crate) lookback_ms: i64,
    /// Names stay on computed values until the query ends.
    pub(crate) delayed_name_removal: bool,
    /// Rates and the like look at start timestamps.
    pub(crate) use_start_timestamps: bool,
    /// Labels tell what kind of metric a series is.
    pub(crate) type_and_unit_labels: bool,
    pub(crate) budget: Budget,
    pub(crate) annotations: Annotations,
    pub(crate) selected: Vec<Option<Box<dyn SeriesSet>>>,
    pub(crate) interrupt: &'i (dyn Fn() -> Option<Stop> + Sync),
    /// Threads that help.
    pub(crate) workers: &'i dyn Workers,
}

impl Context<'_> {
    /// Whether no series of a selection has labels that go together with the metric's name: then label sets of one metric stay
    /// distinct without it.
    pub(crate) fn has_only_names(&self, id: SelectionId) -> bool {
        let selected = self.selected[id.0].as_ref();
        selected.is_some_and(|set| !METADATA_BESIDE_NAME.iter().any(|name| set.may_have_label(name)))
    }

    /// Ends the evaluation when the caller wants it. Called at least once a series and once a thousand steps.
    pub(crate) fn check_interrupt(&self) -> Result<(), EvalError> {
        match (self.interrupt)() {
            Some(stop) => Err(stop.into()),
            None => Ok(()),
        }
    }

    pub(crate) fn take_selected(&mut self, id: SelectionId) -> Box<dyn SeriesSet> {
        self.selected[id.0].take().expect("each selection belongs to one selector, which is evaluated once")
    }

    /// The labels of a value that is no longer a sample of its metric.
    pub(crate) fn computed_labels(&self, labels: &Labels) -> Labels {
        match self.delayed_name_removal {
            true => labels.clone(),
            false => without_metadata(labels),
        }
    }
}

/// A row that is kept.
#[derive(Debug)]
pub(crate) struct StoredRow {
    pub(crate) labels: Labels,
    pub(crate) drop_name: bool,
    pub(crate) run: Run,
}

/// Keeps rows, those of equal labels as one.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<StoredRow>,
    by_labels: HashMap<Labels, usize>,
}

impl Rows {
    /// Keeps a row; rows without any value are not worth it.
    pub(crate) fn add(&mut self, context: &mut Context<'_>, row: &Row<'_>) -> Result<(), EvalError> {
        let Some(run) = Run::of(row.column) else { return Ok(()) };
        context.budget.hold(run.len())?;
        match self.by_labels.get(&row.labels) {
            None => {
                self.by_labels.insert(row.labels.clone(), self.rows.len());
                self.rows.push(StoredRow { labels: row.labels.clone(), drop_name: row.drop_name, run });
            }
            Some(index) => {
                let stored = &mut self.rows[*index];
                // What is the case at its first step is the case for a series.
                if run.first_step() < stored.run.first_step() {
                    stored.drop_name = row.drop_name;
                }
                let mut merged = Column::absent(row.column.steps());
                if !stored.run.overlay(&mut merged) || !run.overlay(&mut merged) {
                    return Err(EvalError::same_labelset());
                }
                context.budget.release(stored.run.len() + run.len());
                stored.run = Run::of(&merged).expect("it holds both rows' values");
                context.budget.hold(stored.run.len())?;
            }
        }
        Ok(())
    }

    /// The rows, still counted as held; whoever drops one releases its length.
    pub(crate) fn into_rows(self) -> Vec<StoredRow> {
        self.rows
    }
}

/// Fills `column` from a stored row.
pub(crate) fn restore(run: &Run, column: &mut Column) {
    column.clear();
    let free = run.overlay(column);
    debug_assert!(free, "the column was cleared");
}

/// Makes a column for the grid, counted as held.
pub(crate) fn hold_column(context: &mut Context<'_>, grid: Grid) -> Result<Column, EvalError> {
    context.budget.hold(grid.steps)?;
    Ok(Column::absent(grid.steps))
}
