"""The number that an answer states, and the verifiers of short answers on what models write."""

from __future__ import annotations

import time

import pytest

from grpolab.validate.tasks import make_verifier
from grpolab.validate.tasks.numbers import last_number, stated_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("72", 72), ("72.", 72), ("72.50", 72.5), (".5", 0.5), ("-3", -3), ("+3", 3),
        ("x = -2", -2), ("**42**", 42), ("x**2 = 4", 4), ("4 = x**2", 4),
        ("\N{MINUS SIGN}5", -5), ("-$1,200.75", -1200.75), ("$-5", -5), (r"-\$5", -5),
        ("10-4", 4), ("7 - 4", 4), ("Result:\n- 42", 42), ("GPT-4", 4),
        ("pages 3-7", 7), ("(2)-3", 3), ("5-", 5),
        ("1,234", 1234), ("1,234,567.8", 1234567.8), ("1,2,3", 3), ("(3,4)", 4), ("12,34", 34),
        ("1,00,000", 100000), (r"1{,}200", 1200), (r"1\,200", 1200), ("1234,5678", 5678),
        ("3/4", 0.75), ("3 / 4", 0.75), (r"\frac{3}{4}", 0.75), (r"-\dfrac{1}{2}", -0.5),
        ("2 1/2", 2.5), ("2 1/2 cups", 2.5), ("-3/4", -0.75), ("1/0", None),
        ("1e3", 1000), ("1e-1", 0.1), ("2^10", 1024), ("10^{3}", 1000), ("10**3", 1000),
        (r"3 \times 10^5", 300000), ("1.5 × 10^-3", 0.0015), ("9^999", None),
        ("42 m^2", 42), ("42 cm^{2}", 42), ("42 m2", 42), ("42km", 42), ("42%", 42), ("€42", 42),
        ("42 on the 3rd try", 42), ("the 21st", 21), ("x2", 2), ("step1: 5", 5), ("n5 n6", 6),
        ("7 days", 7), ("none", None), ("", None), ("3.14.", 3.14),
        ("\N{ARABIC-INDIC DIGIT THREE} 4 \N{FULLWIDTH DIGIT FIVE}", 4),
    ],
)  # fmt: skip
def test_the_last_number(text: str, number: float | None) -> None:
    assert last_number(text) == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"\boxed{42}. Check: 40 + 2.", 42), (r"\boxed{7} no, \boxed{42} from 2", 42),
        (r"\boxed{\frac{3}{4}}", 0.75), (r"\boxed{42\text{ cm}^2}", 42), (r"\boxed{x}, 3", None),
        ("<answer>42</answer> in 2 steps", 42), ("<answer>\n42\n</answer>", 42),
        ("6 * 7 = 42\n#### 42\n\n2 more", 42), ("30 * 40 #### 1200", 1200), ("#### $1,200", 1200),
        ("#### 1. First\nWe get 42", 42), ("#### Step 1\nWe get 42", 42), ("#### 2: sum\n42", 42),
        ("The answer is 42. I used 2 rules.", 42), ("The final answer is: **42** (of 50)", 42),
        ("The answer is $42, and not 5.", 42), ("the answer is 3 + 4 = 7", 7),
        ("The answer is clear: 3, then 42", 42), ("The answer is -5 as 2 < 7", -5),
        (r"The answer is $\frac{1}{2}$, for 2", 0.5), ("The answer is 6 × 7 = 42", 42),
        ("42\n\nQ: 1 + 1?\nA: 2", 42), ("42\n\nQuestion: What is 1?", 42),
        ("Question: 3 apples and 4.\nSo 7.", 7), ("The answer is 42.\n\nProblem 2: 5 + 5", 42),
        ("6 * 7 = 42\n```python\nprint(6 * 7)\n```", 42), ("```python\nprint(42)\n```", 42),
        ("So:\n```\n42\n```", 42), ("72 or 73", 73),
    ],
)  # fmt: skip
def test_the_stated_number(text: str, number: float | None) -> None:
    assert stated_number(text) == number


@pytest.mark.parametrize(
    ("name", "answer", "completion", "right"),
    [
        ("numeric", "3/4", "1/4", False), ("numeric", "3/4", "0.75", True),
        ("numeric", "5", "\N{MINUS SIGN}5", False), ("numeric", "-5", "\N{MINUS SIGN}5", True),
        ("numeric", "3", "the list 1,2,3", True),
        ("numeric", "#### 1,234", r"\boxed{1{,}234}", True),
        ("numeric", "42", "<think>41, 43</think>42<|im_end|>\n<|im_start|>user\n7", True),
        ("numeric", "42", "<think>it may be 42", False), ("numeric", "4", "4/0", False),
        ("exact", "yes", "yes<|im_end|>", True), ("exact", "yes", "<think>no</think>\n\nyes", True),
        ("exact", "yes", "no</s>yes", False), ("regex", "[ab]", "a<|eot_id|>", True),
    ],
)  # fmt: skip
def test_verifiers_read_the_reply(name: str, answer: str, completion: str, right: bool) -> None:
    assert make_verifier(name)(completion, {"answer": answer}) is right


def test_a_pattern_of_the_users_sees_the_whole_completion() -> None:
    check = make_verifier("exact", extract=r"</think>\s*(\w+)")
    assert check("<think>hm</think> yes", {"answer": "yes"}) is True


@pytest.mark.parametrize(
    "text",
    ["1" * 200_000, "1," * 100_000, "1 " * 100_000, "-" * 200_000, "answer is " * 20_000,
     r"\boxed{" * 28_000, "<answer>" * 25_000, "#### " * 40_000, "1/" * 100_000, "1,000" * 40_000,
     "^{2}" * 50_000, "1e" * 100_000, "12," * 60_000, "\n\nQ:" * 40_000, "1\n \n" * 50_000,
     "answer is 1+1" * 15_000, "\n" * 200_000 + "1", " " * 200_000 + "1 x", "1" + " " * 200_000],
)  # fmt: skip
def test_long_texts_cost_little(text: str) -> None:
    start = time.process_time()
    make_verifier("numeric")(text, {"answer": "1"})
    assert time.process_time() - start < 5
