//! The push on an empty map over ε.
use dicewise::EpsilonSolutions;
use dicewise::explain::{Explanation, Scenario, Verdict, over_epsilon};
use miette::IntoDiagnostic;
use serde_json::{Value, json};

use super::{Loss, word};
use crate::table::Table;
use crate::terminal::{Reader, Tone};

/// Powers of ten that a bar is long; less is nothing.
const POWERS: usize = 12;

/// What the loss teaches an empty map with each ε, smallest first; no points for a loss that has no ε to change.
pub(super) struct Curve {
    points: Vec<Point>,
}

struct Point {
    epsilon: f64,
    /// What is special about this ε.
    marks: Vec<&'static str>,
    explanation: Explanation,
}

impl Curve {
    pub(super) fn of(loss: &Loss, scenario: &Scenario) -> miette::Result<Self> {
        let Some(dice) = loss.dice(scenario)? else { return Ok(Self { points: Vec::new() }) };
        let size = scenario.object_size();
        let mut marked =
            vec![(dice.epsilon().denominator(scenario.class()), "this loss"), (size, "heuristic v̂")];
        // Where nothing solves Eq. 5, or it cannot be asked, nothing is marked.
        match scenario.solve_epsilon() {
            Ok(EpsilonSolutions::Two { lo, hi }) => marked.extend([(lo, "Eq. 5"), (hi, "Eq. 5")]),
            Ok(EpsilonSolutions::One(epsilon)) => marked.push((epsilon, "Eq. 5")),
            Ok(EpsilonSolutions::None) | Err(_) => {}
        }
        let largest = size.log10().ceil() as i32 + 2;
        let powers = [-8, -6, -4, -2].into_iter().chain(0..=largest).map(|power| 10f64.powi(power));
        let mut epsilons: Vec<f64> = powers.chain(marked.iter().map(|(epsilon, _)| *epsilon)).collect();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup_by(|a, b| same(*a, *b));
        let explained = over_epsilon(&dice, scenario, &epsilons).into_diagnostic()?;
        let point = |(epsilon, explanation): (f64, Explanation)| Point {
            epsilon,
            marks: marked.iter().filter(|(e, _)| same(*e, epsilon)).map(|(_, mark)| *mark).collect(),
            explanation,
        };
        Ok(Self { points: epsilons.into_iter().zip(explained).map(point).collect() })
    }

    pub(super) fn to_text(&self, reader: Reader) -> String {
        let pushes = || self.points.iter().map(|point| point.explanation.empty.abs());
        let most = pushes().fold(0.0, f64::max);
        let Some(first) = pushes().next() else { return String::new() };
        if pushes().all(|push| push == first) {
            return format!("\nThe push on the empty map is {} whatever ε is.\n", number(first));
        }
        // What stands beside the bars takes 70 columns.
        let columns = POWERS * (reader.plot_width().saturating_sub(70) / POWERS).clamp(1, 3);
        let mut table = Table::new([">ε (voxels)", ">∂L/∂p", "", ">÷ background", "an empty map", ""]);
        for Point { epsilon, marks, explanation } in &self.points {
            let below = (most / explanation.empty.abs()).log10();
            table.row(vec![
                number(*epsilon),
                format!("{:.1e}", explanation.empty),
                reader.bar(1.0 - below / POWERS as f64, columns),
                number(explanation.push_on_empty()),
                match explanation.on_empty {
                    Verdict::Ignores => "is ignored",
                    Verdict::InBetween => "is in between",
                    Verdict::Learns => "is learnt",
                }
                .to_owned(),
                if marks.is_empty() { String::new() } else { format!("< {}", marks.join(", ")) },
            ]);
        }
        let title = format!(
            "Push on the empty map over ε (a bar is {POWERS} powers of ten long; ÷ known background)"
        );
        let rows: String = table.to_string().lines().map(|line| reader.cut(line) + "\n").collect();
        format!("\n{}\n{rows}", reader.paint(Tone::Strong, &title))
    }

    pub(super) fn to_json(&self) -> Value {
        let point = |Point { epsilon, marks, explanation }: &Point| {
            json!({
                "epsilon": epsilon,
                "empty": explanation.empty,
                "push_on_empty": explanation.push_on_empty(),
                "on_empty": word(explanation.on_empty),
                "marks": marks,
            })
        };
        self.points.iter().map(point).collect()
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

/// Three digits: `1e-8`, `0.01`, `14.7`, `400`, `1.09e4`.
fn number(value: f64) -> String {
    let digits = format!("{value:.2e}");
    let rounded: f64 = digits.parse().unwrap_or(value);
    match rounded.abs() {
        0.0 => "0".to_owned(),
        1e-2..1e4 => rounded.to_string(),
        _ => format!("{rounded:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_at_most() {
        for (value, text) in [
            (0.0, "0"),
            (1e-8, "1e-8"),
            (0.898_61, "0.899"),
            (14.7166, "14.7"),
            (999.9, "1000"),
            (10_871.79, "1.09e4"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
