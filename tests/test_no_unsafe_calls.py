"""Nothing in the tree runs what a file brings: no pickle is loaded, no text evaluated, no archive extracted as it is.

Calls are found in the syntax tree, under whatever name a module was imported.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import REPOSITORY

FORBIDDEN_MODULES = {"joblib", "dill", "cloudpickle", "shelve", "marshal", "pandas.io.pickle", "jsonpickle", "ruamel"}
FORBIDDEN_NAMES = {
    *(f"{module}.{name}" for module in ("pickle", "_pickle") for name in ("load", "loads", "Unpickler", "_Unpickler")),
    *(f"yaml.{name}" for name in ("load", "load_all", "full_load", "unsafe_load", "Loader", "UnsafeLoader")),
    "pandas.read_pickle",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package.PackageImporter",
}
ALLOWED = {
    # Runs the code of our own documents, to see that it works.
    ("tests/test_docs.py", "exec"),
    # Compare our reader with Python's, on files that they made themselves.
    ("tests/reading/test_unpickle.py", "pickle.loads"),
    ("tests/benchmarks", "pickle.load"),
    ("tests/benchmarks", "pickle.loads"),
}
SKIPPED = {".venv", "runs", "build", "node_modules", "__pycache__"}


def sources() -> Iterator[Path]:
    for path in sorted(REPOSITORY.rglob("*.py")):
        if not SKIPPED & set(path.relative_to(REPOSITORY).parts):
            yield path


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name to what it was imported as."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """``np.load`` as ``numpy.load``; an unknown object as ``?``."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return "?"


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value


def unsafe(source: str) -> list[str]:
    """What a source does that it must not."""
    tree = ast.parse(source)
    names = imported_names(tree)
    found = [
        f"import {module}"
        for module in sorted(set(names.values()))
        if any(module == name or module.startswith(f"{name}.") for name in FORBIDDEN_MODULES)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (name := full_name(node, names)) in FORBIDDEN_NAMES:
            found.append(name)
        if isinstance(node, ast.Call):
            found += unsafe_call(node, full_name(node.func, names))
    return found


def unsafe_call(call: ast.Call, name: str) -> list[str]:
    """What is wrong with a call; some functions are safe with the right arguments."""
    module, _, last = name.rpartition(".")
    if name in ("eval", "exec", "builtins.eval", "builtins.exec"):
        return [last]
    if name == "torch.load" and not is_constant(keyword(call, "weights_only"), True):
        return ["torch.load without weights_only=True"]
    if last in ("extractall", "unpack_archive") and not is_constant(keyword(call, "filter"), "data"):
        return [last]
    if module.startswith("numpy") and last in ("load", "read_array"):
        given = keyword(call, "allow_pickle")
        is_open = any(word.arg is None for word in call.keywords) or len(call.args) > 2
        if is_open or (given is not None and not is_constant(given, False)):
            return [f"{name} with allow_pickle"]
    given = keyword(call, "trust_remote_code")
    return [] if given is None or is_constant(given, False) else ["trust_remote_code"]


def is_allowed(place: Path, what: str) -> bool:
    return any((str(folder), what) in ALLOWED for folder in (place, *place.parents))


def test_the_tree_has_no_unsafe_calls() -> None:
    seen = []
    for path in sources():
        place = path.relative_to(REPOSITORY)
        found = [what for what in unsafe(path.read_text()) if not is_allowed(place, what)]
        seen += [f"{place}: {what}" for what in found]
    assert seen == []
    assert sum(1 for _ in sources()) > 200


def test_core_and_plugins_have_no_exceptions() -> None:
    assert {name.partition("/")[0] for name, _ in ALLOWED} == {"tests"}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(data)",
        "from pickle import load as get\nget(file)",
        "import pickle\nread = pickle.loads",
        "import pickle\nclass Safe(pickle.Unpickler): pass",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch as t\nt.load(path, weights_only=flag)",
        "from torch import load\nload(path)",
        "import torch\ntorch.jit.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, None, True)",
        "import numpy as np\nnp.load(path, **options)",
        "from numpy import load\nload(path, allow_pickle=flag)",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.unsafe_load(text)",
        "from yaml import load\nload(text)",
        "eval(text)",
        "exec(text)",
        "import builtins\nbuiltins.eval(text)",
        "import tarfile\ntarfile.open(path).extractall(folder)",
        "archive.extractall(folder, filter='fully_trusted')",
        "import shutil\nshutil.unpack_archive(path, folder)",
        "import datasets\ndatasets.load_dataset(name, trust_remote_code=True)",
        "import joblib",
        "import dill as d",
        "from cloudpickle import loads",
        "def f():\n    import shelve",
        "import marshal",
    ],
)
def test_each_of_them_is_found(source: str) -> None:
    assert len(unsafe(source)) == 1, unsafe(source)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.dumps(x)",
        "import json\njson.load(file)",
        "import torch\ntorch.load(path, map_location='cpu', weights_only=True)",
        "import numpy as np\nnp.load(path, allow_pickle=False)\nnp.load(path)",
        "import yaml\nyaml.safe_load(text)",
        "model.eval()",
        "archive.extractall(folder, filter='data')",
        "import datasets\ndatasets.load_dataset(name, trust_remote_code=False)",
    ],
)
def test_what_is_safe_is_left_alone(source: str) -> None:
    assert unsafe(source) == []
