#!/usr/bin/env bash
# From a corpus to a folder that fairseq trains on: fetch, clean, subwords, binarise, check.
#
#   data-prep/prepare.sh --corpus files --source-lang en --target-lang de \
#     --train my/train --valid my/valid --test my/test --vocab-size 8000 --out data/mine
#
#   --corpus NAME        a file of data-prep/corpora: files (your own), toy, iwslt14_en_de, iwslt_en_ru
#   --out DIR            the data folder: raw/ clean/ spm/ pieces/ bin/ prep.json; new, empty, or of an earlier call
#   --source-lang, --target-lang
#   --train, --valid, --test PREFIX   of your own files: PREFIX.en and PREFIX.de (files only)
#   --pairs N, --seed N  training pairs and seed of the generated corpus (toy only)
#   --raw-dir DIR        where archives fetched by hand lie (IWSLT only)
#   --form raw|fairseq14 cased text as it is, or the field's recipe for IWSLT14: Moses-tokenised, lower-cased
#   --expected-counts    lines of train,valid,test that an archive must give, or any (IWSLT only)
#   --vocab-size N       joint sentencepiece vocabulary
#   --subwords unigram|bpe
#   --dictionary DIR     subwords and dictionaries of a teacher, from lskd import-teacher, instead of learned ones
#   --spm-sentences N    lines that subwords are learned from, drawn from both languages; if not given as many as
#                        fit into 4 GB of memory: at most 5,000,000, and 150,000,000 characters for unigram
#   --max-words N, --max-ratio R      training pairs beyond are dropped (ratio 0: any). Where a language is written
#                        without spaces, words are estimated: one has 2 characters in Chinese, 2.5 in Japanese,
#                        5 in Thai, Lao, Khmer, Burmese and Tibetan
#   --drop-empty yes|no  drop training pairs with an empty side instead of refusing the file
#   --keep-repeated yes|no   keep training pairs that stand twice, or in valid or test
#   --filters NAMES      training pairs that are not worth learning are dropped: copies,repeats,chatter,numbers,length,
#                        language,near-duplicates, or all; clean/dropped.jsonl has examples
#   --workers N          processes of fairseq-preprocess
#   --stage, --stop-stage   first and last of: 1 fetch, 2 clean, 3 subwords, 4 binarise, 5 check
# A second call continues where the first stopped. To begin anew, remove the folder. A folder with other files in it is
# refused, and no file is ever removed that prepare.sh has not made.
# shellcheck disable=SC2034,SC2154   # variables are shared with the corpus file that is sourced
set -euo pipefail
options='corpus out source_lang target_lang train valid test pairs seed raw_dir form expected_counts'
options+=' vocab_size subwords dictionary spm_sentences max_words max_ratio drop_empty keep_repeated filters workers stage stop_stage'
corpus='' out='' source_lang='' target_lang='' train='' valid='' test='' pairs=20000 seed=1 raw_dir='' form=raw
expected_counts='' vocab_size=8000 subwords=unigram dictionary='' spm_sentences='' max_words=175 max_ratio=0 drop_empty=no keep_repeated=no filters='' workers=2 stage=1 stop_stage=5
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
here=$root/data-prep
[[ $python == /* ]] || python=$PWD/$python

[[ -n $out ]] || die "--out is needed: see --help"
[[ $out != -* ]] || out=./$out
[[ -f $here/corpora/$corpus.sh ]] \
  || die "--corpus is '$corpus': one of $(cd "$here/corpora" && printf '%s ' *.sh | sed 's/\.sh//g')"
[[ $form == raw || $form == fairseq14 ]] || die "--form is '$form': raw or fairseq14"
[[ $form == raw || $corpus == iwslt14_en_de ]] || die "--form fairseq14 is the recipe of iwslt14_en_de, not of $corpus: use raw"
for name in pairs seed vocab_size max_words workers stage stop_stage ${spm_sentences:+spm_sentences}; do
  [[ ${!name} =~ ^[0-9]{1,15}$ ]] || die "--${name//_/-} is '${!name}': a whole number"
  printf -v "$name" '%d' "$((10#${!name}))"    # 08 is 8
  [[ $name == seed ]] || (( ${!name} )) || die "--${name//_/-} is 0: give at least 1"
done
(( stage <= 5 && stop_stage <= 5 )) || die "--stage is $stage and --stop-stage $stop_stage: the stages are 1 to 5"
(( stage <= stop_stage )) || die "--stage is $stage and --stop-stage $stop_stage: the last cannot come before the first"
[[ $max_ratio =~ ^[0-9]+([.][0-9]+)?$ ]] || die "--max-ratio is '$max_ratio': a number from 1, or 0 for any"
[[ $subwords == unigram || $subwords == bpe ]] || die "--subwords is '$subwords': unigram or bpe"
for name in drop_empty keep_repeated; do
  [[ ${!name} == yes || ${!name} == no ]] || die "--${name//_/-} is '${!name}': yes or no"
done

# shellcheck source=/dev/null
source "$here/corpora/$corpus.sh"    # defines defaults and fetch: writes $out/raw.part/{train,valid,test}.LANG
defaults
[[ -n $source_lang && -n $target_lang ]] || die "--source-lang and --target-lang are needed with --corpus $corpus"
for name in source_lang target_lang; do
  [[ ${!name} =~ ^[[:alnum:]][[:alnum:]_-]*$ ]] || die "--${name//_/-} is '${!name}': a code such as en"
done
[[ $source_lang != "$target_lang" ]] || die "--source-lang and --target-lang are both $source_lang: give two languages"
[[ -z $dictionary || -f $dictionary/dictionary.json ]] \
  || die "--dictionary $dictionary has no dictionary.json: give the folder that lskd import-teacher wrote"
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
        || ! is_whole_archive "$archive.part"; then
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

is_whole_archive() { "$python" -c 'import sys; from pathlib import Path; from lskd_nmt.data import archive
sys.exit(not archive.is_whole(Path(sys.argv[1])))' "$1"; }

# What decides the outcome is written down; a folder made otherwise is not continued.
settings() {
  local name
  for name in corpus source_lang target_lang train valid test pairs seed form expected_counts vocab_size subwords \
    max_words max_ratio drop_empty keep_repeated ${spm_sentences:+spm_sentences} ${filters:+filters}; do
    printf '%s=%s\n' "$name" "${!name}"
  done
  if [[ -n $dictionary ]]; then printf 'dictionary=%s\ndictionary_sha256=%s\n' "$dictionary" "$(sha256sum < "$dictionary/dictionary.json")"; fi
  if declare -F fingerprint > /dev/null; then fingerprint; fi
}

# Folders of the stages. Only files of names that prepare.sh writes are removed from them.
is_made() {                          # is_made FOLDER FILE: whether FILE may be one that was written into $out/FOLDER
  local lang="($source_lang|$target_lang)" split='(train|valid|test)' names
  [[ -f $2 || -L $2 ]] || return 1
  local given='dictionary\.json|merges\.txt|vocab-(src|tgt)\.json|tokenizer_config\.json'    # of --dictionary
  case ${1%.part} in
    raw|clean|pieces) names="$split\\.$lang(\\.part)?|dropped\\.jsonl?" ;;
    spm) names="spm\\.(model|vocab)(\\.part)?|spm\\.$lang\\.model|dict\\.$lang\\.txt|$given" ;;
    bin) names="$split\\.$source_lang-$target_lang\\.$lang(\\.pt[0-9]+)?\\.(bin|idx)|dict\\.$lang\\.txt|preprocess\\.log|spm(\\.$lang)?\\.model|$given" ;;
  esac
  [[ ${2##*/} =~ ^($names|\.made-by-lskd)$ ]]
}

