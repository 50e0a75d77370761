"""``python -m grpolab.validate.study.explore RESULTS``: see the module ``main``."""

import sys

from grpolab.validate.study.explore.main import main

main(sys.argv[1:])
