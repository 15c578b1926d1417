#!/usr/bin/env bash
# One experiment from its YAML: data, teachers, what students read of them, students, decoding, scores, tables.
# Makes what is missing and continues where it stopped; Snakemake orders the steps (experiments/Snakefile).
#
#   bash experiments/run.sh --config experiments/configs/multi30k_en_de.yaml --out runs/multi30k_en_de
#
#   --config YAML    what to train: a file, or the name of one of experiments/configs, which has commented examples
#   --out RUN        run folder; runs/NAME of the config if not given
#   --device         auto (a GPU where there is one), gpu or cpu
#   --precision      fp32, bf16, or, on a GPU only, fp16
#   --jobs N         models at a time; as many as there are GPUs, or 1, if not given; with --profile what it says
#   --gpus N         GPUs of each model (1); every job gets its own
#   --threads N      CPU threads of each job; an equal share of the cores if not given; with --profile 4
#   --until STAGE    the last to make: data, teachers, hypotheses, stores, students, decode, score or table, and report,
#                    which goes on to analyse every model and to write RUN/report, one page
#   --retries N      times that a failed job is tried again (1); with --profile what it says
#   --profile DIR    jobs go where this Snakemake profile says (experiments/profiles/slurm: to SLURM)
#   --prolong yes    where the YAML raises max-epoch, max-update or patience of teachers: train their students anew
#   --dry-run yes    only say what would be done
#   --graph STEM     draw who learns of whom and how far it is, STEM.{png,svg}, and do nothing else
set -euo pipefail
options='config out device precision jobs gpus threads until retries profile prolong dry_run graph'
config='' out='' device=auto precision=fp32 jobs='' gpus='' threads=0 until=table retries='' profile='' prolong=no
dry_run=no graph=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
arguments=("$@")
parse_options "$@"
[[ -n $config ]] || die "--config is needed: see --help"
shipped=$root/experiments/configs/${config%.yaml}.yaml
if [[ ! -e $config && $config != */* && -r $shipped ]]; then config=$shipped; fi
[[ -r $config ]] || die "--config $config cannot be read: experiments/configs has some to start from"
for name in jobs gpus; do
  [[ -z ${!name} ]] || { is_whole "${!name}" && (( ${!name} )); } || die "--$name is '${!name}': a whole number from 1"
done
is_whole "$threads" || die "--threads is '$threads': a whole number"
is_whole "${retries:-1}" || die "--retries is '$retries': a whole number"
[[ $dry_run =~ ^(yes|no)$ ]] || die "--dry-run is '$dry_run': yes or no"
[[ $prolong =~ ^(yes|no)$ ]] || die "--prolong is '$prolong': yes or no"
[[ -z $profile || -r $profile/config.yaml ]] || die "--profile $profile has no config.yaml: see experiments/profiles"
case $until in
  data) target=prepared ;;
  table|report) target=all ;;
  teachers|hypotheses|stores|students|decode|score) target=$until ;;
  *) die "--until is '$until': data, teachers, hypotheses, stores, students, decode, score, table or report" ;;
esac
[[ $until != report || -z $profile ]] || die "--until report works here, not where --profile says: run it without"

need_tools flock setsid
"$python" -c 'import snakemake' 2> /dev/null \
  || die "snakemake is not installed beside $python: pip install 'lskd_nmt[pipeline]'"

# What each job gets. With a profile the jobs run elsewhere, and what is here does not count.
limit=$threads                       # 0: one job alone takes what the environment gives
if [[ -n $profile ]]; then
  gpus=${gpus:-1}
  if [[ $device == cpu ]]; then gpus=0; fi
  if (( threads == 0 )); then threads=4; fi
  limit=$threads cores=$threads
  machines=(--profile "$profile" ${jobs:+--jobs "$jobs"} ${retries:+--retries "$retries"})
else
  choose_device                      # refuses now what the steps would refuse later
  all_gpus=0
  if [[ $device != cpu ]] && has_gpu; then all_gpus=$(visible_gpus | wc -l); fi
  (( ${gpus:-0} <= all_gpus )) || die "--gpus is $gpus, and $all_gpus are visible: give fewer"
  if (( all_gpus )); then gpus=${gpus:-1}; else gpus=0; fi
  jobs=${jobs:-$(( gpus ? all_gpus / gpus : 1 ))}
  if (( threads == 0 )); then threads=$(( $(nproc) / jobs > 1 ? $(nproc) / jobs : 1 )); fi
  if (( limit == 0 && jobs > 1 )); then limit=$threads; fi
  cores=$(( jobs * threads ))
  machines=(--cores "$cores" --resources "gpu=$all_gpus" --retries "${retries:-1}")
fi

log "run.sh ${arguments[*]}"
export LSKD_CALLED_IN=$PWD            # where programs of metrics run, while steps run in the run folder
lskd() { "$python" -m lskd_nmt.cli "$@"; }
agreed=()                             # nothing is thrown away without it
if [[ $prolong == yes ]]; then agreed=(--prolong); fi
asking=("${agreed[@]}")
if [[ $dry_run == yes || -n $graph ]]; then asking=(--prolong); fi    # it only looks
checked=$(lskd plan "$config" ${out:+--out "$out"} --check "${asking[@]}")
out=$("$python" -c 'import json, sys; print(json.loads(sys.argv[1])["run"])' "$checked")
engine=("$python" -m snakemake "$target" --snakefile "$root/experiments/Snakefile" --nolock
  --rerun-incomplete --rerun-triggers mtime --keep-going --scheduler greedy --nocolor "${machines[@]}"
  --config "device=$device" "precision=$precision" "gpus=$gpus" "threads=$threads" "limit=$limit" "cores=$cores"
  "elsewhere=${profile:+yes}" "target=$target")

if [[ $dry_run == yes || -n $graph ]]; then    # of a view of the run folder, which stays as it is
  view=$(mktemp -d 2> /dev/null) || die "TMPDIR is '${TMPDIR:-/tmp}', where no folder can be made: set it to one of yours"
  trap 'rm -rf -- "$view"' EXIT
  lskd plan "$config" --out "$out" --preview "$view" > /dev/null
  if [[ -n $graph ]]; then lskd graph "$view" --out "$graph"; exit 0; fi
  planned=$("${engine[@]}" --directory "$view" --dry-run --quiet host progress reason 2>&1) \
    || { printf '%s\n' "$planned" >&2; exit 1; }
  sed -n 's/^    output: /would make /p' <<< "$planned"
  [[ $planned == *'    output: '* ]] || log "nothing to do"
  exit 0
fi

mkdir -p -- "$out" 2> /dev/null || die "--out $out cannot be made: give a folder that you may write to"
exec {run_lock}>> "$out/.lock"
if ! flock --nonblock "$run_lock"; then
  working=$(exec {run_lock}>&-; holders "$out/.lock")
  [[ -n $working ]] || die "$out is at work already, on another machine or as another user: wait for it"
  read -r _ holder _ <<< "$working"
  # run.sh ends all it started; what outlived it ends with its groups of processes
  if tr '\0' '\n' < "/proc/$holder/cmdline" 2> /dev/null | grep -qE '(^|/)run\.sh$'; then
    die "$out is at work already: wait for it, or end it with: kill $holder"
  fi
  die "$out is at work already, by $(named <<< "$working"): wait for these, or end them with: $(ending <<< "$working")"
fi
lskd plan "$config" --out "$out" "${agreed[@]}" --call "run.sh ${arguments[*]}" > /dev/null
rm -rf -- "$out/.failed"

# The engine has a session of its own: whatever ends this script ends all of it, trainings too. Jobs on other machines
# write what they say into files, which are shown as they grow; the engine cancels them when it is interrupted.
stopped=''
if [[ -n $profile ]]; then
  said=("$out/.said")
  for folder in "$out"/models/*/; do said+=("$folder.said"); done
  for file in "${said[@]}"; do : > "$file"; done
  log "jobs go where $profile says; $out/engine.log has their numbers"
  ( trap - INT; exec setsid "${engine[@]}" --directory "$out" ) > "$out/engine.log" 2>&1 &
  engine_pid=$!
  trap 'stopped=yes; log "stopping: the jobs are cancelled (up to three minutes)"; kill -INT "$engine_pid" 2> /dev/null' INT TERM HUP
  tail --pid="$engine_pid" --quiet --lines=+1 --follow "${said[@]}" >&2 &
else
  setsid "${engine[@]}" --directory "$out" --quiet all &
  engine_pid=$!
  trap 'stopped=yes; kill -TERM -- "-$engine_pid" 2> /dev/null' INT TERM HUP
fi
rc=0
wait "$engine_pid" || rc=$?
while kill -0 "$engine_pid" 2> /dev/null; do wait "$engine_pid" || rc=$?; done
if [[ -z $profile ]] && kill -TERM -- "-$engine_pid" 2> /dev/null; then    # killed, it leaves its jobs behind
  [[ $stopped ]] || log "the engine ended before its jobs did: they are ended too"
  for (( tenths = 0; tenths < 300; tenths++ )); do
    kill -0 -- "-$engine_pid" 2> /dev/null || break
    sleep 0.1
  done
fi
wait                                 # for what was said last
if [[ $stopped && -n $profile ]]; then
  run_id=$(sed -n 's/^SLURM run ID: //p' "$out/engine.log")
  [[ -z $run_id ]] || scancel --name="$run_id" || true    # a job that was on its way into the queue
fi
if [[ $stopped ]]; then log "stopped: the same command continues"; exit 130; fi
if (( rc )); then
  shopt -s nullglob
  failed=("$out"/.failed/*)
  for note in "${failed[@]}"; do
    log "failed: ${note##*/} (exit code $(< "$note"))"
    if [[ $(< "$note") == 2 ]]; then rc=2; fi
  done
  if [[ -n $profile ]]; then
    engine_log=$out/engine.log
    grep -oE "SLURM-job '[0-9]+' failed, SLURM status is: '[A-Z_]+'|[a-z_.]+: error: .*[^'.]" "$engine_log" >&2 || true
  fi
  if (( ! ${#failed[@]} )) && [[ -n $profile ]]; then    # not a step
    log "the engine stopped with exit code $rc: $engine_log says why"
  elif (( ! ${#failed[@]} )); then   # of the engine's own failures here a dry run says why
    log "the engine stopped with exit code $rc:"
    { "${engine[@]}" --directory "$out" --dry-run --quiet rules 2>&1 || true; } | tail -n 5 >&2
  fi
  log "what is done stays done: the same command continues"
  exit "$rc"
fi
if [[ $target == all ]]; then
  cat -- "$out/table.md"
  lskd track "$out" --if-planned > /dev/null    # where the YAML says so, beside the curves
fi
if [[ $until == report ]]; then
  lskd analyse "$out" --device "${device/gpu/cuda}" > /dev/null
  lskd report "$out" --out "$out/report" > /dev/null
  log "one page of it: $out/report/index.html"
fi
log "all in $out"
