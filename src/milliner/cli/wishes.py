"""The options of ``milliner train`` about what is said, and when nothing is."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from milliner.cli.options import once_each
from milliner.cli.sections import SectionOption
from milliner.core.errors import SettingsError

if TYPE_CHECKING:
    _WishType = click.ParamType[tuple[str, float]]
else:  # generic since click 8.4 only
    _WishType = click.ParamType

Function = TypeVar("Function", bound=Callable[..., Any])

_SECTION: Final = "What the model says"


class Wish(_WishType):
    """``label=number``, the last ``=`` parting the two; the words that are `alone` have the value 0.

    Where `numbers` is set a number alone is for the label "".
    """

    name = "label=number"

    def __init__(self, *alone: str, numbers: bool = False) -> None:
        self._alone, self._numbers = alone, numbers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Splits the text; a wrong one ends the command as wrong usage."""
        if not isinstance(value, str):
            return tuple(value)
        label, sign, number = value.rpartition("=")
        if not sign and value in self._alone:
            return value, 0.0
        try:
            found = float(number)
        except ValueError:
            found = None
        if found is None or (not label and (sign or not self._numbers)):
            others = "".join(f", or {word}" for word in self._alone) + (", or a number" if self._numbers else "")
            self.fail(f"{value!r} is not of the form label=number{others}.", param, ctx)
        return label, found


_OPTIONS: Final[Sequence[Callable[[Any], Any]]] = (
    click.option(
        "--min-recall",
        type=Wish(),
        multiple=True,
        callback=once_each,
        cls=SectionOption,
        section=_SECTION,
        help="Find at least this share of a class, at the price of false alarms: nohelmet=0.99",
    ),
    click.option(
        "--max-false-alarms",
        type=Wish(numbers=True),
        multiple=True,
        callback=once_each,
        cls=SectionOption,
        section=_SECTION,
        help="Call at most this share of the other classes' pictures it: nohelmet=0.01; a number alone is for the "
        "classes that the other wishes name, or for all.",
    ),
    click.option(
        "--cost",
        type=Wish(),
        multiple=True,
        callback=once_each,
        cls=SectionOption,
        section=_SECTION,
        help="What missing a class costs, where missing another costs 1: nohelmet=20",
    ),
    click.option(
        "--abstain-below",
        type=float,
        default=0.0,
        cls=SectionOption,
        section=_SECTION,
        help="Abstain where what is said is less probable.",
    ),
    click.option(
        "--abstain-margin",
        type=float,
        default=0.0,
        cls=SectionOption,
        section=_SECTION,
        help="Abstain where the best two classes are closer than this.",
    ),
    click.option(
        "--abstain-far",
        type=float,
        default=None,
        cls=SectionOption,
        section=_SECTION,
        help="Abstain on what is unlike the training pictures, and on this share of pictures like them; 0 never does.  "
        "[default: 0.005]",
    ),
    click.option(
        "--class-weight",
        type=Wish("balanced", "none"),
        multiple=True,
        callback=once_each,
        cls=SectionOption,
        section=_SECTION,
        help="What a class counts in the fit: nohelmet=2; none counts pictures and not classes.  [default: balanced]",
    ),
)


def wish_options(function: Function) -> Function:
    """Adds the options; the command gets them as `wishes`, a `milliner.Wishes`."""

    @wraps(function)
    def command(**values: Any) -> Any:
        names = ("min_recall", "max_false_alarms", "cost", "abstain_below", "abstain_margin", "abstain_far")
        stated = {name: values.pop(name) for name in names}
        return function(wishes=_wishes(class_weight=values.pop("class_weight"), **stated), **values)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command  # type: ignore[return-value]  # it takes what the options give in place of `wishes`


def _wishes(
    *,
    min_recall: Mapping[str, float],
    max_false_alarms: Mapping[str, float],
    cost: Mapping[str, float],
    class_weight: Mapping[str, float],
    abstain_far: float | None,
    **abstain: float,
) -> Any:
    from milliner.training.wishes import DEFAULT_FAR, Wishes

    alarms = max_false_alarms
    if "" in alarms and len(alarms) > 1:
        raise SettingsError("Give --max-false-alarms one number alone or numbers for labels, not both.")
    words = {word for word, value in class_weight.items() if word in ("balanced", "none") and not value}
    if len(words) > 1:
        raise SettingsError("--class-weight is either balanced or none; give one of them.")
    return Wishes(
        min_recall=min_recall,
        max_false_alarms=alarms.get("", alarms),
        cost=cost,
        balanced="none" not in words,
        class_weight={label: value for label, value in class_weight.items() if label not in words},
        abstain_far=DEFAULT_FAR if abstain_far is None else abstain_far,
        **abstain,
    )
