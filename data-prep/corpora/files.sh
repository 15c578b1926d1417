#!/usr/bin/env bash
# Your own bitext: --train, --valid and --test name PREFIX of PREFIX.SRC and PREFIX.TGT.
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

defaults() { :; }

fingerprint() {                      # so that edited text is noticed; text that has gone is taken for unchanged
  local split lang files=()
  for split in train valid test; do
    for lang in "$source_lang" "$target_lang"; do files+=("$split.$lang"); done
  done
  if grep -qs '^text_sha256=' "$out/settings"; then    # of an older version: one hash of all
    old_fingerprint
    return
  fi
  for split in "${files[@]}"; do
    if is_text "$(text_file "$split")"; then
      printf 'sha256 of %s=%s\n' "$split" "$(sha256sum < "$(text_file "$split")" | cut -d ' ' -f 1)"
    else
      grep -s "^sha256 of ${split/./\\.}=" "$out/settings" || true
    fi
  done
}

old_fingerprint() {
  local file paths=()
  for file in "${files[@]}"; do
    file=$(text_file "$file")
    is_text "$file" || { grep '^text_sha256=' "$out/settings"; return; }
    paths+=("$file")
  done
  printf 'text_sha256=%s\n' "$(cat -- "${paths[@]}" | sha256sum | cut -d ' ' -f 1)"
}

text_file() {                        # train.en -> the file; of several references of test the first
  local split=${1%%.*} file
  file=${!split}.${1#*.}
  [[ $split != test || -e $file || ! -e $file.0 ]] || file+=.0
  printf '%s' "$file"
}

is_text() { [[ -f $1 && -r $1 ]]; }

fetch() {
  local split lang prefix file
  for split in train valid test; do
    prefix=${!split}
    [[ -n $prefix ]] || die "--$split is needed with --corpus files: the path of its two files without .$source_lang and .$target_lang"
    for lang in "$source_lang" "$target_lang"; do
      file=$(text_file "$split.$lang")
      [[ ! -e $file || -f $file ]] || die "$file is a folder, a pipe or a device: --$split needs files"
      [[ -r $file ]] || die "$file cannot be read: --$split takes the path without .$lang"
      cp -- "$file" "$out/raw.part/$split.$lang" || die "$out/raw.part/$split.$lang $unwritten"
    done
  done
}
