#!/usr/bin/env bash
# Translate the training source with one teacher and choose what students learn, for kd_level sequence and both;
# continues where an interrupted call stopped. Nothing to do where the config has only word-level students.
#
#   experiments/steps/hypotheses.sh --run runs/seqkd --model teacher-ls0.1-s1
#
#   --run RUN        run folder with plan.json
#   --model NAME     a trained teacher of the plan
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      read by other steps; the config's seqkd.quantization decides here
#   --threads N      worker processes of one thread; 0: one for each core or GPU
# Makes RUN/models/NAME/hypotheses/{decoded,beam,interpolate,multi} with RUN/models/NAME/hypotheses.sh.
set -euo pipefail
options='run model device precision threads'
run='' model='' device=auto precision=fp32 threads=0
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step hypotheses "$@"
