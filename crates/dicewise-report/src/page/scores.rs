//! DSC and ΔV of every case, and ROC.

use std::path::Path;

use super::Report;
use super::charts::{file_name, push_chart};
use crate::ReportError;
use crate::figure::roc_chart;
use crate::html::{Page, escape};
use crate::table1_layout::Metric;

impl Report<'_> {
    pub(super) fn push_boxes(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"boxes\">Every case</h2>\n");
        for label in self.labels() {
            for (metric, name, what) in [
                (Metric::Dsc, "dsc", "DSC"),
                (Metric::VolumeDifference, "volume_difference", "Volume difference"),
            ] {
                let chart = self.table.box_chart(label, metric)?;
                let caption =
                    format!("{what} of {label} for every cell; each dot is a case (mean over seeds).");
                push_chart(page, figures, &file_name(&format!("{name}_{label}")), &chart, &caption)?;
            }
        }
        Ok(())
    }

    pub(super) fn push_roc(&self, page: &mut Page, figures: &Path) -> Result<(), ReportError> {
        page.push("<h2 id=\"roc\">ROC: does the predicted volume give the group away?</h2>\n");
        let [positive, _, ..] = self.record.groups.as_slice() else {
            page.push("<p>There is only one group of cases.</p>\n");
            return Ok(());
        };
        page.push(&format!(
            "<p>A network that learnt “no label, no structure” predicts almost nothing in the unlabelled group, and \
             its predicted volume tells the groups apart. An AUC as with full labels is what one wants. Positive: \
             {}.</p>\n",
            escape(positive)
        ));
        for label in self.labels() {
            let chart = roc_chart(&self.scores, positive, label, &self.order)?;
            let caption = format!(
                "Detecting {positive} by the predicted volume of {label} (Figure 2 of the paper): colours by setting, \
                 dashes by B, a curve for each seed."
            );
            push_chart(page, figures, &file_name(&format!("roc_{label}")), &chart, &caption)?;
        }
        Ok(())
    }
}
