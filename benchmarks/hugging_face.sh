#!/usr/bin/env bash
# A MarianMT that transformers trained, as the teacher of words and of sequences: generated corpus, two CPU cores, half
# an hour.
#
#   bash benchmarks/hugging_face.sh --out runs/marian
#
#   --out DIR        toy/ (the corpus), marian/ (the model), teacher/ (imported), words/, text/ and mono/ (three runs)
#   --updates N      of the MarianMT, 2500 if not given
#   --seeds LIST     of the students, "1, 2, 3" if not given
# In words/ the imported checkpoint is the teacher, of probabilities at T = 1 and of sequences, on its own dictionary;
# in text/ the model itself, through CTranslate2, of students with subwords of their own; in mono/ the same with as much
# source text again, for as many updates. A second call goes on.
set -euo pipefail
options='out updates seeds'
out='' updates=2500 seeds='1, 2, 3'
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
[[ -n $out ]] || die "--out is needed: see --help"
is_whole "$updates" || die "--updates is $updates: give a whole number"
mkdir -p -- "$out"
cd -- "$out"

config() {                           # config NAME TEACHER LEVELS EPOCHS PLAIN SEQKD KEY-OF-DATA
  cat << EOT
name: $1
data: {corpus: files, source_lang: en, target_lang: de, train: toy/clean/train, valid: toy/clean/valid, test: toy/clean/test, $7}
teacher: {from: "$2"}
student:
  arch: ls_transformer_tiny
  plain: $5
  temperature: 1
  kd_weight: 1.0
  kd_level: [$3]
  hypotheses: beam
  train: {encoder-layers: 1, decoder-layers: 1, max-epoch: $4}
seqkd: {beam: 5$6}
train: {max-tokens: 512, lr: 3e-3, warmup-updates: 300, dropout: 0.1, num-workers: 0}
seeds: [$seeds]
EOT
}

bash "$root/data-prep/prepare.sh" --corpus toy --source-lang en --target-lang de --pairs 20000 --vocab-size 1000 --out toy
if [[ ! -e marian/model.safetensors ]]; then
  rm -rf -- marian
  PYTHONPATH=$root/benchmarks:$PYTHONPATH "$python" "$root/benchmarks/marian_teacher.py" --data toy --updates "$updates" --out marian
fi
if [[ ! -e teacher/import.json ]]; then
  "$python" -m lskd_nmt.cli import-teacher marian --source-lang en --target-lang de --valid toy/clean/valid --out teacher
fi
bash "$root/data-prep/prepare.sh" --corpus toy --source-lang en --target-lang de --pairs 20000 --seed 2 --out more --stop-stage 2
more=', monolingual: {files: [more/clean/train.en], share: 0.49}'
config words fairseq:teacher/checkpoint.pt 'word, sequence' 2 true '' 'dictionary: teacher' > words.yaml
config text hf:marian sequence 2 true '' 'vocab_size: 1000' > text.yaml
config mono hf:marian sequence 1 false "$more" 'vocab_size: 1000' > mono.yaml
for run in words text mono; do
  bash "$root/experiments/run.sh" --config "$run.yaml" --out "$run" --device cpu --jobs 2 --threads 1
done
mkdir -p all
"$python" -m lskd_nmt.cli table text mono --out all
