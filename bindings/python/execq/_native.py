"""Native calls: functions of shared libraries run on a pool, without holding the interpreter."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from typing import Any

from . import _execq
from ._future import Future
from ._pool import ThreadPoolExecutor

_INTEGERS = "cbB?hHiIlLqQ"
_libraries: dict[str, ctypes.CDLL] = {}


def _library(lib: Any) -> ctypes.CDLL:
    if isinstance(lib, ctypes.CDLL):
        return lib
    if lib is None or isinstance(lib, (str, os.PathLike)):
        path = "" if lib is None else os.fspath(lib)
        if path not in _libraries:
            _libraries[path] = ctypes.CDLL(path or None)
        return _libraries[path]
    raise TypeError(f"lib must be a ctypes.CDLL, a path or None, not {type(lib).__name__}")


def _code(kind: Any) -> str:
    code = getattr(kind, "_type_", None)
    if isinstance(code, str) and (code in _INTEGERS or code in "fdzZPO"):
        return code
    if isinstance(kind, type) and issubclass(kind, (ctypes._Pointer, ctypes._CFuncPtr)):  # type: ignore[attr-defined]
        return "P"
    raise TypeError(f"{kind!r} cannot be handed to a native call: numbers, pointers and strings can")


def _as_pointer(kind: Any, value: Any) -> tuple[int, Any]:
    """The address, and what keeps it valid."""
    kind.from_param(value)  # raises what ctypes raises
    if isinstance(value, int):
        return value & (2**64 - 1), None
    if isinstance(value, str):
        value = ctypes.c_wchar_p(value)
    return ctypes.cast(value, ctypes.c_void_p).value or 0, value


def _number(kind: Any, value: Any) -> int:
    cell = value if isinstance(value, kind) else kind(value)
    held = cell.value
    return held[0] if isinstance(held, bytes) else int(held)


def _decoder(kind: Any) -> tuple[str, Callable[[bytes], Any]]:
    if kind is None:
        return "v", lambda raw: None
    code = _code(kind)
    if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
        return "i", lambda raw: ctypes.cast(int.from_bytes(raw, "little"), kind)
    size = ctypes.sizeof(kind)

    def decode(raw: bytes) -> Any:
        cell = kind.from_buffer_copy(raw[:size])
        return getattr(cell, "value", cell)

    return ("d" if code == "d" else "f" if code == "f" else "i"), decode


def native(
    lib: Any,
    name: str,
    *args: Any,
    executor: ThreadPoolExecutor,
    argtypes: tuple[Any, ...] | list[Any] | None = None,
    restype: Any = ctypes.c_int,
) -> Future[Any]:
    """Calls the C function `name` of `lib` (a ctypes.CDLL, a path, or None for the process itself) on a worker of the executor,
    and gives the Future of what it returns. No Python runs, and the interpreter is held by nobody, while the function does.

    argtypes, restype: as those of a ctypes function, numbers, pointers and strings; without argtypes the arguments are ctypes
    objects, ints (C int), bytes or None. At most six integers and pointers and eight floating-point numbers. What
    pointers point to is kept until the end. The future is PENDING until the call has ended, and its cancel() True only where it never began.
    Raises TypeError, ValueError, AttributeError (no such function), OSError (no such library), RuntimeError (closed)."""
    if not isinstance(executor, ThreadPoolExecutor):
        raise TypeError("executor must be an execq.ThreadPoolExecutor")
    function = getattr(_library(lib), name)
    kinds = list(argtypes) if argtypes is not None else [_guess(value) for value in args]
    if len(kinds) != len(args):
        raise TypeError(f"{name}() takes {len(kinds)} arguments, not {len(args)}")
    integers: list[int] = []
    doubles: list[bytes] = []
    keep: list[Any] = [function]
    for kind, value in zip(kinds, args):
        code = _code(kind)
        if code in "df":
            held = value.value if isinstance(value, ctypes._SimpleCData) else float(value)
            doubles.append(struct.pack("<d", held) if code == "d" else struct.pack("<fxxxx", held))
        elif code in _INTEGERS:
            integers.append(_number(kind, value) & (2**64 - 1))
        elif value is None:
            integers.append(0)
        else:
            address, holder = _as_pointer(kind, value)
            integers.append(address)
            keep.append(holder)
    gives, decode = _decoder(restype)
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    future: Future[Any] = Future()
    _execq.native_call(executor._pool, future, address, tuple(integers), tuple(doubles), gives, keep, decode)
    return future


def _guess(value: Any) -> Any:
    if isinstance(value, bool) or isinstance(value, int):
        return ctypes.c_int
    if value is None or isinstance(value, bytes):
        return ctypes.c_char_p
    if isinstance(value, float):
        raise TypeError("a float has no one C type: give argtypes")
    if isinstance(value, ctypes.Array):
        return ctypes.c_void_p
    return type(value)
