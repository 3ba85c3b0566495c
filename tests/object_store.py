"""An S3 server on this machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

LOGIN = {"AWS_ACCESS_KEY_ID": "milliner", "AWS_SECRET_ACCESS_KEY": "hat", "AWS_DEFAULT_REGION": "us-east-1"}
"""Environment variables."""


class ObjectStore:
    """Buckets; use `running`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=LOGIN["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=LOGIN["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["ObjectStore"]:
        """Starts it on a free port, and stops it."""
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield cls(f"http://{host}:{port}")
        finally:
            server.stop()

    def fill(self, bucket: str, files: Mapping[str, bytes]) -> None:
        """Makes a bucket, and puts files into it."""
        self._client.create_bucket(Bucket=bucket)
        for name, content in files.items():
            self._client.put_object(Bucket=bucket, Key=name, Body=content)

    def remove(self, bucket: str, name: str) -> None:
        """Takes one file away."""
        self._client.delete_object(Bucket=bucket, Key=name)
