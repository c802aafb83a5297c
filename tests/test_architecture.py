"""The shape of the code, which no reviewer has to watch: who imports whom, what is pure, how long a function may be."""

import ast
import tomllib
from pathlib import Path

import pytest

from innkeeper_plugins import hookspecs
from innkeeper_plugins.hookspecs import PROJECT

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "innkeeper_plugins": ROOT / "plugins" / "innkeeper_plugins",
    "innkeeper_hostagent": ROOT / "hostagent" / "innkeeper_hostagent",
    "innkeeper_controller": ROOT / "controller" / "innkeeper_controller",
}
#: What each package may import of ours; a name stands for itself and everything below it.
MAY_IMPORT = {
    "innkeeper_plugins": ("innkeeper_plugins",),
    "innkeeper_hostagent": ("innkeeper_plugins", "innkeeper_hostagent"),
    "innkeeper_controller": (
        "innkeeper_controller",
        "innkeeper_hostagent.protocol",
        # Its own configuration file, log and service manager: nothing of drivers, and the agent needs the same.
        "innkeeper_plugins.daemons",
        # An external scheduler is run as every other command is, and killed like it.
        "innkeeper_plugins.commands",
        "innkeeper_plugins.errors",
        "innkeeper_plugins.hookspecs",
        "innkeeper_plugins.registry",
        "innkeeper_plugins.scheduling",
        "innkeeper_plugins.steps",
        "innkeeper_plugins.vocabulary",
    ),
}
#: Decisions, tables, parsers: what goes in comes out the same every time. A folder stands for all of its modules.
PURE = (
    "innkeeper_plugins/errors.py",
    "innkeeper_plugins/hypervisors/libvirt/domain_xml.py",
    "innkeeper_plugins/hypervisors/libvirt/elements.py",
    "innkeeper_plugins/steps.py",
    "innkeeper_plugins/transfer/context_files.py",
    "innkeeper_plugins/vocabulary.py",
    "innkeeper_hostagent/draft.py",
    "innkeeper_hostagent/effects.py",
    "innkeeper_hostagent/entries.py",
    "innkeeper_hostagent/executor.py",
    "innkeeper_hostagent/ledger.py",
    "innkeeper_hostagent/legs.py",
    "innkeeper_hostagent/orders.py",
    "innkeeper_hostagent/undo.py",
    "innkeeper_hostagent/protocol/messages.py",
    "innkeeper_hostagent/protocol/pace.py",
    "innkeeper_hostagent/protocol/session.py",
    "innkeeper_hostagent/protocol/wire.py",
    "innkeeper_controller/addresses.py",
    "innkeeper_controller/agents.py",
    "innkeeper_controller/placement/allowances.py",
    "innkeeper_controller/placement/bans.py",
    "innkeeper_controller/cluster.py",
    "innkeeper_controller/deciders/plugin_troubles.py",
    "innkeeper_controller/deciders/rounds.py",
    "innkeeper_controller/deciders/snapshot.py",
    "innkeeper_controller/deciders/standing.py",
    "innkeeper_controller/expressions",
    "innkeeper_controller/indexes/hopes.py",
    "innkeeper_controller/images.py",
    "innkeeper_controller/leases.py",
    "innkeeper_controller/lifecycle.py",
    "innkeeper_controller/opennebula/documents",
    "innkeeper_controller/opennebula/numbers.py",
    "innkeeper_controller/opennebula/states.py",
    "innkeeper_controller/operations.py",
    "innkeeper_controller/accounting.py",
    "innkeeper_controller/agenda.py",
    "innkeeper_controller/changes.py",
    "innkeeper_controller/history.py",
    "innkeeper_controller/hotplug.py",
    "innkeeper_controller/monitoring.py",
    "innkeeper_controller/parts.py",
    "innkeeper_controller/schedule.py",
    "innkeeper_controller/sizes.py",
    "innkeeper_controller/snapshots.py",
    "innkeeper_controller/units.py",
    "innkeeper_controller/updates.py",
    "innkeeper_controller/planner",
    "innkeeper_controller/reactor.py",
    "innkeeper_controller/records.py",
    "innkeeper_controller/requests",
    "innkeeper_controller/sanity.py",
    "innkeeper_controller/placement/scheduler.py",
    "innkeeper_controller/scheduling",
    "innkeeper_controller/submission.py",
    "innkeeper_controller/templates",
    "innkeeper_controller/turn.py",
    "innkeeper_controller/verify.py",
)
#: Sockets, clock, randomness, environment, disk, processes, threads, logs.
IMPURE_MODULES = {
    *("asyncio", "concurrent", "fcntl", "http", "io", "logging", "multiprocessing", "os", "platform", "random"),
    *("secrets", "select", "shutil", "signal", "socket", "sqlite3", "ssl", "structlog", "subprocess", "sys"),
    *("tempfile", "threading", "time", "urllib", "zmq", "libvirt", "sqlalchemy", "starlette", "uvicorn"),
}
#: Parts of an impure module that only compute.
PURE_PARTS = {"urllib.parse", "os.path"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "read_text", "read_bytes", "getenv"}
LONGEST_FUNCTION_LINES = 60


