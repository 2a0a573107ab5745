#!/usr/bin/env bash
# The runs behind estimators.json: Fashion-MNIST, 15 independent binary variables, structured decoder, one
# estimator a run (figure 3, left, and what came after the paper).
# Needs Fashion-MNIST (DIRECTMAX_DATA or the download). Five to fifteen minutes a run on an idle core.
# Several copies of this script may work on one folder; finished runs are kept, stopped ones continued.
set -euo pipefail
out="${1:-runs/estimators}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mkdir -p "$out"
run() {
  local folder="$out/$1"; shift
  (
    flock -n 9 || exit 0 # another copy is at it
    if [ -e "$folder/summary.json" ]; then exit 0; fi
    if [ -e "$folder/config.json" ]; then
      directmax train --resume --run-dir "$folder" --device cpu
    else
      directmax train --run-dir "$folder" --device cpu \
        --data fashion-mnist --variables 15 --values 2 --epochs 100 "$@"
    fi
  ) 9> "$folder.lock"
}
direct="--epsilon 0.1 --anneal-rate 0"
for seed in 0 1; do
  for name in direct gumbel-softmax rebar relax arm local-expectation; do
    # shellcheck disable=SC2046,SC2086
    run "$name-$seed" --estimator "$name" --seed "$seed" $([ "$name" = direct ] && echo $direct)
  done
done
# What came after the paper, one seed.
for name in disarm reinmax score-function; do
  run "$name-0" --estimator "$name" --seed 0
done
run direct-rao-blackwell-0 --estimator direct --rao-blackwell --seed 0
