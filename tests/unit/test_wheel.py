"""What is installed from the wheel is what runs from a checkout: data files of controllers too."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.docs import markdown


def test_the_wheel_has_every_file_of_the_controllers(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(command, cwd=markdown.ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")

    files = (markdown.ROOT / "controllers").rglob("*")
    expected = {
        str(path.relative_to(markdown.ROOT))
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in expected if name.endswith(".yaml")}
    assert expected <= packed