def modules(folder: Path) -> list[Path]:
    return sorted([folder] if folder.suffix else folder.rglob("*.py"))


def every_module():
    return [path for folder in PACKAGES.values() for path in modules(folder)]


def imports(path: Path):
    """Yield ``(line number, full name)`` of everything that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, allowed) -> bool:
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed)


def where(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line} {what}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_design_allows(package):
    broken = [
        where(path, line, name)
        for path in modules(PACKAGES[package])
        for line, name in imports(path)
        if within(name, PACKAGES) and not within(name, MAY_IMPORT[package])
    ]

    assert broken == []


def test_the_command_line_starts_without_the_heavy_packages():
    """They are imported where they are needed, or never: ``inn --help`` answers at once."""
    heavy = {"alembic", "numpy", "rich", "ruamel", "sqlalchemy", "starlette", "structlog", "uvicorn", "zmq"}
    broken = []
    for path in modules(PACKAGES["innkeeper_controller"] / "cli"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                broken += [where(path, node.lineno, named)] if named.split(".")[0] in heavy else []

    assert broken == []


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_reaches_for_nothing(name):
    folder = PACKAGES[name.split("/")[0]].parent / name
    assert folder.exists(), f"{name} has moved; move its line in PURE too"
    broken = []
    for path in modules(folder):
        broken += [
            where(path, line, imported)
            for line, imported in imports(path)
            if imported.split(".")[0] in IMPURE_MODULES and not within(imported, PURE_PARTS)
        ]
        broken += [
            where(path, node.lineno, ast.unparse(node.func))
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and (getattr(node.func, "attr", "") in IMPURE_CALLS or getattr(node.func, "id", "") in IMPURE_CALLS)
        ]

    assert broken == []


def test_no_function_is_longer_than_a_screen():
    too_long = [
        where(path, node.lineno, node.name)
        for path in [*every_module(), *modules(ROOT / "contrib"), *modules(ROOT / "tests")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION_LINES
    ]

    assert too_long == []


def test_every_module_says_what_it_is_for():
    silent = [where(path, 1, "") for path in every_module() if not ast.get_docstring(ast.parse(path.read_text()))]

    assert silent == []


def test_the_distribution_holds_exactly_the_three_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert sorted(listed) == sorted(str(folder.relative_to(ROOT)) for folder in PACKAGES.values())
    for folder in PACKAGES.values():
        assert [str(path.parent) for path in modules(folder) if not (path.parent / "__init__.py").exists()] == []


HOOKS = sorted(name for name, value in vars(hookspecs).items() if hasattr(value, f"{PROJECT}_spec"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook):
    tests = [path for path in modules(ROOT / "tests") if path != Path(__file__)]

    assert vars(hookspecs)[hook].__doc__
    assert hook in (ROOT / "docs" / "drivers.md").read_text()
    assert any(hook in path.read_text() for path in tests)


def test_nothing_imports_contrib():
    broken = [
        where(path, line, name)
        for path in every_module()
        for line, name in imports(path)
        if within(name, ("contrib", "guest", "demo"))
    ]

    assert broken == []
