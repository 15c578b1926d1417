#!/usr/bin/env bash
# The results of a run: table.{json,md,tex,csv}, bleu.{png,svg} and curves.{png,svg}. Computes no score.
#
#   experiments/steps/table.sh --run runs/quickstart
#
#   --run RUN        run folder
#   --out DIR        where to write; the run folder if not given
set -euo pipefail
options='run out'
run='' out=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
parse_options "$@"
[[ -n $run ]] || die "--run is needed: see --help"

"$python" -m lskd_nmt.cli table "$run" --out "${out:-$run}" > /dev/null
"$python" -m lskd_nmt.cli curves "$run" --out "${out:-$run}" > /dev/null
cat -- "${out:-$run}/table.md"
