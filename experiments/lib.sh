#!/usr/bin/env bash
# Shared by every script here and in data-prep/: options, stages, whole-or-not-at-all output, logging.
#
#   source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#   out=''                       # each option is a variable with a default, declared before this line
#   parse_options "$@"
# shellcheck disable=SC2154             # the variables of options are declared by the scripts
set -euo pipefail

log() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

die() {                              # the user can fix it: one line, exit code 2
  printf '%s: error: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 2
}

set_option() {                       # set_option --max-update 500 sets max_update, which must have a default
  local name=${1#--}; name=${name//-/_}
  [[ $1 == --* && " $options " == *" $name "* ]] \
    || die "unknown option '$1'; its options: ${options//_/-}"
  (( $# >= 2 )) || die "option '$1' needs a value"
  printf -v "$name" '%s' "$2"
}

parse_options() {                    # options='out stage …' names what may be set; --help prints the script's head
  while (( $# )); do
    case $1 in
      -h|--help) sed -n '2,/^[^#]/{/^# shellcheck/d;/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
      *) set_option "$@"; shift 2 ;;
    esac
  done
}

publish() {                          # publish OUT CMD...: what CMD prints becomes OUT, whole or not at all
  local out=$1; shift
  if "$@" > "$out.part"; then mv -- "$out.part" "$out"; else local rc=$?; rm -f -- "$out.part"; return "$rc"; fi
}

run_stage() {                        # run_stage 3 binarise: once; needs $stage, $stop_stage and $done_dir
  (( $1 < stage || $1 > stop_stage )) && return 0
  if [[ -e $done_dir/$2 ]]; then log "stage $1 ($2): done, skipped"; return 0; fi
  log "stage $1 ($2)"
  "$2"
  mkdir -p -- "$done_dir"; touch -- "$done_dir/$2"
}

need_space() {                       # need_space DIR MEGABYTES
  local free
  free=$(df -Pm -- "$1" | awk 'NR == 2 { print $4 }')
  (( free >= $2 )) || die "$1 has $free MB free, this needs about $2 MB: free some space or choose another --out"
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=${LSKD_PYTHON:-}              # the environment that everything runs in
[[ -n $python ]] || python=$root/.venv/bin/python
[[ -x $python ]] || python=$(command -v python3) || die "no python3 found: run make first, or set LSKD_PYTHON"
PATH=$(dirname -- "$python"):$PATH
export PATH PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

has_gpu() { "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; }

choose_device() {                    # $device, $precision and $threads -> device_flags and the environment
  device_flags=()
  case $device in
    auto) ;;                         # fairseq takes the GPUs it finds, or the CPU
    gpu) has_gpu || die "--device gpu, and torch sees no GPU: install a CUDA build of torch, or use --device cpu" ;;
    cpu) export CUDA_VISIBLE_DEVICES=''; device_flags+=(--cpu) ;;
    *) die "--device is '$device': auto, gpu or cpu" ;;
  esac
  case $precision in
    fp32) ;;
    fp16|bf16) [[ $device != cpu ]] || die "--precision $precision needs a GPU: use fp32 with --device cpu"
               has_gpu || die "--precision $precision needs a GPU, and torch sees none: use fp32"
               device_flags+=("--$precision") ;;
    *) die "--precision is '$precision': fp32, fp16 or bf16" ;;
  esac
  [[ $threads =~ ^[0-9]+$ ]] || die "--threads is '$threads': a whole number"
  if (( threads )); then export OMP_NUM_THREADS=$threads; fi
}
