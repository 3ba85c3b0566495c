"""The README is executed: its shell and Python blocks, in order, in one empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_block_of_the_readme_runs(tmp_path: Path) -> None:
    assert [kind for kind, _ in BLOCKS].count("python") == 1
    assert [kind for kind, _ in BLOCKS].count("sh") >= 3
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = "set -euo pipefail\n"
    for kind, text in BLOCKS:
        script += text if kind == "sh" else f"python - <<'END'\n{text}END\n"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "skipped: input, settings and version are unchanged" in done.stdout
    assert re.search(r"^\d+(\.\d)? % of 18 pictures are named correctly", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^(?:no)?helmet \d+%$", done.stdout, re.MULTILINE)) == 3


def test_every_local_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (README.parent / link).exists()]
