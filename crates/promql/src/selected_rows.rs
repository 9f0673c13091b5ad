//! Rows of a selection, each computed of one series alone, by several threads where some are lent.

use model::Labels;
use storage::Series;

use crate::budget::Budget;
use crate::column::Column;
use crate::grid::Grid;
use crate::plan::SelectionId;
use crate::row::{Context, Row, Sink};
use crate::series_batches::{Sizes, in_order};
use crate::{Annotations, EvalError, NoWorkers, Stop};

/// Computes the row of one series: fills a column that is all absent, and gives the labels and whether the name is to go;
/// `None` without a value. The context is one of its own, without selections.
pub(crate) type Compute<'f, S> =
    &'f (dyn Fn(&mut Context<'_>, &mut S, Series, &mut Column) -> Result<Option<(Labels, bool)>, EvalError> + Sync);

/// Hands on a row of each series that gives one, in order. `state` makes what is kept from series to series.
pub(crate) fn each_row<S>(
    selection: SelectionId,
    grid: Grid,
    context: &mut Context<'_>,
    state: &(dyn Fn() -> S + Sync),
    compute: Compute<'_, S>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let set = context.take_selected(selection);
    // One row; the few others that are on their way have a bound of their own.
    context.budget.hold(grid.steps)?;
    let sizes = sizes(grid, &context.budget);
    let (workers, beside) = (context.workers, Beside::of(context));
    let compute_batch = |batch: Vec<Series>| {
        let mut context = beside.context();
        let mut state = state();
        let mut rows = Vec::with_capacity(batch.len());
        for series in batch {
            context.check_interrupt()?;
            let mut column = Column::absent(grid.steps);
            if let Some((labels, drop_name)) = compute(&mut context, &mut state, series, &mut column)? {
                rows.push((labels, drop_name, column));
            }
        }
        Ok::<_, EvalError>((rows, context.annotations))
    };
    in_order(set, sizes, workers, &compute_batch, &mut |(rows, annotations)| {
        context.check_interrupt()?;
        context.annotations.absorb(annotations);
        for (labels, drop_name, mut column) in rows {
            sink(context, Row { labels, drop_name, column: &mut column })?;
        }
        Ok(())
    })?;
    context.budget.release(grid.steps);
    Ok(())
}

fn sizes(grid: Grid, budget: &Budget) -> Sizes {
    let batch = (BATCH_SLOTS / grid.steps).clamp(1, BATCH_SERIES);
    // Where there is little room, nobody helps.
    let helpers = if budget.left() / 4 < HELPERS_MAX * BATCH_SLOTS { 0 } else { HELPERS_MAX };
    Sizes { batch, alone: (ALONE_SLOTS / grid.steps).clamp(batch, ALONE_SERIES), helpers }
}

/// What a thread beside the one that evaluates has of the context.
struct Beside<'i> {
    lookback_ms: i64,
    delayed_name_removal: bool,
    use_start_timestamps: bool,
    type_and_unit_labels: bool,
    budget: Budget,
    interrupt: &'i (dyn Fn() -> Option<Stop> + Sync),
}

impl<'i> Beside<'i> {
    fn of(context: &Context<'i>) -> Self {
        Self {
            lookback_ms: context.lookback_ms,
            delayed_name_removal: context.delayed_name_removal,
            use_start_timestamps: context.use_start_timestamps,
            type_and_unit_labels: context.type_and_unit_labels,
            budget: context.budget.clone(),
            interrupt: context.interrupt,
        }
    }

    fn context(&self) -> Context<'i> {
        Context {
            lookback_ms: self.lookback_ms,
            delayed_name_removal: self.delayed_name_removal,
            use_start_timestamps: self.use_start_timestamps,
            type_and_unit_labels: self.type_and_unit_labels,
            budget: self.budget.clone(),
            annotations: Annotations::default(),
            selected: Vec::new(),
            interrupt: self.interrupt,
            workers: &NoWorkers,
        }
    }
}

/// Slots of the columns of one batch: 256 KiB.
const BATCH_SLOTS: usize = 1 << 15;
const BATCH_SERIES: usize = 64;

/// What is done before others help: about as much as it costs to have them.
const ALONE_SLOTS: usize = 1 << 14;
const ALONE_SERIES: usize = 1024;

/// Threads beside the one that evaluates; more would wait for the selection's walk.
const HELPERS_MAX: usize = 7;
