"""The house keeps its rules: who may import whom, what the core may touch, how long things are, what nothing is called.

Every check is a function from source to faults, and every one is shown to find a planted fault.
"""

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "desktop_app"
MODULES = sorted(path for path in HOUSE.rglob("*.py"))

MOST_LINES = 400
MOST_FUNCTION_LINES = 40

ROOMS = {
    "PySide6": ("ui",),
    "shiboken6": ("ui",),
    "torch": ("worker",),
    "safetensors": ("worker",),
    "web3": ("adapters/chain", "practice/chain"),
    "eth_tester": ("practice/chain",),
    "eth": ("practice/chain",),
    "nats": ("adapters/market",),
    "sqlite3": ("adapters/store", "practice/chain"),
    "pynvml": ("adapters/nvml",),
    "keyring": ("adapters/keys",),
    "mnemonic": ("adapters/keys",),
}
"""Each heavy library, or one that touches money or the machine, has one room."""

PURE = frozenset(
    "collections dataclasses datetime decimal enum functools hashlib itertools json math operator re typing".split()  # noqa: SIM905
)
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "compile", "__import__"})
VAGUE = re.compile(r"(?<![a-z])(Manager|Helper|Utils?|Base)(?![a-z])|[a-z](Manager|Helper|Utils|Base)(?![a-z])")
VAGUE_FILES = frozenset({"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"})

Check = Callable[[str, str], list[str]]
"""From a module's place in the house and its source to its faults."""


def imports_outside_their_room(place: str, source: str) -> list[str]:
    return [
        f"{library} is imported outside {' and '.join(ROOMS[library])}"
        for library in {name.split(".")[0] for name in _imports(ast.parse(source))} & ROOMS.keys()
        if not any(place == f"{room}.py" or place.startswith(f"{room}/") for room in ROOMS[library])
    ]


def impurities(place: str, source: str) -> list[str]:
    if not place.startswith("core/"):
        return []
    tree = ast.parse(source)
    faults = [f"imports {name}" for name in _imports(tree) if not name.startswith("desktop_app.core") and name.split(".")[0] not in PURE]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _called(node)) in IMPURE_CALLS:
            faults.append(f"calls {name}")
        if isinstance(node, ast.Name | ast.alias) and (node.id if isinstance(node, ast.Name) else node.name) == "Any":
            faults.append("says Any")
    return faults


def lengths(_place: str, source: str) -> list[str]:
    faults = [f"{len(source.splitlines())} lines"] if len(source.splitlines()) > MOST_LINES else []
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    return faults + [f"{name} is {size} lines long" for name, size in sizes if size > MOST_FUNCTION_LINES]


def missing_docstring(_place: str, source: str) -> list[str]:
    return [] if ast.get_docstring(ast.parse(source)) else ["does not say why it exists"]


