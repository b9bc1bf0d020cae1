//! `--device`: the words for what computes.
use std::fmt;
use std::str::FromStr;

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
