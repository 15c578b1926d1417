#!/usr/bin/env bash
# From a corpus to a folder that fairseq trains on: fetch, clean, subwords, binarise, check.
#
#   data-prep/prepare.sh --corpus files --source-lang en --target-lang de \
#     --train my/train --valid my/valid --test my/test --vocab-size 8000 --out data/mine
#
#   --corpus NAME        a file of data-prep/corpora: files (your own), toy, iwslt14_en_de, iwslt_en_ru
#   --out DIR            the data folder: raw/ clean/ spm/ pieces/ bin/ prep.json
#   --source-lang, --target-lang
#   --train, --valid, --test PREFIX   of your own files: PREFIX.en and PREFIX.de (files only)
#   --pairs N, --seed N  training pairs and seed of the generated corpus (toy only)
#   --raw-dir DIR        where archives fetched by hand lie (IWSLT only)
#   --form raw|fairseq14 cased text as it is, or the field's recipe for IWSLT14: Moses-tokenised, lower-cased
#   --expected-counts    lines of train,valid,test that an archive must give, or any (IWSLT only)
#   --vocab-size N       joint sentencepiece vocabulary
#   --subwords unigram|bpe
#   --max-words N, --max-ratio R      training pairs beyond are dropped (ratio 0: any)
#   --drop-empty yes|no  drop training pairs with an empty side instead of refusing the file
#   --keep-repeated yes|no   keep training pairs that stand twice, or in valid or test
#   --workers N          processes of fairseq-preprocess
#   --stage, --stop-stage   first and last of: 1 fetch, 2 clean, 3 subwords, 4 binarise, 5 check
# A second call continues where the first stopped. To begin anew, remove the folder.
# shellcheck disable=SC2034,SC2154   # variables are shared with the corpus file that is sourced
set -euo pipefail
options='corpus out source_lang target_lang train valid test pairs seed raw_dir form expected_counts'
options+=' vocab_size subwords max_words max_ratio drop_empty keep_repeated workers stage stop_stage'
corpus='' out='' source_lang='' target_lang='' train='' valid='' test='' pairs=20000 seed=1 raw_dir='' form=raw
expected_counts='' vocab_size=8000 subwords=unigram max_words=175 max_ratio=0 drop_empty=no keep_repeated=no workers=2 stage=1 stop_stage=5
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
here=$root/data-prep

[[ -n $out ]] || die "--out is needed: see --help"
[[ $out != -* ]] || out=./$out
[[ -f $here/corpora/$corpus.sh ]] \
  || die "--corpus is '$corpus': one of $(cd "$here/corpora" && printf '%s ' *.sh | sed 's/\.sh//g')"
[[ $form == raw || $form == fairseq14 ]] || die "--form is '$form': raw or fairseq14"
[[ $form == raw || $corpus == iwslt14_en_de ]] || die "--form fairseq14 is the recipe of iwslt14_en_de, not of $corpus: use raw"
for name in pairs seed vocab_size max_words workers stage stop_stage; do
  [[ ${!name} =~ ^[0-9]+$ ]] || die "--${name//_/-} is '${!name}': a whole number"
done
[[ $max_ratio =~ ^[0-9]+([.][0-9]+)?$ ]] || die "--max-ratio is '$max_ratio': a number from 1, or 0 for any"
[[ $subwords == unigram || $subwords == bpe ]] || die "--subwords is '$subwords': unigram or bpe"
for name in drop_empty keep_repeated; do
  [[ ${!name} == yes || ${!name} == no ]] || die "--${name//_/-} is '${!name}': yes or no"
done

# shellcheck source=/dev/null
source "$here/corpora/$corpus.sh"    # defines defaults and fetch: writes $out/raw.part/{train,valid,test}.LANG
defaults
[[ -n $source_lang && -n $target_lang ]] || die "--source-lang and --target-lang are needed with --corpus $corpus"
langs=(--source-lang "$source_lang" --target-lang "$target_lang")

lskd() { "$python" -m lskd_nmt.cli "$@"; }

