"""What the page says of two architectures is what their committed runs hold."""

from pathlib import Path

from grpolab.store import read_json
from grpolab.validate.models.tiny import HEAD_DIM, TinyConfig

DOCS = Path(__file__).parents[3] / "docs"


def test_the_claims_hold_on_both():
    found = read_json(DOCS / "results" / "architectures.json")["lines"]
    by = {name: [row for row in found if row["architecture"] == name]
          for name in ("llama", "gpt-neox")}  # fmt: skip
    for rows in by.values():
        assert [row["depth"] for row in rows] == [4, 32, 192]
        entropy = [row["token_entropy"] for row in rows]
        assert entropy == sorted(entropy, reverse=True)
        for before in ("pass_at_1", "final_pass_at_1"):
            assert [row[before] for row in rows] == sorted(row[before] for row in rows)
        for row in rows:
            assert abs(row["early_forecast"] - row["early_zero_std"]) < 0.03
        assert rows[-1]["early_zero_std"] - rows[-1]["early_formula"] > 0.4


def test_the_page_shows_the_committed_numbers():
    page = (DOCS / "validation.md").read_text()
    for row in read_json(DOCS / "results" / "architectures.json")["lines"]:
        cells = (
            f"| {row['depth']} | {row['pass_at_1']:.3f} | {row['token_entropy']:.2f} |"
            f" {row['early_zero_std']:.2f} | {row['early_forecast']:.2f} |"
            f" {row['early_formula']:.2f} | {row['final_pass_at_1']:.3f} |"
            f" {row['final_pass_at_10']:.3f} |"
        )
        assert cells in page
    assert TinyConfig().arch == "llama"
    assert HEAD_DIM == 32
