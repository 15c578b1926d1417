#!/usr/bin/env bash
# Score one model's translation of the test set: BLEU and chrF with signatures.
#
#   experiments/steps/score.sh --run runs/quickstart --model student-ls0.1-t2-s1
#
# Makes RUN/models/NAME/metrics.json.
set -euo pipefail
options='run model'
run='' model=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step score "$@"
