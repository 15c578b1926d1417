#!/usr/bin/env bash
# Write the store of one teacher that its students read instead of running it; continues where an interrupted call
# stopped. Nothing to do where the config has none.
#
#   experiments/steps/store.sh --run runs/grid --model teacher-ls0.1-s1
#
#   --run RUN        run folder with plan.json
#   --model NAME     a trained teacher of the plan
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      read by other steps; the store's own types decide here
#   --threads N      CPU threads; 0 leaves it to the environment
# Makes RUN/models/NAME/store with RUN/models/NAME/store.sh.
set -euo pipefail
options='run model device precision threads'
run='' model='' device=auto precision=fp32 threads=0
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
run_step store "$@"
