"""The report of a reproduction: results beside the published numbers, as HTML, Markdown and JSON.

Everything is read from a folder, so that a report can be written at any time, also of a
reproduction that was stopped, and again from a `results.json` alone.

What is read:

`OUT/plan.json`
    an object with `command` (one line), `scale`, `scale_note` (what the scale means; may be left
    out), `items` (a list of objects with `name`, `title`, `caption`, `jobs`: names, and `needs`:
    one line if it cannot be run yet, else null) and `jobs` (a list of objects with `name`, `kind`,
    `settings`, `cell`, `folder`, relative to OUT, and `seconds_per_epoch`, measured before the runs
    with each configuration in turn, or null).
`OUT/FOLDER/state.json`
    an object with `state` (waiting, running, done or failed), `attempts`, `error` (one line or
    null) and `seconds` (wall-clock of all attempts); a missing file means waiting.
`OUT/FOLDER/…`
    kind `train`: an ordinary run folder. Kind `gradients`: `gradients.json`, as written by
    `directmax gradients`. Other kinds (`mixture`): `result.json`, an object with the numbers
    `bound`, `nll` and, where known, `seconds`, under `validation` and `test`.
"""

from directmax.tool.paper.report.results import Outcome, Results, collect
from directmax.tool.paper.report.write import write_report

__all__ = ["Outcome", "Results", "collect", "write_report"]
