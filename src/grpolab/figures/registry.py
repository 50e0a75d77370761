"""Every figure of the documentation, by name, with the sentence it proves."""

from __future__ import annotations

from collections.abc import Sequence

from grpolab.figures import (
    calibration,
    collapse,
    escape,
    forecast,
    kl,
    ladder,
    monitor,
    sample_audit,
    shootout,
    spread,
    steps,
    thresholds,
    throughput,
    trap,
    trial,
    weight,
)
from grpolab.figures.render import Claim

STUDY = "full.json"
TRIAL = "trial/result.json"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="p-star",
        title="Below p*, most groups carry no signal",
        sentence="Below a mean success rate p*, at least half of the groups have identical rewards;"
        " correlation raises p* and slows its fall with g, and simulation that does not use the"
        " formula finds the same values (99% intervals).",
        source="p*(g) at ICC 0: the root of p^g + (1-p)^g = 1/2; with correlation (beta-binomial)"
        " and as a band for any law of p with that ICC: derived here.",
        data=thresholds.data,
        draw=thresholds.draw_claim,
    ),
    Claim(
        name="spread",
        title="At one mean, the spread of p decides the signal",
        sentence="Correlation multiplies the variance of rewards by 1 - ICC at every mean, and"
        " fills the middle of the range with zero-std groups, where the mean alone sees none.",
        source="E[σ²] = m(1-m)(1-ρ)(g-1)/g for any exchangeable rewards; shares for the"
        " beta-binomial: derived here.",
        data=spread.data,
        draw=spread.draw,
        size=(4.2, 5.0),
        panels=2,
    ),
    Claim(
        name="weight",
        title="A finite group caps the weight of hard prompts",
        sentence="With std scaling a prompt enters the expected update with weight at most √(g-1):"
        " the formula 1/√(p(1-p)) for infinite groups overstates hard prompts without bound, and"
        " at g = 2 the scaling does nothing.",
        source="w_g(p) = E[σ]/(p(1-p)): derived here; the limit: arXiv 2510.13651.",
        data=weight.data,
        draw=weight.draw,
    ),
    Claim(
        name="collapse",
        title="Low entropy means high ICC, but by no one law",
        sentence="As SFT lowers the entropy of the answers the ICC rises toward 1, as the law of a"
        " Dirichlet process says; at one entropy the ICC differs between regimes, so that entropy"
        " alone does not give the share of zero-std groups.",
        source="1 - ρ = α/(1+α), H = ψ(1+α) - ψ(1): derived here from facts on Dirichlet processes;"
        " points: trained checkpoints, means over seeds.",
        data=collapse.data,
        draw=collapse.draw,
        reads=(STUDY,),
    ),
    Claim(
        name="escape",
        title="Half the starting rate, twice the wait",
        sentence="The number of updates that a hard prompt needs grows like 1/p₀, without a jump at"
        " p* = 0.083; std scaling shortens it by up to g/√(g-1), and the mean field is"
        " short of the exact chain and of simulation by half an update and 1 to 2%.",
        source="Exact first-step equations and T = ∫dz/(η p(1-p) w(p)): derived here.",
        data=escape.data,
        draw=escape.draw,
    ),
    Claim(
        name="trap",
        title="The trap scales with g differently from p*",
        sentence="A push from other prompts on a shared logit makes an unstable point below which p"
        " falls; it goes like 1/√(g-1) with std scaling and hardly moves without, while p* falls"
        " like 1/g.",
        source="p(1-p) w_g(p) = load: derived here; points: simulated runs with 95% intervals.",
        data=trap.data,
        draw=trap.draw,
    ),
    Claim(
        name="kl",
        title="Under reverse KL, g caps the gain in logits",
        sentence="With a reverse-KL penalty to a reference, GRPO rests at most √(g-1)/β logits"
        " above it; the recursion for infinite groups has no such cap, and for hard prompts its"
        " fixed point is unstable (dotted).",
        source="Recursion for g → ∞: arXiv 2503.06639; finite g: derived here.",
        data=kl.data,
        draw=kl.draw,
    ),
    Claim(
        name="ladder",
        title="Deeper SFT lowers pass@10 after RL,\nunless its data are ample",
        sentence="Where SFT can only memorise, its depth raises pass@1 before RL, or leaves it"
        " nearly as it is, and lowers the pass@10 that RL ends with, part of which was lost before"
        " RL; where its demonstrations are ample, deeper is better before and after.",
        source="`grpolab study --preset full`: a transformer trained from scratch; bars: standard"
        " deviation over seeds.",
        data=ladder.data,
        draw=ladder.draw_claim,
        size=(4.2, 6.4),
        panels=3,
        reads=(STUDY,),
    ),
    Claim(
        name="forecast",
        title="The mean hides the groups without a signal;\nthe spread of p shows them",
        sentence="Over all checkpoints the formula at the mean success rate misses most zero-std"
        " groups; with the ICC, or by thinning earlier rollouts, the share is right.",
        source="`grpolab study --preset full`; forecasts from one half of the samples, counts from"
        " the other; one mark per checkpoint, means over seeds.",
        data=forecast.data,
        draw=forecast.draw,
        size=(4.2, 4.4),
        reads=(STUDY,),
    ),
    Claim(
        name="real-models",
        title="On real models, the mean hides\nthe groups without a signal",
        sentence="On public verdicts of real language models the formula at the mean success rate"
        " says too few zero-std groups wherever there is something to learn; half of the verdicts"
        " of each problem forecasts the share in the other half.",
        source="`docs/results/real_llm.json`: 59 public data sets, groups of 2 to 8; one mark per"
        " data set, means over ten random splits.",
        data=forecast.real_data,
        draw=forecast.draw,
        size=(4.2, 4.4),
        reads=("real_models.json",),
    ),
    Claim(
        name="steps",
        title="Forecasts from before RL hold for its first steps",
        sentence="The zero-std share of the first GRPO steps is what rollouts from before RL say,"
        " and drifts away from it as the policy learns; the formula misses it even when it is given"
        " each step's own mean reward.",
        source="`grpolab study --preset full`, on-policy groups of 8, means over seeds.",
        data=steps.data,
        draw=steps.draw,
        size=(4.2, 6.2),
        panels=3,
        reads=("steps.json",),
    ),
    Claim(
        name="pretrained",
        title="A pretrained model: few mixed groups at first,\nenough to learn from",
        sentence="SmolLM2-135M on sums: without SFT 98% of the groups carry no signal at first, and"
        " RL finds the others; forecasts from before RL hold for the first ten steps, and fail by"
        " more the further RL moves the policy.",
        source="`grpolab study --preset real`, family no-shift, on-policy groups of 8, means over"
        " two seeds.",
        data=steps.data,
        draw=steps.draw,
        size=(4.2, 6.2),
        panels=3,
        reads=("real-steps.json",),
    ),
    Claim(
        name="shootout",
        title="No number before RL picks every start",
        sentence="What choosing a start by each number costs in final pass@1: none is best in"
        " every family, and where deeper SFT is better, entropy and the depth of SFT itself, which"
        " always choose the shallowest, cost more than a start drawn at random.",
        source="`grpolab study`, the shoot-out of predictors.",
        data=shootout.data,
        draw=shootout.draw_claim,
        size=(5.4, 5.2),
        reads=(STUDY,),
    ),
    Claim(
        name="trial",
        title="The trial: what choosing by each number costs",
        sentence="Mean regret in final pass@1 of choosing the start by each number, over the"
        " designs of the preregistered trial that are finished, as the picture says; a verdict is"
        " given when all are in.",
        source="`grpolab study --preset trial`; protocol, claims and verdicts:"
        " docs/preregistration.md; 95% intervals over designs.",
        data=trial.data,
        draw=trial.draw,
        size=(5.4, 5.2),
        reads=(TRIAL,),
    ),
    Claim(
        name="monitor",
        title="A run without a signal crosses the threshold;\nan outage of the grader does not",
        sentence="Evidence of no signal piles up in runs that have none and passes the threshold"
        " (dot: stopped there); it rises late in a run that loses its signal late, and stays low in"
        " runs that learn, through an outage of the grader too.",
        source="`python -m grpolab.validate.study.monitor_trials.evaluate`; the test by betting and"
        " its bound: Ville's inequality, derived here.",
        data=monitor.data,
        draw=monitor.draw_claim,
        size=(4.2, 3.7),
        reads=("monitor.json",),
    ),
    Claim(
        name="throughput",
        title="Simulated training runs at the speed of C",
        sentence="Exact training chains take 6 to 10 times less processor time than the same model"
        " in NumPy, 15 times less than in JAX, and 1.3 times less than in C with the same"
        " algorithm.",
        source="`python tests/benchmarks/bench_simulate.py`: the least of 7 interleaved runs on an"
        " idle machine, summed over threads.",
        data=throughput.data,
        draw=throughput.draw,
        reads=("benchmarks.json",),
    ),
    Claim(
        name="calibration",
        title="Intervals cover whatever the law of p",
        sentence="Over smooth laws, point masses, prompts that are never or always solved, and the"
        " counts of real models, no 95% interval covers less than 93% by more than chance, beyond"
        " the samples too.",
        source="`grpolab verify --full`: one dot per law (120 data sets), the bar over all of them;"
        " dotted: 0.93.",
        data=calibration.data,
        draw=calibration.draw,
        size=(4.2, 7.2),
        reads=("verify-grid.json",),
    ),
    Claim(
        name="sample-audit",
        title="Verdicts on file tell the zero-std share",
        sentence="Sixteen verdicts per problem say, without a model, how many groups of every"
        " smaller size carry no signal; the mean success rate says almost none do.",
        source="`docs/samples/depth0128.csv`; exact thinning C(c, g)/C(n, g) + C(n-c, g)/C(n, g):"
        " derived here.",
        data=sample_audit.data,
        draw=sample_audit.draw,
        size=(4.2, 5.0),
        panels=2,
        reads=("../samples/depth0128.csv",),
    ),
)


def find(names: Sequence[str]) -> list[Claim]:
    """The claims of these names, or all of them where none is given; ValueError names the others.

    >>> [claim.name for claim in find(["kl", "weight"])]
    ['kl', 'weight']
    """
    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            raise ValueError(f"no figure is called {name}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(CLAIMS)
