"""The fence: a folder imports from lower floors only, and no file grows too large."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "refusion_jax"
FLOORS: tuple[set[str], ...] = (
    {"array_types", "extras", "files", "devices"},
    {"methods", "metrics", "pictures", "reporting"},
    {"data", "weights"},
    {"fusing", "training"},
    {"evaluation", "export", "web"},
    {"runs"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
MOST_FILES, MOST_LINES = 15, 400
# Rooms of mathematics: no files, clocks, flags or settings of a run.
PURE_ROOMS = {"methods", "metrics"}
PURE_IMPORTS = {
    *("jax", "flax", "optax", "numpy", "jaxtyping", "refusion_jax"),
    *(
        "collections",
        "concurrent",
        "dataclasses",
        "difflib",
        "enum",
        "functools",
        "importlib",
        "itertools",
    ),
    *("math", "threading", "types", "typing"),
}


def modules_of(package):
    """Module name to file, of a package and everything below it."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = path
    return modules


def imports_of(name, path, modules):
    """Every module that a file imports; `from package import module` is one too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                ancestors = package.split(".")
                ancestors = ancestors[: len(ancestors) - node.level + 1]
                base = ".".join([*ancestors, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in modules else base


def violations(package, floors, pure_rooms=PURE_ROOMS):
    """What a package does that the fence forbids, one sentence each."""
    modules = modules_of(package)
    front = package.name
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    inside = {}  # room -> module -> modules of the same room that it imports
    for name, path in modules.items():
        if len(path.read_text().splitlines()) > MOST_LINES:
            yield f"{name} has more than {MOST_LINES} lines"
        if name == front:
            continue  # the front door re-exports from any floor
        room = name.split(".")[1]
        if room not in floor:
            yield f"{room} stands on no floor"
            continue
        graph = inside.setdefault(room, {})
        for imported in sorted(set(imports_of(name, path, modules))):
            top, _, rest = imported.partition(".")
            if top != front:
                if room in pure_rooms and top not in PURE_IMPORTS:
                    yield f"{name} is pure and imports {imported}"
            elif not rest:
                yield f"{name} imports the front door"
            elif rest.split(".")[0] == room:
                graph.setdefault(name, set()).add(imported)
            elif floor.get(rest.split(".")[0], len(floors)) >= floor[room]:
                yield f"{name} imports {imported}, which is not below"
    for room, graph in inside.items():
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            yield f"{room} has the circle {' -> '.join(error.args[1])}"
    for folder in {path.parent for path in modules.values()}:
        if folder != package and len(list(folder.glob("*.py"))) > MOST_FILES:
            yield f"{folder.name}/ holds more than {MOST_FILES} files"


def test_package_keeps_within_the_fence():
    assert list(violations(PACKAGE, FLOORS)) == []


@pytest.fixture
def house(tmp_path):
    """A house of three floors, in order; `plant` adds a line to one of its files."""
    files = {
        "__init__.py": "from house.upper.door import open_door\n",
        "low.py": "import os\n",
        "methods/__init__.py": "",
        "methods/nets.py": "from house import low\n",
        "methods/steps.py": "from house.methods.nets import F\n",
        "pictures/__init__.py": "",
        "pictures/codecs.py": "",
        "upper/__init__.py": "",
        "upper/door.py": "import house.methods.steps\n",
    }
    package = tmp_path / "house"
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    floors = ({"low"}, {"methods", "pictures"}, {"upper"})

    def plant(name, text):
        path = package / name
        path.write_text((path.read_text() if path.exists() else "") + text)
        return list(violations(package, floors, {"methods"}))

    return plant


def test_house_in_order_has_no_violations(house):
    assert house("low.py", "") == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("low.py", "import house.upper.door", "not below"),
        ("low.py", "from house.upper.door import open_door", "not below"),
        ("low.py", "from house import upper", "not below"),
        ("methods/nets.py", "from ..upper import door", "not below"),
        ("low.py", "def late():\n    from house import upper", "not below"),
        ("pictures/codecs.py", "from house.methods import nets", "not below"),
        ("methods/nets.py", "from house import open_door", "the front door"),
        ("methods/nets.py", "import house", "the front door"),
        ("methods/nets.py", "from house.methods import steps", "circle"),
        ("methods/nets.py", "from . import steps", "circle"),
        ("methods/nets.py", "import json", "pure"),
        ("stray.py", "", "no floor"),
        ("low.py", "\n" * 401, "400 lines"),
    ],
)
def test_fence_reports_planted(house, file, line, complaint):
    found = house(file, line)
    assert len(found) == 1
    assert complaint in found[0]


def test_fence_reports_folders_of_too_many_files(house):
    found = [house(f"pictures/n{i}.py", "") for i in range(14)]
    assert found[-2] == []
    assert found[-1] == ["pictures/ holds more than 15 files"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("**/*.py")), ids=lambda path: path.name
)
def test_experiments_stay_small(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_only_one_module_knows_orbax():
    modules = modules_of(PACKAGE)
    users = [
        name
        for name, path in modules.items()
        if any(x.startswith("orbax") for x in imports_of(name, path, modules))
    ]
    assert users == ["refusion_jax.training.checkpoint"]


def test_no_library_code_names_a_task():
    for path in modules_of(PACKAGE).values():
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & {"ivif", "mif", "mfif", "meif"}, path
