"""Configuration files that are wrong as files."""

import pytest

from eigendrift.errors import UserError
from runtime.configuration import (
    DEFAULT,
    check_workflow_profile,
    merged,
    merged_module_config,
    read_config,
)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"study: a\ntraining: {}\nstudy: b\n",
            "has the key 'study' twice in one mapping, in line 3; delete one",
        ),
        (
            b"training:\n  steps: 3\n  steps: 4\n",
            "has the key 'steps' twice in one mapping, in line 3; delete one",
        ),
        (b'{"study": "a",\n\t"study": "b"}', "has the key 'study' twice in one mapping, in line "),
        (b"study: [a\n", "is not YAML: expected ',' or ']', but got '<stream end>', in line 2, column 1."),
        (b"study: 2026-13-45\n", "is not YAML: "),
        (b"study: \xff\n", "is not UTF-8, at byte 7"),
        (b"- study\n", "must consist of keys with values"),
        (b"", "must consist of keys with values"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(tmp_path, content, sentence):
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        merged([path])
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_that_is_not_a_file_is_refused_by_name(tmp_path):
    for path, why in (tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory"):
        with pytest.raises(UserError, match=f"{path} cannot be read: {why}"):
            read_config(path)


def test_merged_keys_may_be_overridden(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_config(path)["b"] == {"x": 3, "y": 2}
    assert read_config(DEFAULT)["study"] == "desk"


def test_a_module_config_is_merged_into_the_default():
    config = merged_module_config({"study": "mine", "training": {"steps": 7}})
    assert (config["study"], config["training"]["steps"]) == ("mine", 7)
    assert config["optimizers"] == read_config(DEFAULT)["optimizers"]
    with pytest.raises(UserError, match=r"^The config of the module is a list; it must consist of keys with values"):
        merged_module_config(["study"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--workflow-profile", "none"],
        ["--workflow-profile", "slurm"],
        ["--workflow-profile=workflow/profiles/slurm", "-n"],
        ["-n", "--workflow-prof", "own"],
        ["--configfile", "a.yaml", "--workflow-profile", str(DEFAULT.parent / "workflow/profiles/default")],
    ],
)
def test_profiles_are_found_where_snakemake_looks_for_them(tmp_path, arguments):
    (tmp_path / "profiles/own").mkdir(parents=True)
    (tmp_path / "workflow").symlink_to(DEFAULT.parent / "workflow")
    check_workflow_profile(arguments, tmp_path)


@pytest.mark.parametrize("arguments", [["--workflow-profile", "slrum"], ["--workflow-profile=slrum", "-n"]])
def test_a_misspelt_profile_is_refused(tmp_path, arguments):
    with pytest.raises(UserError, match=r"--workflow-profile is slrum, .* profiles, default and slurm; correct"):
        check_workflow_profile(arguments, tmp_path)
