#!/usr/bin/env bash
# Decode the test set with one trained model.
#
#   experiments/steps/decode.sh --run runs/quickstart --model student-ls0.1-t2-s1
#
#   --run RUN        run folder with plan.json
#   --model NAME     a trained model of the plan
#   --set NAMES      the test sets, with commas between; all of the plan if not given
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, bf16, or, on a GPU only, fp16
#   --threads N      CPU threads; 0 leaves it to the environment
# Makes RUN/models/NAME/{generate.log,decode.json,test.hyp}, and these in RUN/models/NAME/sets/SET of
# further test sets.
set -euo pipefail
options='run model set device precision threads'
run='' model='' set='' device=auto precision=fp32 threads=0
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step decode "$@"
