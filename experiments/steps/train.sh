#!/usr/bin/env bash
# Train one model of a planned run; continues where an interrupted training stopped.
#
#   experiments/steps/train.sh --run runs/quickstart --model teacher-ls0.1-s1
#
#   --run RUN        run folder with plan.json (lskd plan CONFIG --out RUN)
#   --model NAME     a model of the plan
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, bf16, or, on a GPU only, fp16
#   --threads N      CPU threads; 0 leaves it to the environment
# Makes RUN/models/NAME/{train.log,run.json,curve.json,model.pt}; model.pt is the best checkpoint, or the average that
# the plan names.
set -euo pipefail
options='run model device precision threads'
run='' model='' device=auto precision=fp32 threads=0
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"
model_step "$@"

if [[ -e $folder/model.pt ]]; then log "train $model: done, skipped"; exit 0; fi
choose_device

log "train $model (full log: $folder/train.log)"
mkdir -p -- "$folder/checkpoints"
rc=0
"$python" -m lskd_nmt.cli watch --run "$run" --model "$model" -- "${device_flags[@]}" > /dev/null || rc=$?
(( rc == 0 )) || exit "$rc"

averaged=$("$python" -c '
import json, sys
(model,) = (model for model in json.load(open(sys.argv[1]))["models"] if model["name"] == sys.argv[2])
for which, count in (model.get("average") or {}).items():  # plans of before have no such key
    print(f"--{which} {count}")' "$run/plan.json" "$model")
if [[ -n $averaged ]]; then
  read -ra which <<< "$averaged"
  "$python" -m lskd_nmt.cli average --folder "$folder/checkpoints" "${which[@]}" --out "$folder/model.pt" > /dev/null
else
  best=$folder/checkpoints/checkpoint_best.pt
  [[ -e $best ]] || best=$folder/checkpoints/checkpoint_last.pt
  publish "$folder/model.pt" cat -- "$best"
fi
log "train $model: $folder/model.pt"
