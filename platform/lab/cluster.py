"""A Ray to work with: the cluster that RAY_ADDRESS names, or one of its own on this machine.

The local one listens on 127.0.0.1 alone, behind a token made for it, and ends with the process that started
it.
"""

from __future__ import annotations

import copyreg
import importlib
import logging
import os
import secrets
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lab import orphans
from lab.catalog import OWN_FILE
from lab.errors import LabError, RecordError
from lab.resources import Resources
from lab.settings import Settings
from lab.tracking.lease import this_process
from lab.tracking.recorder import Recorder
from lab.tracking.spool import Spool
from lab.tracking.tracker import Scalar, Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",  # what one report of a worker group costs
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the record is what a sweep resumes from
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "30",  # for a stopped trial to write its checkpoint
    "RAY_AIR_NEW_OUTPUT": "0",
}
LOCAL = {
    # With this Ray takes 127.0.0.1 for its address on every system, as it does on macOS.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
"""what keeps a Ray of this process to this process and its children"""

# Most are read while Ray is imported, and some, as what it does with Ctrl-C, only when it is used.
_mine = "ray" not in sys.modules and not os.environ.get("RAY_ADDRESS")
for _name, _value in (WORKERS | LOCAL if _mine else WORKERS).items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

STARTS = 2
STOP_LOOK_SECONDS = 0.5
RECORDER_CALLS = 64
"""at a time: while some wait for a record that is away, others are answered"""
SCRATCH = "LAB_SCRATCH"
"""environment variable: a folder that goes with the local Ray, however that ends"""


def _carry_own_files() -> None:
    """Send what a person's own file defines along with what uses it: no worker can import that file.

    Where such a file says `torch` and anything `.classes`, cloudpickle takes the module `torch.classes` for
    needed, which does not pickle.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith(OWN_FILE):
            ray.cloudpickle.register_pickle_by_value(module)
    if (classes := sys.modules.get("torch.classes")) is not None:
        copyreg.pickle(type(classes), _by_name)


def _by_name(module: ModuleType) -> tuple[Callable[[str], ModuleType], tuple[str]]:
    return importlib.import_module, (module.__name__,)


@contextmanager
def connected(settings: Settings, resources: Resources, *, groups: bool) -> Iterator[None]:
    """Ray for as long as the context lasts; one that is there already is used and left.

    groups: whether worker groups (Ray Train) will run, which cannot be cleaned up without the dashboard.
    Raises SpecError where a run could never be placed on this machine, LabError where the cluster does not
    answer.
    """
    _carry_own_files()
    if ray.is_initialized():
        yield
        return
    try:
        if settings.ray:
            _join(settings.ray)
            yield
        else:
            resources.require_room(os.cpu_count() or 1)
            with _local(groups):
                yield
    finally:
        ray.shutdown()


def concurrent(resources: Resources) -> int:
    """How many runs go on at a time: as many as asked for, else as fit into the Ray that is up, at least
    one."""
    if resources.concurrent is not None:
        return resources.concurrent
    there = ray.cluster_resources()
    needs = {"CPU": resources.fewest * resources.cpus, "GPU": resources.fewest * resources.gpus}
    return max(
        1,
        min(int(there.get(kind, 0) / need) for kind, need in needs.items() if need)
        if any(needs.values())
        else 1,
    )


class RemoteRecorder:
    """The recorder of this driver, in a process of its own."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._asked: Any = None
        self._latest: dict[str, dict[str, Scalar]] = {}

    def hold(self, run_id: str) -> None:
        """Returns when it is held: what is measured before that would be dropped. Raises as `release`
        does."""
        _answer(self._handle.hold.remote(run_id))

    def release(self, run_id: str) -> None:
        """Raises RecordError, also where the recorder's process has died."""
        _answer(self._handle.release.remote(run_id))

    def request_stop(self) -> None:
        self._handle.request_stop.remote()

    def latest(self) -> dict[str, dict[str, Scalar]]:
        """Run -> metric -> what was measured last, as of the call before; nothing at first. Never waits."""
        if self._asked is None:
            self._asked = self._handle.latest.remote()
        elif ray.wait([self._asked], timeout=0)[0]:
            with suppress(ray.exceptions.RayError):
                self._latest = ray.get(self._asked)
            self._asked = None
        return self._latest

    def sink(self, run_id: str) -> ActorSink:
        """What the workers of a run are given."""
        return ActorSink(self._handle, run_id)


def here() -> NodeAffinitySchedulingStrategy:
    """On the node of this process, and nowhere else."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def recorder(connect: Callable[[], Tracker], settings: Settings) -> RemoteRecorder:
    """The one writer of this driver. connect: makes its own connection to the record."""
    actor = ray.remote(num_cpus=0, max_concurrency=RECORDER_CALLS)(Recorder)
    spool = Spool(settings.storage)
    return RemoteRecorder(
        actor.options(scheduling_strategy=here()).remote(connect, this_process(), settings.patience, spool)
    )


def _answer(call: Any) -> Any:
    """What the recorder answers, its errors as they were raised there. Raises RecordError where its process
    has died."""
    try:
        return ray.get(call)
    except ray.exceptions.RayTaskError as fault:
        raise fault.cause from None
    except ray.exceptions.RayActorError as fault:
        words = str(fault).strip().partition("\n")[0]
        raise RecordError(
            f"the process that writes the record has died ({words}): repeat the command."
        ) from None


class ActorSink:
    """A `Sink` into a recorder elsewhere; calls of it say whether training should stop. Can be sent to
    workers."""

    def __init__(self, handle: Any, run_id: str) -> None:
        self._handle, self._run_id = handle, run_id
        self._sent: deque[Any] = deque(maxlen=RECORDER_CALLS)
        self._answer: Any = None
        self._next_look = 0.0
        self._stop = False

    def log(self, scalars: Sequence[Scalar]) -> None:
        self._sent.append(self._handle.log.remote(self._run_id, list(scalars)))

    def flush(self) -> None:
        ray.get(list(self._sent.copy()))  # calls from here may overtake each other there
        _answer(self._handle.flush.remote(self._run_id))

    def keep(self, file: str, text: str, tags: Mapping[str, str]) -> None:
        _answer(self._handle.keep.remote(self._run_id, file, text, dict(tags)))

    def should_stop(self) -> bool:
        """Whether the driver was asked to stop, as known some `STOP_LOOK_SECONDS` ago. Never waits."""
        if self._stop or monotonic() < self._next_look:
            return self._stop
        if self._answer is None:
            self._answer = self._handle.stopping.remote()
        elif ray.wait([self._answer], timeout=0)[0]:
            self._stop, self._answer = ray.get(self._answer), None
        self._next_look = monotonic() + STOP_LOOK_SECONDS
        return self._stop

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_answer": None, "_sent": deque(maxlen=RECORDER_CALLS)}


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as fault:
        raise LabError(
            f"no Ray at {address} ({str(fault).splitlines()[0]}): correct or unset RAY_ADDRESS."
        ) from None


@contextmanager
def _local(groups: bool) -> Iterator[None]:
    """A Ray of this process."""
    mark = uuid4().hex
    folder = Path(tempfile.mkdtemp(prefix="lab-ray-"))  # short: sockets lie in it
    inherited = {
        "PYTHONPATH": os.pathsep.join(_importable()),
        orphans.MARK: mark,
        SCRATCH: str(folder),
    }
    before = {name: os.environ.get(name) for name in inherited}
    watcher = orphans.watch(mark, folder)
    os.environ.update(inherited)
    try:
        _start(groups, folder)
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if watcher.stdin is not None:
            watcher.stdin.close()
        watcher.wait(10)


def _start(dashboard: bool, folder: Path) -> None:
    """Ray on this machine, on a second attempt where it was too busy for the first. Raises LabError."""
    for attempts_left in reversed(range(STARTS)):
        try:
            ray.init(
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder),
            )
            return
        except Exception as fault:  # Ray raises this and that
            ray.shutdown()
            if not attempts_left:
                words = str(fault).strip().partition("\n")[0]
                raise LabError(
                    f"Ray did not start on this machine ({words}): if it is too busy, repeat the command "
                    "later; what is finished is kept."
                ) from fault


def _importable() -> list[str]:
    """Where this process finds modules that no environment installs: ours, and those of whoever calls."""
    own = [path for path in sys.path if path and not path.startswith((sys.prefix, sys.base_prefix))]
    return list(dict.fromkeys([str(Path(__file__).parents[1]), *own, str(Path.cwd())]))
