"""An imitation of the Hugging Face hub, as much of it as its client asks for to download files.

As https://huggingface.co/docs/hub/api and the client's own requests have it: a document about the repository with the
sizes of its files, and for each file a HEAD that tells its commit, tag and size, and the file itself.
"""

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from imitations import as_json
from picture_server import PictureServer, status

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LARGE = 5_000
"""Bytes from which a file is one of git's large file storage, which has its SHA-256 told."""


class Hub:
    """One repository on a server."""

    def __init__(
        self, server: PictureServer, repository: str, files: dict[str, bytes], licence: str = "apache-2.0"
    ) -> None:
        self.server, self.repository, self.files, self.licence = server, repository, files, licence
        self.revisions = {"main": COMMIT, COMMIT: COMMIT}
        self.gated = False
        self.promised: dict[str, str] = {}
        """SHA-256 to tell of a file in place of its own."""
        server.fallback = self._answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path).strip("/")
        if self.gated:
            status(401, b"{}", X_Error_Code="GatedRepo", X_Error_Message="Access to it is restricted.")(handler)
        elif path.startswith(f"api/models/{self.repository}"):
            revision = path.partition("/revision/")[2] or "main"
            self._document(revision, handler)
        elif path.startswith(f"{self.repository}/resolve/"):
            revision, _, name = path.removeprefix(f"{self.repository}/resolve/").partition("/")
            self._file(revision, name, handler)
        else:
            status(401, b"", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")(handler)

    def _document(self, revision: str, handler: BaseHTTPRequestHandler) -> None:
        commit = self.revisions.get(revision)
        if commit is None:
            status(404, b"", X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")(handler)
            return
        siblings = [self._sibling(name, content) for name, content in self.files.items()]
        document: dict[str, Any] = {
            "_id": "0",
            "id": self.repository,
            "modelId": self.repository,
            "sha": commit,
            "private": False,
            "gated": False,
            "disabled": False,
            "tags": ["onnx", f"license:{self.licence}"],
            "downloads": 1,
            "likes": 0,
            "cardData": {"license": self.licence},
            "siblings": siblings,
        }
        as_json(document)(handler)

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
        if len(content) >= _LARGE:
            sha256 = self.promised.get(name, hashlib.sha256(content).hexdigest())
            found["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return found

    def _file(self, revision: str, name: str, handler: BaseHTTPRequestHandler) -> None:
        commit, content = self.revisions.get(revision), self.files.get(name)
        if commit is None or content is None:
            code = "EntryNotFound" if commit else "RevisionNotFound"
            status(404, b"", X_Error_Code=code, X_Repo_Commit=commit or "")(handler)
            return
        tag = hashlib.sha256(content).hexdigest()
        headers = {
            "X_Repo_Commit": commit,
            "ETag": f'"{tag}"',
            "X_Linked_Size": str(len(content)),
            "Accept_Ranges": "bytes",
        }
        status(200, content, **headers)(handler)


def config(**values: Any) -> bytes:
    """A ``preprocessor_config.json``."""
    return json.dumps(values).encode()
