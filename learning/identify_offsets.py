"""What the accelerometer shows too much, and where the centre of mass is.

Over a run the accelerometer must agree with the change of velocity, and the moments of the rotors
with the change of angular momentum J:

    integral of a dt - (change of v + g t e3) = (integral of R dt) b           b in the body frame
    integral of sum_i (r_i - c) x f_i e3 dt = change of J omega + integral of omega x J omega dt

b along the thrust is a true offset. Across it, a tilt of the attitude estimate by b/g looks the
same in level flight. c is where the file's body frame should have its origin, to the side; how
high it lies does not show without strong sideways forces. A rotor that is weaker than the others
looks like a shifted centre of mass, and is flown like one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.free_flight import Stretch, change, impulse, integral
from neural_lander.learning.intervals import Interval, grouped, linear, ratio

Array = npt.NDArray[np.float64]


def accelerometer_offset(parts: Sequence[Stretch]) -> Interval:
    """Return the offset b in the body frame (3,) [m/s^2]; every part has specific force."""
    design, target, flights = [], [], []
    for p in parts:
        turns = Rotation.from_quat(p.columns["attitude"]).as_matrix()
        for rows in p.runs:
            design.append(integral(turns, rows, p.step))
            felt = integral(p.columns["specific_force"], rows, p.step)
            target.append(felt - impulse(p, rows, 1.0))
            flights.append(p.flight)
    return linear(np.array(design), np.array(target), grouped(flights))


def centre_of_mass(
    parts: Sequence[Stretch], thrusts: Sequence[Array], vehicle: Vehicle
) -> tuple[Interval, Interval]:
    """Return its place along body x and y in the file's frame, (1,) each [m].

    ``thrusts`` are those of each rotor (n, 4) [N], by the file's law and as late as they are.
    """
    x, y, _ = vehicle.rotors.positions.T
    inertia = vehicle.body.inertia
    moment_x, moment_y, push, flights = [], [], [], []
    for p, f in zip(parts, thrusts, strict=True):
        rate = p.columns["rate"]
        gyroscopic = np.cross(rate, inertia * rate)
        for rows in p.far:
            spun = inertia * change(rate, rows) + integral(gyroscopic, rows, p.step)
            moment_x.append(integral(f @ x, rows, p.step) + spun[1])
            moment_y.append(integral(f @ y, rows, p.step) - spun[0])
            push.append(integral(f.sum(axis=1), rows, p.step))
            flights.append(p.flight)
    groups, total = grouped(flights), np.array(push)
    return ratio(np.array(moment_x), total, groups), ratio(np.array(moment_y), total, groups)
