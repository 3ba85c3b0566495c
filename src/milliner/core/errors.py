"""The errors a caller can meet: one sentence that says what is wrong and how to mend it."""


class MillinerError(Exception):
    """A failure explained in one sentence with its remedy; the command line prints it and exits 1."""


class DatasetError(MillinerError):
    """A dataset, folder, list or record file that cannot be used as it is."""


class ModelError(MillinerError):
    """A model or weights file that is damaged, foreign, too new, or unsafe to read."""


class SettingsError(MillinerError):
    """Settings that do not hold together; names the file and line where it can."""


class FetchError(MillinerError):
    """A source that cannot be read at all (one failed picture is a ledger row, not this)."""


class UnreadableImageError(MillinerError):
    """A picture that cannot be used.

    `reason` is a short stable word for ledgers and counts (``truncated``, ``too many pixels``, ...); the
    message is the sentence.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason

    def __reduce__(self) -> tuple[type["UnreadableImageError"], tuple[str, str]]:
        """Another process can be sent it."""
        return type(self), (self.reason, str(self))
