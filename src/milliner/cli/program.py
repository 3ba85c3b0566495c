"""How this very program is called from the current folder."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

_NAME: Final = "milliner"


def typed() -> str:
    """What to type for `milliner`: its name where the shell finds this program by it, else its path."""
    program = Path(sys.argv[0])
    if program.stem != _NAME or not program.exists():  # another program has called it, such as `python -c`
        return _NAME
    found = shutil.which(_NAME)
    if found and Path(found).samefile(program):
        return _NAME
    place, here = program.absolute(), Path.cwd()
    if not place.is_relative_to(here):
        return shlex.quote(str(place))
    near = place.relative_to(here)
    return shlex.quote(str(near) if len(near.parts) > 1 else f"./{near}")
