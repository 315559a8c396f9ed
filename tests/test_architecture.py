"""The layers, read from the source: who imports whom, when, and what nobody may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("tasks", "methods", "bench", "slurm", "leaderboard")
LEAVES = ("bench.registry", "bench.errors", "bench.files")
# What a layer may import of this project beside itself; `bench` may import all.
ALLOWED = {
    "tasks": LEAVES,
    "methods": ("tasks", *LEAVES),
    "slurm": ("bench.records", "bench.errors", "bench.files"),
    "leaderboard": ("bench.records", "bench.errors", "bench.files"),
}
HEAVY = ("torch", "safetensors.torch", "tasks.problem", "tasks.sealed", "tasks.randomness")
FORBIDDEN = ("torchvision", "timm", "lightning", "pytorch_lightning", "hydra", "betty", "dill", "cloudpickle")
UNSAFE = ("pickle.load", "pickle.loads", "pickle.Unpickler", "eval", "exec", "os.system", "os.popen", "pd.read_pickle")
LINES, RULE_LINES = 400, 40
# The interface and what rules share are no rules.
NO_RULES = ("__init__", "rule", "normalise", "positive", "gramian")


@dataclass(frozen=True)
class Import:
    """One import of a module: what, and when."""

    name: str  # dotted; "package.name" of `from package import name`
    line: int
    when: str  # "module", "function" or "typing"


@cache
def modules() -> dict[str, Path]:
    """Every module of the project, by dotted name."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> tuple[Import, ...]:
    return tuple(_imports(parsed(module), "module"))


def _imports(node: ast.AST, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = when
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (Import(f"{child.module}.{alias.name}", child.lineno, when) for alias in child.names)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inside = "typing" if when == "typing" else "function"
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(ast.Module(child.body, []), "typing")
            yield from _imports(ast.Module(child.orelse, []), when)
            continue
        yield from _imports(child, inside)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def owner(name: str) -> str | None:
    """The module of this project that an imported name is, or lies in."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def test_the_scan_sees_imports_of_every_kind() -> None:
    source = """
import a.b
from c import d
if TYPE_CHECKING:
    from e import f
class K:
    import g
def h():
    import i
    if x:
        from j import k
try:
    import m
except ImportError:
    pass
"""
    found = {(one.name, one.when) for one in _imports(ast.parse(source), "module")}
    assert found == {
        ("a.b", "module"), ("c.d", "module"), ("e.f", "typing"), ("g", "module"), ("i", "function"),
        ("j.k", "function"), ("m", "module"),
    }  # fmt: skip
    assert len(modules()) > 60


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_layers(layer: str) -> None:
    wrong = [
        f"{where(module, one.line)} imports {one.name}"
        for module in modules()
        if module.partition(".")[0] == layer
        for one in imports(module)
        if within(one.name, LAYERS) and not within(one.name, (layer, *ALLOWED[layer]))
    ]
    assert wrong == []


def test_leaves_import_no_layer() -> None:
    for module in LEAVES:
        assert [one.name for one in imports(module) if within(one.name, LAYERS) and not within(one.name, LEAVES)] == []


def test_no_cycle_when_modules_load() -> None:
    graph: dict[str, set[str]] = {}
    for module in modules():
        needed = {owner(one.name) for one in imports(module) if one.when == "module" and within(one.name, LAYERS)}
        graph[module] = {name for name in needed if name is not None and name != module}
    TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_the_leaderboard_never_imports_torch() -> None:
    found = [
        f"{where(module, one.line)} imports {one.name}"
        for module in modules()
        if module.partition(".")[0] == "leaderboard"
        for one in imports(module)
        if within(one.name, ("torch", "methods", "tasks"))
    ]
    assert found == []


def test_registered_modules_are_light() -> None:
    registered = [
        module
        for module, path in modules().items()
        if path.parent in (ROOT / "methods", ROOT / "tasks" / "backbones") and path.name != "__init__.py"
    ]
    assert {"methods.tapweight", "tasks.backbones.resnet18"} <= set(registered)
    reached, queue = set[str](), list(registered)
    while queue:  # what they import when they load, and so on
        module = queue.pop()
        if module in reached:
            continue
        reached.add(module)
        for one in imports(module):
            if one.when == "module":
                assert not within(one.name, HEAVY), f"{where(module, one.line)} imports {one.name}"
                queue += [inner] if (inner := owner(one.name)) else []


def test_no_file_is_long() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (*LAYERS, "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_weighting_rules_are_short() -> None:
    rules = {path.stem: path for path in (ROOT / "methods" / "weighting").glob("*.py") if path.stem not in NO_RULES}
    assert {"fixed", "tapweight"} <= set(rules)
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in rules.items()}
    assert {name: length for name, length in lengths.items() if length > RULE_LINES} == {}


def test_everything_public_has_a_docstring() -> None:
    bare = []
    for module in modules():
        tree = parsed(module)
        if tree.body and ast.get_docstring(tree) is None:
            bare.append(where(module, 1))
        bare += [where(module, node.lineno) for node in _public(tree) if not _described(node)]
    assert bare == []


def _public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner
                    for inner in node.body
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
                )


def _described(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether it has a docstring, or is a method that the interface which it implements describes."""
    if ast.get_docstring(node) or isinstance(node, ast.ClassDef):
        return bool(ast.get_docstring(node))
    stub = ast.unparse(node.body[-1]) == "..."  # a member of a typing.Protocol
    return stub or (bool(node.args.args) and node.args.args[0].arg == "self" and node.name in _interface())


@cache
def _interface() -> frozenset[str]:
    """Names of methods that are described somewhere, or by torch."""
    classes = [node for module in modules() for node in parsed(module).body if isinstance(node, ast.ClassDef)]
    methods = [node for one in classes for node in one.body if isinstance(node, ast.FunctionDef)]
    return frozenset({"forward", *(method.name for method in methods if ast.get_docstring(method))})


def test_nothing_forbidden_is_imported() -> None:
    found = [
        f"{where(module, one.line)} imports {one.name}"
        for module in modules()
        for one in imports(module)
        if within(one.name, FORBIDDEN) or one.name in UNSAFE
    ]
    assert found == []


def test_nothing_is_unpickled_and_no_shell_is_used() -> None:
    found = []
    for module in modules():
        for node in ast.walk(parsed(module)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            bad = (
                (called == "torch.load" and given.get("weights_only") != "True")
                or (called == "np.load" and given.get("allow_pickle") != "False")
                or given.get("weights_only") == "False"
                or given.get("allow_pickle") == "True"
                or given.get("shell") == "True"
                or called in UNSAFE
            )
            if bad:
                found.append(f"{where(module, node.lineno)}: {ast.unparse(node)}")
    assert found == []
