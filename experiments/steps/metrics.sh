#!/usr/bin/env bash
# Score all models of a run by the metrics that its YAML names, where they lack them; a program, such as COMET's, is
# started once for all of them. What is scored already stays.
#
#   experiments/steps/metrics.sh --run runs/quickstart
#
# Adds to RUN/models/*/metrics.json, and keeps sentences' scores in RUN/models/*/statistics.
set -euo pipefail
options='run'
run=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
parse_options "$@"
[[ -n $run ]] || die "--run is needed: see --help"
cd -- "${LSKD_CALLED_IN:-.}" 2> /dev/null \
  || die "$LSKD_CALLED_IN, from which run.sh was called, is not there: programs of metrics run in it"
"$python" -m lskd_nmt.cli score --run "$run"
