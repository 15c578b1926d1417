#!/usr/bin/env bash
# One experiment from its YAML: data, teachers, students, decoding, scores, table. Continues where it stopped.
#
#   bash experiments/run.sh --config experiments/configs/multi30k_en_de.yaml --out runs/multi30k_en_de
#
#   --config YAML    what to train (experiments/configs has commented examples)
#   --out RUN        run folder; runs/NAME of the config if not given
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, fp16 or bf16 (the last two on a GPU only)
#   --jobs N         models at a time; each gets an equal share of the cores
#   --threads N      CPU threads of each job instead of that share
#   --stage, --stop-stage   first and last of: 1 plan, 2 prepare, 3 teachers, 4 students, 5 decode, 6 score, 7 table
options='config out device precision jobs threads stage stop_stage'
config='' out='' device=auto precision=fp32 jobs=1 threads=0 stage=1 stop_stage=7
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
arguments=("$@")
parse_options "$@"
[[ -n $config ]] || die "--config is needed: see --help"
[[ -r $config ]] || die "--config $config cannot be read: experiments/configs has some to start from"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs is '$jobs': a whole number from 1"
[[ $stage =~ ^[1-7]$ && $stop_stage =~ ^[1-7]$ ]] || die "--stage and --stop-stage go from 1 to 7, not '$stage' to '$stop_stage'"
choose_device                        # refuses now what the steps would refuse later
if [[ -z $out ]]; then out=runs/$(sed -n 's/^name: *\([^ #]*\).*/\1/p' "$config"); fi
if (( threads == 0 && jobs > 1 )); then threads=$(( $(nproc) / jobs > 1 ? $(nproc) / jobs : 1 )); fi
steps=$root/experiments/steps

lskd() { "$python" -m lskd_nmt.cli "$@" > /dev/null; }

models() { "$python" -c '
import json, sys
for model in json.load(open(sys.argv[1]))["models"]:
    if model["role"] in sys.argv[2:]:
        print(model["name"])' "$out/plan.json" "$@"; }

for_each() {                         # for_each STEP ROLE... [-- OPTIONS]: the step for every model, $jobs at a time
  local step=$1; shift
  local roles=()
  while (( $# )) && [[ $1 != -- ]]; do roles+=("$1"); shift; done
  models "${roles[@]}" | xargs -r -P "$jobs" -I NAME -- bash "$steps/$step.sh" --run "$out" --model NAME "${@:2}"
}

machine=(-- --device "$device" --precision "$precision" --threads "$threads")
plan() { lskd plan "$config" --out "$out"; }
prepare() { bash "$steps/prepare.sh" --run "$out"; }
teachers() { for_each train teacher "${machine[@]}"; }
students() { for_each train student "${machine[@]}"; }
decode() { for_each decode teacher student "${machine[@]}"; }
score() { for_each score teacher student; }
table() { bash "$steps/table.sh" --run "$out"; }

log "run.sh ${arguments[*]}"
number=0
for name in plan prepare teachers students decode score table; do
  number=$(( number + 1 ))
  (( number < stage || number > stop_stage )) && continue
  log "stage $number: $name"
  "$name"
done
log "all in $out"
