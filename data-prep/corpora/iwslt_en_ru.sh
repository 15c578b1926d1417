#!/usr/bin/env bash
# TED talks English-Russian (CC BY-NC-ND). The published table names no edition, and no recipe for this pair is
# known, so the split is ours and depends on the archive that could be had, in this order:
#
#   2014-01.tgz                 IWSLT 2014: valid is every 23rd training pair, test is dev2010 + tst2010-2012
#   qi18naacl-dataset.tar.gz    TED58 (Qi et al. 2018): its own split, detokenised here
#   en-ru.txt.zip               TED2020 of OPUS: the last 2,000 pairs are test, the 2,000 before them valid
#
#   data-prep/prepare.sh --corpus iwslt_en_ru --vocab-size 10000 --out data/iwslt_en_ru
# shellcheck disable=SC2034,SC2154   # a part of prepare.sh, which sources it and shares its variables
set -euo pipefail

mirrors=(                            # FILE|LAYOUT|BYTES|ADDRESS
  '2014-01.tgz|wit3|-|https://drive.google.com/uc?export=download&confirm=t&id=1GnBarJIbNgEIIDvUyKDtLmv35Qcxg6Ed'
  'qi18naacl-dataset.tar.gz|ted58|131005909|http://www.phontron.com/data/qi18naacl-dataset.tar.gz'
  'en-ru.txt.zip|ted2020|-|https://object.pouta.csc.fi/OPUS-TED2020/v1/moses/en-ru.txt.zip'
)

defaults() { source_lang=${source_lang:-en} target_lang=${target_lang:-ru}; }

fetch() {
  fetch_archive
  lskd iwslt "$archive" --layout "$layout" "${langs[@]}" --expected "${expected_counts:-any}" --out "$out/raw.part"
}
