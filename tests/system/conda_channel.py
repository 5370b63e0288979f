"""A local conda channel, whose packages link to the Python packages installed on this machine.

Each package has the name that conda-forge uses. It consists of links to the modules of an installed distribution, and
depends on the same packages as that distribution. An environment can therefore import only the packages that it
declares.
"""

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

CONDA_NAMES = {"torch": "pytorch"}
# Torch finds its CUDA libraries relative to its own directory, and conda packages them under other names.
LEFT_OUT = ("nvidia-", "cuda-")
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"


@dataclass(frozen=True)
class Package:
    """A package of the channel for all platforms.

    Attributes:
        files: Content of the package's files, by path in the environment.
        links: Targets of the package's links, by path in the environment.
    """

    name: str
    version: str
    depends: tuple[str, ...] = ()
    build: str = "cpu"
    build_number: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, object]:
        """The content of the package's `index.json`."""
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "depends": list(self.depends),
            "subdir": "noarch",
            "noarch": "generic",
            "timestamp": 1700000000000,
        }


def python(recorder: str) -> Package:
    """Return a package with this interpreter, which uses the environment's modules and runs ``recorder`` at start."""
    versions = PYTHON.split(".")
    settings = f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    names = [f"bin/python{'.'.join(versions[:count])}" for count in (1, 2)]
    real = str(Path(sys.executable).resolve())
    return Package(
        "python",
        PYTHON,
        files={"pyvenv.cfg": settings, f"{SITE}/sitecustomize.py": recorder},
        links=dict.fromkeys(("bin/python", *names), real),
    )


def linked(names: Iterable[str]) -> list[Package]:
    """Return packages of installed distributions and of all their requirements."""
    found: dict[str, Package] = {}
    waiting = [name.lower() for name in names]
    while waiting:
        name = waiting.pop()
        if name in found or name.startswith(LEFT_OUT):
            continue
        installed = distribution(name)
        needs = [need for need in _requirements(installed.requires or []) if not need.startswith(LEFT_OUT)]
        waiting += needs
        tops = {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}
        found[name] = Package(
            CONDA_NAMES.get(name, name),
            installed.version.partition("+")[0],
            ("python", *(CONDA_NAMES.get(need, need) for need in needs)),
            links={f"{SITE}/{top}": str(installed.locate_file(top)) for top in tops},
        )
    return list(found.values())


def _requirements(lines: Iterable[str]) -> list[str]:
    parsed = [Requirement(line) for line in lines]
    return [
        need.name.lower().replace("_", "-")
        for need in parsed
        if need.marker is None or need.marker.evaluate({"extra": ""})
    ]


def write_channel(channel: Path, packages: Iterable[Package]) -> None:
    """Write the packages and the channel's index."""
    entries = dict(_write_package(channel / "noarch", package) for package in packages)
    for platform, listed in (("noarch", entries), ("linux-64", {})):
        (channel / platform).mkdir(parents=True, exist_ok=True)
        index = {
            "info": {"subdir": platform},
            "packages": listed,
            "packages.conda": {},
            "repodata_version": 1,
        }
        (channel / platform / "repodata.json").write_text(json.dumps(index))


def _write_package(folder: Path, package: Package) -> tuple[str, dict[str, object]]:
    """Write one package, and return its file name and its entry in the index."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [
        {"_path": path, "path_type": "hardlink", "sha256": _sha256(text.encode()), "size_in_bytes": len(text)}
        for path, text in package.files.items()
    ] + [{"_path": path, "path_type": "softlink", "sha256": _sha256(b""), "size_in_bytes": 0} for path in package.links]
    about = {
        "info/index.json": json.dumps(package.record),
        "info/paths.json": json.dumps({"paths": listed, "paths_version": 1}),
        "info/files": "".join(f"{entry['_path']}\n" for entry in listed),
    }
    path = folder / f"{package.name}-{package.version}-{package.build}.tar.bz2"
    with tarfile.open(path, "w:bz2") as archive:
        for name, text in {**about, **package.files}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
        for name, target in package.links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    content = path.read_bytes()
    return path.name, {**package.record, "sha256": _sha256(content), "size": len(content)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
