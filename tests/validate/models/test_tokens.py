"""Token ids are what the tokenizer says, asked once; rows are padded where they should be."""

import pytest

torch = pytest.importorskip("torch")

from grpolab.validate.models import build_tokenizer  # noqa: E402
from grpolab.validate.models.tokens import pad_left, token_ids  # noqa: E402
from grpolab.validate.training.loss import encode  # noqa: E402

WORDS = ["a", "b", "c", "+", "="]
TEXTS = ["a + b =", "c", "a + b =", "b b b"]


class Counting:
    """A tokenizer that counts the texts it is asked for."""

    def __init__(self):
        self.inner, self.asked = build_tokenizer(WORDS), []
        self.pad_token_id, self.eos_token_id = self.inner.pad_token_id, self.inner.eos_token_id

    def __call__(self, texts, **options):
        self.asked += texts
        return self.inner(texts, **options)


@pytest.mark.parametrize("special", [True, False])
def test_ids_are_the_tokenizers(special):
    tokenizer = Counting()
    plain = [tokenizer.inner(t, add_special_tokens=special)["input_ids"] for t in TEXTS]
    assert token_ids(tokenizer, TEXTS, special=special) == plain
    assert tokenizer.asked == ["a + b =", "c", "b b b"]
    assert token_ids(tokenizer, [*TEXTS[::-1], "a"], special=special)[:4] == plain[::-1]
    assert tokenizer.asked[3:] == ["a"]
    token_ids(tokenizer, ["c"], special=not special)  # another question: asked again
    assert tokenizer.asked[4:] == ["c"]


def test_two_tokenizers_do_not_share():
    one, two = Counting(), Counting()
    token_ids(one, ["a"])
    token_ids(two, ["a"])
    assert one.asked == two.asked == ["a"]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("grpolab.validate.models.tokens._MOST", 2)
    tokenizer = Counting()
    for text in ("a", "b", "c", "a"):
        token_ids(tokenizer, [text])
    assert tokenizer.asked == ["a", "b", "c", "a"]


def test_pairs_side_by_side():
    tokenizer = build_tokenizer(WORDS)
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    (a, b, c), answers = token_ids(tokenizer, ["a", "b b", "c"]), ["b", "c c c", "a"]
    (x, y, z) = token_ids(tokenizer, answers, special=False)
    batch = encode(tokenizer, list(zip(["a", "b b", "c"], answers, strict=True)))
    assert batch.prompt_ids.tolist() == [[pad, *a], b, [pad, *c]]
    assert batch.prompt_mask.tolist() == [[0, 1, 1], [1, 1, 1], [0, 1, 1]]  # with the start token
    assert batch.tokens.tolist() == [[*x, end, pad, pad], [*y, end], [*z, end, pad, pad]]
    assert batch.mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]


def test_rows_end_together():
    ids, mask = pad_left([[1, 2, 3], [4]], pad=9)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
