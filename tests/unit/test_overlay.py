"""Configuration files that are wrong as files."""

import pytest

from eigendrift.errors import UserError
from overlay import DEFAULT, check_workflow_profile, laid_over_default, over_default, read_config


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"study: a\ntraining: {}\nstudy: b\n", "key 'study' stands twice in one group"),
        (b"training:\n  steps: 3\n  steps: 4\n", "key 'steps' stands twice in one group"),
        (b'{"study": "a",\n\t"study": "b"}', "key 'study' stands twice in one group"),
        (b"study: [a\n", "is not YAML: expected ',' or ']', but got '<stream end>' in line 2, column 1."),
        (b"study: 2026-13-45\n", "is not YAML: month must be in 1..12."),
        (b"study: \xff\n", "is not UTF-8, at byte 7"),
        (b"- study\n", "has to hold keys with values"),
        (b"", "has to hold keys with values"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(tmp_path, content, sentence):
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        laid_over_default([path])
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused_by_name(tmp_path):
    for path, why in (tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory"):
        with pytest.raises(UserError, match=f"{path} cannot be read: {why}"):
            read_config(path)


def test_keys_that_yaml_merges_may_be_given_again(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_config(path)["b"] == {"x": 3, "y": 2}
    assert read_config(DEFAULT)["study"] == "desk"


def test_a_configuration_is_laid_over_the_default():
    config = over_default({"study": "mine", "training": {"steps": 7}})
    assert (config["study"], config["training"]["steps"]) == ("mine", 7)
    assert config["optimizers"] == read_config(DEFAULT)["optimizers"]
    with pytest.raises(UserError, match=r"^The config of the module is a list, expected keys with values"):
        over_default(["study"])


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
    check_workflow_profile(arguments, tmp_path, DEFAULT.parent)


@pytest.mark.parametrize("arguments", [["--workflow-profile", "slrum"], ["--workflow-profile=slrum", "-n"]])
def test_a_misspelt_profile_is_refused(tmp_path, arguments):
    with pytest.raises(
        UserError, match=r"--workflow-profile is slrum, .* profiles, default and slurm; correct"
    ):
        check_workflow_profile(arguments, tmp_path, DEFAULT.parent)
