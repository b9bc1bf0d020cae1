//! Applies one operation and its backward pass to arrays from standard input, for `python/tests/test_kernels.py`, which
//! compares them with PyTorch.
//!
//! `operation NAME KEY=VALUE…` reads raw little-endian `f32`: the inputs in the order of [`Operation::inputs`], then the
//! gradient of the output. It writes the output, then the gradients of all inputs.

use std::error::Error;
use std::io::{Read, Write};

use burn::tensor::{Device, Tensor, TensorData};
use dicewise_kernels::{
    Features, Norm, NormAct, conv3d, max_pool3d, norm_act, norm_act_conv3d, upsample_nearest3d,
    upsample_trilinear3d,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, settings) = arguments.split_first().ok_or("usage: operation NAME KEY=VALUE…")?;
    let operation = Operation { name, settings };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));

    let device = Device::flex().autodiff();
    let mut take = |shape: &[usize]| {
        let count = shape.iter().product();
        let values: Vec<f32> = values.by_ref().take(count).collect();
        let found = values.len();
        (found == count).then_some(values).ok_or(format!("{shape:?} needs {count} values, {found} are left"))
    };
    let (volume_shapes, vector_lengths) = operation.inputs()?;
    let mut volumes = Vec::new();
    for shape in volume_shapes {
        volumes.push(Tensor::<5>::from_data(TensorData::new(take(&shape)?, shape), &device).require_grad());
    }
    let mut vectors = Vec::new();
    for length in vector_lengths {
        let values = TensorData::new(take(&[length])?, [length]);
        vectors.push(Tensor::<1>::from_data(values, &device).require_grad());
    }
    let y = operation.apply(&volumes, &vectors)?;
    let r = Tensor::<5>::from_data(TensorData::new(take(&y.dims())?, y.dims()), &device);
    let gradients = (y.clone() * r).sum().backward();

    let mut output = std::io::stdout().lock();
    let mut write = |data: TensorData| -> Result<(), Box<dyn Error>> {
        for value in data.try_to_vec::<f32>().map_err(|error| format!("{error:?}"))? {
            output.write_all(&value.to_le_bytes())?;
        }
        Ok(())
    };
    write(y.into_data())?;
    for volume in &volumes {
        write(volume.grad(&gradients).ok_or("no gradient")?.into_data())?;
    }
    for vector in &vectors {
        write(vector.grad(&gradients).ok_or("no gradient")?.into_data())?;
    }
    Ok(())
}

struct Operation<'a> {
    name: &'a str,
    settings: &'a [String],
}

impl Operation<'_> {
    fn text(&self, key: &str) -> Result<&str, String> {
        let value = self.settings.iter().find_map(|setting| setting.strip_prefix(key)?.strip_prefix('='));
        value.ok_or(format!("{} needs {key}=…", self.name))
    }

    fn numbers<const N: usize>(&self, key: &str) -> Result<[usize; N], String> {
        let numbers: Result<Vec<usize>, _> = self.text(key)?.split(',').map(str::parse).collect();
        let numbers = numbers.map_err(|error| format!("{key}: {error}"))?;
        numbers.try_into().map_err(|_| format!("{key} needs {N} numbers"))
    }

    /// Shapes of the volumes and lengths of the vectors.
    fn inputs(&self) -> Result<(Vec<[usize; 5]>, Vec<usize>), String> {
        let first = self.numbers("input")?;
        Ok(match self.name {
            "conv3d" => {
                let weight = self.numbers("weight")?;
                (vec![first, weight], vec![weight[0]])
            }
            "norm_act" => {
                let [slopes] = self.numbers("slopes")?;
                (vec![first], vec![first[1], first[1], slopes])
            }
            "norm_act_conv3d" => {
                let (coarse, weight) = (self.numbers::<5>("coarse")?, self.numbers::<5>("weight")?);
                let [slopes] = self.numbers("slopes")?;
                (vec![first, coarse, weight], vec![weight[1], weight[1], slopes, weight[0]])
            }
            _ => (vec![first], vec![]),
        })
    }

    fn norm(&self) -> Result<Norm, String> {
        match self.text("norm")? {
            "instance" => Ok(Norm::Instance),
            "batch" => Ok(Norm::Batch),
            other => Err(format!("norm={other} is neither instance nor batch")),
        }
    }

    fn apply(&self, volumes: &[Tensor<5>], vectors: &[Tensor<1>]) -> Result<Tensor<5>, String> {
        let volume = |i: usize| volumes[i].clone();
        let vector = |i: usize| vectors[i].clone();
        Ok(match self.name {
            "conv3d" => conv3d(volume(0), volume(1), Some(vector(0)), self.numbers("stride")?),
            "norm_act" => norm_act(volume(0), vector(0), vector(1), vector(2), self.norm()?, 1e-3),
            "norm_act_conv3d" => {
                let features =
                    Features::Joined { fine: volume(0), coarse: volume(1), factor: self.numbers("factor")? };
                let [gamma, beta, slope] = [0, 1, 2].map(vector);
                let norm_act = NormAct { gamma, beta, slope, norm: self.norm()?, epsilon: 1e-3 };
                norm_act_conv3d(features, norm_act, volume(2), Some(vector(3)), self.numbers("stride")?)
            }
            "max_pool3d" => max_pool3d(volume(0), self.numbers("window")?),
            "upsample_nearest3d" => upsample_nearest3d(volume(0), self.numbers("factor")?),
            "upsample_trilinear3d" => upsample_trilinear3d(volume(0), self.numbers("factor")?),
            other => return Err(format!("no operation {other}")),
        })
    }
}
