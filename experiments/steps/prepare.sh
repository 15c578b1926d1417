#!/usr/bin/env bash
# Prepare the data of a planned run, with the command that the plan wrote; nothing to do where the config names
# a prepared folder.
#
#   experiments/steps/prepare.sh --run runs/quickstart
#
# Makes RUN/data.
set -euo pipefail
options='run'
run=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
parse_options "$@"
[[ -n $run ]] || die "--run is needed: see --help"
[[ -e $run/plan.json ]] || die "$run has no plan.json: run lskd plan CONFIG --out $run first"

if [[ -e $run/prepare.sh ]]; then bash "$run/prepare.sh" > /dev/null; fi
