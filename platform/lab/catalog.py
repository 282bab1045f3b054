"""Finds experiments, sweeps, scales, tables and data sets by name: names point up, imports point down.

A file's path is the thing's name: `fourier` in `sweeps/experiments/imagenet.py` is the experiment
`imagenet.fourier`, `sweeps/ablations/table6.py` is the sweep `table6`. The packages searched are the entry
points of the groups `lab.experiments`, `lab.sweeps`, `lab.scales`, `lab.tables` and `lab.datasets`; a file of
one's own is given by path (`./mine.py`, `./mine.py::narrow`). Nothing is registered and no import has a side
effect."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from lab.errors import LabError, UnknownName
from lab.readings import Ambiguity
from lab.spec import ExperimentSpec
from lab.sweep import Ablation, Scale, Search, Sweep

OWN_FILE = "own_file_"
"""how the names of modules begin that are loaded from a path"""


def experiments() -> dict[str, Callable[[], ExperimentSpec]]:
    """Name -> the function that states the paper's experiment."""
    return {
        f"{name}.{function.__name__}": function
        for name, module in modules("experiments").items()
        for function in _public_functions(module, returns=ExperimentSpec)
    }


def experiment(name: str, scale: str) -> ExperimentSpec:
    """The experiment of that name at a scale. Raises UnknownName with the near miss."""
    shrink = find_scale(scale)
    if ".py" in name:
        path, _, function = name.partition("::")
        found = {f.__name__: f for f in _public_functions(load_file(path), returns=ExperimentSpec)}
        if function not in found:
            raise UnknownName.among(f"experiment in {path}", function, found)
        return shrink(found[function]())
    known = experiments()
    if name not in known:
        raise UnknownName.among("experiment", name, known, hint=" `lab list` shows them.")
    return shrink(known[name]())


def sweeps() -> dict[str, Callable[[Scale], Sweep]]:
    """Name -> the function that states the sweep at a scale."""
    return {name: module.sweep for name, module in modules("sweeps").items() if hasattr(module, "sweep")}


def sweep(name: str, scale: str) -> Sweep:
    """The sweep of that name at a scale. Raises UnknownName with the near miss."""
    at = find_scale(scale)
    if name.endswith(".py"):
        module = load_file(name)
        if not hasattr(module, "sweep"):
            raise UnknownName(f"{name} has no function `sweep(scale) -> Ablation | Search`: define one.")
        return cast(Sweep, module.sweep(at))
    known = sweeps()
    if name not in known:
        raise UnknownName.among("sweep", name, known, hint=" `lab list` shows them.")
    return known[name](at)


def scales() -> dict[str, Scale]:
    """Name -> the scale."""
    found = [
        item for module in _packages("scales") for item in vars(module).values() if isinstance(item, Scale)
    ]
    return {scale.name: scale for scale in found}


def find_scale(name: str) -> Scale:
    """The scale of that name, with the readings that are part of it: `paper`, `laptop/batch:512`. Raises
    UnknownName with the near miss."""
    known = scales()
    size, slash, readings = name.partition("/")
    if size not in known:
        raise UnknownName.among("scale", size, known)
    return known[size].reading(readings) if slash else known[size]


def ambiguities() -> dict[str, Ambiguity]:
    """Name -> what the scales let be read in more than one way."""
    return {name: item for scale in scales().values() for name, item in scale.ambiguities.items()}


def tables() -> dict[str, ModuleType]:
    """Name -> the module of the exhibit."""
    return {name: module for name, module in modules("tables").items() if hasattr(module, "SWEEP")}


def datasets() -> dict[str, ModuleType]:
    """Name -> the module that prepares and opens the data set."""
    return {name: module for name, module in modules("datasets").items() if hasattr(module, "dataset")}


def dataset(name: str) -> ModuleType:
    """The module of the data set of that name, or in a file of one's own. Raises UnknownName with the near
    miss."""
    if name.endswith(".py"):
        module = load_file(name)
        if not hasattr(module, "dataset"):
            raise UnknownName(f"{name} has no function `dataset()`: define one.")
        return module
    known = datasets()
    if name not in known:
        raise UnknownName.among(
            "data set", name, known, hint=" One in a file of your own is given by path, ./NAME.py."
        )
    return known[name]


def package(group: str, *, having: str = "__path__") -> ModuleType:
    """The first package of a group that has this function: where `lab tables` finds the code that builds
    tables."""
    for found in _packages(group):
        if hasattr(found, having):
            return found
    raise UnknownName(
        f"no package declares the entry point group lab.{group}: install the project (`make install`)."
    )


def modules(group: str) -> dict[str, ModuleType]:
    """Name -> every module directly below the packages of a group."""
    return {
        info.name: importlib.import_module(f"{parent.__name__}.{info.name}")
        for parent in _packages(group)
        for info in pkgutil.iter_modules(parent.__path__)
    }


def load_file(path: str) -> ModuleType:
    """A person's own file. Its module is named by its content, so that a class defined in it is, in every
    digest, that class and no other of the same name. Raises UnknownName when it is not there."""
    file = Path(path)
    if not file.is_file():
        raise UnknownName(f"no file {path}: give the path of a Python file, or a name from `lab list`.")
    name = f"{OWN_FILE}{file.stem}_{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except LabError:
        del sys.modules[name]
        raise
    except Exception as fault:
        del sys.modules[name]
        raise LabError(f"{path} cannot be imported: {type(fault).__name__}: {fault}.") from fault
    return module


def summary(thing: Callable[..., Any] | ModuleType) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def kind(found: Sweep) -> str:
    return "ablation" if isinstance(found, Ablation) else "search" if isinstance(found, Search) else "sweep"


def _packages(group: str) -> Iterator[ModuleType]:
    for point in sorted(entry_points(group=f"lab.{group}"), key=lambda point: point.name):
        yield point.load()


def _public_functions(module: ModuleType, *, returns: type) -> list[Callable[[], ExperimentSpec]]:
    return [
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__ == module.__name__
        and typing.get_type_hints(function).get("return") is returns
        and all(
            p.default is not inspect.Parameter.empty for p in inspect.signature(function).parameters.values()
        )
    ]
