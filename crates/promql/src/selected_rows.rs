//! Rows of a selection, each computed of one series alone, by several threads where some are lent.

use model::Labels;
use storage::Series;

use crate::budget::Budget;
use crate::column::Column;
use crate::grid::Grid;
use crate::plan::SelectionId;
use crate::row::{Context, Row, Sink};
use crate::series_batches::{Bounds, Computed, in_order};
use crate::{Annotations, EvalError, NoWorkers, Stop};

/// Computes the row of one series: fills a column that is all absent, and gives the labels and whether the name is to go;
/// `None` without a value. The context is one of its own, without selections.
pub(crate) type Compute<'f, S> =
    &'f (dyn Fn(&mut Context<'_>, &mut S, Series, &mut Column) -> Result<Option<(Labels, bool)>, EvalError> + Sync);

/// What is kept from series to series.
pub(crate) trait SeriesState {
    /// What was done so far, as that many looks at a sample.
    fn work(&self) -> usize;
}

/// Hands on a row of each series that gives one, in order. `state` makes what is kept from series to series.
pub(crate) fn each_row<S: SeriesState>(
    selection: SelectionId,
    grid: Grid,
    context: &mut Context<'_>,
    state: &(dyn Fn() -> S + Sync),
    compute: Compute<'_, S>,
    sink: Sink<'_>,
) -> Result<(), EvalError> {
    let set = context.take_selected(selection);
    let bounds = bounds(grid, &context.budget);
    let (workers, beside) = (context.workers, Beside::of(context));
    let compute_batch = |state: &mut S, batch: Vec<Series>| {
        let mut context = beside.context();
        let (mut rows, mut samples, done_before) = (Vec::with_capacity(batch.len()), 0, state.work());
        let slots = batch.len() * (grid.steps + SERIES_SLOTS);
        for series in batch {
            context.check_interrupt()?;
            let mut column = Column::absent(grid.steps);
            if let Some((labels, drop_name)) = compute(&mut context, state, series, &mut column)? {
                // Counted here for the bound, and again where it is handed on, together with all else that is held.
                let held = column.samples();
                context.budget.hold(held)?;
                samples += held;
                rows.push((labels, drop_name, column, held));
            }
        }
        let work = state.work() - done_before + slots * SLOT_WORK;
        Ok::<_, EvalError>(Computed { result: (rows, context.annotations, samples), work, samples })
    };
    in_order(set, bounds, workers, state, &compute_batch, &mut |(rows, annotations, samples)| {
        context.check_interrupt()?;
        context.annotations.absorb(annotations);
        context.budget.hold(samples)?;
        for (labels, drop_name, mut column, held) in rows {
            sink(context, Row { labels, drop_name, column: &mut column })?;
            context.budget.release(held);
        }
        Ok(())
    })
}

fn bounds(grid: Grid, budget: &Budget) -> Bounds {
    // Where there is little room, nobody helps.
    let room = budget.left() / 4;
    let helpers = if room < HELPERS_MAX * BATCH_SLOTS { 0 } else { HELPERS_MAX };
    Bounds { batch: (BATCH_SLOTS.min(room) / grid.steps).clamp(1, BATCH_SERIES), helpers, samples: room }
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

/// What a slot costs, in samples.
const SLOT_WORK: usize = 4;
/// What a series costs that has nothing, in slots.
const SERIES_SLOTS: usize = 25;

/// Threads beside the one that evaluates; more would wait for the selection's walk.
const HELPERS_MAX: usize = 7;
