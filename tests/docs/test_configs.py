"""The launch configurations of the docs are ones that accelerate knows, key by key."""

from pathlib import Path

import pytest

pytest.importorskip("accelerate")
CONFIGS = sorted((Path(__file__).parents[2] / "docs" / "configs").glob("*.yaml"))


def test_there_is_one_per_way_of_sharding():
    assert [path.stem for path in CONFIGS] == ["fsdp", "zero2"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_takes_it(path):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(path))
    kind = {"fsdp": "FSDP", "zero2": "DEEPSPEED"}[path.stem]
    assert config.distributed_type.value == kind
    options = {action.dest for action in launch_command_parser()._actions}
    chosen = {**config.fsdp_config, **config.deepspeed_config}
    assert chosen
    assert set(chosen) <= options, set(chosen) - options
