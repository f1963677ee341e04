#!/usr/bin/env bash
# Builds 1/model.plan for pcb_detector. Run it inside NVIDIA's Triton container, on the GPU that will
# serve: an engine fits one kind of GPU and one version of TensorRT.
#
#   build_engine.sh MODEL.onnx [PLAN]        PLAN: by default pcb_detector/1/model.plan beside this file
#
# Settings, from the environment:
#   PRECISION       fp16 (default) or fp32
#   MAX_BATCH       8, as max_batch_size in config.pbtxt
#   OPT_BATCH       4, the batch the engine is tuned for
#   WORKSPACE_MIB   1024
#   TRTEXEC         trtexec on PATH, or where NVIDIA's images have it
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
model="${1:-}"
plan="${2:-$here/pcb_detector/1/model.plan}"
precision="${PRECISION:-fp16}"
max_batch="${MAX_BATCH:-8}"
opt_batch="${OPT_BATCH:-4}"
workspace_mib="${WORKSPACE_MIB:-1024}"
trtexec="${TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}"

fail() {
  echo "error: $1" >&2
  exit "${2:-1}"
}

[ -n "$model" ] || fail "usage: $0 MODEL.onnx [PLAN]" 2
[ -f "$model" ] || fail "$model is missing, expected the network as an ONNX file" 2
case "$precision" in
  fp16 | fp32) ;;
  *) fail "PRECISION is $precision, expected fp16 or fp32" 2 ;;
esac
[ -x "$trtexec" ] || fail "$trtexec is missing: run this inside NVIDIA's Triton container, or set TRTEXEC"

flags=()
if [ "$precision" = fp16 ]; then
  # TensorRT 11 takes each tensor's type from the ONNX file and has no such flag any more.
  "$trtexec" --help 2>&1 | grep -q -- '--fp16' ||
    fail "this trtexec has no --fp16 (TensorRT 11 or newer): convert the model to FP16 with NVIDIA's modelopt first and set PRECISION=fp32, which then keeps the file's own types"
  flags+=(--fp16)
fi

mkdir -p "$(dirname "$plan")"
unfinished="$plan.part"
trap 'rm -f "$unfinished"' EXIT
"$trtexec" \
  --onnx="$model" \
  --saveEngine="$unfinished" \
  --minShapes="images:1x3x640x640" \
  --optShapes="images:${opt_batch}x3x640x640" \
  --maxShapes="images:${max_batch}x3x640x640" \
  --memPoolSize="workspace:$workspace_mib" \
  --skipInference \
  "${flags[@]}"
mv "$unfinished" "$plan"
echo "$plan: $(stat -c %s "$plan") bytes, $precision, batches of 1 to $max_batch"
