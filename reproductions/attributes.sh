#!/usr/bin/env bash
# The runs behind attributes.json: images with binary attributes, one per cent of the labels.
# Faces are drawn here (6,000, a few minutes); Fashion-MNIST from DIRECTMAX_DATA or the download.
# A quarter of an hour a run on an idle core; finished runs are kept, stopped ones continued.
set -euo pipefail
here="$(dirname "$0")"
out="${1:-runs/attributes}"
if [ ! -e "$out/faces/celeba" ]; then
  mkdir -p "$out/faces"
  python "$here/../examples/drawn_faces.py" "$out/faces"
fi
common=(--model attributes --precision bf16-mixed)
source "$(dirname "$0")/run.sh"
faces() { local name="$1"; shift; run "$name" --data celeba --data-dir "$out/faces" --labels 48 "$@"; }
faces faces-local-expectation
faces faces-direct --estimator direct
faces faces-pairwise --encoder pairwise --epochs 20
run fashion-local-expectation --data fashion-mnist --labels 500 --epochs 10
python "$here/collect_attributes.py" "$out"
