# Sourced by the scripts beside it, which set `out`, a folder, and `common`, flags of all trainings.
# run NAME FLAGS…: a training in "$out/NAME". A finished one is kept, a stopped one goes on.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
run() {
  local folder="$out/$1"; shift
  if [ -e "$folder/summary.json" ]; then return; fi
  if [ -e "$folder/config.json" ]; then
    directmax train --resume --run-dir "$folder" --device cpu
  else
    directmax train --run-dir "$folder" --device cpu "${common[@]}" "$@"
  fi
}
