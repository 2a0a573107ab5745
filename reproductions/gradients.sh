#!/usr/bin/env bash
# What is behind gradients-*.json and figure1.svg: bias and variance of every estimator.
# MNIST, one variable with ten values, at initialisation and after 30 epochs of the paper's protocol (figure 1
# of the paper); Fashion-MNIST, 15 binary variables, at initialisation and after 15 epochs.
# Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA or the download). About half an hour on one core.
set -euo pipefail
out="${1:-runs/gradients}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
train() {
  if [ -e "$out/$1/summary.json" ]; then return; fi
  directmax train --run-dir "$out/$1" --device cpu "${@:2}"
}
measure() {
  if [ -e "$out/$1/gradients.svg" ]; then return; fi
  resume=$([ -e "$out/$1/gradients.json" ] && echo --resume || true)
  # shellcheck disable=SC2086
  directmax gradients "${@:2}" --device cpu --output "$out/$1" $resume
}
train mnist-run --preset paper --epochs 30
train binary-run --data fashion-mnist --variables 15 --values 2 --estimator local-expectation --epochs 15
many="--rao-blackwell --draws 1000 --images 100 --adapt 1000"
few="--rao-blackwell --draws 400 --images 50 --adapt 1000 --epsilons 0.01 0.03 0.1 0.3 1 auto"
# shellcheck disable=SC2086
{
  measure mnist-start --data mnist $many
  measure mnist-middle "$out/mnist-run" $many
  measure binary-start --data fashion-mnist --variables 15 --values 2 $few
  measure binary-middle "$out/binary-run" $few
}
python - "$out" <<'PYTHON'
import sys
from directmax.tool.measure.gradients import draw_figure_one

out = sys.argv[1]
stages = {"initialisation": "start", "mid-training": "middle"}
for data, figure in {"mnist": "figure1", "binary": "figure1-binary"}.items():
    files = {title: f"{out}/{data}-{stage}/gradients.json" for title, stage in stages.items()}
    draw_figure_one(files, f"{out}/{figure}")
PYTHON
