//! The innermost loops for every target, in safe Rust: eight lanes, which the compiler turns into the vectors that the
//! target's baseline has.

use super::accumulate::Rows;
use super::correlate::Strip;

const LANES: usize = 8;
type Lanes = [f32; LANES];

/// `sums += factor · values`
#[inline(always)]
fn mul_add(factor: f32, values: &Lanes, sums: &mut Lanes) {
    // A fused `f32::mul_add` would be a library call where the baseline has no such instruction.
    const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = if FUSED { factor.mul_add(*value, *sum) } else { factor * value + *sum };
    }
}

fn lanes(values: &[f32]) -> &Lanes {
    values.first_chunk().expect("lengths were checked")
}

/// [`Strip::correlate`].
pub(super) fn correlate(strip: &Strip, out: &mut [f32]) {
    match strip.bias.len() {
        1 => correlate_block::<1>(strip, out),
        2 => correlate_block::<2>(strip, out),
        3 => correlate_block::<3>(strip, out),
        _ => correlate_block::<4>(strip, out),
    }
}

fn correlate_block<const C: usize>(strip: &Strip, out: &mut [f32]) {
    let [of_block, of_channel] = strip.strides;
    for q in (0..strip.length).step_by(LANES) {
        let mut sums: [Lanes; C] = core::array::from_fn(|c| [strip.bias[c]; LANES]);
        for channel in 0..strip.channels {
            let input = &strip.input[channel * strip.channel + q..];
            let weights: [&[f32]; C] =
                core::array::from_fn(|c| &strip.weights[c * of_block + channel * of_channel..]);
            for tap in strip.taps {
                let values = lanes(&input[tap.input..]);
                for (weights, sums) in weights.iter().zip(&mut sums) {
                    mul_add(weights[tap.weight], values, sums);
                }
            }
        }
        for (c, sums) in sums.iter().enumerate() {
            out[c * strip.length + q..][..LANES].copy_from_slice(sums);
        }
    }
}

/// [`Rows::accumulate`], of eight lanes.
pub(super) fn accumulate(rows: &Rows, sums: &mut [f32]) {
    let mut first = 0;
    while first < rows.taps.len() {
        let sums = &mut sums[first * rows.run * LANES..];
        let taps = &rows.taps[first..];
        first += match (rows.run, taps.len()) {
            (3, _) => accumulate_taps::<1, 3>(rows, taps, sums),
            (_, 4..) => accumulate_taps::<4, 1>(rows, taps, sums),
            _ => accumulate_taps::<1, 1>(rows, taps, sums),
        };
    }
}

/// `R` rows of `K` neighbouring taps; returns `R`.
fn accumulate_taps<const R: usize, const K: usize>(rows: &Rows, taps: &[usize], sums: &mut [f32]) -> usize {
    let mut totals = [[[0.0; LANES]; K]; R];
    for y in 0..rows.rows {
        let inputs: [&[f32]; R] =
            core::array::from_fn(|r| &rows.input[taps[r] + y * rows.pitch..][..rows.width + K - 1]);
        let gradients = rows.gradient[y * rows.width * LANES..].as_chunks::<LANES>().0;
        for (x, gradient) in gradients.iter().take(rows.width).enumerate() {
            for (input, totals) in inputs.iter().zip(&mut totals) {
                for (input, totals) in input[x..].iter().zip(totals) {
                    mul_add(*input, gradient, totals);
                }
            }
        }
    }
    for (total, sum) in totals.iter().flatten().flatten().zip(sums) {
        *sum += total;
    }
    R
}
