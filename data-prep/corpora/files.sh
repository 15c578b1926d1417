#!/usr/bin/env bash
# Your own bitext: --train, --valid and --test name PREFIX of PREFIX.SRC and PREFIX.TGT.
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

defaults() { :; }

fingerprint() {                      # so that edited text is noticed; text that has gone is taken for unchanged
  local files=("$train.$source_lang" "$train.$target_lang" "$valid.$source_lang" "$valid.$target_lang"
    "$test.$source_lang" "$test.$target_lang")
  if cat -- "${files[@]}" > /dev/null 2>&1; then
    printf 'text_sha256=%s\n' "$(cat -- "${files[@]}" | sha256sum | cut -d ' ' -f 1)"
  elif [[ -e $out/settings ]]; then
    grep '^text_sha256=' "$out/settings" || true
  fi
}

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
