"""The interfaces that sources ask, imitated on this machine as faithfully as their documentation tells.

Every one answers at its real path, so that a `PictureServer` can stand in for all hosts at once, as an endpoint.
"""

import csv
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from picture_server import Answer, PictureServer, picture, status

_ORIGIN_COLUMNS: Final = (
    *("ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL", "Author"),
    *("Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation"),
)

LICENCES: Final = ("by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa", "cc0", "nc-sampling+", "pdm", "sampling+")


def as_json(document: Any, code: int = 200, **headers: str) -> Answer:
    return status(code, json.dumps(document).encode(), Content_Type="application/json", **headers)


def query_of(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(handler.path).query))


class Openverse:
    """https://api.openverse.org/v1/: searches of a given number of pictures, whoever asks for what."""

    def __init__(self, server: PictureServer, count: int, licence: str = "by") -> None:
        self._server = server
        self.results = [self._result(number, licence) for number in range(count)]
        self.clients = {"me": "secret"}
        self.tokens: set[str] = set()
        self.verified = True
        """Whether the client's e-mail address has been confirmed; until then a token opens no more than none."""
        self.dead = 0
        """So many of every page are left out, as Openverse does with links that it found dead."""
        self.throttled = 0
        """So many of the next searches are too many."""
        self.pause = "0"
        """What those are told to wait, in seconds."""
        self.queries: list[dict[str, str]] = []
        server.route("/v1/images/", self._search)
        server.route("/v1/auth_tokens/token/", self._token)
        server.route("/v1/rate_limit/", self._rate_limit)

    def _result(self, number: int, licence: str) -> dict[str, Any]:
        page = f"https://www.flickr.com/photos/1/{number}"
        return {
            "id": f"0aff3595-8168-440b-83ff-{number:012}",
            "title": f"Hard hat & boots {number}",
            "indexed_on": "2020-05-12T13:03:13.000000Z",
            "foreign_landing_url": page,
            "url": f"https://live.staticflickr.com/1/{number}_b.jpg?zoom=1&section=2&copy=3",
            "creator": "Ann <hats> O'Neil",
            "creator_url": "https://www.flickr.com/photos/1",
            "license": licence,
            "license_version": "2.0",
            "license_url": f"https://creativecommons.org/licenses/{licence}/2.0/",
            "provider": "flickr",
            "source": "flickr",
            "category": None,
            "filesize": None,
            "filetype": None,
            "tags": [{"name": "hat", "accuracy": None, "unstable__provider": "flickr"}],
            "attribution": f'"Hard hat & boots {number}" by Ann is licensed under CC {licence.upper()} 2.0.',
            "fields_matched": ["title"],
            "mature": False,
            "height": 64,
            "width": 64,
            "thumbnail": f"https://api.openverse.org/v1/images/0aff3595-8168-440b-83ff-{number:012}/thumb/",
        }

    def path(self, number: int) -> str:
        """Where a picture is."""
        url = urlsplit(self.results[number]["url"])
        return f"{url.path}?{url.query}"

    def _search(self, handler: BaseHTTPRequestHandler) -> None:
        query = query_of(handler)
        self.queries.append(query)
        bearer = handler.headers["Authorization"]
        if bearer is not None and bearer.removeprefix("Bearer ") not in self.tokens:
            as_json({"detail": "Invalid token."}, 401, WWW_Authenticate="Bearer")(handler)
        elif self.throttled:
            self.throttled -= 1
            detail = {"detail": "Request was throttled. Expected available in 1 second."}
            as_json(detail, 429, Retry_After=self.pause)(handler)
        else:
            self._page(query, known=bearer is not None and self.verified)(handler)

    def _rate_limit(self, handler: BaseHTTPRequestHandler) -> None:
        bearer = handler.headers["Authorization"] or ""
        if bearer.removeprefix("Bearer ") not in self.tokens:
            as_json({"detail": "Invalid token."}, 403)(handler)
            return
        limits = {"requests_this_minute": 2, "requests_today": 40, "rate_limit_model": "standard"}
        as_json(limits | {"verified": self.verified})(handler)

    def _page(self, query: Mapping[str, str], *, known: bool) -> Answer:
        number, size = int(query.get("page", "1")), int(query.get("page_size", "20"))
        licences = query.get("license", "").split(",") if "license" in query else LICENCES
        if not set(licences) <= set(LICENCES):
            return as_json({"detail": {"license": [f"Select a valid choice. {licences}."]}}, 400)
        if size > (500 if known else 20):
            return as_json({"detail": {"page_size": ["Anonymous requests are limited to 20."]}}, 401)
        if number * size > (10_000 if known else 240):
            return as_json({"detail": "Anonymous requests are limited to 240 results."}, 401)
        found = [result for result in self.results if result["license"] in licences]
        count = min(len(found), 10_000)
        shown = found[(number - 1) * size : number * size]
        return as_json(
            {
                "result_count": count,
                "page_count": min(-(-count // size), 10_000 // size if known else 240 // size),
                "page_size": size,
                "page": number,
                "results": shown[: max(1, len(shown) - self.dead)],
                "warnings": [],
            }
        )

    def _token(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        client, secret = form.get("client_id", [""])[0], form.get("client_secret", [""])[0]
        if form.get("grant_type") != ["client_credentials"]:
            as_json({"error": "unsupported_grant_type"}, 400)(handler)
        elif not secret or self.clients.get(client) != secret:
            as_json({"error": "invalid_client"}, 401)(handler)
        else:
            self.tokens.add("fresh")
            as_json(
                {"access_token": "fresh", "expires_in": 43200, "token_type": "Bearer", "scope": "read write groups"}
            )(handler)


class Commons:
    """https://commons.wikimedia.org/w/api.php: so many files, of which an answer shows `batch`."""

    def __init__(self, server: PictureServer, count: int, batch: int = 2) -> None:
        self.pages = [self._file(number) for number in range(count)]
        self.batch = batch
        self.lagging = 0
        """So many of the next answers say that the databases lag."""
        self.queries: list[dict[str, str]] = []
        server.route("/w/api.php", self._answer)

    def _file(self, number: int) -> dict[str, Any]:
        title = f"Hard hat {number}.jpg"
        folder = "https://upload.wikimedia.org/wikipedia/commons"
        meta = {
            "ObjectName": f"Hard hat {number}",
            "Artist": '<style data-mw-deduplicate="x">.a{color:red}</style><bdi><a href="https://w.wiki">Ann &amp; '
            "Bob</a></bdi><br>of the <b>union</b>",
            "LicenseShortName": "CC BY-SA 4.0",
            "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
            "License": "cc-by-sa-4.0",
            "AttributionRequired": "true",
            "Copyrighted": "True",
        }
        return {
            "pageid": number + 1,
            "ns": 6,
            "title": f"File:{title}",
            "imagerepository": "local",
            "imageinfo": [
                {
                    "size": 4_000_000,
                    "width": 4000,
                    "height": 3000,
                    "thumburl": f"{folder}/thumb/a/ab/Hard_hat_{number}.jpg/960px-Hard_hat_{number}.jpg"
                    "?utm_source=commons.wikimedia.org&section=1",
                    "thumbwidth": 960,
                    "thumbheight": 720,
                    "url": f"{folder}/a/ab/Hard_hat_{number}.jpg",
                    "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Hard_hat_{number}.jpg",
                    "descriptionshorturl": f"https://commons.wikimedia.org/w/index.php?curid={number + 1}",
                    "sha1": f"{number:040x}",
                    "extmetadata": {
                        name: {"value": value, "source": "commons-desc-page"} for name, value in meta.items()
                    },
                    "mime": "image/jpeg",
                }
            ],
        }

    def path(self, number: int) -> str:
        """Where a scaled-down picture is."""
        url = urlsplit(self.pages[number]["imageinfo"][0]["thumburl"])
        return f"{url.path}?{url.query}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        query = query_of(handler)
        self.queries.append(query)
        if not handler.headers["User-Agent"].startswith("milliner/"):
            status(403, b"Please set a user-agent and respect our robot policy")(handler)
        elif self.lagging:
            self.lagging -= 1
            info = {"code": "maxlag", "info": "Waiting for 10.64.48.23: 6 seconds lagged.", "lag": 0.01, "type": "db"}
            as_json({"error": info, "docref": "See https://commons.wikimedia.org/w/api.php"}, Retry_After="5")(handler)
        else:
            as_json(self._document(query))(handler)

    def _document(self, query: Mapping[str, str]) -> dict[str, Any]:
        fixed = {"action": "query", "format": "json", "formatversion": "2", "prop": "imageinfo"}
        if wrong := {name for name, value in fixed.items() if query.get(name) != value}:
            return {"error": {"code": "badvalue", "info": f"Unrecognized value for parameter {wrong}."}}
        match query.get("generator"):
            case "categorymembers" if query.get("gcmtitle", "").startswith("Category:"):
                start, following = int(query.get("gcmcontinue", "file|0").split("|")[1]), "gcmcontinue"
            case "search" if query.get("gsrsearch") and query.get("gsrnamespace") == "6":
                start, following = int(query.get("gsroffset", "0")), "gsroffset"
            case _:
                return {"error": {"code": "invalidcategory", "info": "The category name you entered is not valid."}}
        end = start + self.batch
        document: dict[str, Any] = {"batchcomplete": True}
        if end < len(self.pages):
            mark: Any = end if following == "gsroffset" else f"file|{end}"
            document["continue"] = {following: mark, "continue": f"{following}||"}
        if shown := self.pages[start:end]:
            document["query"] = {"pages": shown}
        return document


class OpenImages:
    """https://storage.googleapis.com/openimages: the lists of V7, with `count` pictures of helmets in each split."""

    CODE: Final = "/m/0zvk5"
    SPLITS: Final = ("validation", "test", "train")

    def __init__(self, server: PictureServer, **counts: int) -> None:
        self.lists = {"v7/oidv7-class-descriptions.csv": self._classes()}
        for number, split in enumerate(self.SPLITS):
            names = [f"{number:04x}{picture:012x}" for picture in range(counts.get(split, 0))]
            self.lists |= self._split(split, names)
        for path in self.lists:
            server.route(f"/openimages/{path}", self._answer)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = self.lists[handler.path.removeprefix("/openimages/")]
        picture(content.encode(), Content_Type="text/csv", ETag='"1"')(handler)

    @staticmethod
    def path(split: str, number: int) -> str:
        """Where a picture is."""
        return f"/{split}/{OpenImages.SPLITS.index(split):04x}{number:012x}.jpg"

    def _classes(self) -> str:
        rows = [("/m/01lsmm", "Scissors"), (self.CODE, "Helmet"), ("/m/03p3bw", "Bicycle helmet")]
        return _csv(("LabelName", "DisplayName"), rows)

    def _split(self, split: str, names: list[str]) -> dict[str, str]:
        short = {"validation": "val"}.get(split, split)
        labels = [(name, "verification", self.CODE, "1") for name in names]
        labels += [(f"f{name[1:]}", "verification", self.CODE, "0") for name in names]
        labels += [(f"e{name[1:]}", "verification", "/m/01lsmm", "1") for name in names]
        boxes = [(name, "xclick", self.CODE, "1", *"0101", *"00000") for name in names[:1]]
        boxes += [(name, "xclick", self.CODE, "1", *"0101", *"00010") for name in names[1:2]]
        origins = [self._origin(split, name) for name in names]
        older = "v6/oidv6-train" if split == "train" else f"v5/{split}"
        kind = "boxable-with-rotation" if split == "train" else "with-rotation"
        box_columns = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax")
        flags = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
        return {
            f"v7/oidv7-{short}-annotations-human-imagelabels.csv": _csv(
                ("ImageID", "Source", "LabelName", "Confidence"), labels
            ),
            f"{older}-annotations-bbox.csv": _csv((*box_columns, *flags), boxes),
            f"2018_04/{split}/{split}-images-{kind}.csv": _csv(_ORIGIN_COLUMNS, origins),
        }

    def _origin(self, split: str, name: str) -> tuple[str, ...]:
        page = f"https://www.flickr.com/photos/ann/{name}"
        licence = "https://creativecommons.org/licenses/by/2.0/"
        return (name, split, f"{page}.jpg", page, licence, page, "Ann, Jr.", f'The "{name}" hat', "1", "x", "", "0.0")


class ImageNet:
    """https://image-net.org/data/winter21_whole/: a tar file a synset, for those who are logged in."""

    def __init__(self, server: PictureServer, synsets: Mapping[str, Iterable[bytes]]) -> None:
        self.tars = {wnid: tar_of(wnid, pictures) for wnid, pictures in synsets.items()}
        self.cookie: str | None = None
        self.token: str | None = None
        self.closed: Answer = status(403, b"<html>Please log in</html>", Content_Type="text/html")
        for wnid in self.tars:
            server.route(f"/data/winter21_whole/{wnid}.tar", self._answer)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.headers
        known = (self.cookie, self.token) == (None, None)
        known |= self.cookie is not None and sent["Cookie"] == self.cookie
        known |= self.token is not None and sent["Authorization"] == f"Bearer {self.token}"
        if not known:
            self.closed(handler)
            return
        wnid = handler.path.rpartition("/")[2].removesuffix(".tar")
        picture(self.tars[wnid], Content_Type="application/x-tar")(handler)


def tar_of(wnid: str, pictures: Iterable[bytes]) -> bytes:
    """A synset's tar: no folders, names such as n03492922_7.JPEG."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, content in enumerate(pictures):
            member = tarfile.TarInfo(f"{wnid}_{number}.JPEG")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _csv(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([columns, *rows])
    return buffer.getvalue()