def unfinished(_place: str, source: str) -> list[str]:
    comments = [token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT]
    return [f"says {word}" for comment in comments for word in re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", comment)]


def vague_names(place: str, source: str) -> list[str]:
    faults = [f"the file is called {Path(place).stem}"] if Path(place).stem in VAGUE_FILES else []
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return faults + [f"{name} is a vague name" for name in names if VAGUE.search(name)]


CHECKS: tuple[Check, ...] = (imports_outside_their_room, impurities, lengths, missing_docstring, unfinished, vague_names)


def _imports(tree: ast.AST) -> Iterator[str]:
    """Every module named by an import, wherever it stands, and by `import_module("…")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return "" if call.func.attr in ("open", "compile") else call.func.attr  # re.compile; paths cannot be imported here
    return call.func.id if isinstance(call.func, ast.Name) else ""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_keeps_the_rule(check: Check) -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in MODULES
        for fault in check(path.relative_to(HOUSE).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("check", "place", "source", "fault"),
    [
        (imports_outside_their_room, "engine.py", "import torch", "torch"),
        (imports_outside_their_room, "adapters/link.py", "def f():\n    from PySide6.QtCore import Qt", "PySide6"),
        (imports_outside_their_room, "agent/main.py", "from importlib import import_module\nimport_module('web3.auto')", "web3"),
        (imports_outside_their_room, "adapters/market_watch.py", "import nats.js", "nats"),
        (impurities, "core/policy.py", "import time", "time"),
        (impurities, "core/policy.py", "from desktop_app.wire import codec", "wire"),
        (impurities, "core/update/work.py", "def f():\n    import secrets", "secrets"),
        (impurities, "core/policy.py", "from datetime import datetime\nx = datetime.now()", "now"),
        (impurities, "core/policy.py", "x = open('a')", "open"),
        (impurities, "core/policy.py", "from typing import Any", "Any"),
        (impurities, "core/policy.py", "import typing\nx: typing.Any = 1\ny: Any = 2", "Any"),
        (lengths, "engine.py", "x = 1\n" * 401, "401 lines"),
        (lengths, "engine.py", "def long():\n" + "    x = 1\n" * 40, "long is 41"),
        (missing_docstring, "engine.py", "x = 1", "why"),
        (unfinished, "engine.py", "x = 1  # TODO: later", "TODO"),
        (vague_names, "engine.py", "class TaskManager: pass", "TaskManager"),
        (vague_names, "engine.py", "class BasePage: pass", "BasePage"),
        (vague_names, "ui/utils.py", "", "utils"),
    ],
)
def test_a_planted_fault_is_found(check: Check, place: str, source: str, fault: str) -> None:
    assert any(fault in found for found in check(place, source)), check(place, source)


@pytest.mark.parametrize(
    ("check", "place", "source"),
    [
        (imports_outside_their_room, "adapters/market/pull.py", "import nats"),
        (imports_outside_their_room, "adapters/nvml.py", "import pynvml"),
        (impurities, "core/task.py", "import re\nx = re.compile('a')"),
        (lengths, "engine.py", "def long():\n" + "    x = 1\n" * 39),
        (vague_names, "engine.py", "class Database: pass\ndef based_on(): pass\nclass Basement: pass"),
    ],
)
def test_what_is_allowed_is_not_found(check: Check, place: str, source: str) -> None:
    assert check(place, source) == []


# --- the star of imports --------------------------------------------------------------------------------------------------

PLANTS = [
    ("core/money.py", "import desktop_app.wire.codec", "core knows nothing of ours"),
    ("wire/codec.py", "import desktop_app.adapters.clock", "wire knows the core only"),
    ("engine.py", "import desktop_app.adapters.clock", "the rooms do not know one another"),
    ("adapters/clock.py", "import desktop_app.adapters.nvml", "no adapter knows another"),
    ("adapters/store/disk.py", "import desktop_app.agent.main", "no room knows a root"),
    ("pool/__init__.py", "import desktop_app.agent.main", "only practice starts another root"),
    ("agent/main.py", "import desktop_app.practice", "nobody knows practice"),
    ("agent/main.py", "import PySide6", "PySide6 only in ui"),
    ("adapters/clock.py", "import torch", "torch only in worker"),
    ("renter/__init__.py", "import web3", "web3 only where a chain is"),
    ("pool/__init__.py", "import nats", "nats only in the market adapter"),
    ("adapters/keys/__init__.py", "import sqlite3", "sqlite3 only in the store and the practice chain"),
]


@pytest.fixture(scope="module")
def linted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy of the house with every plant in it, and that it fails."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(HOUSE, copy / "desktop_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for place, line, _ in PLANTS:
        with (copy / "desktop_app" / place).open("a") as file:
            file.write(f"\n{line}\n")
    lint = Path(sys.executable).with_name("lint-imports")
    there = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run([lint, "--no-cache"], cwd=copy, env=there, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("contract", [contract for _, _, contract in PLANTS])
def test_a_planted_import_breaks_its_contract(linted: str, contract: str) -> None:
    assert f"{contract} BROKEN" in re.sub(r" \(\d+ ignored imports?\)", "", linted)


# --- what a fresh process imports -----------------------------------------------------------------------------------------

HEAVY = ("torch", "PySide6", "web3", "nats")


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("desktop_app.__main__", (*HEAVY, "asyncio", "msgspec", "psutil")),
        ("desktop_app.cli", (*HEAVY, "eth_account", "sqlite3", "numpy")),
        ("desktop_app.ui", ("torch", "web3", "nats", "eth_account", "sqlite3", "numpy", "pynvml")),
        ("desktop_app.agent", ("torch", "PySide6", "eth_tester", "eth")),
        ("desktop_app.engine", HEAVY),
        ("desktop_app.pool", ("torch", "PySide6")),
        ("desktop_app.renter", ("torch", "PySide6")),
        ("desktop_app.practice", ("torch", "PySide6")),
        ("desktop_app.worker.main", ("PySide6", "web3", "nats", "eth_account", "sqlite3")),
        ("desktop_app.wire", (*HEAVY, "sqlite3", "psutil")),
    ],
)
def test_a_process_imports_only_what_it_needs(modules: str, absent: tuple[str, ...]) -> None:
    found = _loaded(modules)
    assert not found & set(absent), f"{modules} pulls in {sorted(found & set(absent))}"


def test_the_core_imports_nothing_but_the_standard_library() -> None:
    assert _loaded("desktop_app.core") - set(sys.stdlib_module_names) == {"desktop_app"}


def _loaded(package: str) -> set[str]:
    """The top-level modules that a fresh interpreter adds when it imports the package and every module in it."""
    script = f"""
import sys
before = set(sys.modules)
import importlib, pkgutil
module = importlib.import_module({package!r})
for found in pkgutil.walk_packages(getattr(module, "__path__", []), {package + "."!r}):
    importlib.import_module(found.name)
print(*sorted({{name.split(".")[0] for name in set(sys.modules) - before}}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


# --- what no file may name ------------------------------------------------------------------------------------------------


def test_no_file_names_this_machine_or_where_it_gets_its_packages() -> None:
    forbidden = [re.compile(rf"(?<![\w.-]){re.escape(str(place))}(?=/|\b)") for place in (ROOT, Path.home())] + _package_sources()
    faults = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in _tracked()
        for pattern in forbidden
        if (found := pattern.search(path.read_text(encoding="utf-8", errors="ignore")))
    ]
    assert not faults, "\n".join(faults)


def test_the_lock_files_of_node_name_no_download_address() -> None:
    for path in _tracked():
        if path.name == "package-lock.json":
            assert '"resolved": "http' not in path.read_text(), path


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def _package_sources() -> list[re.Pattern[str]]:
    """The addresses this machine was told to fetch packages from."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    hosts = set(re.findall(r"https?://(?:[^@/\s']*@)?([^/\s':]+)", told.stdout))
    return [re.compile(re.escape(host)) for host in hosts]
