"""What to do with a budget of rollouts: how many for each prompt, and which prompts to keep."""

from grpolab.validate.plan.plans import Row, make_rows
from grpolab.validate.plan.select import Selection, select

__all__ = ["Row", "Selection", "make_rows", "select"]
