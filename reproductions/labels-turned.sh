#!/usr/bin/env bash
# The runs behind labels-turned.json: the mixed model with 100 labels, by the default, which also
# turns and scales images before they are classified. Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA
# or the download). Three minutes a run on a core.
set -euo pipefail
out="${1:-runs/labels-turned}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
run() {
  local folder="$out/$1"; shift
  if [ -e "$folder/summary.json" ]; then return; fi
  if [ -e "$folder/config.json" ]; then
    directmax train --resume --run-dir "$folder" --device cpu
  else
    directmax train --run-dir "$folder" --device cpu --model mixed --binarize dynamic --epochs 20 \
      --precision bf16-mixed --labels 100 "$@"
  fi
}
for estimator in direct gumbel-softmax; do
  for seed in 0 1 2; do
    run "mnist-100-$estimator-$seed" --data mnist --estimator "$estimator" --seed "$seed"
  done
done
for seed in 0 1 2; do
  run "fashion-mnist-100-direct-$seed" --data fashion-mnist --estimator direct --seed "$seed"
done
python "$(dirname "$0")/collect_labels.py" "$out" labels-turned
