"""The pages for readers, held against what they speak of."""

import base64
import io
import json
from pathlib import Path

import pytest
from docs import gallery
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def test_the_readmes_table_of_figures_is_up_to_date():
    readme = (ROOT / "README.md").read_text()
    assert readme == gallery.with_table(readme), "run `python docs/gallery.py`"


def test_the_table_links_to_rules_and_captions():
    lines = (ROOT / "workflow/rules/figures.smk").read_text().splitlines()
    figures = gallery.figures()
    assert list(figures)[:2] == ["fig01_displacement", "fig02_alignment"]
    for name, line in figures.items():
        assert f'"{name}":' in lines[line - 1]
        assert (ROOT / f"workflow/report/{name}.rst").is_file(), f"{name} has no caption"


def test_the_gallery_is_made_of_what_the_report_embeds(tmp_path, monkeypatch):
    picture = io.BytesIO()
    Image.new("RGB", (2400, 1001), "white").save(picture, "png")
    embedded = {
        "results/s/figures/fig03_localization.png": {
            "name": "fig03_localization.png",
            "caption": "<p>Text <sub>w</sub>.</p>\n",
            "data_uri": "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode(),
        }
    }
    report = tmp_path / "results/s/report.html"
    report.parent.mkdir(parents=True)
    report.write_text(f"<script>\n    var results = {json.dumps(embedded)};\n</script>")
    (tmp_path / "docs/gallery").mkdir(parents=True)
    (tmp_path / "docs/gallery/fig99_retired.png").write_bytes(b"")
    figures = gallery.figures()
    monkeypatch.setattr(gallery, "figures", lambda: figures)
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    gallery.write_gallery(report)
    page = (tmp_path / "docs/gallery.md").read_text()
    assert "All figures of the study `s`" in page
    assert page.endswith(
        "## Figure 3\n\n**Inverse participation ratio of the leading eigenvector**\n\n"
        "![Inverse participation ratio of the leading eigenvector](gallery/fig03_localization.png)\n\n"
        "<p>Text <sub>w</sub>.</p>\n"
    )
    assert [path.name for path in (tmp_path / "docs/gallery").iterdir()] == ["fig03_localization.png"]
    with Image.open(tmp_path / "docs/gallery/fig03_localization.png") as small:
        assert small.size == (1200, 500)


def test_what_is_no_report_is_refused_with_one_sentence(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>var results</p>")
    with pytest.raises(SystemExit, match="is no report of Snakemake; build it with `make report`"):
        gallery.results_of(page)
