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

is_whole() { [[ $1 =~ ^(0|[1-9][0-9]{0,8})$ ]]; }   # 08 is no number of bash's, and one of 20 digits is another

need_tools() {                       # need_tools flock setsid: of util-linux
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || die "$tool is not installed: install util-linux"
  done
}

hold() {                             # hold --exclusive|--shared FILE MESSAGE: until all that this starts has ended
  exec {held}<> "$2"                 # NFS shares a lock only where the file is open for reading
  flock --nonblock "$1" "$held" && return 0
  local by
  by=$(exec {held}>&-; holders "$2" | { grep -v "^$(group) " || true; })    # steps of this pipeline may wait, too
  [[ -z $by ]] || by=": $(named <<< "$by"), which ends with: $(ending <<< "$by")"
  log "$3$by"
  flock "$1" "$held"
}

group() { sed 's/.*) //' "/proc/$$/stat" | cut -d ' ' -f 3; }    # of processes, that this one is in

holders() {                          # the processes that have FILE open, this one aside: group, number and name of each,
  local pid                          # the oldest first (by the time they began: numbers of processes start over)
  for pid in $({ find /proc/[0-9]*/fd -lname "$(realpath -- "$1")" 2> /dev/null || true; } | cut -d / -f 3 | sort -u); do
    [[ $pid == "$$" ]] || { sed 's/.*) //' "/proc/$pid/stat" 2> /dev/null || true; } \
      | awk -v pid="$pid" -v name="$(program "$pid")" '{ print $20, $3, pid, name }'
  done | sort -n | cut -d ' ' -f 2-
}

program() {                          # of process PID: fairseq-train, train.sh, lskd_nmt.cli
  { tr '\0' '\n' < "/proc/$1/cmdline" || true; } 2> /dev/null | awk '
    /^-c$/ { exit }
    { sub(".*/", "") }
    NR == 1 || (name ~ /^(python|bash|sh)/ && !/^-/) { name = $1 }
    name !~ /^(python|bash|sh)/ { exit }
    END { print name }'
}

named() { awk '{ printf "%s%s %s", comma, $3, $2; comma = ", " }'; }     # of what holders says: NAME NUMBER, …

ending() { awk '!seen[$1]++ { groups = groups " -" $1 } END { print "kill --" groups }'; }    # the command that ends them

outlive_signal() {                   # SLURM signals every process of a job, and kills what is left once the first has
                                     # ended: so this one waits for its child, which records what it did
  if [[ -n ${SLURM_JOB_ID:-} ]]; then trap : TERM; fi
}

run_step() {                         # run_step train "$@": the options of a step on one model, and the step, which has
  local step=$1 how=--shared part    # the model's folder to itself if it trains, and does not run twice at once,
                                     # nor beside the steps that it does ($parts)
  parse_options "${@:2}"
  need_tools flock
  [[ -n $run && -n $model ]] || die "--run and --model are needed: see --help"
  folder=$run/models/$model
  [[ -e $folder/command.sh ]] || die "$run has no planned model '$model': run lskd plan CONFIG --out $run first"
  outlive_signal
  [[ $step != train ]] || how=--exclusive
  hold "$how" "$folder/.lock" "$model: waiting for another process that works on $folder"
  for part in ${parts:-$step}; do
    hold --exclusive "$folder/.lock.$part" "$model: waiting for another process that does the same in $folder"
  done
  device_flags=()
  if [[ " $options " == *' device '* ]]; then choose_device; else device=auto threads=0; fi
  sets=()
  while read -r -d , part; do sets+=(--set "$part"); done <<< "${set:+$set,}"
  "$python" -m lskd_nmt.cli run-step --device "$device" --workers "$threads" "${sets[@]}" \
    "$run" "$model" "$step" -- "${device_flags[@]}" > /dev/null
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
# A random.py in the current folder is not Python's own, whether an entry of the path is empty or says . for that folder.
IFS=: read -ra entries <<< "${PYTHONPATH:-}"
PYTHONPATH=$root
for entry in "${entries[@]}"; do
  if [[ ! $entry =~ ^(\./*)?$ ]]; then PYTHONPATH+=:$entry; fi
done
export PATH PYTHONPATH PYTHONSAFEPATH=1

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
    fp16) [[ $device != cpu ]] || die "--precision fp16 needs a GPU: use bf16 or fp32 with --device cpu"
          has_gpu || die "--precision fp16 needs a GPU, and torch sees none: use bf16 or fp32"
          device_flags+=(--fp16) ;;
    bf16) device_flags+=(--bf16) ;;
    *) die "--precision is '$precision': fp32, fp16 or bf16" ;;
  esac
  is_whole "$threads" || die "--threads is '$threads': a whole number"
  if (( threads )); then export OMP_NUM_THREADS=$threads; fi
}

visible_gpus() {                     # the GPUs that this process may use, one a line
  if [[ -n ${CUDA_VISIBLE_DEVICES+x} ]]; then tr ',' '\n' <<< "$CUDA_VISIBLE_DEVICES" | sed '/^$/d'; return 0; fi
  "$python" -c 'import torch; print(*range(torch.cuda.device_count()), sep="\n")' | sed '/^$/d'
}

take_gpus() {                        # take_gpus N: N visible GPUs of this machine that no other pipeline's job has
  (( $1 )) || return 0               # (SLURM gives each of its jobs GPUs of its own, which all may be called 0)
  local all=() slot slots taken number locks=${TMPDIR:-/tmp}/lskd-gpus-$UID
  mapfile -t all < <(visible_gpus)
  (( ${#all[@]} >= $1 )) || die "a model needs $1 GPUs, and ${#all[@]} are visible: give a smaller --gpus"
  mkdir -m 700 -- "$locks" 2> /dev/null || true
  [[ -d $locks && ! -L $locks && -O $locks ]] \
    || die "$locks is not a folder of yours, so that others could hold its locks: set TMPDIR to a folder of your own"
  chmod 700 -- "$locks"
  while :; do
    slots=() taken=()
    for number in "${all[@]}"; do
      exec {slot}>> "$locks/${SLURM_JOB_ID:+$SLURM_JOB_ID.}${number//\//_}"
      if (( ${#taken[@]} < $1 )) && flock --nonblock "$slot"; then
        taken+=("$number") slots+=("$slot")
      else
        exec {slot}>&-
      fi
    done
    if (( ${#taken[@]} == $1 )); then break; fi
    for slot in "${slots[@]}"; do exec {slot}>&-; done
    sleep "$(( 1 + RANDOM % 3 ))"
  done
  CUDA_VISIBLE_DEVICES=$(IFS=,; printf '%s' "${taken[*]}")
  export CUDA_VISIBLE_DEVICES        # the locks stay with this process and all that it starts
}
