"""The demonstration's passages: what the running Python says about its own standard library."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["module", "class", "function", "method", "property"]

SHORTEST_BODY = 40
LONGEST_MODULE_BODY = 1500
LONGEST_SIGNATURE = 100
LONGEST_DEFAULT = 20

# What acts when it is imported: a browser, a poem, a window, the terminal's completion.
_ACTIVE = frozenset({"antigravity", "this", "turtle", "turtledemo", "tkinter", "idlelib", "readline", "rlcompleter"})
# What users reach under another name (os, os.path, re), or never: codecs by the hundred, tests, data.
_INNER = frozenset(
    {"encodings", "genericpath", "nt", "ntpath", "nturl2path", "posix", "posixpath", "pydoc_data", "sre_compile"}
    | {"sre_constants", "sre_parse", "test", "tests", "xxlimited", "xxlimited_35", "xxsubtype"}
)
# What later Pythons removed: without it the same judgments hold on every version.
_REMOVED = frozenset(
    {"aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt", "distutils", "imghdr", "imp"}
    | {"lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau"}
    | {"telnetlib", "uu", "xdrlib"}
)
_LEFT_OUT = _ACTIVE | _INNER | _REMOVED
# Names that a search of the library may miss: their modules stand in files of another name.
_ALIASES = frozenset({"collections.abc", "os.path"})

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_METHODS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    classmethod,
    staticmethod,
)
_PROPERTIES = (property, functools.cached_property, types.GetSetDescriptorType, types.MemberDescriptorType)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One documented thing under one of the names it can be reached by."""

    module: str
    path: str
    """Its name within the module; empty for the module itself."""
    kind: Kind
    body: str
    value: Any
    at_home: bool = True
    """Whether the module is where the thing says it belongs, not one that only passes it on."""
    inherited: int = 0
    """How many classes lie between the class it is reached through and the one that defines it."""

    @property
    def name(self) -> str:
        return f"{self.module}.{self.path}" if self.path else self.module

    @property
    def shown(self) -> str:
        """The name as users write it."""
        return self.name.removeprefix("builtins.")

    @property
    def preference(self) -> tuple[bool, int, int, int, str]:
        """Smallest for the name under which users know the thing."""
        return not self.at_home, self.inherited, self.shown.count("."), len(self.shown), self.shown


def passages() -> list[dict[str, Any]]:
    """One passage for each documented module, class, function, method and property, sorted by `_id`.

    The same Python gives the same passages. A text that stands under several names appears once.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best: dict[str, _Entry] = {}
        for entry in _entries():
            known = best.get(entry.body)
            if known is None or entry.preference < known.preference:
                best[entry.body] = entry
        return [_passage(entry) for entry in sorted(best.values(), key=lambda entry: entry.name)]


def _passage(entry: _Entry) -> dict[str, Any]:
    return {
        "_id": entry.name,
        "title": entry.shown + (_signature(entry) if entry.kind in ("class", "function", "method") else ""),
        "body": entry.body,
        "metadata": {"module": entry.module, "kind": entry.kind},
    }


def _entries() -> Iterator[_Entry]:
    for name, module in _modules(sorted(sys.stdlib_module_names | _ALIASES)):
        if body := _body(module.__doc__):
            yield _Entry(name, "", "module", _beginning(body), module)
        for label, value in _public(module):
            if isinstance(value, type):
                yield from _class(name, label, value)
            elif isinstance(value, _FUNCTIONS) and (body := _body(value.__doc__)):
                yield _Entry(name, label, "function", body, value, _belongs(value, name))


def _modules(names: Iterable[str]) -> Iterator[tuple[str, types.ModuleType]]:
    """The modules of these names that this platform has, each followed by its public submodules."""
    for name in names:
        leaf = name.rpartition(".")[2]
        if leaf.startswith("_") or leaf in _LEFT_OUT:
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        yield name, module
        children = pkgutil.iter_modules(getattr(module, "__path__", ()))
        yield from _modules(sorted(f"{name}.{child.name}" for child in children))


def _public(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """A module's public names: those it lists, those it lifts out of its parts, and all its own if it lists none."""
    listed = getattr(module, "__all__", ())
    name = re.escape(module.__name__)
    lifted = re.compile(rf"_{name}|{name}(\.[^_]\w*)+")
    for label in sorted({*listed, *vars(module)}):
        if not label.startswith("_"):
            value = getattr(module, label, None)
            own = not listed and _belongs(value, module.__name__)
            if own or label in listed or lifted.fullmatch(_origin(value)):
                yield label, value


