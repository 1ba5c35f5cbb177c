"""DESIGN: seven floors, imports point downward, one idea a file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "array_types": 0,
    "color": 1,
    "spatial": 1,
    "ranges": 1,
    "losses": 1,
    "metrics": 1,
    "nets": 2,
    "meta": 3,
    "atomic": 4,
    "config": 4,
    "devices": 4,
    "huge_pages": 4,
    "optim": 4,
    "data": 4,
    "checkpoint": 4,
    "pth": 4,
    "weights": 4,
    "conveyor": 4,
    "compilation_cache": 4,
    "forward": 4,
    "inference": 4,
    "loss_maps": 4,
    "export": 4,
    "export_onnx": 4,
    "exported": 4,
    "fuser": 4,
    "jobs": 4,
    "video": 4,
    "panel": 4,
    "scalars": 4,
    "report": 4,
    "charts": 4,
    "comparison": 4,
    "evaluation": 4,
    "evaluation_files": 4,
    "evaluation_report": 4,
    "methods": 4,
    "published": 4,
    "scores": 4,
    "table_formats": 4,
    "tables": 4,
    "look": 4,
    "program": 4,
    "trainer": 5,
    "commands": 5,
    "cli": 5,
}
PURE_FLOORS_MAY_IMPORT = {
    "jax",
    "flax",
    "optax",
    "numpy",
    "jaxtyping",
    "refusion_jax",
    "collections",
    "concurrent",
    "dataclasses",
    "functools",
    "typing",
}
MODULES = sorted((ROOT / "refusion_jax").rglob("*.py"))


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def floor_of(module):
    parts = module.split(".")
    return FLOORS[parts[1]] if len(parts) > 1 else None


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downward(path):
    name = name_of(path)
    if name == "refusion_jax.__init__":
        return  # the front door: it re-exports from any floor
    floor = floor_of(name)
    for module in imported_modules(path):
        if module.startswith("refusion_jax."):
            assert floor_of(module) <= floor, f"{name} imports {module} from above"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_pure_floors_import_arrays_and_networks_only(path):
    name = name_of(path)
    if name == "refusion_jax.__init__" or floor_of(name) > 3:
        return
    roots = {module.split(".")[0] for module in imported_modules(path)}
    assert roots <= PURE_FLOORS_MAY_IMPORT


@pytest.mark.parametrize(
    "path", [*MODULES, *sorted((ROOT / "experiments").glob("*.py"))], ids=str
)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 400


def test_only_one_module_knows_orbax():
    users = [
        name_of(path)
        for path in MODULES
        if any(module.startswith("orbax") for module in imported_modules(path))
    ]
    assert users == ["refusion_jax.checkpoint"]


def test_no_library_code_names_a_task():
    for path in MODULES:
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & {"ivif", "mif", "mfif", "meif"}, path
