"""A file is there whole or not at all."""

import json
import os
from pathlib import Path

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import (
    read_json,
    require_file,
    require_folder,
    sha256_of,
    sha256_of_file,
    write_json,
    write_whole,
)


def test_json_survives_the_round_trip(tmp_path: Path) -> None:
    value = {"height_m": 0.1, "flights": ["a", "b"], "absent": None, "deep": {"x": [1, 2.5e-17]}}
    write_json(tmp_path / "new" / "folder" / "value.json", value)
    assert read_json(tmp_path / "new" / "folder" / "value.json") == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_figure_that_is_no_number_is_refused_and_nothing_is_written(
    tmp_path: Path, number: float
) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "value.json", {"height_m": number})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "flight.parquet"
    path.write_text("the old one")

    def fails(temporary: Path) -> None:
        temporary.write_text("half of the new o")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fails)
    assert path.read_text() == "the old one"
    assert [f.name for f in tmp_path.iterdir()] == ["flight.parquet"]


def test_until_the_new_file_is_whole_readers_find_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def looks_back(temporary: Path) -> None:
        temporary.write_text("new")
        assert path.read_text() == "old"

    write_whole(path, looks_back)
    assert path.read_text() == "new"


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "file" / "value.json", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_locked_is_refused_by_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "value.json", {})


def test_what_is_no_json_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    with pytest.raises(InputError, match="cannot be read"):
        read_json(path)
    path.write_text('{"a": 1')
    with pytest.raises(InputError, match="is not JSON"):
        read_json(path)
    path.write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match="is not JSON"):
        read_json(path)
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="holds a JSON list, expected an object"):
        read_json(path)


def test_a_digest_is_of_the_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    value = {"mass_kg": 1.47, "gains": {"x": 1.0, "y": 2.0}}
    same = json.loads('{"gains": {"y": 2.0, "x": 1.0}, "mass_kg": 1.47}')
    assert sha256_of(value) == sha256_of(same)
    assert sha256_of(value) != sha256_of({**value, "mass_kg": 1.4700000000000002})


def test_asking_whether_a_folder_can_be_made_leaves_nothing(tmp_path: Path) -> None:
    require_folder(tmp_path / "a" / "b")
    require_file(tmp_path / "a" / "b" / "c.json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is no folder that can be written into"):
            require_folder(bad)
    with pytest.raises(InputError, match="is a folder, expected the name of a file"):
        require_file(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]
