"""Tests of `snakemake --sdm conda`, which runs every rule in its conda environment, with a local channel.

The tests use a stand-in for conda, and packages that are links. docs/scale.md explains what this proves and what it
does not prove.
"""

import json
import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import tally
import yaml
from clone import ROOT, Clone, copy_repository
from conda_channel import SITE, Package, linked, python, write_channel
from conda_stand_in import write_conda
from tiny_study import TINY

pytestmark = pytest.mark.xdist_group("conda")

# At exit, every Python of an environment records its script and the files of its modules.
RECORDER = """
import atexit, json, os, sys, uuid
def record():
    folder = os.environ.get("RECORD_PYTHONS")
    if folder and sys.argv[0].endswith(".py"):
        files = {n: str(getattr(m, "__file__", "")) for n, m in list(sys.modules.items()) if "." not in n}
        noted = {"script": os.path.basename(sys.argv[0]), "prefix": sys.prefix, "modules": files}
        with open(os.path.join(folder, uuid.uuid4().hex), "w") as file:
            json.dump(noted, file)
atexit.register(record)
"""
NAMES = {"pytorch": "torch"}
MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn"}
ANALYSIS = [
    *("metrics", "preconditioned_metrics", "plugin_metric", "baseline", "validation", "claims"),
    *("claims_page", "regimes", "configuration", "benchmarks"),
]
EVERYTHING = "reported"
# Changes of the tiny study, so that it needs every script but as few jobs as possible.
FEWER = {
    "experiments": {"main": {"seeds": 1}, **dict.fromkeys(("batch_sizes", "learning_rates"))},
    "null_models": {"names": ["reinitialized"]},
    "plugins": ["examples/entropy.py"],
}
STUDY = (TINY, "fewer.yaml")
FIGURE = "results/tiny/figures/fig03_localization.csv"
RUN_TIMES = "ext09_run_times.csv"


def small_study(place: Path) -> Clone:
    clone = copy_repository(place)
    (clone.path / STUDY[1]).write_text(yaml.safe_dump(FEWER))
    return clone


def declared():
    """Return the dependencies of all environments, by their names on PyPI."""
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "envs").glob("*.yaml")]
    names = {line.partition("=")[0] for content in files for line in content["dependencies"]}
    return {NAMES.get(name, name) for name in names - {"python"}}


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """Environment variables that make Snakemake use the stand-in and the channel."""
    if find_spec("rattler") is None:
        pytest.skip("needs py-rattler, which is in requirements.txt; run make test-all, which installs it")
    folder = tmp_path_factory.mktemp("conda")
    packages = linked(declared())
    torch = next(package for package in packages if package.name == "pytorch")
    cuda = Package(torch.name, torch.version, (*torch.depends, "__cuda"), "cuda", 1, links=torch.links)
    write_channel(folder / "channels/conda-forge", [python(RECORDER), *packages, cuda])
    records = folder / "records"
    records.mkdir()
    return {
        "PATH": f"{write_conda(folder / 'base')}{os.pathsep}{os.environ['PATH']}",
        "CONDA_CHANNEL_ALIAS": (folder / "channels").as_uri() + "/",
        "RECORD_PYTHONS": str(records),
    }


@pytest.fixture(scope="module")
def deployed(conda, tmp_path_factory):
    """The small study, run with each rule in its environment, and the records of the environments' Pythons."""
    clone = small_study(tmp_path_factory.mktemp("deployed"))
    result = clone.snakemake("--sdm=conda", EVERYTHING, study=STUDY, **conda)
    assert result.returncode == 0, result.stdout
    notes = [json.loads(path.read_text()) for path in Path(conda["RECORD_PYTHONS"]).iterdir()]
    return clone, notes


def environments(clone):
    """Return the kinds of the four environments by directory."""
    kinds = {path.read_text(): path.stem for path in (clone.path / "envs").glob("*.yaml")}
    return {
        str(path.with_suffix("")): kinds[path.read_text()] for path in (clone.path / ".snakemake/conda").glob("*.yaml")
    }


