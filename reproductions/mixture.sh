#!/usr/bin/env bash
# The runs behind mixture.json: the default in ten cells, the paper's protocol in two, and the
# default with another seed in two.
# Needs MNIST and Fashion-MNIST (DIRECTMAX_DATA or the download). About four minutes a run on an idle
# core; runs that are finished are kept, runs that were stopped are continued.
set -euo pipefail
out="${1:-runs/mixture}"
common=()
source "$(dirname "$0")/run.sh"
for k in 10 20 30 40 50; do
  for data in mnist fashion-mnist; do
    run "default-$data-$k" --data "$data" --values "$k"
  done
done
for k in 10 50; do
  run "paper-mnist-$k" --preset paper --kl-gradient off --data mnist --values "$k" --epochs 150
done
for k in 10 20; do # how much the local optimum matters
  run "seed1-mnist-$k" --data mnist --values "$k" --seed 1
done
python "$(dirname "$0")/collect.py" "$out"
