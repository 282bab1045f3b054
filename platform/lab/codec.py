"""Plain data <-> specifications, strictly and with the path in every refusal.

A specification is a tree of frozen dataclasses. `encode` gives JSON data, `decode` the way back, `override` a
changed copy, `parse` a value from the text of a flag. A dataclass is written with its `kind`, the shortest
public name that imports it (`perceiver.PerceiverConfig`), so that unions and protocols can be read back. Only
the packages that hold specifications are ever imported while reading."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from lab.errors import SpecError, did_you_mean

T = TypeVar("T")
KIND = "kind"
TRUSTED = ("lab", "perceiver", "pipelines", "sweeps")


def canonical(value: Any) -> str:
    """The one JSON text of a specification: sorted keys, no spaces, no NaN. Equal content, equal text."""
    return text_of(encode(value))


def text_of(encoded: Any) -> str:
    """The canonical text of what `encode` gives."""
    return json.dumps(encoded, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode(value: Any, hint: Any = Any) -> Any:
    """JSON data of a specification. Fields declared `neutral` are left out while they are at their default,
    so that a field added later changes no digest."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        data: dict[str, Any] = {KIND: kind_of(type(value))}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if not (field.metadata.get("neutral") and item == default_of(field)):
                data[field.name] = encode(item, hints(type(value))[field.name])
        return data
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item, inner) for item, inner in zip(value, _item_hints(hint, len(value)), strict=True)]
    if isinstance(value, float):
        return value + 0.0  # minus zero is zero
    if isinstance(value, int) and not isinstance(value, bool) and _only_float(hint):
        return float(value)
    return value


def decode(hint: Any, data: Any, path: str = "") -> Any:
    """The value of type `hint` that `data` describes. Raises SpecError with the dotted path of the first
    fault."""
    if isinstance(data, Mapping) and KIND in data:
        cls = class_of(str(data[KIND]), path)
        known = hints(cls)
        given = {name: item for name, item in data.items() if name != KIND}
        _refuse_unknown(cls, given, path)
        value: Any = construct(
            cls, {n: decode(known[n], item, _join(path, n)) for n, item in given.items()}, path
        )
    elif isinstance(data, Sequence) and not isinstance(data, str):
        inner = _item_hints(hint, len(data))
        value = tuple(
            decode(each, item, f"{path}[{i}]") for i, (each, item) in enumerate(zip(inner, data, strict=True))
        )
    else:
        value = data
    return checked(hint, value, path)


def loads(cls: type[T], text: str) -> T:
    """A specification from its JSON text."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as fault:
        raise SpecError(f"not JSON: {fault}.") from None
    return cast(T, decode(cls, data))


def override(value: T, changes: Mapping[str, Any], *, texts: bool = False) -> T:
    """A copy of `value` with the fields at dotted paths replaced: all changes first, then one construction.

    `override(spec, {"model.num_latents": 256, "duration": Steps(10)})`; with `texts` the new values are the
    words of a command line. Raises SpecError naming the path, with the near miss for an unknown field."""
    tree = _explode(value)
    for dotted in sorted(changes, key=lambda name: name.count(".")):
        owner, name = tree, dotted.replace("-", "_")
        *parents, leaf = name.split(".")
        for depth, parent in enumerate(parents):
            _refuse_unknown(owner.cls, [parent], ".".join(parents[:depth]))
            below = owner.items[parent]
            if not isinstance(below, _Node):
                raise SpecError(
                    f"{name}: {'.'.join(parents[: depth + 1])} is {below!r} and has no fields to set."
                )
            owner = below
        _refuse_unknown(owner.cls, [leaf], ".".join(parents))
        hint = hints(owner.cls)[leaf]
        new = parse(hint, changes[dotted], name) if texts else changes[dotted]
        owner.items[leaf] = _explode(checked(hint, new, name))
    return cast(T, _assemble(tree, ""))


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> leaf value: `{"model.num_latents": 512, "optimizer": "Lamb", ...}`. A dataclass inside a
    union also appears under its own path, as its class name."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item, path = getattr(value, field.name), _join(prefix, field.name)
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            flat[path] = type(item).__name__
            flat |= flatten(item, path)
        else:
            flat[path] = item
    return flat


def difference(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (old, new) wherever two specifications differ; `None` where a side has no such field.

    Within a part that is of another kind only what both kinds have is told: that it is a ViT says the rest.
    """
    before, after = flatten(old), flatten(new)
    paths = [p for p in sorted(before.keys() | after.keys()) if before.get(p) != after.get(p)]
    return {
        path: (before.get(path), after.get(path))
        for path in paths
        if (path in before and path in after) or not any(path.startswith(f"{part}.") for part in paths)
    }


