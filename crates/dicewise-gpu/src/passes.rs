//! Launching the kernels.
use std::fmt;

use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use dicewise::{Activation, DiceError, DiceSums, DiceTerms, Shape};

use crate::kernels;

/// Voxels that one unit adds up in `f32`.
const VOXELS_PER_UNIT: usize = 64;
/// Units of a cube, at most: what every device of wgpu allows.
const UNITS: usize = 256;
/// A unit keeps the values of all classes of a voxel.
const MAX_CLASSES: usize = 256;
/// Cubes along one axis that every device of wgpu allows.
const MAX_CUBES: usize = 65_535;

/// Steps 1 and 3 of the loss, for arrays `[B, C, I]` of one shape on one device.
#[derive(Clone)]
pub struct VoxelPasses {
    client: Client,
    shape: Shape,
    activation: Activation,
    element: ElemType,
    units: usize,
}

/// Sums of chunks, on the device: `[chunks, B, C, fields]` in `f32`.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where they are.
    pub handle: Handle,
    /// Chunks, B, C and fields.
    pub dims: [usize; 4],
}

impl fmt::Debug for VoxelPasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, shape, activation, element, units } = self;
        let mut of = f.debug_struct("VoxelPasses");
        of.field("device", &client.name()).field("shape", shape).field("activation", activation);
        of.field("element", element).field("units", units).finish()
    }
}

impl VoxelPasses {
    /// Passes over arrays of `element`s; `None` if this device has no such type, if there are more than 256 classes, or
    /// if there are more voxels or samples than it can count.
    pub fn new(client: Client, shape: Shape, activation: Activation, element: ElemType) -> Option<Self> {
        let known = matches!(element, ElemType::Float(FloatKind::F32 | FloatKind::F16 | FloatKind::BF16));
        let most = client.properties().hardware.max_units_per_cube as usize;
        let units = if most >= UNITS { UNITS } else { 1 << most.max(1).ilog2() };
        let countable = u32::try_from(shape.elements()).is_ok() && shape.batch() <= MAX_CUBES;
        let chunks = shape.voxels().div_ceil(units * VOXELS_PER_UNIT);
        let fits = countable && chunks <= MAX_CUBES && shape.classes() <= MAX_CLASSES;
        (known && client.properties().supports_type(element) && fits).then_some(Self {
            client,
            shape,
            activation,
            element,
            units,
        })
    }

    /// Step 1: launches the sums of all chunks of voxels. `background` adds Σ y₀ p, which marginal treatment needs.
    ///
    /// `input` (logits, or probabilities without an activation) and `target` must hold B·C·I contiguous elements.
    pub fn sums(&self, input: Handle, target: Handle, background: bool) -> Parts {
        let (batch, classes, voxels) = (self.shape.batch(), self.shape.classes(), self.shape.voxels());
        let chunk = self.units * VOXELS_PER_UNIT;
        let dims = [voxels.div_ceil(chunk), batch, classes, if background { 4 } else { 3 }];
        let length = dims.iter().product();
        let handle = self.client.empty(length * size_of::<f32>());
        kernels::sums::launch(
            &self.client,
            CubeCount::Static(dims[0] as u32, batch as u32, 1),
            CubeDim::new_1d(self.units as u32),
            self.array(input),
            self.array(target),
            argument(handle.clone(), length),
            voxels as u32,
            chunk as u32,
            classes,
            dims[3],
            self.activation,
            self.units,
            self.element,
        );
        Parts { handle, dims }
    }

    /// Adds up [`Parts`] that were read from the device.
    ///
    /// # Errors
    /// A sum that is not finite, as from an input that is not.
    ///
    /// # Panics
    /// If `parts` is not as long as `dims` says.
    pub fn add_up(parts: &[f32], dims: [usize; 4]) -> Result<DiceSums, DiceError> {
        let [chunks, batch, classes, fields] = dims;
        let maps = batch * classes;
        assert_eq!(parts.len(), chunks * maps * fields, "sums of chunks {dims:?}");
        let field = |field: usize| -> Vec<f64> {
            let of_map = |map: usize| parts[map * fields + field..].iter().step_by(maps * fields);
            (0..maps).map(|map| of_map(map).map(|&sum| f64::from(sum)).sum()).collect()
        };
        let sums = DiceSums::from_parts(batch, classes, field(0), field(1), field(2))?;
        if fields == 4 { sums.with_background_overlap(field(3)) } else { Ok(sums) }
    }

    /// Step 3: launches `upstream` · ∂DL/∂input, an array of the input's shape and type.
    ///
    /// `upstream` holds one `f32`. Without an activation the input is not read.
    ///
    /// # Panics
    /// If `terms` are those of squared Dice, whose derivative is not affine in y, or of another batch or number of
    /// classes.
    pub fn gradient(&self, input: Handle, target: Handle, terms: &DiceTerms, upstream: Handle) -> Handle {
        let (batch, classes, voxels) = (self.shape.batch(), self.shape.classes(), self.shape.voxels());
        assert_eq!((terms.batch, terms.classes), (batch, classes), "terms of another batch");
        assert!(terms.c.iter().all(|&c| c == 0.0), "the derivative of squared Dice depends on p");
        let coefficients: Vec<f32> =
            terms.a.iter().zip(&terms.b).flat_map(|(&a, &b)| [a as f32, b as f32]).collect();
        let rows: Vec<u32> = terms.row.iter().map(|&row| row as u32).collect();
        let (maps, length) = (rows.len(), self.shape.elements());
        let coefficients = self.client.create_from_slice(f32::as_bytes(&coefficients));
        let rows = self.client.create_from_slice(u32::as_bytes(&rows));
        let gradient = self.client.empty(length * self.element.size());
        let cubes = voxels.div_ceil(self.units).min(MAX_CUBES);
        let count = CubeCount::Static(cubes as u32, batch as u32, 1);
        let units = CubeDim::new_1d(self.units as u32);
        let target = self.array(target);
        let (coefficients, rows) = (argument(coefficients, 2 * maps), argument(rows, maps));
        let (upstream, output) = (argument(upstream, 1), self.array(gradient.clone()));
        match self.activation {
            Activation::None => kernels::gradient_of_probabilities::launch(
                &self.client,
                count,
                units,
                target,
                coefficients,
                rows,
                upstream,
                output,
                voxels as u32,
                classes,
                self.element,
            ),
            Activation::Sigmoid => kernels::gradient_through_sigmoid::launch(
                &self.client,
                count,
                units,
                self.array(input),
                target,
                coefficients,
                rows,
                upstream,
                output,
                voxels as u32,
                classes,
                self.element,
            ),
            Activation::Softmax => kernels::gradient_through_softmax::launch(
                &self.client,
                count,
                units,
                self.array(input),
                target,
                coefficients,
                rows,
                upstream,
                output,
                voxels as u32,
                classes,
                self.element,
            ),
        }
        gradient
    }

    fn array(&self, handle: Handle) -> BufferArg {
        argument(handle, self.shape.elements())
    }
}

/// A buffer of so many elements.
#[allow(unsafe_code)]
fn argument(handle: Handle, length: usize) -> BufferArg {
    // SAFETY: our own buffers are allocated with this length; that those of the caller have it is documented, and wgpu
    // checks every access besides.
    unsafe { BufferArg::from_raw_parts(handle, length) }
}
