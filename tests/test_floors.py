"""The floors: imports go down only, heavy libraries stay where they belong, and a wrong import is caught."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "milliner"

FLOORS = "Imports go down the floors only"
EDGE = "What an edge device runs never reaches"
TERMINAL = "Only cli talks to the terminal"


def lint(folder: Path) -> tuple[int, str]:
    """import-linter's exit status and report on the package in `folder`, or the installed one; on one line."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    arguments = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    ran = subprocess.run(
        [sys.executable, "-c", command, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return ran.returncode, " ".join((ran.stdout + ran.stderr).split())


def test_every_contract_holds() -> None:
    status, report = lint(ROOT)
    assert status == 0, report
    assert "3 kept, 0 broken" in report


# Where a module is planted, what it imports, and which contract that breaks.
WRONG = {
    "core/upward.py": ("milliner.cli", FLOORS),
    "images/upward.py": ("milliner.shards", FLOORS),
    "shards/upward.py": ("milliner.training", FLOORS),
    "training/upward.py": ("milliner.project", FLOORS),
    "shards/sideways.py": ("milliner.backbones", FLOORS),
    "sources/sideways.py": ("milliner.shards", FLOORS),
    "classifier/upward.py": ("milliner.backbones", FLOORS),
    "probe/upward.py": ("milliner.curation", FLOORS),
    "curation/upward.py": ("milliner.training", FLOORS),
    "training/sideways.py": ("milliner.evaluation", FLOORS),
    "core/heavy.py": ("sklearn", EDGE),
    "images/heavy.py": ("torch", EDGE),
    "classifier/heavy.py": ("onnx", EDGE),
    "images/terminal.py": ("rich", TERMINAL),
    "training/terminal.py": ("click", TERMINAL),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each broken contract of a copy that holds every wrong import of the table, and a new floor."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(PACKAGE, folder / "milliner", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "milliner" / "mezzanine").mkdir()
    (folder / "milliner" / "mezzanine" / "__init__.py").touch()
    for place, (imported, _) in WRONG.items():
        (folder / "milliner" / place).write_text(f"import {imported}\n")
    status, report = lint(folder)
    assert status == 1, report
    details = report.partition("Broken contracts")[2]
    starts = sorted((details.index(contract), contract) for contract in (FLOORS, EDGE, TERMINAL))
    ends = [*(start for start, _ in starts[1:]), len(details)]
    return {contract: details[start:end] for (start, contract), end in zip(starts, ends, strict=True)}


@pytest.mark.parametrize("place", WRONG)
def test_a_wrong_import_breaks_its_contract(broken: dict[str, str], place: str) -> None:
    imported, contract = WRONG[place]
    floor = f"milliner.{place.partition('/')[0]}"
    assert f"{floor} is not allowed to import {imported}" in broken[contract]
    assert f"milliner.{place.removesuffix('.py').replace('/', '.')} -> {imported}" in broken[contract]


def test_a_package_on_no_floor_is_named(broken: dict[str, str]) -> None:
    assert "mezzanine" in broken[FLOORS]


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"}
    found = [path for path in PACKAGE.rglob("*") if drawers & set(path.stem.lower().split("_"))]
    assert found == []


def imported_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after a statement."""
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


HEAVY = {"onnx", "onnxruntime", "scipy", "sklearn", "timm", "torch"}


def test_importing_milliner_imports_nothing_heavy() -> None:
    assert not imported_by("import milliner") & (HEAVY | {"numpy", "PIL", "pydantic", "httpx", "rich", "click"})


@pytest.mark.parametrize("module", ["images.check", "images.heatmap", "curation.drawn", "shards.dataset"])
def test_looking_at_pictures_and_packing_them_imports_nothing_heavy(module: str) -> None:
    found = imported_by(f"import milliner.{module}")
    assert "PIL" in found
    assert not found & HEAVY


def test_every_name_that_milliner_promises_is_there() -> None:
    imported_by("import milliner\nfor name in milliner.__all__: getattr(milliner, name)")
