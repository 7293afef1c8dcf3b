#!/bin/sh
# The tests of tensors on GPUs, on a machine without a GPU: with libtorch's CUDA half as it is, and stand-ins for CUDA's runtime, cuBLAS and
# NCCL below it; then runs of `sde`, whose numbers mean nothing, but which end with an error where tensors are on two devices. Usage, from the root of the workspace: crates/c10d/stand-in/run.sh [FOLDER]. FOLDER, else target/stand-in, gets a
# virtual environment with torch and the headers of CUDA (5 GB, once), and what is built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-target/stand-in}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if ! [ -x "$folder/venv/bin/python3" ]; then
    python3 -m venv "$folder/venv"
fi
"$folder/venv/bin/pip" install --quiet torch==2.13.0 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85
packages=$("$folder/venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
c++ -std=c++20 -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden \
    -isystem "$packages/nvidia/cu13/include" -isystem "$packages/nvidia/nccl/include" \
    "$here/cuda.cpp" "$here/math.cpp" "$here/nccl.cpp" -o "$folder/libcuda.so.1"

export LIBTORCH="$packages/torch" CARGO_TARGET_DIR="$folder/target"
runner="env LD_LIBRARY_PATH=$folder LD_PRELOAD=$folder/libcuda.so.1"
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$runner"
for gpus in 1 2 4; do
    echo "with $gpus devices"
    STAND_IN_GPUS=$gpus cargo test --quiet --release --package c10d --test gpus
done

cargo build --quiet --release --package train --bin sde
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
sde() {
    echo "sde $*"
    $runner "$folder/target/release/sde" "$@" >"$runs/log" 2>&1 || { cat "$runs/log"; exit 1; }
}
train() {
    name=$1
    shift
    sde train --device cuda --train.steps 3 --train.samples 4 --out "$runs/$name" "$@"
}
for name in toy_vp digits_vp digits_edm digits_class ts1d_vp ts1d_patch csv_vp; do
    train $name --config configs/$name.toml
done
for net in ncsnpp ddpmpp ddpm; do
    train $net --config configs/digits_vp.toml --net.kind $net
done
train bf16 --config configs/digits_vp.toml --train.precision bf16
train sliced --config configs/toy_vp.toml --loss.kind sliced
train ranks --config configs/digits_vp.toml --nproc 2
grep -q "summed by NCCL" "$runs/log"
sde train --device cuda --resume "$runs/ranks" --train.steps 5
sde sample --device cuda --run "$runs/ranks" --n 4 --out "$runs/samples.npz"
sde likelihood --device cuda --run "$runs/ranks" --rows 4
echo "all runs ended as they should"
