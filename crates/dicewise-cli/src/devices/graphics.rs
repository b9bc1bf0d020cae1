//! Graphics processors: which there are, and what they call themselves.
use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::{Device, DeviceType};

use super::Listed;
use crate::args::DeviceName;

/// The adapters of Vulkan, Metal or DirectX 12 in the system's order, but programs that imitate one last: `gpu:0` is a
/// graphics processor if there is any.
#[cfg(feature = "wgpu")]
pub(super) fn adapters() -> Vec<Device> {
    let mut devices: Vec<Device> = Device::enumerate(DeviceType::Wgpu).into_iter().collect();
    devices.sort_by_key(is_software);
    devices
}

/// NVIDIA's, in CUDA's order.
#[cfg(feature = "cuda")]
pub(super) fn cuda() -> Vec<Device> {
    Device::enumerate(DeviceType::Cuda).into_iter().collect()
}

/// Whether it is a program on the CPU, such as Mesa's lavapipe.
pub(super) fn is_software(device: &Device) -> bool {
    #[cfg(feature = "wgpu")]
    if let DispatchDevice::Cube(CubeDevice::Wgpu(device)) = device.as_dispatch() {
        return device.kind == burn::backend::WgpuDeviceKind::Cpu;
    }
    let _ = device;
    false
}

pub(super) fn listed() -> Vec<Listed> {
    let mut all = Vec::new();
    #[cfg(feature = "wgpu")]
    all.extend(adapters().into_iter().enumerate().map(|(n, device)| describe(DeviceName::Gpu(n), &device)));
    #[cfg(feature = "cuda")]
    all.extend(cuda().into_iter().enumerate().map(|(n, device)| describe(DeviceName::Cuda(n), &device)));
    all
}

fn describe(name: DeviceName, device: &Device) -> Listed {
    let model = device.identity().map_or_else(|| "unknown".to_owned(), |identity| identity.name);
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        return Listed { name, model, details: String::new() };
    };
    let mut details = vec![describe_kind(cube).to_owned()];
    let client = cube.client();
    let hardware = &client.properties().hardware;
    details.push(format!("groups of {} units", hardware.max_units_per_cube));
    Listed { name, model, details: details.join(", ") }
}

fn describe_kind(device: &CubeDevice) -> &'static str {
    #[cfg(feature = "wgpu")]
    if let CubeDevice::Wgpu(device) = device {
        use burn::backend::WgpuDeviceKind::{Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu};
        return match device.kind {
            DiscreteGpu(_) => "graphics card",
            IntegratedGpu(_) => "part of the processor, shares its memory",
            VirtualGpu(_) => "a virtual machine's share of a graphics card",
            Cpu => "a program on the CPU that imitates one: for tests, slow",
            _ => "of unknown kind",
        };
    }
    let _ = device;
    "CUDA"
}
