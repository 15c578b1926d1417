#!/usr/bin/env bash
# One step as the engine runs it: with GPUs of its own, and its failure noted in the current folder's .failed/.
#
#   experiments/job.sh GPUS STEP MODEL COMMAND...
#
# A step that refused its input (exit code 2) is not tried again.
set -euo pipefail
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
gpus=$1 step=$2 note=.failed/$2${3:+ $3}
shift 3
if [[ -e $note && $(< "$note") == 2 ]]; then exit 2; fi
take_gpus "$gpus"
outlive_signal
rc=0
"$@" || rc=$?
mkdir -p -- .failed
if (( rc )); then printf '%s\n' "$rc" > "$note"; exit "$rc"; fi
rm -f -- "$note"
if [[ $step == train || $step == score || $step == evaluate ]]; then
  count() { find -L models -mindepth 2 -maxdepth 2 \( "$@" \) -printf '%h\n' | sort -u | wc -l; }    # folders with such a file
  log "$(count -name model.pt -o -name given.json) of $(count -name command.sh) models trained, $(count -name metrics.json) scored"
fi