def test_each_script_runs_in_the_environment_of_its_rule(deployed):
    clone, notes = deployed
    kinds = environments(clone)
    assert sorted(kinds.values()) == ["analysis", "data", "figures", "torch"]
    ran = {(re.sub(r"^tmp\w+\.", "", note["script"]), kinds[note["prefix"]]) for note in notes}
    for name, kind in sorted(ran, key=lambda pair: pair[::-1]):
        tally.show(f"{name} ran in envs/{kind}.yaml")
    assert ran == {
        ("data.py", "data"),
        *((f"{name}.py", "torch") for name in ("train", "eigenpairs", "null", "minimum")),
        *((f"{name}.py", "analysis") for name in ANALYSIS),
        ("figure.py", "figures"),
    }
    # Every script ran.
    scripts = {path.name for path in (clone.path / "workflow/scripts").glob("*.py")}
    assert scripts == {name for name, _ in ran}


def test_scripts_import_from_their_environment_and_the_workflow(deployed):
    clone, notes = deployed
    any_environment = {MODULES.get(name, name) for name in declared()}
    for note in notes:
        elsewhere = {
            name
            for name, file in note["modules"].items()
            if "site-packages" in file and not file.startswith(note["prefix"])
        }
        # Snakemake appends its own packages to every script's path, so undeclared modules may come from there.
        here = {path.stem for path in Path(note["prefix"], SITE).iterdir()}
        assert not elsewhere & (here | any_environment), note["script"]
        assert note["modules"]["eigendrift"].startswith(str(clone.path / "workflow"))


def test_results_have_the_same_bits_as_in_one_environment(deployed, tmp_path_factory):
    clone = deployed[0]
    local = small_study(tmp_path_factory.mktemp("local"))
    result = local.snakemake(EVERYTHING, study=STUDY)
    assert result.returncode == 0, result.stdout
    paths = [
        path
        for ending in ("*.json", "figures/*.csv")
        for path in local.path.glob(f"results/tiny/**/{ending}")
        if path.name != RUN_TIMES
    ]
    assert len(paths) > 8
    for path in paths:
        assert path.read_bytes() == (clone.path / path.relative_to(local.path)).read_bytes(), path


def test_a_second_run_does_nothing(deployed, conda):
    result = deployed[0].plan("--sdm=conda", "--dry-run", EVERYTHING, study=STUDY, **conda)
    assert "Nothing to be done" in result.stdout


def create(clone, conda, *arguments, **variables):
    command = ["--sdm=conda", "--conda-create-envs-only", *arguments, FIGURE]
    return clone.snakemake(*command, study=STUDY, **conda, **variables)


def builds(clone):
    return {
        path.name.rpartition("-")[2].removesuffix(".json")
        for path in clone.path.glob(".snakemake/conda/*/conda-meta/pytorch-*.json")
    }


def test_an_unsatisfiable_pin_is_refused_before_any_job(conda, tmp_path):
    clone = small_study(tmp_path)
    path = clone.path / "envs/torch.yaml"
    path.write_text(path.read_text().replace("pytorch=2.", "pytorch=1."))
    result = create(clone, conda)
    assert result.returncode == 1
    assert "pytorch" in result.stdout
    assert not (clone.path / "results/tiny").exists()


def test_the_slurm_profile_installs_cuda_on_a_machine_without_a_gpu(conda, tmp_path):
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("needs a machine without a GPU")
    for name, arguments, expected in (
        ("plain", [], {"cpu"}),
        (
            "profile",
            ["--workflow-profile=workflow/profiles/slurm", "--executor=local", "--cores=1"],
            {"cuda"},
        ),
    ):
        clone = small_study(tmp_path / name)
        result = create(clone, conda, *arguments)
        assert result.returncode == 0, result.stdout
        assert builds(clone) == expected


def test_the_stand_in_refuses_unsupported_commands(conda):
    result = subprocess.run(
        ["conda", "update", "--all"], env=os.environ | conda, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "does not support: conda update --all" in result.stderr