fetch_archive() {                    # the first of $mirrors (FILE|LAYOUT|BYTES|ADDRESS) to be had -> $archive, $layout
  local entry bytes address
  for entry in "${mirrors[@]}"; do
    IFS='|' read -r archive layout bytes address <<< "$entry"
    archive=${raw_dir:-$out/download}/$archive
    if [[ -z $raw_dir && ! -e $archive ]]; then
      log "fetch $address"
      mkdir -p -- "$out/download"
      if ! curl --fail --location --connect-timeout 20 --progress-bar --output "$archive.part" -- "$address" \
        || ! is_archive "$archive.part"; then
        log "nothing usable from $address"
        rm -f -- "$archive.part"
        continue
      fi
      mv -- "$archive.part" "$archive"
    fi
    [[ -e $archive ]] || continue
    [[ $bytes == - || $(stat -c %s -- "$archive") == "$bytes" ]] \
      || log "warning: $archive is not $bytes bytes long, as the known edition is"
    return 0
  done
  die "no archive of $corpus ${raw_dir:+in $raw_dir }could be had: fetch one by hand (the first file of: $(
    printf '%s; ' "${mirrors[@]}" | sed -E 's/([^|;]+)\|[^|]*\|[^|]*\|([^;]*)/\1 from \2/g')) and name its folder with --raw-dir"
}

is_archive() { "$python" -c 'import sys, tarfile, zipfile
sys.exit(not (tarfile.is_tarfile(sys.argv[1]) or zipfile.is_zipfile(sys.argv[1])))' "$1"; }

# What decides the outcome is written down; a folder made otherwise is not continued.
settings() {
  local name
  for name in corpus source_lang target_lang train valid test pairs seed form expected_counts vocab_size subwords \
    max_words max_ratio drop_empty keep_repeated; do
    printf '%s=%s\n' "$name" "${!name}"
  done
  if declare -F fingerprint > /dev/null; then fingerprint; fi
}
if [[ -e $out/settings ]]; then
  changed=$(diff <(settings) "$out/settings" | sed -n 's/^[<>] //p' | paste -sd ' ') || true
  [[ -z $changed ]] || die "$out was made with other settings (now and then: $changed): give another --out or remove it"
fi

fetch_stage() {
  rm -rf -- "$out/raw.part"
  mkdir -p -- "$out/raw.part"
  fetch
  rm -rf -- "$out/raw"
  mv -- "$out/raw.part" "$out/raw"
}

clean_stage() {
  local flags=(--max-words "$max_words" --max-ratio "$max_ratio")
  [[ $drop_empty == no ]] || flags+=(--drop-empty)
  [[ $keep_repeated == no ]] || flags+=(--keep-repeated)
  [[ $form == raw ]] || flags=(--max-words 1000000 --keep-repeated)   # the recipe has cleaned already, and keeps repeats
  lskd clean "${langs[@]}" --raw "$out/raw" --out "$out/clean" "${flags[@]}"
}

subwords_stage() {
  lskd subwords "${langs[@]}" --clean "$out/clean" --out "$out" --vocab-size "$vocab_size" --kind "$subwords"
}

binarise_stage() {
  rm -rf -- "${out:?}/bin.part" "${out:?}/bin"
  fairseq-preprocess "${langs[@]}" --trainpref "$out/pieces/train" --validpref "$out/pieces/valid" \
    --testpref "$out/pieces/test" --joined-dictionary --destdir "$out/bin.part" --workers "$workers" > "$out/binarise.log" 2>&1 \
    || { tail -n 5 -- "$out/binarise.log" >&2; die "fairseq-preprocess failed: $out/binarise.log has it all"; }
  cp -- "$out/spm/spm.model" "$out/bin.part/spm.model"
  mv -- "$out/bin.part" "$out/bin"
}

check_stage() {
  lskd check-data "${langs[@]}" --out "$out" --settings "$out/settings"
}

fresh=no
[[ -d $out ]] || fresh=yes
mkdir -p -- "$out" 2> /dev/null || die "--out $out cannot be made: give a folder that you may write to"

forget_refused() {                   # what was refused is read again next time; nothing half-made is left behind
  local rc=$?
  if (( rc == 2 )) && [[ ! -e $out/.done/subwords_stage ]]; then
    rm -rf -- "${out:?}"/{raw,raw.part,clean,spm,pieces,settings,.done}
    [[ ! -d $out/download ]] || rmdir --ignore-fail-on-non-empty -- "$out/download"
    [[ $fresh == no ]] || rmdir --ignore-fail-on-non-empty -- "$out"
  fi
}
trap forget_refused EXIT
need_space "$out" 200
done_dir=$out/.done
settings > "$out/settings"
redo=no                              # a stage whose result was removed is run again, and those after it
[[ -e $out/raw || -e $out/clean ]] || rm -f -- "$done_dir/fetch_stage"
for result in clean_stage:clean subwords_stage:spm binarise_stage:bin check_stage:prep.json; do
  [[ -e $out/${result#*:} ]] || redo=yes
  [[ $redo == no ]] || rm -f -- "$done_dir/${result%:*}"
done
run_stage 1 fetch_stage
run_stage 2 clean_stage
run_stage 3 subwords_stage
run_stage 4 binarise_stage
run_stage 5 check_stage
log "data in $out"