refuse_others() (                    # refuse_others FOLDER…: if one holds what prepare.sh has not made
  shopt -s nullglob dotglob
  for folder in "$@"; do
    [[ ! -e $out/$folder || -L $out/$folder || -d $out/$folder ]] || die "$out/$folder is no folder: move it to another place"
    [[ ! -L $out/$folder ]] || continue
    for file in "$out/$folder"/*; do
      is_made "$folder" "$file" || die "$out/$folder holds ${file##*/}, which prepare.sh has not made: move it to another place"
    done
  done
)

remove_made() (                      # remove_made FOLDER: what prepare.sh has made in it, and it, if nothing else is there
  shopt -s nullglob dotglob
  if [[ -L $out/$1 ]]; then rm -- "$out/$1"; fi
  for file in "$out/$1"/*; do
    if is_made "$1" "$file"; then rm -f -- "$file"; fi
  done
  [[ ! -d $out/$1 ]] || rmdir --ignore-fail-on-non-empty -- "$out/$1"
)

refuse_inside() {                    # refuse_inside OPTION PATH: where a stage would replace what is to be read
  local folder place file link
  place=$(realpath -m -- "$out") file=$(realpath -m -- "$2") link=$(realpath -m -- "$(dirname -- "$2")")
  for folder in raw raw.part clean clean.part spm pieces bin bin.part .done; do
    [[ $file/ != "$place/$folder"/* && $link/ != "$place/$folder"/* ]] \
      || die "$1 is $2, in $out/$folder, which prepare.sh writes itself: give another --out"
  done
}

# The folder must be new, empty or of an earlier call: its mark says so; before there were marks, settings or prep.json.
mark=.made-by-lskd
refuse_foreign_out() (
  shopt -s nullglob dotglob
  if [[ -e $out/$mark ]]; then
    [[ $(head -c 100 -- "$out/$mark") == prepare.sh ]] || die "--out $out is of $(head -n 1 -- "$out/$mark"): give another folder"
    exit 0
  fi
  if grep -qs '^corpus=' "$out/settings" || grep -qs '"lskd_nmt"' "$out/prep.json"; then exit 0; fi
  for file in "$out"/*; do
    [[ ${file##*/} == download || ${file##*/} == .lock ]] \
      || die "--out $out holds ${file##*/}, which prepare.sh has not made: give a new or an empty folder"
  done
)

