#!/usr/bin/env bash
# The runs behind labels.json: table 2, the mixed model with few labels, three seeds, without
# --distortion, which has become the default since; labels-turned.sh has runs with it.
# Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA or the download). One and a half to two minutes a run on
# an idle core, two hours in all; finished runs are kept, stopped ones continued.
set -euo pipefail
out="${1:-runs/labels}"
common=(--model mixed --binarize dynamic --epochs 20 --precision bf16-mixed --distortion 0)
source "$(dirname "$0")/run.sh"
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
