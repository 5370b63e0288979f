"""A stand-in for conda, for test machines that cannot install conda.

The stand-in supports only the calls that Snakemake makes. It solves and links with rattler, the library behind pixi,
from channels below CONDA_CHANNEL_ALIAS. `write_conda(base)` installs the stand-in as `base/bin/conda` and
`base/bin/activate`, where Snakemake finds it.
"""

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path

import yaml

ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def write_conda(base: Path) -> Path:
    """Install this module as conda, and return the directory to put on the path."""
    programs = base / "bin"
    programs.mkdir(parents=True)
    # An environment's Python must not see the tests' PYTHONPATH, so only this command sets it.
    command = shlex.join(["env", f"PYTHONPATH={os.pathsep.join(sys.path)}", sys.executable, __file__, str(base)])
    (programs / "conda").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (programs / "conda").chmod(0o755)
    (programs / "activate").write_text(ACTIVATE)
    return programs


async def create(specifications: list[str], channels: list[str], prefix: str, base: Path) -> None:
    """Solve for an environment, link its packages, and print their file names."""
    from rattler import (
        Channel,
        ChannelConfig,
        Gateway,
        VirtualPackage,
        VirtualPackageOverrides,
        install,
        solve,
    )

    aliased = ChannelConfig(channel_alias=os.environ["CONDA_CHANNEL_ALIAS"])
    records = await solve(
        [Channel(channel, aliased) for channel in channels],
        specifications,
        gateway=Gateway(cache_dir=base / "index"),
        platforms=["linux-64", "noarch"],
        virtual_packages=VirtualPackage.detect(VirtualPackageOverrides.from_env()),
    )
    await install(records, prefix, cache_dir=base / "packages", show_progress=False)
    for record in records:
        print(record.file_name)


def main(base: Path, arguments: list[str]) -> None:
    """Answer one call."""
    if arguments == ["--version"]:
        print("conda 24.7.1")
    elif arguments == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(base), "platform": "linux-64"}))
    elif arguments == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:1] == ["clean"]:
        return
    elif arguments[:2] == ["env", "create"]:
        file, prefix = (arguments[arguments.index(name) + 1] for name in ("--file", "--prefix"))
        content = yaml.safe_load(Path(file).read_text())
        channels = [channel for channel in content["channels"] if channel != "nodefaults"]
        asyncio.run(create(content["dependencies"], channels, prefix, base))
        sys.stdout.flush()
        # Rattler's threads outlive its work, and sometimes crash the interpreter at exit.
        os._exit(0)
    else:
        sys.exit(f"The stand-in for conda does not support: conda {shlex.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
