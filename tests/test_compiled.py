"""Compiled code is never older than the text it was made from."""

import subprocess
import sys

from neural_lander.controller import compiled

SHOW = "from neural_lander.controller import compiled as c; print(c.CACHE_FOLDER.name)"


def test_every_file_with_a_compiled_function_and_its_constants_decide_the_cache():
    names = {file.name for file in compiled._compiled_sources()}
    assert {"step.py", "ground_effect.py", "landing_controller.py", "vehicle.py"} <= names
    assert "figures.py" not in names


def test_a_changed_law_means_another_cache(tmp_path):
    """The room copied, one constant of the ground effect changed: another folder."""
    import shutil
    from pathlib import Path

    root = Path(compiled.__file__).parent.parent
    for room in ("controller", "sim"):
        shutil.copytree(root / room, tmp_path / "neural_lander" / room)
    law = tmp_path / "neural_lander" / "sim" / "ground_effect.py"
    folders = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, '.'); {SHOW}"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        folders.append(done.stdout.strip())
        law.write_text(law.read_text().replace("CUSHION = 0.1134", "CUSHION = 0.1135"))
    assert len(folders[0]) == 16
    assert folders[0] != folders[1]
