"""Write data/inspect.json.gz and data/inspect.eval by running inspect_ai on a mock model.

pip install inspect_ai==0.3.* && python tests/validate/readers/generate/inspect_toy.py
"""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def main():
    from inspect_ai import Epochs, Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match

    task = Task(
        dataset=[Sample(id=f"add/2-{i}", input=f"2+{i}=", target=str(2 + i)) for i in range(3)],
        scorer=match(),
        epochs=Epochs(4, ["mean", "pass_at_2"]),
    )
    answers = ["2", "3", "4", "2", "3", "0", "2", "0", "0", "2", "3", "4"]
    for ending in ("json", "eval"):
        outputs = [ModelOutput.from_content("mockllm/model", a) for a in answers]
        for output in outputs:  # a stated usage keeps inspect_ai from fetching a tokenizer
            output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        model = get_model("mockllm/model", custom_outputs=outputs)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # away from the repository, whose revision would be logged
            run(
                task, model=model, log_dir=".", log_format=ending, display="none",
                max_connections=1, max_samples=1,
            )  # fmt: skip
            log = next(Path(folder).glob(f"*.{ending}"))
            if ending == "eval":
                shutil.copy(log, DATA / "inspect.eval")
            else:
                (DATA / "inspect.json.gz").write_bytes(gzip.compress(log.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
