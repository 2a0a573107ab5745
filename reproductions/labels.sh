#!/usr/bin/env bash
# The runs behind labels.json: MNIST with 100 labels, the mixed model, one seed (first cells of table 2).
# Needs MNIST (DIRECTMAX_DATA or the download). Eight to ten minutes a run on an idle core.
set -euo pipefail
out="${1:-runs/labels}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
run() {
  if [ -e "$out/$1-100-0/summary.json" ]; then return; fi
  directmax train --device cpu --data mnist --binarize dynamic --model mixed --labels 100 --epochs 24 \
    --run-dir "$out/$1-100-0" "${@:2}"
}
run direct
run direct-rao-blackwell --rao-blackwell
run gumbel-softmax --estimator gumbel-softmax
