"""What success counts on disk say about a GRPO run that has not been started yet."""

from grpolab.validate.audit.plan import GroupPlan
from grpolab.validate.audit.summary import Audit, audit

__all__ = ["Audit", "GroupPlan", "audit"]
