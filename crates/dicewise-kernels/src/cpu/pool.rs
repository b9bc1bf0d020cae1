//! Max pooling, which remembers where in its window each maximum was.

use rayon::prelude::*;

/// `[volumes, z, y, x]` to the pooled values and each maximum's place in its window, counted x fastest.
pub(crate) fn max_pool(x: &[f32], size: [usize; 3], window: [usize; 3]) -> (Vec<f32>, Vec<u8>) {
    let [size_z, size_y, size_x] = size;
    let [window_z, window_y, window_x] = window;
    let pooled = size_z / window_z * (size_y / window_y) * (size_x / window_x);
    let voxels = size_z * size_y * size_x;
    let mut values = vec![0.0; x.len() / voxels * pooled];
    let mut places = vec![0; values.len()];
    let volumes = x.par_chunks(voxels).zip(values.par_chunks_mut(pooled)).zip(places.par_chunks_mut(pooled));
    volumes.for_each_init(
        || (vec![0.0f32; size_x], vec![0u32; size_x]),
        |(best, best_row), ((x, values), places)| {
            let rows =
                values.chunks_exact_mut(size_x / window_x).zip(places.chunks_exact_mut(size_x / window_x));
            for (row, (values, places)) in rows.enumerate() {
                let (z, y) = (row / (size_y / window_y) * window_z, row % (size_y / window_y) * window_y);
                let source =
                    |k: usize| &x[((z + k / window_y) * size_y + y + k % window_y) * size_x..][..size_x];
                // First the maximum of each column over the rows of the window, …
                best.copy_from_slice(source(0));
                best_row.fill(0);
                for k in 1..window_z * window_y {
                    for ((best, best_row), value) in best.iter_mut().zip(best_row.iter_mut()).zip(source(k)) {
                        let take = *value > *best || value.is_nan();
                        *best = if take { *value } else { *best };
                        *best_row = if take { k as u32 } else { *best_row };
                    }
                }
                // … then over the columns. Of equal ones the earlier row comes first in z, y, x order.
                let columns = best.chunks_exact(window_x).zip(best_row.chunks_exact(window_x));
                for ((value, place), (best, best_row)) in values.iter_mut().zip(places).zip(columns) {
                    let first = (0..window_x).fold(0, |first, i| {
                        let earlier = best[i] == best[first] && best_row[i] < best_row[first];
                        if best[i] > best[first] || best[i].is_nan() || earlier { i } else { first }
                    });
                    *value = best[first];
                    // check::max_pool3d admits at most 256 places.
                    *place = (best_row[first] as usize * window_x + first) as u8;
                }
            }
        },
    );
    (values, places)
}

/// Sends each gradient back to where the maximum was.
pub(crate) fn max_pool_gradient(
    gradient: &[f32],
    places: &[u8],
    size: [usize; 3],
    window: [usize; 3],
) -> Vec<f32> {
    let [size_z, size_y, size_x] = size;
    let [window_z, window_y, window_x] = window;
    let [pooled_y, pooled_x] = [size_y / window_y, size_x / window_x];
    let pooled = size_z / window_z * pooled_y * pooled_x;
    let voxels = size_z * size_y * size_x;
    let mut result = vec![0.0; gradient.len() / pooled * voxels];
    let volumes =
        result.par_chunks_mut(voxels).zip(gradient.par_chunks(pooled)).zip(places.par_chunks(pooled));
    volumes.for_each(|((result, gradient), places)| {
        let rows = gradient.chunks_exact(pooled_x).zip(places.chunks_exact(pooled_x));
        for (row, (gradient, places)) in rows.enumerate() {
            let corner = (row / pooled_y * window_z * size_y + row % pooled_y * window_y) * size_x;
            for (column, (gradient, place)) in gradient.iter().zip(places).enumerate() {
                let place = usize::from(*place);
                let (k, x) = (place / window_x, place % window_x);
                let inside = (k / window_y * size_y + k % window_y) * size_x + x;
                result[corner + column * window_x + inside] = *gradient;
            }
        }
    });
    result
}
