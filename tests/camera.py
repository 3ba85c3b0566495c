"""A network camera on this machine: GStreamer's RTSP server, run by the system's own Python."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_PYTHON = "/usr/bin/python3"

_SERVER = """
import sys
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
if not all(Gst.ElementFactory.find(name) for name in ("videotestsrc", "jpegenc", "rtpjpegpay")):
    sys.exit("parts of GStreamer are missing")
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
factory.set_launch(
    f"( videotestsrc is-live=true pattern={sys.argv[1]} ! video/x-raw,format=I420,width=320,height=240,framerate=10/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
if sys.argv[2]:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*sys.argv[2].split(":")), token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.from_string("user, media.factory.access=true, "
        "media.factory.construct=true")[0])
server.get_mount_points().add_factory("/site", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


class Camera:
    """A stream that is up; use `running`."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.place = f"127.0.0.1:{port}/site"
        """What follows ``rtsp://``."""

    @classmethod
    @contextmanager
    def running(cls, pattern: str = "snow", login: str = "") -> Iterator["Camera"]:
        """Starts one that shows GStreamer's test picture `pattern`, to whoever knows the `login`, ``name:password``."""
        command = [_PYTHON, "-c", _SERVER, pattern, login]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield cls(process, int(process.stdout.readline()))
            finally:
                process.kill()

    def stop(self) -> None:
        """Pulls the plug."""
        self._process.kill()

    def freeze(self) -> None:
        """Lets it hang, with its connections open."""
        self._process.send_signal(signal.SIGSTOP)


@cache
def cameras_missing() -> str:
    """Why there can be no camera here; empty where there can."""
    if not Path(_PYTHON).exists():
        return f"no {_PYTHON}"
    checked = _SERVER.partition("server = ")[0]
    done = subprocess.run([_PYTHON, "-c", checked], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else "no GStreamer RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi"
