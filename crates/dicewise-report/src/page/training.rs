//! How the networks were trained: losses, and what maps taught.

use std::path::Path;

use super::Report;
use super::charts::push_chart;
use crate::ReportError;
use crate::figure::{gradient_chart, loss_chart, map_loss_chart};
use crate::html::Page;

impl Report<'_> {
    pub(super) fn push_training(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"training\">Training</h2>\n");
        if let Some(chart) = loss_chart(&self.logs, &self.order) {
            let caption = "Dice loss over the iterations: means over seeds and folds, and over a sixtieth of the \
                           training for each point. Losses of different Φ and ε have different values.";
            push_chart(page, figures, "training_loss", &chart, caption)?;
        }
        if let Some(chart) = map_loss_chart(&self.logs, &self.order) {
            let caption = "The loss of maps without ground truth and of maps with an object, each kind for itself: 1 − D \
                           of the subset φ that a map is in. A map that is ignored stays at 1 whatever is predicted \
                           on it; under batch-wise Dice it shares its loss with the others of the batch.";
            push_chart(page, figures, "training_map_loss", &chart, caption)?;
        }
        if let Some(chart) = gradient_chart(&self.logs, &self.order) {
            let caption = "What maps teach during training: the mean derivative on maps without ground truth and on \
                           known background, and how much is still predicted on maps without ground truth.";
            push_chart(page, figures, "training_gradient", &chart, caption)?;
        }
        Ok(())
    }
}
