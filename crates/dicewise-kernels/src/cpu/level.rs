//! Which vector instructions the kernels use, decided once at run time.

use std::sync::OnceLock;

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// 16 lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 lanes, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of plain loops for the target's baseline.
    Portable,
}

impl Level {
    /// What this machine can run, best first.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fma && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                levels.push(Self::Avx512);
            }
            if fma {
                levels.push(Self::Avx2);
            }
        }
        levels.push(Self::Portable);
        levels
    }

    /// The best level of this machine, or the one that the environment variable `DICEWISE_KERNELS` asks for
    /// (`avx2` or `portable`) where the machine has it.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let available = Self::available();
            let asked = std::env::var("DICEWISE_KERNELS").unwrap_or_default();
            available.iter().copied().find(|level| level.name() == asked).unwrap_or(available[0])
        })
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }
}

/// Compiles a plain loop once for every [`Level`]: `fn name(level, arguments)` runs `body(arguments)`, which must be
/// `#[inline(always)]`, under that level's instructions.
macro_rules! for_every_level {
    ($(#[$doc:meta])* $name:ident = $body:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)?) => {
        $(#[$doc])*
        #[allow(unsafe_code)]
        #[allow(clippy::too_many_arguments)]
        fn $name(level: $crate::cpu::Level, $($argument: $type),*) $(-> $output)? {
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
            fn avx512($($argument: $type),*) $(-> $output)? {
                $body($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $output)? {
                $body($($argument),*)
            }
            match level {
                // SAFETY: a level other than `Portable` comes from `Level::available`, which asked the processor.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::Level::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::Level::Avx2 => unsafe { avx2($($argument),*) },
                $crate::cpu::Level::Portable => $body($($argument),*),
            }
        }
    };
}
pub(super) use for_every_level;
