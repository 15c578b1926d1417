#!/usr/bin/env bash
# The whole pipeline on a generated corpus, on the CPU, in at most five minutes on two cores: teachers, students,
# decoding, BLEU table.
#
#   bash experiments/quickstart.sh
#
#   --out RUN        run folder; runs/quickstart of this checkout if not given (lskd quickstart: of the current folder)
#   --jobs N         models at a time, with one thread each
set -euo pipefail
options='out jobs'
out='' jobs=2
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
parse_options "$@"
out=${out:-$root/runs/quickstart}

bash "$root/experiments/run.sh" --config "$root/experiments/configs/quickstart.yaml" --out "$out" \
  --device cpu --jobs "$jobs" --threads 1
printf '\nEverything it made is in %s:\n' "$out"
printf '  %-28s %s\n' table.md,tex,csv,json 'the table above' bleu.png,svg 'BLEU of every model' \
  temperature.png,svg 'BLEU against the temperature' curves.png,svg 'learning curves' models/NAME/command.sh 'the fairseq-train command' \
  models/NAME/model.pt 'the checkpoint' models/NAME/test.hyp 'the translations' data/ 'the corpus, prepared'
