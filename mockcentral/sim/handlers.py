"""Functions of the user's that a command names: `package.module:function` or `file.py:function`, and back."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def find(spec: str) -> Callable[..., Any]:
    """The function of a `MODULE:NAME` or `FILE.py:NAME`. Raises ValueError that says what is wrong with it."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"{spec!r} names no function: write MODULE:NAME or FILE.py:NAME")
    try:
        module: Any = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (Exception, SystemExit) as error:  # a script without `if __name__ == "__main__"` may well exit
        raise ValueError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ValueError(f"{place} has no function {name!r}")
    function: Callable[..., Any] = found
    return function


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError("there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))  # its neighbours are what it would import as a script
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def spec_of(function: Callable[..., Any]) -> str | None:
    """What `find` finds the function by, from the current directory; None when no module shows it by a name."""
    name = getattr(function, "__qualname__", "")
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or not name or "<" in name:
        return None
    try:
        file = Path(inspect.getfile(module)).resolve()
    except TypeError:
        return None
    relative = Path(os.path.relpath(file))
    dotted = module.__name__
    if relative.with_suffix("").parts == tuple(dotted.split(".")) and "." in dotted:
        return f"{dotted}:{name}"
    return f"{relative}:{name}"
