#!/usr/bin/env bash
# Students of three shapes (layers 2+2, 6+2 and 12+1 of one width) of the same teacher's translations of Multi30k, each
# in float32 and int8, with a vocabulary map and without: one table of size, scores, speed and latency, and the Pareto
# fronts. Two CPU cores need about four hours for the trainings, and some minutes for all else.
#
#   export LSKD_DATA=FOLDER   # holds multi30k/{train,valid,test2016}.{en,de}
#   bash benchmarks/shapes.sh --out runs/shapes
#
#   --out DIR        2x2/, 6x2/ and 12x1/ (three runs), exports/, and compare.* and fronts.* with beam 5, greedy/ without
#   --seeds LIST     of the students, "1" if not given; the exports are of the first
#   --updates N      of each student, 4000 if not given
#   --epochs N       of the teacher, 12 if not given
#   --dry-run yes    only say what the first run would do
# A second call goes on: it trains and exports what is not there, and measures again.
set -euo pipefail
options='out seeds updates epochs dry_run'
out='' seeds=1 updates=4000 epochs=12 dry_run=no
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
[[ -n $out ]] || die "--out is needed: see --help"
is_whole "$updates" || die "--updates is $updates: give a whole number"
is_whole "$epochs" || die "--epochs is $epochs: give a whole number"
[[ -n ${LSKD_DATA:-} ]] || die "LSKD_DATA is not set: the folder that holds multi30k/"
files=$(realpath -- "$LSKD_DATA/multi30k")
mkdir -p -- "$out"
cd -- "$out"

config() {                           # config SHAPE ENCODER-LAYERS DECODER-LAYERS DATA RUN-OF-THE-TEACHER
  cat << EOT
name: shapes_$1
data: {$4}
teacher:
  arch: ls_transformer_iwslt_small
  label_smoothing: [0.1]
  seed: 1
  train: {encoder-layers: 4, decoder-layers: 4, dropout: 0.3, lr: 1e-3, max-epoch: $epochs}
$5
student:
  arch: ls_transformer_tiny
  plain: false
  kd_level: [sequence]
  hypotheses: [beam]
  kd_weight: 1.0
  train: {encoder-layers: $2, decoder-layers: $3, dropout: 0.1, lr: 2e-3, max-update: $updates}
seqkd: {beam: 5}
train: {max-tokens: 2048, warmup-updates: 800, num-workers: 0}
seeds: [$seeds]
decode: {beam: 5}
EOT
}

text="corpus: files, source_lang: en, target_lang: de, vocab_size: 4000, form: raw, keep_repeated: true"
config 2x2 2 2 "$text, train: $files/train, valid: $files/valid, test: $files/test2016" '' > 2x2.yaml
config 6x2 6 2 'dir: 2x2/data' '  run: 2x2' > 6x2.yaml
config 12x1 12 1 'dir: 2x2/data' '  run: 2x2' > 12x1.yaml
run=(bash "$root/experiments/run.sh" --device cpu --jobs 2 --threads 1)
if [[ $dry_run == yes ]]; then
  "${run[@]}" --config 2x2.yaml --out 2x2 --dry-run yes
  exit
fi
"${run[@]}" --config 2x2.yaml --out 2x2
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT # a background job does not hear Ctrl-C
"${run[@]}" --config 6x2.yaml --out 6x2 & # both wait for the translations of 2x2's teacher, and take a core each
"${run[@]}" --config 12x1.yaml --out 12x1
wait $!

first() {                            # first ROLE RUN: the checkpoint of the first model of a role
  "$python" -c '
import json, sys
role, run = sys.argv[1:]
models = json.load(open(f"{run}/plan.json"))["models"]
print(run + "/models/" + next(model["name"] for model in models if model["role"] == role) + "/model.pt")' "$@"
}
teacher=$(first teacher 2x2)
hypotheses=$(dirname -- "$teacher")/hypotheses/beam
models=("teacher=$teacher") without=()
mkdir -p exports
for shape in 2x2 6x2 12x1; do
  for kind in float32 int8; do
    folder=exports/$shape-$kind
    if [[ ! -e $folder ]]; then
      "$python" -m lskd_nmt.cli export --checkpoint "$(first student "$shape")" --data 2x2/data/bin --to ctranslate2 \
        --quantization "$kind" --vocabulary-map --map-from "$hypotheses" --out "$folder"
    fi
    models+=("$shape-$kind=$folder" "$shape-$kind-map=$folder")
    without+=("$shape-$kind")
  done
done
for beam in 5 1; do
  "$python" -m lskd_nmt.cli benchmark --data 2x2/data/bin --models "${models[@]}" --no-vocabulary-map "${without[@]}" \
    --beam "$beam" --within 0.02 --out "$([[ $beam == 5 ]] && echo . || echo greedy)"
done
