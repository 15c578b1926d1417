#!/usr/bin/env bash
# Train one model of a planned run; continues where an interrupted training stopped.
#
#   experiments/steps/train.sh --run runs/quickstart --model teacher-ls0.1-s1
#
#   --run RUN        run folder with plan.json (lskd plan CONFIG --out RUN)
#   --model NAME     a model of the plan
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, bf16, or, on a GPU only, fp16
#   --threads N      CPU threads; 0 leaves it to the environment
# Makes RUN/models/NAME/{train.log,run.json,curve.json,model.pt}; model.pt is the best checkpoint, or the average that
# the plan names.
set -euo pipefail
options='run model device precision threads'
run='' model='' device=auto precision=fp32 threads=0
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step train "$@"