hold_out() {                         # one prepare.sh at a time; the lock ends with all that this starts
  local who=''
  while :; do
    { exec {lock}<> "$out/.lock"; } 2> /dev/null || die "--out $out cannot be written to: give a folder that you may write to"
    if ! flock --nonblock "$lock"; then
      read -r _ who _ <<< "$(exec {lock}>&-; holders "$out/.lock")"    # the oldest of them
      die "$out is at work already: wait for it${who:+, or end it with: kill $who}"
    fi
    if [[ /proc/$BASHPID/fd/$lock -ef $out/.lock ]]; then return 0; fi
    exec {lock}>&-                   # its holder has just removed it
  done
}

fetch_stage() {
  remove_made raw.part
  made+=(raw.part)
  mkdir -p -- "$out/raw.part"
  fetch
  remove_made raw
  mv -- "$out/raw.part" "$out/raw"
  made+=(raw)
}

clean_stage() {
  local flags=(--max-words "$max_words" --max-ratio "$max_ratio")
  [[ $drop_empty == no ]] || flags+=(--drop-empty)
  [[ $keep_repeated == no ]] || flags+=(--keep-repeated)
  [[ $form == raw ]] || flags=(--max-words 1000000 --keep-repeated)   # the recipe has cleaned already, and keeps repeats
  [[ -z $filters ]] || flags+=(--filters "$filters")
  remove_made clean.part             # of older versions
  lskd clean "${langs[@]}" --raw "$out/raw" --out "$out/clean" "${flags[@]}"    # whole or not at all
  made+=(clean)
}

subwords_stage() {
  local which=(--vocab-size "$vocab_size" --kind "$subwords" ${spm_sentences:+--spm-sentences "$spm_sentences"})
  [[ -z $dictionary ]] || which=(--dictionary "$dictionary")
  lskd subwords "${langs[@]}" --clean "$out/clean" --out "$out" "${which[@]}"
}

with_news() {                        # with_news LOG CMD…: says every ten seconds for how long CMD has run
  "$python" -c '
import subprocess, sys
from lskd_nmt.progress import waiting
with open(sys.argv[1], "wb") as log, waiting("binarising", lambda line: print(line, file=sys.stderr, flush=True)):
    try:
        code = subprocess.call(sys.argv[2:], stdout=log, stderr=subprocess.STDOUT)
    except KeyboardInterrupt:
        code = 130
sys.exit(code)' "$@"
}

