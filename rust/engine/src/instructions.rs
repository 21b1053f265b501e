//! The sets of vector instructions that the hot loops are compiled for, and which of them this machine has.

/// A set of instructions for the ASCII scan and the loops around it. All give the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// No vector instructions beyond what the compiler itself uses: on every machine.
    Plain,
    /// AVX2, BMI1, BMI2 and POPCNT: 32 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL and VBMI2 (Intel since Ice Lake, AMD since Zen 4): 64 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// The sets that this machine has, the fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [(Self::Avx512, x86::has_avx512()), (Self::Avx2, x86::has_avx2())];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors: [(Self, bool); 0] = [];
        vectors.into_iter().filter_map(|(it, is_available)| is_available.then_some(it)).chain([Self::Plain])
    }

    /// Calls `task`, compiled with these instructions enabled together with whatever is inlined into it.
    #[inline(always)]
    pub(crate) fn run<R>(self, task: impl FnOnce() -> R) -> R {
        match self {
            Self::Plain => task(),
            // SAFETY: `available` only gives a set that this machine has.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Self::Avx2 => unsafe { x86::run_avx2(task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Self::Avx512 => unsafe { x86::run_avx512(task) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    pub(super) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
    }

    pub(super) fn has_avx512() -> bool {
        has_avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi2")
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    pub(super) fn run_avx2<R>(task: impl FnOnce() -> R) -> R {
        task()
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,popcnt")]
    pub(super) fn run_avx512<R>(task: impl FnOnce() -> R) -> R {
        task()
    }
}
