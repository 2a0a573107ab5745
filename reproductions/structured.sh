#!/usr/bin/env bash
# The runs behind structured.json: Fashion-MNIST, 15 binary variables, structured decoder; three
# encoders, the paper's estimator (direct) and ours, two seeds each (figure 3, middle and right).
# Needs Fashion-MNIST (DIRECTMAX_DATA or the download). Eight to fifteen minutes a run on an idle core.
# Several copies of this script may work on one folder; finished runs are kept, stopped ones continued.
set -euo pipefail
out="${1:-runs/structured}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mkdir -p "$out"
common="--data fashion-mnist --variables 15 --values 2 --epochs 100 --device cpu"
direct="--estimator direct --epsilon 0.1 --anneal-rate 0"
run() {
  local folder="$out/$1"; shift
  (
    flock -n 9 || exit 0 # another copy is at it
    if [ -e "$folder/summary.json" ]; then exit 0; fi
    if [ -e "$folder/config.json" ]; then
      directmax train --resume --run-dir "$folder" --device cpu
    else
      # shellcheck disable=SC2086
      directmax train --run-dir "$folder" $common "$@"
    fi
  ) 9> "$folder.lock"
}
for seed in 0 1; do
  # shellcheck disable=SC2086
  {
    run "pairwise-direct-$seed" --encoder pairwise --solver exhaustive $direct --seed "$seed"
    run "supermodular-direct-$seed" --encoder supermodular --solver max-flow $direct --seed "$seed"
    run "independent-direct-$seed" $direct --seed "$seed"
    run "pairwise-clamped-$seed" --encoder pairwise --solver exhaustive --seed "$seed"
    run "supermodular-clamped-$seed" --encoder supermodular --solver max-flow --seed "$seed"
    run "independent-local-$seed" --seed "$seed"
  }
done
