#!/usr/bin/env bash
# One experiment from its YAML: data, teachers, their translations, students, decoding, scores, table. Continues where it stopped.
#
#   bash experiments/run.sh --config experiments/configs/multi30k_en_de.yaml --out runs/multi30k_en_de
#
#   --config YAML    what to train (experiments/configs has commented examples)
#   --out RUN        run folder; runs/NAME of the config if not given
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, fp16 or bf16 (the last two on a GPU only)
#   --jobs N         models at a time; each gets an equal share of the cores
#   --threads N      CPU threads of each job instead of that share
#   --stage, --stop-stage   first and last of: 1 prepare, 2 teachers, 3 hypotheses,
#                    4 students, 5 decode, 6 score, 7 table
set -euo pipefail
options='config out device precision jobs threads stage stop_stage'
config='' out='' device=auto precision=fp32 jobs=1 threads=0 stage=1 stop_stage=7
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
arguments=("$@")
parse_options "$@"
[[ -n $config ]] || die "--config is needed: see --help"
[[ -r $config ]] || die "--config $config cannot be read: experiments/configs has some to start from"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs is '$jobs': a whole number from 1"
[[ $stage$stop_stage =~ ^[1-7][1-7]$ ]] || die "--stage and --stop-stage are '$stage' and '$stop_stage': from 1 to 7"
choose_device                        # refuses now what the steps would refuse later
if (( threads == 0 && jobs > 1 )); then threads=$(( $(nproc) / jobs > 1 ? $(nproc) / jobs : 1 )); fi
steps=$root/experiments/steps

models() { "$python" -c '
import json, sys
for model in json.load(open(sys.argv[1]))["models"]:
    if model["role"] in sys.argv[2:]:
        print(model["name"])' "$out/plan.json" "$@"; }

for_each() {                         # for_each STEP ROLE... [-- OPTIONS]: for every model, $jobs at a time
  local step=$1; shift
  local roles=()
  while (( $# )) && [[ $1 != -- ]]; do roles+=("$1"); shift; done
  local rc=0                         # 255 stops xargs after what runs now; its own message would be a second line
  # shellcheck disable=SC2016         # for the inner shell
  models "${roles[@]}" | xargs -r -P "$jobs" -I @MODEL@ -- bash -c '"$@" 2>&3 || exit $(( $? == 2 ? 255 : 1 ))' \
    "$step" bash "$steps/$step.sh" --run "$out" --model @MODEL@ "${@:2}" 3>&2 2> /dev/null || rc=$?
  (( rc == 0 )) || exit $(( rc == 124 ? 2 : 1 ))
}

machine=(-- --device "$device" --precision "$precision" --threads "$threads")
prepare() { bash "$steps/prepare.sh" --run "$out"; }
teachers() { for_each train teacher "${machine[@]}"; }
hypotheses() (                       # one teacher at a time, with all the cores
  workers=$(( jobs * threads )); jobs=1
  for_each hypotheses teacher -- --device "$device" --precision "$precision" --threads "$workers"
)
students() { for_each train student "${machine[@]}"; }
decode() { for_each decode teacher student "${machine[@]}"; }
score() { for_each score teacher student; }
table() { bash "$steps/table.sh" --run "$out"; }

log "run.sh ${arguments[*]}"
planned=$("$python" -m lskd_nmt.cli plan "$config" ${out:+--out "$out"} --call "run.sh ${arguments[*]}")
out=$("$python" -c 'import json, sys; print(json.loads(sys.argv[1])["run"])' "$planned")
number=0
for name in prepare teachers hypotheses students decode score table; do
  number=$(( number + 1 ))
  (( number < stage || number > stop_stage )) && continue
  log "stage $number: $name"
  "$name"
done
log "all in $out"
