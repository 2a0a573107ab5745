"""Devices and processes of a run, and what becomes of the other processes.

Lightning Fabric imports torch's compiler, which takes as long as torch itself: where there is one
process on a CPU in full precision, `Alone` does all that it would.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

import torch
from torch import Tensor

from directmax._choices import check_choice
from directmax._precision import fast_bfloat16
from directmax.tool.environment import by_torchrun, is_helper, launched, launching
from directmax.tool.files import RunError
from directmax.tool.helpers import StoppedProcesses, is_stopped, say

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Processes: TypeAlias = "Fabric | Alone"
Value = TypeVar("Value")
STRATEGIES = ("auto", "ddp")
MOST_PROCESSES = 64
"""On one machine; each takes some hundred megabytes before it has an image."""
NOTICE = 5.0
"""Seconds until the end of another process is known, once its connection broke."""
INTERRUPTED = 130
"""Exit code of a process that a signal ended in order."""
_GO_ON = "--resume continues from the last checkpoint"


class LostProcessError(RunError):
    """Another process of the run ended."""

    exit_code = 1


class Alone:
    """What a run asks of Lightning Fabric, of one process on a CPU in full precision."""

    device: ClassVar[torch.device] = torch.device("cpu")
    world_size: ClassVar[int] = 1
    global_rank: ClassVar[int] = 0
    is_global_zero: ClassVar[bool] = True

    def launch(self) -> None:
        """There is no other process to start."""

    def barrier(self) -> None:
        """Nor one to wait for."""

    def broadcast(self, value: Value) -> Value:
        """What the first process says."""
        return value

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()


def make_fabric(
    device: str | torch.device, devices: int, precision: str, strategy: str = "auto"
) -> Processes:
    """The processes for a device name such as cpu, cuda or cuda:1.

    Raises:
        ValueError: the device or the strategy is not there, or torchrun says another number.
    """
    check_choice("strategy", strategy, STRATEGIES)
    device = str(device) if isinstance(device, torch.device) else device
    if not isinstance(device, str):
        raise TypeError(f"device must be a word such as cpu or cuda:1, got {device!r}")
    kind, _, index = device.partition(":")
    available = {"cpu": True, "auto": True}
    available["cuda"] = torch.cuda.is_available()
    available["mps"] = torch.backends.mps.is_available()
    if kind not in available or (index and not index.isdigit()):
        raise ValueError(f"unknown device '{device}': choose auto, cpu, cuda, cuda:N or mps")
    if not available[kind] or (index and int(index) >= torch.cuda.device_count()):
        raise ValueError(f"--device {device} is not available here; choose auto or cpu")
    if not 1 <= devices <= MOST_PROCESSES:
        raise ValueError(f"--devices must be between 1 and {MOST_PROCESSES}, got {devices}")
    if precision == "16-mixed" and (kind == "cpu" or not (available["cuda"] or available["mps"])):
        raise ValueError("--precision 16-mixed needs a GPU; choose bf16-mixed or 32-true")
    nodes, torchrun = 1, by_torchrun() and torch.distributed.is_available()
    if torchrun:
        devices, nodes = _torchrun(devices)
    if index and devices > 1:
        raise ValueError(f"--device {device} is one device, and there are {devices} processes")
    accelerated = available["cuda"] or available["mps"]
    on_cpu = kind == "cpu" or (kind == "auto" and not accelerated)
    where = "cpu" if on_cpu else "cuda" if kind != "mps" and available["cuda"] else "mps"
    precision = used_precision(precision, torch.device(f"{where}:{index}" if index else where))
    if on_cpu and devices == 1 and precision == "32-true" and strategy == "auto" and not torchrun:
        return Alone()
    return _fabric(
        torchrun,
        accelerator=kind,
        devices=[int(index)] if index else devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else strategy,
        precision=precision,
    )


def used_precision(precision: str, device: torch.device) -> str:
    """What a word for the arithmetic means on a device.

    Example:
        >>> [used_precision(word, torch.device("mps")) for word in ("auto", "64-true")]
        ['32-true', '64-true']
    """
    if precision != "auto":
        return precision
    return "bf16-mixed" if fast_bfloat16(device) else "32-true"


def _fabric(torchrun: bool, **settings: Any) -> Fabric:
    """Fabric, imported; its notes are as loud as whoever runs this has said."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    from lightning_fabric import Fabric  # sets a level of its own
    from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

    if level != logging.NOTSET:
        logger.setLevel(level)
    # Not whatever else the environment seems to say.
    environment = TorchElasticEnvironment() if torchrun else LightningEnvironment()
    return Fabric(plugins=[environment], **settings)


