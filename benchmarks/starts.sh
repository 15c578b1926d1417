#!/usr/bin/env bash
# Does a student that starts with layers of its teacher end better than one that starts at random? Students of 2 + 1
# layers of their teacher's width learn from its translations of Multi30k, equally long: one run starts with the
# teacher's two encoder layers and its last decoder layer, the other at random. About ten CPU minutes a student.
#
#   bash benchmarks/starts.sh --run runs/multi30k_choose --out runs/starts
#
#   --run RUN        a run of experiments/configs/multi30k_choose.yaml with its teacher trained (2 + 2 layers of width
#                    256); its data, its teacher and the translations of the beam are taken
#   --out DIR        random/ and layers/ (two runs), and table.* of both
#   --seeds LIST     of the students, "1, 2, 3" if not given
#   --updates N      of each student, 1000 if not given
#   --dry-run yes    only say what the runs would do
# A second call goes on.
set -euo pipefail
options='run out seeds updates dry_run'
run='' out='' seeds='1, 2, 3' updates=1000 dry_run=no
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
[[ -n $run && -n $out ]] || die "--run and --out are needed: see --help"
[[ -f $run/plan.json ]] || die "$run is no run: it has no plan.json"
is_whole "$updates" || die "--updates is $updates: give a whole number"
run=$(realpath -- "$run")
mkdir -p -- "$out"
cd -- "$out"

config() {                           # config NAME START
  cat << EOT
name: starts_$1
data: {dir: $run/data}
teacher:
  run: $run
  arch: ls_transformer_iwslt_small
  label_smoothing: [0.1]
  seed: 1
  train: {dropout: 0.2, lr: 1e-3, max-epoch: 8}
student:
  arch: ls_transformer_iwslt_small
  plain: false
  kd_level: [sequence]
  hypotheses: [beam]
  kd_weight: 1.0
$2
  train: {encoder-layers: 2, decoder-layers: 1, dropout: 0.1, lr: 1e-3, max-update: $updates}
seqkd: {beam: 10, nbest: 10}
train:
  max-tokens: 2048
  required-batch-size-multiple: 8
  warmup-updates: 400
  warmup-init-lr: 1e-7
  weight-decay: 0
  eval-bleu-args: {beam: 1, max_len_a: 1.2, max_len_b: 10}
  log-interval: 50
  num-workers: 0
seeds: [$seeds]
decode: {beam: 5}
metrics: [bleu, chrf++]
EOT
}

config random '' > random.yaml
config layers '  init: {from: teacher, encoder: [0, 1], decoder: [1]}' > layers.yaml
for start in random layers; do
  bash "$root/experiments/run.sh" --device cpu --jobs 1 --threads 1 --config "$start.yaml" --out "$start" \
    --dry-run "$dry_run"
done
[[ $dry_run == no ]] || exit 0
"$python" -m lskd_nmt.cli table random layers --out . --baseline student-ls0.1-sequence-beam
