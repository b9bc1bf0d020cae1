//! The paper's Figure 1: which maps of a batch each partition Φ sums over together.

use dicewise::Partition;

use super::Chart;
use super::plot::{TEXT, TITLE, setting_colour};
use super::scene::{Anchor, Paint, Scene};
use crate::case_score::to_csv;

const BATCH: usize = 2;
const CLASSES: usize = 3;
const MAP: f32 = 58.0;
const GAP: f32 = 10.0;
const LEFT: f32 = 62.0;
const TOP: f32 = 62.0;

/// A batch of two images and three classes under each partition; maps of one colour and number are one subset φ.
pub(crate) fn partitions_chart() -> Chart {
    let step = LEFT + CLASSES as f32 * (MAP + GAP) + 12.0;
    let height = TOP + BATCH as f32 * (MAP + GAP) + 34.0;
    let description = "The four partitions of two images and three classes: image-wise six subsets, class-wise two, \
                       batch-wise three, all-wise one";
    let mut scene = Scene::new(step * Partition::ALL.len() as f32, height, description);
    let mut records = Vec::new();
    for (i, partition) in Partition::ALL.into_iter().enumerate() {
        let left = step * i as f32 + LEFT;
        let middle = left + (CLASSES as f32 * (MAP + GAP) - GAP) / 2.0;
        let name = match partition {
            Partition::ImageWise => "image-wise",
            Partition::ClassWise => "class-wise",
            Partition::BatchWise => "batch-wise",
            Partition::AllWise => "all-wise",
        };
        scene.text((middle, 16.0), TITLE, Anchor::Middle, Paint::TEXT, format!("{partition}: {name}"));
        for c in 0..CLASSES {
            let x = left + c as f32 * (MAP + GAP) + MAP / 2.0;
            scene.text((x, TOP - 14.0), TEXT, Anchor::Middle, Paint::FAINT, format!("class {c}"));
        }
        for b in 0..BATCH {
            let y = TOP + b as f32 * (MAP + GAP);
            if i == 0 {
                let text = format!("image {}", b + 1);
                scene.text((left - 8.0, y + MAP / 2.0), TEXT, Anchor::End, Paint::FAINT, text);
            }
            for c in 0..CLASSES {
                let x = left + c as f32 * (MAP + GAP);
                let subset = partition.subset(b, c, CLASSES);
                let colour = setting_colour(subset);
                // Maps of one subset touch.
                let joins = |b: usize, c: usize| {
                    b < BATCH && c < CLASSES && partition.subset(b, c, CLASSES) == subset
                };
                let (wide, high) = (joins(b, c + 1), joins(b + 1, c));
                let reach = |joined: bool| if joined { MAP + GAP } else { MAP };
                scene.fill(x, y, reach(wide), MAP, Paint::Colour(colour, 0.45));
                if high {
                    scene.fill(
                        x,
                        y + MAP,
                        reach(wide && joins(b + 1, c + 1)),
                        GAP,
                        Paint::Colour(colour, 0.45),
                    );
                }
                let text = format!("φ{}", ['₁', '₂', '₃', '₄', '₅', '₆'][subset]);
                scene.text((x + MAP / 2.0, y + MAP / 2.0), TITLE, Anchor::Middle, Paint::TEXT, text);
                records.push([
                    partition.symbol().to_owned(),
                    b.to_string(),
                    c.to_string(),
                    subset.to_string(),
                ]);
            }
        }
        let subsets = partition.subsets(BATCH, CLASSES);
        let below = (middle, TOP + BATCH as f32 * (MAP + GAP) + 10.0);
        scene.text(below, TEXT, Anchor::Middle, Paint::FAINT, format!("|Φ| = {subsets}"));
    }
    Chart { scene, csv: to_csv(["partition", "image", "class", "subset"], records.into_iter()) }
}
