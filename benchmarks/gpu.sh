#!/usr/bin/env bash
# Everything that is to be measured on an NVIDIA GPU, in one go: benchmarks/gpu.sh [folder of peers]
# Needs torch, einops and triton; peers as `python benchmarks/perceiver.py --help` says. Some 30 minutes.
# The results, headed by the machine's name, go to benchmarks/results/.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=${1:-peers}
python=${PYTHON:-python}
device=$("$python" -c 'import torch; print(torch.cuda.get_device_name())')
results="benchmarks/results/$(tr ' A-Z' '_a-z' <<<"$device").md"
batch=${BATCH:-64}

compare() { "$python" benchmarks/perceiver.py --device cuda --peers "$peers" "$@"; }
{
  echo "Measured $(date -u +%F) with \`benchmarks/gpu.sh\` on $device."
  echo
  for precision in fp32 bf16; do
    for shape in imagenet audioset-video; do
      "$python" benchmarks/cross_attention.py --device cuda --shape $shape --precision $precision --batch 8
    done
    compare --shape imagenet-cross-attend --precision $precision --batch 8
    compare --shape modelnet40 audioset-raw-video --precision $precision --batch 8 --repetitions 5
  done
  # The training step; its errors would take float64 copies that do not fit.
  compare --shape imagenet --precision bf16 --batch "$batch" --repetitions 5 --errors
  # The row of Table 5 that the paper could not fit.
  compare --shape imagenet-12-cross-attends --precision bf16 --batch 8 --repetitions 3 --errors
} | tee "$results"