def parse(hint: Any, text: str, path: str) -> Any:
    """The value a person meant by the words after a flag: JSON where it reads as JSON, a list where commas
    make one of it, else the words themselves."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = {"True": True, "False": False, "None": None, "none": None}.get(text, text)
        if isinstance(data, str) and _mentions(hint, tuple) and not _accepts(hint, data):
            data = [parse(Any, part.strip(), path) for part in data.split(",") if part.strip()]
    if not isinstance(data, str) and _mentions(hint, str) and not _accepts(hint, data):
        data = text
    if isinstance(data, int | float) and _mentions(hint, tuple) and not _accepts(hint, data):
        data = [data]
    return decode(hint, data, path)


def checked(hint: Any, value: Any, path: str) -> Any:
    """`value`, if it has the declared type (an int passes as a float, a list as a tuple); SpecError
    otherwise."""
    if isinstance(value, list):
        value = tuple(value)
    if not _accepts(hint, value):
        near = did_you_mean(value, [str(c) for c in _choices(hint)]) if isinstance(value, str) else ""
        raise SpecError(f"{path or 'value'}: must be {describe(hint)}, got {value!r}.{near}")
    return value


def construct(cls: type[T], fields: Mapping[str, Any], path: str) -> T:
    """`cls(**fields)`, with the path in front of whatever its own rules refuse."""
    try:
        return cls(**fields)
    except (ValueError, SpecError, TypeError) as fault:
        raise SpecError(f"{path}: {fault}" if path else str(fault)) from None


def kind_of(cls: type) -> str:
    """The shortest public name that imports `cls`."""
    parts = cls.__module__.split(".")
    for end in range(1, len(parts)):
        prefix = ".".join(parts[:end])
        if getattr(sys.modules.get(prefix), cls.__name__, None) is cls:
            return f"{prefix}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def class_of(kind: str, path: str) -> type:
    """The dataclass a `kind` names. Modules outside the trusted packages are not imported for it."""
    module, _, name = kind.rpartition(".")
    if module.split(".")[0] in TRUSTED and module not in sys.modules:
        try:
            importlib.import_module(module)
        except ImportError:
            raise SpecError(f"{path or 'value'}: no module {module!r} for kind {kind!r}.") from None
    cls = getattr(sys.modules.get(module), name, None)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise SpecError(f"{path or 'value'}: {kind!r} names no specification.")
    return cls


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@cache
def hints(cls: type) -> dict[str, Any]:
    """Field name -> resolved type of a dataclass."""
    resolved = typing.get_type_hints(cls)
    return {field.name: resolved[field.name] for field in dataclasses.fields(cls)}


def describe(hint: Any) -> str:
    """A type in words: `int`, `one of 'fp32', 'bf16'`, `Lamb or AdamW or Sgd`."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    if _is_union(hint):
        return " or ".join(describe(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {describe(get_args(hint)[0])}" if get_args(hint) else "a list"
    if hint is type(None):
        return "none"
    return str(getattr(hint, "__name__", hint))


@dataclasses.dataclass
class _Node:
    """A dataclass taken apart: its class and its fields, themselves taken apart."""

    cls: type
    items: dict[str, Any]


def _explode(value: Any) -> Any:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return _Node(
        type(value), {f.name: _explode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    )


def _assemble(node: Any, path: str) -> Any:
    if not isinstance(node, _Node):
        return node
    return construct(
        node.cls, {name: _assemble(item, _join(path, name)) for name, item in node.items.items()}, path
    )


def _refuse_unknown(cls: type, names: Iterable[str], path: str) -> None:
    known = hints(cls)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f" It has {', '.join(known)}."
            raise SpecError(f"{_join(path, name)}: {cls.__name__} has no field {name!r}.{near}")


def _accepts(hint: Any, value: Any) -> bool:  # noqa: PLR0911 (one line per kind of type)
    if isinstance(value, list):
        value = tuple(value)
    if hint is Any:
        return True
    if get_origin(hint) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if _is_union(hint):
        return any(_accepts(part, value) for part in get_args(hint))
    if get_origin(hint) is tuple:
        inner = _item_hints(hint, len(value)) if isinstance(value, tuple) else ()
        return isinstance(value, tuple) and len(inner) == len(value) and all(map(_accepts, inner, value))
    if get_origin(hint) is not None and isinstance(get_origin(hint), type):
        return isinstance(value, get_origin(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is None or hint is type(None):
        return value is None
    return isinstance(value, hint)


def _item_hints(hint: Any, length: int) -> tuple[Any, ...]:
    for part in get_args(hint) if _is_union(hint) else (hint,):
        if get_origin(part) is tuple:
            args = get_args(part)
            if len(args) == 2 and args[1] is Ellipsis:
                return (args[0],) * length
            if len(args) == length:
                return tuple(args)
    return (Any,) * length if not _mentions(hint, tuple) else ()


def _mentions(hint: Any, kind: type) -> bool:
    parts = get_args(hint) if _is_union(hint) else (hint,)
    return any(
        part is kind
        or get_origin(part) is kind
        or (kind is str and any(isinstance(c, str) for c in _choices(part)))
        for part in parts
    )


def _choices(hint: Any) -> tuple[Any, ...]:
    if _is_union(hint):
        return tuple(choice for part in get_args(hint) for choice in _choices(part))
    return get_args(hint) if get_origin(hint) is Literal else ()


def _only_float(hint: Any) -> bool:
    parts = get_args(hint) if _is_union(hint) else (hint,)
    return float in parts and int not in parts


def _is_union(hint: Any) -> bool:
    return get_origin(hint) is Union or isinstance(hint, types.UnionType)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
