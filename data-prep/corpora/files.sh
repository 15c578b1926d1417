#!/usr/bin/env bash
# Your own bitext: --train, --valid and --test name PREFIX of PREFIX.SRC and PREFIX.TGT.
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

defaults() { :; }

fetch() {
  local split lang prefix
  for split in train valid test; do
    prefix=${!split}
    [[ -n $prefix ]] || die "--$split is needed with --corpus files: the path of its two files without .$source_lang and .$target_lang"
    for lang in "$source_lang" "$target_lang"; do
      [[ -r $prefix.$lang ]] || die "$prefix.$lang cannot be read: --$split takes the path without .$lang"
      cp -- "$prefix.$lang" "$out/raw.part/$split.$lang"
    done
  done
}
