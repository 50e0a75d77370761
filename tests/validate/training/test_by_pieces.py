"""Log-probabilities of large vocabularies: by pieces, with the same values and gradients."""

import numpy as np
import pytest

from grpolab.validate.models import TinyConfig, build_model
from grpolab.validate.rollouts import law
from grpolab.validate.rollouts.engine import NO_TOKEN
from grpolab.validate.study.tasks import make_task
from grpolab.validate.training.by_pieces import IGNORED, by_pieces, token_losses
from grpolab.validate.training.loss import Batch, completion_logprobs, logprobs_and_entropy
from grpolab.validate.training.sft_data import Example, held_out_nll

torch = pytest.importorskip("torch")

SHAPE = 5, 7, 11
SIZES = {"a token": 11, "two tokens": 22, "a row": 77, "two rows": 154, "all": 10_000}


@pytest.fixture(params=SIZES)
def piece(request, monkeypatch):
    """The logits that are worked on at once."""
    monkeypatch.setattr(law, "_CHUNK", SIZES[request.param] * law._PER_LOGIT)
    return SIZES[request.param]


def made(dtype=torch.float64, extra=1):
    rng = np.random.default_rng(3)
    rows, width, vocabulary = SHAPE
    logits = torch.tensor(rng.normal(size=(rows, width + extra, vocabulary)), dtype=dtype)
    target = torch.tensor(rng.integers(vocabulary, size=(rows, width)))
    target[rng.random((rows, width)) < 0.3] = IGNORED
    weight = torch.tensor(rng.normal(size=(rows, width)), dtype=dtype)
    return logits.requires_grad_(), target, weight


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_and_gradients_are_those_of_all_logits_at_once(piece, extra, smoothing, dtype):
    logits, target, weight = made(dtype, extra)
    found = token_losses(logits, target, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad((weight * found).sum(), logits)
    whole = torch.nn.functional.cross_entropy(
        logits[:, : SHAPE[1]].float().transpose(1, 2), target, reduction="none",
        label_smoothing=smoothing,
    )  # fmt: skip
    (want,) = torch.autograd.grad((weight * whole).sum(), logits)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(gradient, want)
    assert not gradient[:, SHAPE[1] :].any()
    assert gradient.dtype == dtype


def test_several_values_of_a_token_have_their_gradient(piece):
    """Against finite differences, with two values per token and integers beside the logits."""
    logits, target, _ = made(extra=0)
    logits, target = logits[:3, :2], target[:3, :2].clamp(min=0)

    def both(some, tokens):
        logp = some.log_softmax(-1)
        return torch.stack(
            [logp.gather(-1, tokens[..., None])[..., 0], logp.exp().square().sum(-1)], -1
        )

    assert torch.autograd.gradcheck(lambda x: by_pieces(both, x, target), logits)


def test_only_the_gradient_is_as_large_as_the_logits():
    """No operation, forward or backward, makes another tensor of that size."""
    from torch.utils._python_dispatch import TorchDispatchMode

    rows, width, vocabulary = 3, 40, 200_000  # 24 million logits, pieces of 6.7 million
    logits = torch.zeros(rows, width, vocabulary, requires_grad=True)
    target = torch.zeros(rows, width, dtype=torch.long)
    large = {logits.data_ptr()}

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.numel() > logits.numel() // 2:
                large.add(out.data_ptr())
            return out

    with Watch():
        token_losses(logits, target).sum().backward()
    assert large == {logits.data_ptr(), logits.grad.data_ptr()}
    assert float(logits.grad[0, 0, 1]) == pytest.approx(1 / vocabulary)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_policy_has_the_same_gradient_by_pieces(monkeypatch, temperature):
    task = make_task("countdown", seed=0)
    model, tokenizer = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    tokens = np.random.default_rng(0).integers(3, 9, size=(6, 5))
    tokens[1, 3:] = NO_TOKEN
    batch = Batch.of([[1, 2], [3]] * 3, tokens, tokenizer=tokenizer, device="cpu")
    found = []
    for size in (1, 60, 10**6):
        monkeypatch.setattr(law, "_CHUNK", size * law._PER_LOGIT)
        logp, entropy = logprobs_and_entropy(model, batch, temperature=temperature)
        torch.testing.assert_close(logp, completion_logprobs(model, batch, temperature=temperature))
        assert not logp[1, 3:].any()
        model.zero_grad()
        (logp.sum() + 0.3 * entropy.square().sum()).backward()
        found.append([p.grad.clone() for p in model.parameters()])
    for some in found[:2]:
        torch.testing.assert_close(some, found[2])


def test_the_held_out_loss_does_not_depend_on_the_rows_at_once(monkeypatch):
    task = make_task("countdown", seed=0)
    model, _ = build_model(task.vocabulary, TinyConfig(hidden=32, layers=1), seed=0)
    rows = [
        Example([1, 2, *range(3, 3 + n)], [IGNORED] * 2 + [*range(3, 3 + n)]) for n in (1, 4, 6)
    ]
    whole = held_out_nll(model, rows, pad=0)
    sizes = []
    forward = model.forward
    monkeypatch.setattr(
        model, "forward",
        lambda *args, **rest: (sizes.append(len(rest["input_ids"])), forward(*args, **rest))[1],
    )  # fmt: skip
    monkeypatch.setattr("grpolab.validate.training.sft_data._LOGITS", 1)
    assert held_out_nll(model, rows, pad=0) == pytest.approx(whole)
    assert sizes == [1, 1, 1]
