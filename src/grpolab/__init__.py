"""grpolab: when does group-relative RL on binary rewards have a signal to learn from?

Three rooms and one door each: `grpolab.theory` derives, `grpolab.simulate` plays,
`grpolab.validate` measures; `grpolab.figures` draws. Importing this package imports none of them.
"""

__version__ = "0.1.0"
