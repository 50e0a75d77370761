"""Report building blocks: escaped, self-contained, numbers as numbers."""

from grpolab.figures import page
from grpolab.figures.tables import Column, Table


def test_text_is_escaped_before_it_is_marked_up():
    assert page.text("<b> & `a<b`") == "&lt;b&gt; &amp; <code>a&lt;b</code>"
    assert page.text("**p*(8) = 1** x") == "<strong>p*(8) = 1</strong> x"


def test_table_has_every_cell():
    made = page.table(["name", "value"], [["a<b", 0.5], ["none", None]], digits=2)
    for piece in ('<th scope="col">name</th>', "a&lt;b", "0.50", "<td>-</td>"):
        assert piece in made


def test_figure_is_inline_and_sized_by_inches():
    made = page.figure(lambda ax: ax.plot([1, 2]), caption="c", alt="a line", size=(5.5, 3))
    assert made.count("<svg") == 1
    assert 'aria-label="a line"' in made
    assert "--inches:5.5" in made


def test_sentences_wrap_and_numbers_do_not():
    made = page.table(["name", "value"], [["a", "0.205 to 0.251"], ["b", "because " * 6]])
    assert "<td>0.205 to 0.251</td>" in made
    assert '<td class="words">because' in made


def test_words_are_on_the_left_below_their_heads():
    made = Table(["name", Column("verdict", words=True)], [["a", "better"]]).html()
    assert '<th scope="col" class="left">verdict' in made
    assert '<td class="left">better' in made


def test_a_page_is_one_file(tmp_path):
    page.write_page(tmp_path / "p.html", title="T <1>", lead="lead", parts=[page.section("S")],
                    style="p { color: red; }")  # fmt: skip
    written = (tmp_path / "p.html").read_text()
    assert written.index("@media print") < written.index("p { color: red; }</style>")
    assert written.startswith("<!doctype html>")
    assert "T &lt;1&gt;" in written
    assert [p.name for p in tmp_path.iterdir()] == ["p.html"]
