#!/usr/bin/env bash
# What only a GPU can show, piece by piece, within a time limit. A second call goes on where the first one stopped:
# a piece that has its result in DIR is not measured again, one that was cut off begins again.
#
#   bash benchmarks/gpu.sh --out benchmarks/results/gpu
#
#   --out DIR        where the results go: PIECE.json and PIECE.md, the log of each, and gpu.md with all tables
#   --device D       gpu or cpu, gpu if not given
#   --size S         full, or tiny: the same pieces in seconds each, to try the script
#   --seconds N      of one call, 540 if not given
#   --pieces LIST    only these pieces, their names separated by commas
#
# Exit code: 0 all pieces are there, 1 a piece failed (its log is named, the others are measured), 75 time ran out:
# call it again.
set -euo pipefail
options='out device size seconds pieces'
out='' device=gpu size=full seconds=540 pieces=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
[[ -n $out ]] || die "--out is needed: see --help"
[[ $device == gpu || $device == cpu ]] || die "--device is $device: give gpu or cpu"
[[ $size == full || $size == tiny ]] || die "--size is $size: give full or tiny"
is_whole "$seconds" || die "--seconds is $seconds: give a whole number"

processor=${device/gpu/cuda}         # as PyTorch names it
steps() {                            # steps TYPE SYMBOLS TOKENS
  echo "kd_step.py --device $processor --type $1 --symbols $2 --tokens $3 --temperatures 1 --rounds 5"
}
tiny_training='--arch ls_transformer_tiny --symbols 100 --tokens 200 --updates 6'

# every piece: its name and its command
if [[ $size == tiny ]]; then
  commands="parity: parity.py --device $processor --tokens 64 --symbols 200 --width 16
steps-float32: kd_step.py --device $processor --type float32 --symbols 100 --tokens 100 --temperatures 1 --rounds 1
workers: training_speed.py workers --device $processor $tiny_training
speed-fp32: training_speed.py speed --device $processor --precision fp32 $tiny_training
decoding: decoding.py tune --device $processor --sentences 20 --symbols 100 --rounds 1 --cores 1"
else
  commands="parity: parity.py --device $processor
speed-fp16: training_speed.py speed --device $processor --precision fp16
speed-bf16: training_speed.py speed --device $processor --precision bf16
speed-fp32: training_speed.py speed --device $processor --precision fp32
workers: training_speed.py workers --device $processor
decoding: decoding.py tune --device $processor --sentences 4000 --cores 2"
  for type in float32 bfloat16 float16; do
    for symbols in 10000 32000; do
      for tokens in 8192 32768; do
        commands+=$'\n'"steps-$type-$symbols-$tokens: $(steps "$type" "$symbols" "$tokens")"
      done
    done
  done
fi
known=$(cut -d: -f1 <<< "$commands" | paste -sd, -)
for piece in ${pieces//,/ }; do
  [[ ,$known, == *,"$piece",* ]] || die "--pieces names $piece: give some of $known"
done

if [[ $device == gpu ]] && ! has_gpu; then
  die "PyTorch sees no GPU here: give --device cpu --size tiny to try the script"
fi
PYTHONPATH=$root/benchmarks:$PYTHONPATH
mkdir -p -- "$out"
begin=$SECONDS failed='' left=''
while IFS= read -r line; do
  name=${line%%: *} command=${line#*: }
  [[ -z $pieces || ,$pieces, == *,"$name",* ]] || continue
  [[ ! -e $out/$name.json ]] || continue
  rest=$((seconds - (SECONDS - begin)))
  if ((rest < 10)); then
    left+=" $name"
    continue
  fi
  log "$name: $command"
  started=$SECONDS code=0
  # shellcheck disable=SC2086  # the command is words
  timeout --kill-after=5 "$rest" "$python" "$root"/benchmarks/$command --out "$out/$name" > "$out/$name.log" 2>&1 || code=$?
  if ((code == 124 || code == 137)); then
    log "$name: cut off after $((SECONDS - started)) s"
    left+=" $name"
  elif ((code)); then
    log "$name: failed, see $out/$name.log"
    failed+=" $name"
  else
    log "$name: done in $((SECONDS - started)) s"
  fi
done <<< "$commands"

folder=$out
tables() {                           # of the pieces that are there; publish has an $out of its own
  while IFS= read -r line; do
    name=${line%%: *}
    if [[ -e $folder/$name.md ]]; then
      printf '## %s\n\n    python benchmarks/%s\n\n' "$name" "${line#*: }"
      cat -- "$folder/$name.md"
      printf '\n'
    fi
  done <<< "$commands"
}
publish "$out/gpu.md" tables
[[ -z $failed ]] || { log "failed:$failed"; exit 1; }
[[ -z $left ]] || { log "left:$left: run the same command again"; exit 75; }
log "all pieces are in $out"