def _origin(value: object) -> str:
    return getattr(value, "__module__", None) or ""


def _belongs(value: object, module: str) -> bool:
    """Whether a value was made in the module, in its accelerator (`_ssl` for `ssl`) or in one of its submodules.

    What needs no import at all belongs to `builtins`, wherever it was made.
    """
    origin = _origin(value)
    return module == "builtins" or origin in (module, f"_{module}") or origin.startswith(f"{module}.")


def _class(module: str, label: str, value: type) -> Iterator[_Entry]:
    """A class and what it offers. What it inherits matters where the base is private; elsewhere the base's own wins."""
    at_home = _belongs(value, module)
    if body := _body(vars(value).get("__doc__")):
        yield _Entry(module, label, "class", body, value, at_home)
    seen: set[str] = set()
    for distance, owner in enumerate(value.__mro__):
        for name, member in vars(owner).items():
            kind = _kind(member)
            if kind and not name.startswith("_") and name not in seen and (body := _body(member.__doc__)):
                yield _Entry(module, f"{label}.{name}", kind, body, getattr(value, name), at_home, distance)
        seen.update(vars(owner))


def _kind(member: object) -> Kind | None:
    if isinstance(member, _METHODS):
        return "method"
    return "property" if isinstance(member, _PROPERTIES) else None


def _body(docstring: object) -> str:
    """A docstring without its indentation; empty where it says nothing, or only how the thing is called."""
    text = inspect.cleandoc(docstring).strip() if isinstance(docstring, str) else ""
    if len(text) < SHORTEST_BODY or re.fullmatch(r"[\w.]+\([^()]*\)", text):
        return ""
    return text


def _beginning(text: str) -> str:
    """What fits of a long text: whole paragraphs, or whole lines where a paragraph takes more than half the room."""
    if len(text) <= LONGEST_MODULE_BODY:
        return text
    for gap in ("\n\n", "\n"):
        end = text.rfind(gap, LONGEST_MODULE_BODY // 2, LONGEST_MODULE_BODY + 1)
        if end > 0:
            return text[:end].rstrip()
    return text[:LONGEST_MODULE_BODY]


def _signature(entry: _Entry) -> str:
    """How the thing is called, without annotations; empty where Python does not know."""
    try:
        signature = inspect.signature(entry.value)
    except (AttributeError, NameError, TypeError, ValueError):
        leaf = entry.path.rpartition(".")[2]
        call = re.match(rf"{re.escape(leaf)}(\([^\n]*?\))(?=\s|$)", entry.body)
        return _shortened(call[1]) if call else ""
    parameters = list(signature.parameters.values())
    if entry.kind == "method" and parameters and parameters[0].name in ("self", "cls"):
        del parameters[0]
    return _shortened(str(inspect.Signature([_plain(parameter) for parameter in parameters])))


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter as its title shows it; the text of an object at an address would differ from run to run."""
    bare = parameter.replace(annotation=inspect.Parameter.empty)
    if bare.default is inspect.Parameter.empty:
        return bare
    text = repr(bare.default)
    return bare.replace(default=bare.default if len(text) <= LONGEST_DEFAULT and "<" not in text else _Elided())


class _Elided:
    """Stands in for a default that is too long to show."""

    def __repr__(self) -> str:
        return "..."


def _shortened(call: str) -> str:
    if len(call) <= LONGEST_SIGNATURE:
        return call
    kept = call[:LONGEST_SIGNATURE].rpartition(", ")[0]
    return f"{kept}, ...)"
