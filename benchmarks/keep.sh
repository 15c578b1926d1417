#!/usr/bin/env bash
# Keep what a run measured: tables, analyses, facts and commands; no text, no checkpoint, no path of this machine, and
# no pictures, which benchmarks/figures.py draws of what is kept.
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
    attempts = json.loads((folder / "run.json").read_text())["attempts"]  # none of a teacher that was there already
    train = [shlex.join(attempts[-1]["command"])] if attempts else []
    decode = json.loads((folder / "decode.json").read_text())["command"]
    print("", *train, shlex.join(decode), sep="\n")' "$run"; }

models() { "$python" -c '
import json, sys
from pathlib import Path
lines = []
for model in json.loads((Path(sys.argv[1]) / "plan.json").read_text())["models"]:
    folder, kept = Path(sys.argv[1]) / "models" / model["name"], {}
    if not (folder / "metrics.json").is_file():  # not finished
        continue
    for part in ("run", "metrics", "decode", "curve"):
        kept[part] = json.loads((folder / f"{part}.json").read_text())
    for file in sorted(folder.glob("hypotheses/*/*.json")):
        name = {"check": "comparison of the engines", "hypotheses": file.parent.name}.get(file.stem)
        if name:
            facts = json.loads(file.read_text()).items()
            facts = {key: value for key, value in facts if key not in ("symbols", "arrays", "digest")}
            kept.setdefault("hypotheses", {})[name] = facts
    lines.append(json.dumps(model["name"]) + ": " + json.dumps(kept, ensure_ascii=False))
print("{\n" + ",\n".join(lines) + "\n}")' "$run"; }

nameless() {                         # a text without this machine's folders
  sed -e "s#$run#RUN#g" -e "s#$root/##g" -e "s#${LSKD_DATA:-$run}#\$LSKD_DATA#g" -e "s#${LSKD_RUNS:-$run}#\$LSKD_RUNS#g"
}

nameless_commands() { commands | nameless; }

nameless_models() { models | nameless; }

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
print(json.dumps(content, ensure_ascii=False))' "$1"; }

cd -- "$run"
[[ ! -d $out || -e $out/commands.txt || -z $(ls -A -- "$out") ]] \
  || die "--out $out holds files that keep.sh did not make: give a new or an empty folder"
mkdir -p -- "$out"
copy config.yaml run.json table.{json,md,tex,csv}
for file in methods/*.yaml data/prep.json; do
  if [[ -e $file ]]; then copy "$file"; fi
done
publish "$out/commands.txt" nameless_commands
publish "$out/models.json" nameless_models
shopt -s nullglob
for file in analysis/*.json analysis/*/*.json; do
  mkdir -p -- "$out/$(dirname -- "$file")"
  publish "$out/$file" nameless_analysis "$file"
done
log "kept in $out; python benchmarks/figures.py $out draws its pictures"
