"""Runs a project's stages one after the other, and leaves out those that are up to date."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from milliner.core.progress import Progress, silent
from milliner.project.layout import Project
from milliner.project.stages import STAGES, Stage
from milliner.project.state import Fingerprint, State, code_version, digest_of, digest_of_files


@dataclass(frozen=True)
class StageReport:
    """What became of one stage."""

    stage: str
    ran: bool
    reason: str
    """Why it ran, or why not."""
    summary: str
    """What it made, now or the last time."""
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One element of `run --json`."""
        return asdict(self)


def run(folder: str | Path = ".", *, progress: Progress = silent) -> list[StageReport]:
    """Runs fetch, check, pack, train and evaluate in a project folder, each only where something it depends on changed.

    Can be killed at any moment and called again. Raises SettingsError for the settings and the stages' own errors.
    """
    return list(run_stages(Project.open(folder), progress))


def run_stages(project: Project, progress: Progress = silent) -> Iterator[StageReport]:
    """`run`, one stage at a time: each is reported as soon as it is done."""
    state = State(project.memory / "state.json")
    for stage in STAGES:
        start = perf_counter()
        fingerprint = _fingerprint(stage, project)
        reason = state.reason_to_run(stage.name, fingerprint, digest_of_files(stage.outputs(project), project.folder))
        if reason:
            outcome = stage.run(project, progress)
            # Inputs are looked at before the run: where they change during it, the next run does it again.
            state.record(stage.name, fingerprint, digest_of_files(stage.outputs(project), project.folder), outcome)
        yield StageReport(
            stage=stage.name,
            ran=reason is not None,
            reason=reason or "input, settings and version are unchanged",
            summary=state.summary(stage.name),
            seconds=round(perf_counter() - start, 3),
        )


def _fingerprint(stage: Stage, project: Project) -> Fingerprint:
    return Fingerprint(code_version(), digest_of(stage.settings(project)), stage.inputs(project))
