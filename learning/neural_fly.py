"""Reads the CSV of the Neural-Fly experiments (``*.csv``, or gzipped).

A row a line at 50 Hz; vectors are quoted lists in one cell (``"[x, y, z]"``). World z up, body z
along the thrust, quaternions xyzw of either sign. The collective command is the throttle ``T_sp``
over that of hover at the battery's voltage, so

    T = m g T_sp / hover_throttle

which is the law behind the file's own residual force ``fa``. The rotors' ``pwm`` has no calibration
in the source, so their shares of the thrust stay missing, as do rotor speed and accelerometer.
Height is motion capture's z over the floor less the vehicle's height at rest.

Source: O'Connell, Shi et al., "Neural-Fly", Science Robotics 7(66), 2022, and its data.
"""

from collections.abc import Mapping

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.frames import Frames
from neural_lander.learning.recording import Recording
from neural_lander.learning.resampling import Track
from neural_lander.learning.text_table import number_in, read_rows, split_table

WIDTHS = {"t": 1, "p": 3, "v": 3, "q": 4, "w": 3}
"""Columns that must be there -> numbers in a cell."""

THROTTLE = {"T_sp": 1, "hover_throttle": 1}
"""Columns of the collective command."""

SETPOINTS = {"p_d": 3, "v_d": 3}
"""Columns of the set-points."""


def looks_like_neural_fly(data: bytes) -> bool:
    """Whether ``data`` begins with the head of such a file."""
    head = data[:1000].split(b"\n")[0].strip().decode("utf-8", "replace").split(",")
    return {*WIDTHS, *THROTTLE} <= set(head)


def recording(data: bytes, vehicle: Vehicle, where: str) -> Recording:
    """Return what a file says about a flight of ``vehicle``.

    Raises:
        InputError: a column is missing, or no row can be read.
    """
    table = split_table(data, where)
    absent = [name for name in WIDTHS if name not in table.head]
    if absent:
        raise InputError(
            f"{where}: column {absent[0]} is missing; a Neural-Fly log has {', '.join(WIDTHS)}"
        )
    widths = {k: n for k, n in {**WIDTHS, **THROTTLE, **SETPOINTS}.items() if k in table.head}

    def parse(cells: Mapping[str, str]) -> list[float]:
        return [number for name, n in widths.items() for number in _numbers(cells[name], name, n)]

    rows, dropped = read_rows(table, parse, where)
    edges = np.cumsum([0, *widths.values()])
    columns = {k: rows[:, i:j] for k, i, j in zip(widths, edges[:-1], edges[1:], strict=True)}
    time = columns["t"][:, 0]
    tracks = {
        "position": Track(time, columns["p"]),
        "velocity": Track(time, columns["v"]),
        "attitude": Track(time, Frames().attitude(columns["q"]), "attitude"),
        "rate": Track(time, columns["w"]),
        "height": Track(time, columns["p"][:, 2] - vehicle.rest_height),
    }
    missing = {
        "rotor_thrust_command": "the source gives no thrust of single rotors, only their sum",
        "rotor_command": "the scale of the file's pwm is not in the source",
        "rotor_speed": "not measured",
        "specific_force": "no accelerometer in the file",
    }
    if THROTTLE.keys() <= columns.keys():
        throttle, hover = columns["T_sp"][:, 0], columns["hover_throttle"][:, 0]
        share = np.divide(throttle, hover, out=np.full_like(hover, np.nan), where=hover > 0.01)
        tracks["thrust_command"] = Track(time, vehicle.weight * share)
    else:
        missing["thrust_command"] = "no T_sp with hover_throttle in the file"
    for quantity, name in (("setpoint_position", "p_d"), ("setpoint_velocity", "v_d")):
        if name in columns:
            tracks[quantity] = Track(time, columns[name])
    return Recording(
        format="neural-fly",
        frame="world x along the wind, z up from the floor of motion capture; time as in the file",
        tracks=tracks,
        missing=missing,
        dropped=dropped,
    )


def _numbers(cell: str, column: str, width: int) -> list[float]:
    """Return the numbers of a cell that holds a list.

    Raises:
        ValueError: they are not as many, or no numbers.
    """
    parts = cell.strip("[]").split(",")
    if len(parts) != width:
        raise ValueError(f"{column} reads {cell[:40]!r}, expected {width} numbers")
    return [number_in(part, column) for part in parts]
