"""Runs every bench and writes RESULTS.md: `python -m benchmarks`, or `python -m benchmarks helmets startup`."""

import importlib
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import DATA, Figure
from milliner.core.parallel import available_cores

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = "# Results\n\n`make bench` prints these figures again and rewrites this page."

BENCHES = {
    "helmets": "Accuracy on the original's own split",
    "throughput": "Embedding speed",
    "predicting": "Predicting: overhead, 8 bits, runtimes",
    "pointing": "Where the class activation map points, and boxes from it",
    "crops": "Close crops of heads, by a model of whole scenes",
    "retraining": "Training again, and memory",
    "startup": "Start-up",
    "packing": "Packing, and reading packed files",
    "fetching": "Fetching",
    "records": "Record files",
    "installed": "Install size",
    "few": "Few pictures of each class",
    "finetuning": "Training the whole network on",
    "peers": "Against others, on the same split",
    "scale": "Very many pictures, very many classes",
    "choices": "How resolution, pooling and views were chosen",
}


def main(wanted: list[str]) -> int:
    """Prints each figure as it comes; a run of some rewrites only their part of RESULTS.md. Each says its machine.

    Exit code 1 where a figure falls short.
    """
    if not DATA.is_dir():
        print(f"The benches need the real data; set MILLINER_TEST_DATA (looked at {DATA}).")
        return 1
    sections, short = _earlier_sections() if wanted else {}, 0
    for name in wanted or BENCHES:
        print(f"{name} ...", flush=True)
        figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure()
        section = "\n".join(
            [
                f"## {BENCHES[name]}",
                "",
                _machine(),
                "",
                "| | measured | asked | met |",
                "|---|---|---|---|",
                *(f.row() for f in figures),
            ]
        )
        short += sum(figure.met is False for figure in figures)
        print(section, flush=True)
        sections[BENCHES[name]] = section
    ordered = [sections[title] for title in BENCHES.values() if title in sections]
    RESULTS.write_text("\n\n".join([_HEAD, *ordered]) + "\n", encoding="utf-8")
    print(f"Wrote {RESULTS}")
    return int(short > 0)


def _earlier_sections() -> dict[str, str]:
    """The sections of the page as it is, by their titles."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    found = text.split("\n## ")[1:]
    return {section.partition("\n")[0]: f"## {section}".rstrip() for section in found}


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "numpy", "pillow"))
    return (
        f"Machine: {_processor()}, {available_cores()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}."
    )


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
