"""How we behave towards other people's servers, and how long they are worth waiting for."""

from dataclasses import dataclass
from typing import Final

from milliner import __version__
from milliner.core.errors import FetchError

HOME: Final = "https://github.com/milliner-vision/milliner"


@dataclass(frozen=True)
class Manners:
    """What a fetch may do to a server. Times are in seconds."""

    contact: str | None = None
    """An e-mail or web address that servers see in the User-Agent, for whoever wants to complain."""
    robots_txt: bool = True
    """Leave out pictures that a host's robots.txt closes to us."""
    x_robots_tag: bool = True
    """Leave out pictures whose answer says noai, noimageai, noindex or noimageindex."""
    allow_private: bool = False
    """Also ask private, loopback and link-local addresses."""
    connections: int = 32
    """To all hosts together."""
    connections_per_host: int = 12
    """At 20 ms a picture as many as two cores can work off; more would burden the host and bring nothing."""
    connect: float = 5.0
    read: float = 20.0
    """From one piece of an answer to the next."""
    total: float = 60.0
    """For one answer."""
    attempts: int = 5
    """Where another one may help; an address where nobody listens gets two."""
    pause: float = 0.2
    """Before the second attempt, give or take a half; it doubles from attempt to attempt."""
    longest_pause: float = 30.0
    """A server that asks for a longer one is left in peace."""
    max_bytes: int = 32 * 2**20
    """Of one picture."""

    def __post_init__(self) -> None:
        """Raises FetchError for a contact that would not fit into a line."""
        if self.contact is not None and not (self.contact.isascii() and self.contact.isprintable()):
            raise FetchError(
                f"The contact {self.contact!r} must be one line of plain letters, such as you@example.org."
            )

    @property
    def user_agent(self) -> str:
        """Who we are, truthfully."""
        return f"milliner/{__version__} (+{HOME}{f'; {self.contact}' if self.contact else ''})"


POLITE: Final = Manners()