binarise_stage() {                   # within the folder: fairseq takes commas of a path for several files
  local preprocess dictionaries=(--joined-dictionary) name
  if [[ -n $dictionary ]]; then
    dictionaries=(--srcdict "spm/dict.$source_lang.txt" --tgtdict "spm/dict.$target_lang.txt")
    if cmp -s -- "$out/spm/dict.$source_lang.txt" "$out/spm/dict.$target_lang.txt"; then
      dictionaries=(--joined-dictionary --srcdict "spm/dict.$source_lang.txt")
    fi
  fi
  preprocess=$(realpath -s -- "$(command -v fairseq-preprocess)")
  remove_made bin.part
  remove_made bin
  (cd -- "$out" && with_news binarise.log "$preprocess" "${langs[@]}" --trainpref pieces/train --validpref pieces/valid \
    --testpref pieces/test "${dictionaries[@]}" --destdir bin.part --workers "$workers") \
    || { remove_made bin.part; tail -n 5 -- "$out/binarise.log" >&2; die "fairseq-preprocess failed: $out/binarise.log has it all"; }
  for name in spm.model "spm.$source_lang.model" {dictionary,vocab-src,vocab-tgt,tokenizer_config}.json merges.txt; do
    [[ ! -e $out/spm/$name ]] || cp -- "$out/spm/$name" "$out/bin.part/$name" || die "$out/bin.part/$name $unwritten"
  done
  mv -- "$out/bin.part" "$out/bin"
}

check_stage() {
  lskd check-data "${langs[@]}" --out "$out" --settings "$out/settings"
}

forget_refused() {                   # what was refused is read again next time; nothing half-made is left behind
  local rc=$? name others
  if (( rc == 2 )) && [[ ! -e $done_dir/subwords_stage ]]; then
    for name in "${made[@]}"; do remove_made "$name"; done
    if [[ ! -e $done_dir/fetch_stage || $begun == yes ]]; then rm -f -- "$out/settings" "$done_dir"/{fetch,clean}_stage; fi
    for name in .done download; do
      [[ ! -d $out/$name ]] || rmdir --ignore-fail-on-non-empty -- "$out/$name"
    done
    others=$(find "$out" -mindepth 1 -maxdepth 1 ! -name .lock ! -name "$mark" -print -quit)
    [[ -n $others ]] || rm -f -- "$out/$mark"
  fi
  rm -f -- "$out/.lock"
  if (( rc == 2 )) && [[ $fresh == yes ]]; then rmdir --ignore-fail-on-non-empty -- "$out"; fi
}

need_tools flock
[[ -z $raw_dir ]] || refuse_inside --raw-dir "$raw_dir"
for name in train valid test; do
  [[ -z ${!name} ]] || for lang in "$source_lang" "$target_lang"; do refuse_inside "--$name" "${!name}.$lang"; done
done
unwritten='cannot be written: free some space and run again'
fresh=no begun=no made=() done_dir=$out/.done
[[ -d $out ]] || fresh=yes
refuse_foreign_out
mkdir -p -- "$out" 2> /dev/null || die "--out $out cannot be made: give a folder that you may write to"
hold_out
refuse_foreign_out
now=$(settings)
if [[ -e $out/settings ]]; then
  changed=$(diff <(printf '%s\n' "$now") "$out/settings" | sed -n 's/^[<>] //p' | paste -sd ' ') || true
  [[ -z $changed ]] || die "$out was made with other settings (now and then: $changed): give another --out or remove it"
fi
trap forget_refused EXIT
need_space "$out" 200
printf 'prepare.sh\n' > "$out/$mark" || die "$out/$mark $unwritten"
publish "$out/settings" printf '%s\n' "$now" || die "$out/settings $unwritten"
redo=no                              # a stage whose result or mark was removed is run again, and those after it
[[ -e $out/raw || -e $out/clean ]] || rm -f -- "$done_dir/fetch_stage"
[[ -e $done_dir/fetch_stage ]] || redo=yes
for result in clean_stage:clean subwords_stage:spm binarise_stage:bin check_stage:prep.json; do
  [[ -e $out/${result#*:} && -e $done_dir/${result%:*} ]] || redo=yes
  [[ $redo == no ]] || rm -f -- "$done_dir/${result%:*}"
done
needed=(. . raw clean pieces bin)    # by each stage
[[ -d $out/${needed[stage]} ]] || die "--stage is $stage, and $out has no ${needed[stage]}: start with --stage $(( stage - 1 ))"
written=(. "raw raw.part" "clean" "spm pieces" "bin bin.part" .)
names=(. fetch clean subwords binarise check)
for number in 1 2 3 4; do
  if (( number >= stage && number <= stop_stage )) && [[ ! -e $done_dir/${names[number]}_stage ]]; then
    # shellcheck disable=SC2086      # several folders
    refuse_others ${written[number]}
  fi
done
begun=yes
for number in 1 2 3 4 5; do run_stage "$number" "${names[number]}_stage"; done
log "data in $out"
