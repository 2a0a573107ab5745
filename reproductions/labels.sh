#!/usr/bin/env bash
# The runs behind labels.json: table 2, the mixed model with few labels, three seeds, without
# --distortion, which has become the default since; labels-turned.sh has runs with it.
# Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA or the download). One and a half to two minutes a run on
# an idle core, two hours in all; finished runs are kept, stopped ones continued.
set -euo pipefail
out="${1:-runs/labels}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
run() {
  local folder="$out/$1"; shift
  if [ -e "$folder/summary.json" ]; then return; fi
  if [ -e "$folder/config.json" ]; then
    directmax train --resume --run-dir "$folder" --device cpu
  else
    directmax train --run-dir "$folder" --device cpu --model mixed --binarize dynamic --epochs 20 \
      --precision bf16-mixed --distortion 0 "$@"
  fi
}
for seed in 0 1 2; do
  for data in mnist fashion-mnist; do
    for labels in 50 100 300 600 1200; do
      for estimator in direct gumbel-softmax; do
        run "$data-$labels-$estimator-$seed" \
          --data "$data" --labels "$labels" --estimator "$estimator" --seed "$seed"
      done
    done
  done
done
python "$(dirname "$0")/collect_labels.py" "$out" labels
