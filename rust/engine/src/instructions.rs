//! The sets of vector instructions that the hot loops are compiled for, and which of them this machine has.

use crate::error::Error;

/// A set of instructions for the ASCII scan and the loops around it. All give the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// No vector instructions beyond those that the compiler uses by itself: on every machine.
    Plain,
    /// NEON, which is part of 64-bit ARM: 16 bytes at once.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// SSSE3, SSE4.2 and POPCNT (x86-64-v2, since 2009): 16 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Sse,
    /// AVX2, BMI1, BMI2 and POPCNT (x86-64-v3, since 2013): 32 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL and VBMI2 (Intel since Ice Lake, AMD since Zen 4): 64 bytes at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A set of instructions as a type, so that code is compiled for each set.
pub(crate) trait Set {
    const INSTRUCTIONS: Instructions;
}

/// A computation that is compiled for each set of instructions.
pub(crate) trait Task {
    type Output;
    fn run<S: Set>(self) -> Self::Output;
}

macro_rules! sets {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        $(#[$attribute])*
        struct $name;
        $(#[$attribute])*
        impl Set for $name {
            const INSTRUCTIONS: Instructions = Instructions::$name;
        }
    )*};
}

sets! {
    Plain
    #[cfg(target_arch = "aarch64")]
    Neon
    #[cfg(target_arch = "x86_64")]
    Sse
    #[cfg(target_arch = "x86_64")]
    Avx2
    #[cfg(target_arch = "x86_64")]
    Avx512
}

/// The environment variable that names the set to use.
const VARIABLE: &str = "CLIPTOK_INSTRUCTIONS";

impl Instructions {
    /// The sets that this machine has, the fastest first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [(Self::Avx512, x86::has_avx512()), (Self::Avx2, x86::has_avx2()), (Self::Sse, x86::has_sse())];
        #[cfg(target_arch = "aarch64")]
        let vectors = [(Self::Neon, true)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let vectors: [(Self, bool); 0] = [];
        vectors.into_iter().filter_map(|(it, is_available)| is_available.then_some(it)).chain([Self::Plain])
    }

    /// The set that the environment variable `CLIPTOK_INSTRUCTIONS` names, or the fastest where it is not set or empty.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when there is no such set, or this machine does not have it.
    pub(crate) fn chosen() -> Result<Self, Error> {
        match std::env::var_os(VARIABLE) {
            Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy()),
            _ => Ok(Self::available().next().unwrap_or(Self::Plain)),
        }
    }

    fn named(name: &str) -> Result<Self, Error> {
        Self::available().find(|set| set.name() == name).ok_or_else(|| {
            let available: Vec<_> = Self::available().map(Self::name).collect();
            Error::Argument(format!("{VARIABLE} is {name:?}; this machine has {available:?}"))
        })
    }

    /// The name that the environment variable takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Self::Sse => "sse",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    /// Runs `task`, compiled with these instructions enabled together with whatever is inlined into it.
    #[inline(always)]
    pub(crate) fn run_task<T: Task>(self, task: T) -> T::Output {
        match self {
            Self::Plain => task.run::<Plain>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => task.run::<Neon>(),
            // SAFETY: `available` only gives a set that this machine has.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Self::Sse => unsafe {
                x86::run_sse(
                    #[inline(always)]
                    || task.run::<Sse>(),
                )
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Self::Avx2 => unsafe {
                x86::run_avx2(
                    #[inline(always)]
                    || task.run::<Avx2>(),
                )
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Self::Avx512 => unsafe {
                x86::run_avx512(
                    #[inline(always)]
                    || task.run::<Avx512>(),
                )
            },
        }
    }

    /// [`Instructions::run_task`] for a task that is the same for all sets.
    #[inline(always)]
    pub(crate) fn run<R>(self, task: impl FnOnce() -> R) -> R {
        struct Same<F>(F);
        impl<R, F: FnOnce() -> R> Task for Same<F> {
            type Output = R;

            #[inline(always)]
            fn run<S: Set>(self) -> R {
                self.0()
            }
        }
        self.run_task(Same(task))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    pub(super) fn has_sse() -> bool {
        is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt")
    }

    pub(super) fn has_avx2() -> bool {
        has_sse()
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
    }

    pub(super) fn has_avx512() -> bool {
        has_avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi2")
    }

    #[target_feature(enable = "ssse3,sse4.2,popcnt")]
    pub(super) fn run_sse<R>(task: impl FnOnce() -> R) -> R {
        task()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_name() {
        assert!(Instructions::available().all(|set| Instructions::named(set.name()) == Ok(set)));
        let error = Instructions::named("mmx").unwrap_err().to_string();
        assert!(error.starts_with("CLIPTOK_INSTRUCTIONS is \"mmx\"; this machine has [") && error.contains("plain"));
    }
}
