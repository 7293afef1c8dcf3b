//! The one version of libtorch that the workspace binds, and the wheels that carry it.
//!
//! The Linux wheels of PyTorch are CUDA builds whose CPU half runs alone; it asks the loader for the CUDA
//! runtime and for CUPTI, which lie in two further wheels. Only the Linux x86-64 set is exercised by this
//! project's checks; the hashes of the others were read from the files, and their layout was listed, but no
//! binary was run with them.

/// The version, exactly.
pub const VERSION: &str = "2.13.0";
/// Free disk space that a download needs, in MiB: the wheel (503), its extraction (490), and some room.
pub const NEEDED_MIB: u64 = 1200;

/// A wheel: one requirement, one file, one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// The requirement as pip reads it.
    pub requirement: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: &'static str,
    /// Tags of platforms that select this file; pip matches them exactly.
    pub platforms: &'static [&'static str],
    /// ABI tags that select this file.
    pub abis: &'static [&'static str],
}

const RUNTIME: &str = "nvidia-cuda-runtime==13.0.96";
const CUPTI: &str = "nvidia-cuda-cupti==13.0.85";

const LINUX_X86_64: [Wheel; 3] = [
    Wheel {
        requirement: "torch==2.13.0",
        file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        platforms: &["manylinux_2_28_x86_64"],
        abis: &["cp311"],
    },
    Wheel {
        requirement: RUNTIME,
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        platforms: &["manylinux2014_x86_64", "manylinux_2_17_x86_64"],
        abis: &["none"],
    },
    Wheel {
        requirement: CUPTI,
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        platforms: &["manylinux_2_25_x86_64"],
        abis: &["none"],
    },
];

const LINUX_AARCH64: [Wheel; 3] = [
    Wheel {
        requirement: "torch==2.13.0",
        file: "torch-2.13.0-cp311-cp311-manylinux_2_28_aarch64.whl",
        sha256: "092790c696a760c729fd5722835f50b9d81fd7c8f141571f3f3cf4081a8f664c",
        platforms: &["manylinux_2_28_aarch64"],
        abis: &["cp311"],
    },
    Wheel {
        requirement: RUNTIME,
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
        platforms: &["manylinux2014_aarch64", "manylinux_2_17_aarch64"],
        abis: &["none"],
    },
    Wheel {
        requirement: CUPTI,
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
        sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
        platforms: &["manylinux_2_25_aarch64"],
        abis: &["none"],
    },
];

const MACOS_AARCH64: [Wheel; 1] = [Wheel {
    requirement: "torch==2.13.0",
    file: "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl",
    sha256: "e76f9bcecc52b8ff711239a2f7547d5353df95878ab232f0773c1d95928b92f8",
    platforms: &["macosx_14_0_arm64"],
    abis: &["cp311"],
}];

/// The wheels for a system as `std::env::consts` names it; `None` where PyTorch publishes none.
pub fn wheels(os: &str, architecture: &str) -> Option<&'static [Wheel]> {
    match (os, architecture) {
        ("linux", "x86_64") => Some(&LINUX_X86_64),
        ("linux", "aarch64") => Some(&LINUX_AARCH64),
        ("macos", "aarch64") => Some(&MACOS_AARCH64),
        _ => None,
    }
}

/// The library that every libtorch has.
pub fn main_library() -> &'static str {
    if cfg!(target_os = "macos") {
        "libtorch_cpu.dylib"
    } else {
        "libtorch_cpu.so"
    }
}

/// What must be there after extraction, relative to the folder in the cache, for a set of wheels.
pub fn essential(os: &str) -> &'static [&'static str] {
    if os == "macos" {
        &[
            "torch/lib/libc10.dylib",
            "torch/lib/libtorch_cpu.dylib",
            "torch/lib/libtorch.dylib",
            "torch/lib/libomp.dylib",
        ]
    } else {
        &[
            "torch/lib/libc10.so",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libtorch.so",
            "torch/lib/libgomp.so.1",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cu13/lib/libcupti.so.13",
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_well_formed() {
        for (os, architecture) in [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")] {
            let wheels = wheels(os, architecture).expect("a supported system");
            assert!(wheels[0].requirement.ends_with(VERSION) && wheels[0].file.contains(VERSION));
            for wheel in wheels {
                assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
                assert!(wheel.file.ends_with(".whl"));
                assert!(
                    wheel
                        .platforms
                        .iter()
                        .all(|platform| wheel.file.contains(platform)),
                    "{}",
                    wheel.file
                );
                let (name, version) = wheel.requirement.split_once("==").expect("an exact requirement");
                assert!(
                    wheel
                        .file
                        .starts_with(&format!("{}-{version}-", name.replace('-', "_")))
                );
            }
        }
        assert_eq!(wheels("windows", "x86_64"), None);
        assert_eq!(wheels("macos", "x86_64"), None);
    }
}
