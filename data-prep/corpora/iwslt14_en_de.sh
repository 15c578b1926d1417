#!/usr/bin/env bash
# IWSLT 2014 English-German (TED talks, CC BY-NC-ND): about 160k training pairs.
#
#   data-prep/prepare.sh --corpus iwslt14_en_de --form fairseq14 --vocab-size 10000 --out data/iwslt14
#
# valid is every 23rd training pair; test is dev2010 + TEDX.dev2012 + tst2010 + tst2011 + tst2012, as everywhere.
# --form fairseq14 is the field's recipe (fairseq's prepare-iwslt14.sh): Moses-tokenised, 1-175 tokens, ratio 1.5,
# lower-cased; its line counts must be the published ones. --form raw keeps case and punctuation as they were said.
# Subwords are sentencepiece's in both forms.
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

mirrors=(                            # FILE|LAYOUT|BYTES|ADDRESS
  'de-en.tgz|wit3|19982877|http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz'
  '2014-01.tgz|wit3|-|https://drive.google.com/uc?export=download&confirm=t&id=1GnBarJIbNgEIIDvUyKDtLmv35Qcxg6Ed'
)

# sha256 of the tokenised, lower-cased text that others have; a newer tokeniser may differ in a few lines.
known_sha256='3f051579c9d8c7281a6ea8c72ad4ae09dbaa9bb24dfd41166f2c3a3df7cd940a  valid.de
e6d7317a9772cd1ed970910c611e9e7dada1f34439269b44a9d801334bff948d  valid.en
e718c783e33160b7d72af8f733756a466e0d0c016eff8ab624c1b0d1d01cbbdf  test.de
4b127beb9050511a3e6209cd837ff36f623a3a423666b32aba6e208b7330cf4c  test.en'

defaults() {
  source_lang=${source_lang:-en} target_lang=${target_lang:-de}
  if [[ -z $expected_counts && $form == fairseq14 ]]; then expected_counts=160239,7283,6750; fi
}

fetch() {
  fetch_archive
  lskd iwslt "$archive" --layout "$layout" "${langs[@]}" --form "$form" --expected "${expected_counts:-any}" --out "$out/raw.part"
  [[ $form == raw ]] || (cd -- "$out/raw.part" && sha256sum --check --quiet <<< "$known_sha256" >&2) \
    || log "warning: the files named above differ from the known ones, in content; their line counts are as expected"
}