def _torchrun(devices: int) -> tuple[int, int]:
    """Processes of this machine, and machines, as torchrun started them."""
    where = (os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", ""))
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and not _answers(*where):
        raise ValueError(
            f"torchrun's variables are set, but nobody answers at {':'.join(where)}: unset "
            "TORCHELASTIC_RUN_ID, or start with torchrun"
        )
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    if devices not in (1, local):
        raise ValueError(
            f"torchrun started {local} processes here, and --devices says {devices}; leave it out"
        )
    return local, int(os.environ["WORLD_SIZE"]) // local


def _answers(address: str, port: str) -> bool:
    """Whether torchrun, which keeps the processes' store, is there: its variables may be left over
    from a job that has ended, and joining it would never end."""
    try:
        socket.create_connection((address, int(port)), timeout=30).close()
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def joined(fabric: Processes) -> Iterator[None]:
    """Start the other processes of a run and watch them: that one ended is said in one line.

    Raises:
        LostProcessError: another process ended, or the connection to it broke.
    """
    if isinstance(fabric, Alone):
        yield
        return
    from lightning_fabric.strategies.launchers import subprocess_script

    watch = _Watch()
    if by_torchrun() or (is_helper() and launched()):
        threading.Thread(target=watch.look_at, args=(os.getppid(),), daemon=True).start()
    observer = subprocess_script._launch_process_observer
    subprocess_script._launch_process_observer = watch.start  # it would kill this process
    try:
        with contextlib.nullcontext() if is_helper() else launching():
            fabric.launch()
            yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not (lost := watch.reason() or _broken(error)):
            raise
        if os.environ.get("RANK") == "1" and by_torchrun():  # torchrun ends it before it may speak
            say(lost)
        raise LostProcessError(lost) from error
    finally:
        watch.stop()
        subprocess_script._launch_process_observer = observer


def _broken(error: RuntimeError) -> str | None:
    """What a broken connection means here; None for errors of another origin."""
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = type(error) is RuntimeError and any(
        code.co_name == "_engine_run_backward" or "torch/distributed" in code.co_filename
        for code in frames
    )
    if not own and not isinstance(error, torch.distributed.DistError):
        return None
    whose = "the first" if is_helper() else "another"
    words = " ".join(str(error).split())[:200]
    return f"{whose} process ended, or the connection to it broke; {_GO_ON} ({words})"


class _Watch:
    """Looks every second whether the helpers of this process still run."""

    def __init__(self) -> None:
        self._helpers: list[subprocess.Popen[Any]] = []
        self._done, self._over = threading.Event(), threading.Event()
        self._lost: str | None = None

    def start(self, child_processes: list[subprocess.Popen[Any]]) -> None:
        """Called by Lightning once they are started."""
        self._helpers = child_processes
        threading.Thread(target=self._look, name="directmax-watch", daemon=True).start()

    def reason(self) -> str | None:
        """How a helper ended, where one did."""
        if self._helpers:
            self._over.wait(NOTICE)
        return self._lost

    def stop(self) -> None:
        """Look no more; a helper that is stopped would stay for ever."""
        self._done.set()
        for helper in self._helpers:
            if helper.poll() is None and is_stopped(helper.pid):
                helper.kill()

    def look_at(self, launcher: int) -> None:
        """End with the process that started this one: a helper also while it waits for others; all
        those of torchrun together, saved."""
        while os.getppid() == launcher:
            if self._done.wait(1.0):
                return
        if by_torchrun():
            os.kill(os.getpid(), signal.SIGTERM)
        elif not self._done.wait(NOTICE):
            os._exit(1)

    def _look(self) -> None:
        stopped, count = StoppedProcesses(), len(self._helpers) + 1
        names = {each.pid: f"process {n} of {count}" for n, each in enumerate(self._helpers, 2)}
        while not self._done.wait(1.0):
            for helper in self._helpers:
                if helper.poll():
                    name = f"{names[helper.pid]} (PID {helper.pid})"
                    self._lost = f"{name} {_how(helper.returncode)}; {_GO_ON}"
                    self._over.set()
                    self._end()
                    return
            for line in stopped.lines(names):
                say(line)

    def _end(self) -> None:
        """Where this process waits for what will not come, end it and its helpers.

        A signal to all of them while they connect ends a helper, and does not reach this process.
        """
        if self._done.wait(2 * NOTICE):
            return
        interrupted = any(helper.returncode == INTERRUPTED for helper in self._helpers)
        say(f"interrupted: {self._lost}" if interrupted else str(self._lost))
        for helper in self._helpers:
            helper.kill()
        os._exit(INTERRUPTED if interrupted else 1)


def _how(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    return f"was killed ({signal.Signals(-code).name})"
