#!/usr/bin/env bash
# The runs behind labels-turned.json: the mixed model with 100 labels, by the default, which also
# turns and scales images before they are classified. Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA
# or the download). Three minutes a run on a core.
set -euo pipefail
out="${1:-runs/labels-turned}"
common=(--model mixed --binarize dynamic --epochs 20 --precision bf16-mixed --labels 100)
source "$(dirname "$0")/run.sh"
for estimator in direct gumbel-softmax; do
  for seed in 0 1 2; do
    run "mnist-100-$estimator-$seed" --data mnist --estimator "$estimator" --seed "$seed"
  done
done
for seed in 0 1 2; do
  run "fashion-mnist-100-direct-$seed" --data fashion-mnist --estimator direct --seed "$seed"
done
python "$(dirname "$0")/collect_labels.py" "$out" labels-turned
