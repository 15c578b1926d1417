#!/usr/bin/env bash
# The results of a run: table.{json,md,tex,csv}, the tests behind it in significance.json, and the figures bleu,
# temperature, methods and curves (.png, .svg). What they mean: docs/table.md.
#
#   experiments/steps/table.sh --run runs/quickstart
#
#   --run RUN        run folder
#   --out DIR        where to write; the run folder if not given
#   --baseline CELL  what students are compared with: plain (without KD), a method, or a model's name without its seed
#   --published      auto (by language pair), none, en-de or en-ru
set -euo pipefail
options='run out baseline published'
run='' out='' baseline=plain published=auto
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
parse_options "$@"
[[ -n $run ]] || die "--run is needed: see --help"

"$python" -m lskd_nmt.cli table "$run" --out "${out:-$run}" --baseline "$baseline" --published "$published" > /dev/null
"$python" -m lskd_nmt.cli curves "$run" --out "${out:-$run}" > /dev/null
cat -- "${out:-$run}/table.md"
