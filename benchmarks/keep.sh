#!/usr/bin/env bash
# Keep what a run measured: tables, pictures, analyses, facts and commands; no text, no checkpoint, no path of this machine.
#
#   bash benchmarks/keep.sh --run runs/quickstart
#
#   --run RUN        a run folder whose last stage is done
#   --out DIR        where to keep it; benchmarks/results/NAME OF RUN if not given
set -euo pipefail
options='run out'
run='' out=''
# shellcheck source=experiments/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../experiments/lib.sh"
parse_options "$@"
[[ -n $run ]] || die "--run is needed: see --help"
[[ -e $run/table.json ]] || die "$run has no table.json: let experiments/run.sh finish it first"
run=$(realpath -- "$run")
out=$(realpath -m -- "${out:-$root/benchmarks/results/$(basename -- "$run")}")

commands() { "$python" -c '
import json, shlex, sys
from pathlib import Path
print("# What trained and decoded every model, in the run folder; the plugin is that of this repository.")
run = Path(sys.argv[1])
for model in json.loads((run / "plan.json").read_text())["models"]:
    folder = run / "models" / model["name"]
    if not (folder / "metrics.json").is_file():  # not finished
        continue
    for command in [*model.get("seqkd_commands", []), model.get("store_command")]:
        if command:
            print("", shlex.join(command), sep="\n")
    train = json.loads((folder / "run.json").read_text())["attempts"][-1]["command"]
    decode = json.loads((folder / "decode.json").read_text())["command"]
    print("", shlex.join(train), shlex.join(decode), sep="\n")' "$run"; }

translations() { "$python" -c '
import json, sys
from pathlib import Path
folder, facts = Path(sys.argv[1]), {}
for file in sorted(folder.glob("*/check.json")) + sorted(folder.glob("*/hypotheses.json")):
    content = json.loads(file.read_text())
    name = file.parent.name if file.name == "hypotheses.json" else "comparison of the engines"
    facts[name] = {key: value for key, value in content.items() if key not in ("symbols", "arrays", "digest")}
print(json.dumps(facts, indent=1))' "$1"; }

nameless() {                         # a text without this machine's folders
  sed -e "s#$run#RUN#g" -e "s#$root/##g" -e "s#${LSKD_DATA:-$run}#\$LSKD_DATA#g" -e "s#${LSKD_RUNS:-$run}#\$LSKD_RUNS#g"
}

nameless_commands() { commands | nameless; }

nameless_analysis() { wordless "$1" | nameless; }

copy() {                             # copy FILE...: under the same name
  local file
  for file in "$@"; do
    mkdir -p -- "$out/$(dirname -- "$file")"
    publish "$out/$file" nameless < "$run/$file"
  done
}

wordless() { "$python" -c '
import json, sys
content = json.load(open(sys.argv[1]))
if isinstance(content.get("sentences"), dict):
    content["sentences"].pop("examples", None)
print(json.dumps(content, indent=1, ensure_ascii=False))' "$1"; }

cd -- "$run"
[[ ! -d $out || -e $out/commands.txt || -z $(ls -A -- "$out") ]] \
  || die "--out $out holds files that keep.sh did not make: give a new or an empty folder"
mkdir -p -- "$out"
copy config.yaml run.json models/*/{run,curve,metrics,decode}.json
for file in methods/*.yaml data/prep.json; do
  if [[ -e $file ]]; then copy "$file"; fi
done
publish "$out/commands.txt" nameless_commands
for folder in models/*/; do
  if [[ ! -e $folder/metrics.json ]]; then rm -rf -- "${out:?}/$folder"; fi
done
for folder in models/*/hypotheses; do
  if [[ -d $folder ]]; then publish "$out/$folder.json" translations "$folder"; fi
done
shopt -s nullglob
for file in analysis/*.json analysis/*/*.json; do
  mkdir -p -- "$out/$(dirname -- "$file")"
  publish "$out/$file" nameless_analysis "$file"
done
for file in analysis/*.{png,svg} analysis/*/*.{png,svg}; do cp -- "$file" "$out/$file"; done
bash "$root/experiments/steps/table.sh" --run "$run" --out "$out"
"$python" -m lskd_nmt.cli graph "$run" --out "$out/graph" > /dev/null
log "kept in $out"
