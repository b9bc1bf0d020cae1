//! `--device`: the words for what computes, and `--loaders`, for what feeds it.
use std::fmt;
use std::str::FromStr;

use clap::Args as Flags;

use super::values::loaders;

/// What computes, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeviceName {
    /// `cpu`
    Cpu,
    /// `gpu:N`, through Vulkan, Metal or DirectX 12.
    Gpu(usize),
    /// `cuda:N`
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    /// Without a number, the first.
    fn from_str(name: &str) -> Result<Self, String> {
        if name.contains(',') {
            return Err("one training runs on one device, since batch-wise Dice needs the sums of the whole batch and Burn \
                        has no way to exchange them; `dicewise run --jobs` spreads trainings over several, and with \
                        PyTorch DistributedDataParallel is exact (docs/pytorch.md)"
                .to_owned());
        }
        let (kind, number) = name.split_once(':').unwrap_or((name, "0"));
        match (kind, number.parse()) {
            ("cpu", _) if kind == name => Ok(Self::Cpu),
            ("gpu", Ok(number)) => Ok(Self::Gpu(number)),
            ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
            _ => {
                Err("accepted: cpu, gpu:0, cuda:0 and so on; `dicewise devices` lists what is there"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Gpu(number) => write!(f, "gpu:{number}"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Where the networks of a grid run.
#[derive(Debug, Flags)]
pub(crate) struct Devices {
    /// What to compute on: cpu, or gpu:0, cuda:0 and the like where the program was built for it (see `dicewise devices`).
    /// Several, separated by commas, share the cells of --jobs; each cell is trained on one.
    #[arg(
        id = "devices",
        long = "device",
        value_name = "DEVICE",
        value_delimiter = ',',
        default_value = "cpu"
    )]
    pub(crate) names: Vec<DeviceName>,
}

/// Where a network runs.
#[derive(Debug, Flags)]
pub(crate) struct Device {
    /// What to compute on: cpu, or gpu:0, cuda:0 and the like where the program was built for it (see `dicewise devices`).
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: DeviceName,
}

/// Who prepares batches.
#[derive(Debug, Flags)]
pub(crate) struct Loading {
    /// Threads of each training that load and augment batches ahead of it. The result is the same with any number. By
    /// default 0 on cpu, where the training uses all threads itself, and 4 elsewhere.
    #[arg(long, value_name = "N", value_parser = loaders)]
    loaders: Option<usize>,
}

impl Loading {
    /// What was asked for, or what suits the device.
    pub(crate) fn loaders(&self, device: DeviceName) -> usize {
        self.loaders.unwrap_or(if device == DeviceName::Cpu { 0 } else { 4 })
    }

    /// What was asked for.
    pub(crate) fn given(&self) -> Option<usize> {
        self.loaders
    }
}
