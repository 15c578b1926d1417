#!/usr/bin/env bash
# Score one model's translation of the test set: BLEU and chrF with signatures.
#
#   experiments/steps/score.sh --run runs/quickstart --model student-ls0.1-t2-s1
#
#   --run RUN        run folder with plan.json
#   --model NAME     a trained model of the plan
#   --set NAMES      the test sets, with commas between; all of the plan if not given
# Makes RUN/models/NAME/metrics.json, and for further test sets RUN/models/NAME/sets/SET/metrics.json.
set -euo pipefail
options='run model set'
run='' model='' set=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step score "$@"
