#!/usr/bin/env bash
# The generated corpus: --pairs training pairs of a seeded grammar, English to German or Russian.
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

defaults() { source_lang=${source_lang:-en} target_lang=${target_lang:-de}; }

fetch() {
  rmdir -- "$out/raw.part"
  lskd toy "${langs[@]}" --train "$pairs" --seed "$seed" --out "$out/raw.part"
}
