"""The vehicle's forces in the world: lagging rotors, their aerodynamics, what nothing explains.

    f' = (f_commanded - f) / lag                                    each rotor, exact over a step
    F  = sum f_i g_i R e3 - drag sum f_i (v_i)_sideways,   g_i the ground effect at that rotor,
                                              of whatever its disc and the others' are over
    M  = sum R r_i x F_i - spin_i drag_torque f_i R e3
    residual force = F - sum f_i R e3           or, with a network as aerodynamics, what it says

Rotor drag: Faessler, Franchi, Scaramuzza, "Differential flatness of quadrotor dynamics subject to
rotor drag", IEEE RA-L 3(2), 2018.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller import terrain
from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.compiled import blank_record, compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.network import Network, load_network, network_force
from neural_lander.controller.rotation import Quaternion, Vector, body_z, cross, dot, rotate
from neural_lander.controller.terrain import (
    FLAT,
    Terrain,
    disc_shares,
    distance_over,
    height_of,
    highest_within,
    is_tilted,
    share_of_all,
)
from neural_lander.controller.vehicle import GRAVITY, MAX_LATENCY_STEPS, Vehicle
from neural_lander.sim import accelerometer, deck, range_finder
from neural_lander.sim import aerodynamics as air_terms
from neural_lander.sim.aerodynamics import Aerodynamics, crossflow_force, store_aerodynamics
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.ground_effect import ground_effect_gain, mixed_gain
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.wind import Wind

Array = npt.NDArray[np.float64]

NEAR = 0.02
"""Nothing can touch while every point of the vehicle is farther from the surface than this [m].

Bullet's first contact points appear 3 mm before the touch; a step at 5 m/s is 10 mm."""
TOUCH = 1e-6
"""The ground is felt from this share of weight on; rounding stays far below."""

NO_AERODYNAMICS, ROTOR, NETWORK = 0, 1, 2
MIXED = -1
"""The discs lie over more than one surface."""

RECORD = np.dtype(
    [
        ("mass", np.float64),
        ("inertia", np.float64, (3,)),
        ("rotors", np.float64, (4, 3)),
        ("spins", np.float64, (4,)),
        ("radius", np.float64),
        ("drag_torque", np.float64),
        ("drag", np.float64),
        ("k_f", np.float64),
        ("follow", np.float64),
        ("follow_down", np.float64),
        ("battery", np.float64),
        ("centre", np.float64, (3,)),
        ("f_min", np.float64),
        ("f_max", np.float64),
        ("hull", np.float64, (12, 3)),
        ("rest_height", np.float64),
        *terrain.RECORD_FIELDS,
        *air_terms.RECORD_FIELDS,
        *deck.RECORD_FIELDS,
        ("apart", np.float64, (4, 4)),
        ("span", np.float64),
        ("reach", np.float64),
        ("aerodynamics", np.int64),
        ("period", np.float64),
        ("latency", np.int64),
        ("thrust_gains", np.float64, (4,)),
        ("estimate_lag", np.float64),
        ("late", np.int64),
        ("drops_out", np.int64),
        ("speed_seen", np.int64),
        ("supposed_latency", np.int64),
        ("supposed_follow", np.float64),
        ("steady", np.float64, (3,)),
        ("gust", np.float64, (3,)),
        ("gust_start", np.float64),
        ("gust_length", np.float64),
        ("rough", np.int64),
        ("near_ground", np.float64),
        ("near_ground_length", np.float64),
        ("pipeline", np.float64, (MAX_LATENCY_STEPS + 1, 4)),
        ("thrusts", np.float64, (4,)),
        ("supposed_thrusts", np.float64, (4,)),
        ("speed_before", np.float64),
        ("lift_before", np.float64),
        ("wind", np.float64, (3,)),
        ("estimate", np.float64, (6,)),
        ("estimating", np.int64),
        ("past", np.float64, (MAX_LATENCY_STEPS + 1, 6)),
        ("last_seen", np.float64, (6,)),
        *range_finder.RECORD_FIELDS,
        *accelerometer.RECORD_FIELDS,
    ],
    align=True,
)
"""What the compiled step knows of the world; from the pipeline on it is its state."""


def load_aerodynamics(name: str, vehicle: Vehicle) -> tuple[int, Network | None]:
    """Return the kind of aerodynamics and its network, for ``rotor``, ``none`` or a path.

    A network plays the vehicle in its heading frame, whatever frame it was fitted in: its flights
    had one heading, and the air does not know which way is north.

    Raises:
        InputError: neither a known name nor a readable network of this vehicle.
    """
    if name in ("rotor", "none"):
        return (ROTOR if name == "rotor" else NO_AERODYNAMICS), None
    if not name.endswith(".safetensors") and not Path(name).is_dir():
        raise InputError(
            f"aerodynamics '{name}' is unknown; take rotor, none, or the path of a network "
            "(NAME.safetensors with NAME.json beside it)"
        )
    return NETWORK, replace(load_network(Path(name), vehicle), frame="heading")


def world_record(
    believed: Vehicle,
    aerodynamics: int,
    surface: float = 0.0,
    deviation: Deviation | None = None,
    wind: Wind | None = None,
    sensors: Sensors | None = None,
    ground: Terrain = FLAT,
    air: Aerodynamics | None = None,
) -> npt.NDArray[Any]:
    """Return the world of one vehicle with its rotors at hover thrust.

    ``surface`` is the height of the floor [m], ``ground`` what stands on it, ``air`` which terms of the
    aerodynamics ``rotor`` there are.

    Raises:
        InputError: terms are left out or added whose aerodynamics are not ``rotor``, or a deviation that
            cannot be.
    """
    if air is not None and aerodynamics != ROTOR:
        air.require_none()
    record = blank_record(RECORD)
    deviation, wind, sensors = deviation or Deviation(), wind or Wind(), sensors or Sensors()
    vehicle = deviation.real(believed)
    w, r = record[0], vehicle.rotors
    w["mass"], w["inertia"] = vehicle.mass, vehicle.body.inertia
    w["rotors"], w["spins"], w["radius"] = r.positions, r.spins, r.radius
    w["drag_torque"], w["k_f"] = r.drag_torque, r.k_f
    store_aerodynamics(w, air or Aerodynamics(), r.drag)
    w["follow"] = 1 - math.exp(-vehicle.timing.period / r.lag)
    slower = r.lag * (1 + deviation.lag_down_share)
    w["follow_down"] = 1 - math.exp(-vehicle.timing.period / slower)
    w["battery"], w["centre"] = deviation.battery_share_s, deviation.centre_of_mass
    w["f_min"], w["f_max"] = r.thrust_min, r.thrust_max
    w["hull"], w["rest_height"] = hull_points(vehicle), believed.rest_height
    w["surface"], w["aerodynamics"] = surface, aerodynamics
    w["surfaces"], w["surface_count"] = ground.array(), len(ground.surfaces)
    flat = r.positions[:, :2]
    w["apart"] = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    w["span"] = w["apart"].max()
    w["reach"] = reach(vehicle)
    w["period"] = vehicle.timing.period
    w["latency"] = round(vehicle.timing.latency / vehicle.timing.period)
    w["thrust_gains"] = 1 + np.array(deviation.thrust_shares)
    w["estimate_lag"] = deviation.estimate_lag
    _store_wind(w, wind)
    _store_sensors(w, sensors, believed)
    hover = np.linalg.solve(believed.mixing, np.array([believed.weight, 0, 0, 0]))
    w["thrusts"], w["supposed_thrusts"], w["pipeline"] = hover, hover, hover
    return record


def _store_wind(w: Any, wind: Wind) -> None:
    w["steady"], w["gust"] = wind.steady, wind.gust
    w["gust_start"], w["gust_length"] = wind.gust_start, wind.gust_length
    w["rough"] = wind.turbulence > 0
    w["near_ground"], w["near_ground_length"] = wind.near_ground, wind.near_ground_length


def _store_sensors(w: Any, sensors: Sensors, believed: Vehicle) -> None:
    w["late"] = sensors.late_steps(believed)
    w["drops_out"] = sensors.drop_out_share > 0
    w["speed_seen"] = sensors.rotor_speed
    w["range_finder"] = sensors.has_range_finder
    w["height_by_range"] = sensors.height == "range"
    w["range_limit"], w["range_cone"] = sensors.range_limit, sensors.range_cone
    w["supposed_latency"] = round(believed.timing.latency / believed.timing.period)
    w["supposed_follow"] = 1 - math.exp(-believed.timing.period / believed.rotors.lag)


def body_box(vehicle: Vehicle) -> tuple[Array, Array]:
    """Return centre and half extents (3,) of the box that stands for arms and body [m]."""
    positions = vehicle.rotors.positions
    middle = 0.5 * (positions.max(axis=0) + positions.min(axis=0))
    half = np.abs(positions - middle).max(axis=0) + 0.5 * vehicle.rotors.radius
    centre = np.array([middle[0], middle[1], positions[:, 2].mean()])
    return centre, np.array([half[0], half[1], 0.2 * vehicle.rest_height])


def hull_points(vehicle: Vehicle) -> Array:
    """Return the points (12, 3) of the body frame that can touch first: feet, corners of the box."""
    centre, half = body_box(vehicle)
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return np.concatenate([vehicle.legs.feet, centre + signs * half])


def reach(vehicle: Vehicle) -> float:
    """Return how far from its origin the vehicle can touch anything, however it is turned [m]."""
    return float(np.linalg.norm(hull_points(vehicle), axis=1).max()) + foot_radius(vehicle)


def foot_radius(vehicle: Vehicle) -> float:
    """Return the radius of the spheres that stand for the feet [m]."""
    return min(0.01, 0.2 * vehicle.rest_height)


@compiled
def clearance(w: Any, p: Vector, q: Quaternion) -> float:
    """Return the height of the vehicle's lowest point over the highest surface within its reach [m].

    On one floor it is the clearance; near an edge it is never more: a side or a corner of a box, or a
    box between the legs, is seen before any of the vehicle's points is over it.
    """
    x, y, z, s = q
    ax, ay, az = 2 * (x * z - s * y), 2 * (y * z + s * x), 1 - 2 * (x * x + y * y)
    low = 1e9
    for i in range(12):
        low = min(low, ax * w.hull[i, 0] + ay * w.hull[i, 1] + az * w.hull[i, 2])
    return float(p[2] + low - highest_within(w, p[0], p[1], w.reach + NEAR))


@compiled
def delayed(w: Any, k: int, f: Thrusts) -> Thrusts:
    """Put the command of step k into the pipeline and return the one that reaches the rotors now."""
    for i in range(4):
        w.pipeline[k % (MAX_LATENCY_STEPS + 1), i] = f[i]
    return sent(w, k - w.latency)


@compiled
def sent(w: Any, k: int) -> Thrusts:
    """Return the command of step k, at most ``MAX_LATENCY_STEPS`` old; before the first it is hover."""
    j = (k + MAX_LATENCY_STEPS + 1) % (MAX_LATENCY_STEPS + 1)
    return (w.pipeline[j, 0], w.pipeline[j, 1], w.pipeline[j, 2], w.pipeline[j, 3])


@compiled
def ground_force(w: Any, k: int, v: Vector, clear: float) -> float:
    """Return the upward force of the ground during the step before [N], by the balance of momentum.

    f = m (v - v_before) / h + m g - F_before, which is what the engine's contacts add up to on level
    ground; 0 in the air. ``clear`` is the clearance [m].
    """
    if k == 0 or clear > NEAR:
        return 0.0
    force = w.mass * ((v[2] - w.speed_before) / w.period + GRAVITY) - w.lift_before
    return float(force) if force > TOUCH * w.mass * GRAVITY else 0.0


@compiled
def spin_up(w: Any, commanded: Thrusts, t: float = 0.0) -> Thrusts:
    """Let the rotors follow their command for one period; return their thrusts [N] at time t [s].

    ``thrusts`` of the record are what the rotors' speeds stand for by the vehicle file.
    """
    for i in range(4):
        f = min(max(commanded[i], w.f_min), w.f_max)
        follow = w.follow if f > w.thrusts[i] else w.follow_down
        w.thrusts[i] += follow * (f - w.thrusts[i])
    f, g = w.thrusts, w.thrust_gains
    left = max(1.0 - w.battery * t, 0.0)
    return (f[0] * g[0] * left, f[1] * g[1] * left, f[2] * g[2] * left, f[3] * g[3] * left)


@compiled
def suppose(w: Any, commanded: Thrusts) -> None:
    """Follow the command for one period as the rotors of the vehicle file do: speed not measured."""
    for i in range(4):
        f = min(max(commanded[i], w.f_min), w.f_max)
        w.supposed_thrusts[i] += w.supposed_follow * (f - w.supposed_thrusts[i])


@compiled
def look_below(w: Any, p: Vector, q: Quaternion) -> int:
    """Find each disc's shares; return the one surface that all discs are wholly over, or ``MIXED``."""
    for i in range(4):
        r = rotate(q, (w.rotors[i, 0], w.rotors[i, 1], w.rotors[i, 2]))
        disc_shares(w, i, p[0] + r[0], p[1] + r[1])
    for s in range(w.surface_count + 1):
        if share_of_all(w, s) == 1.0:
            return s
    return MIXED


@compiled
def mixed_network_force(
    w: Any, net: Any, p: Vector, q: Quaternion, v: Vector, f: Thrusts
) -> tuple[Vector, Vector]:
    """Return the network's force [N] where surfaces of several heights lie below, and its torque [N m].

    Each rotor carries a quarter of the force over each surface, as far as its disc is over it. The
    arms are those from the middle of the rotors: over one level surface the force acts at the body's
    origin, as it does without any table. Over a tilted one each rotor has the force at the height
    that its own disc is over it.
    """
    fx, fy, fz = 0.0, 0.0, 0.0
    tx, ty, tz = 0.0, 0.0, 0.0
    a = w.rotors
    mx = 0.25 * (a[0, 0] + a[1, 0] + a[2, 0] + a[3, 0])
    my = 0.25 * (a[0, 1] + a[1, 1] + a[2, 1] + a[3, 1])
    mz = 0.25 * (a[0, 2] + a[1, 2] + a[2, 2] + a[3, 2])
    for s in range(w.surface_count + 1):
        if share_of_all(w, s) == 0.0:
            continue
        tilted = is_tilted(w, s)
        force = (0.0, 0.0, 0.0)
        if not tilted:
            above = p[2] - w.centre[2] - height_of(w, s, p[0], p[1])
            force = network_force(net, above - w.rest_height, v, q, f)
        for i in range(4):
            k = 0.25 * w.shares[i, s]
            arm = rotate(q, (a[i, 0] - mx, a[i, 1] - my, a[i, 2] - mz))
            if tilted:
                r = rotate(q, (a[i, 0], a[i, 1], a[i, 2]))
                at = (p[0] + r[0], p[1] + r[1], p[2] - w.centre[2] + arm[2])
                force = network_force(net, distance_over(w, s, at) - w.rest_height, v, q, f)
            part = (k * force[0], k * force[1], k * force[2])
            turn = cross(arm, part)
            fx, fy, fz = fx + part[0], fy + part[1], fz + part[2]
            tx, ty, tz = tx + turn[0], ty + turn[1], tz + turn[2]
    return (fx, fy, fz), (tx, ty, tz)


@compiled
def aerodynamic_wrench(
    w: Any, net: Any, p: Vector, q: Quaternion, v: Vector, omega: Vector, f: Thrusts
) -> tuple[Vector, Vector, Vector]:
    """Return force, torque about the origin, and residual force, all in the world frame [N, N m].

    ``p, v`` of the body's origin in the world, ``omega`` in the world frame [rad/s], ``f`` the
    rotors' thrusts away from the ground [N].
    """
    axis = body_z(q)
    total = f[0] + f[1] + f[2] + f[3]
    fx, fy, fz = 0.0, 0.0, 0.0
    tx, ty, tz = 0.0, 0.0, 0.0
    whole = 0
    apart = w.surface_count > 0 or w.split == 1 or w.crossflow > 0.0
    if apart and w.aerodynamics != NO_AERODYNAMICS:
        whole = look_below(w, p, q)
        if w.aerodynamics == NETWORK and is_tilted(w, whole):
            whole = MIXED
    if w.split == 1:
        whole = MIXED
    for i in range(4):
        r = rotate(q, (w.rotors[i, 0], w.rotors[i, 1], w.rotors[i, 2]))
        push, sx, sy, sz = f[i], 0.0, 0.0, 0.0
        if (
            w.aerodynamics == NETWORK
        ):  # has the drag of flying in still air; what wind adds it has not
            along = dot((w.wind[0], w.wind[1], w.wind[2]), axis)
            k = w.drag * f[i]
            sx, sy = k * (w.wind[0] - along * axis[0]), k * (w.wind[1] - along * axis[1])
            sz = k * (w.wind[2] - along * axis[2])
        if w.aerodynamics == ROTOR:
            if whole == MIXED:
                push *= mixed_gain(w, i, (p[0] + r[0], p[1] + r[1], p[2] + r[2]))
            else:
                at = (p[0] + r[0], p[1] + r[1], p[2] + r[2])
                push *= ground_effect_gain(distance_over(w, whole, at), w.radius)
            turn = cross(omega, r)
            u = (v[0] + turn[0] - w.wind[0], v[1] + turn[1] - w.wind[1], v[2] + turn[2] - w.wind[2])
            along = dot(u, axis)
            k = -w.drag * f[i]
            sx, sy = k * (u[0] - along * axis[0]), k * (u[1] - along * axis[1])
            sz = k * (u[2] - along * axis[2])
            if w.crossflow > 0.0:
                aside = crossflow_force(w, i, p, r, axis, f, q)
                sx, sy, sz = sx + aside[0], sy + aside[1], sz + aside[2]
        force = (push * axis[0] + sx, push * axis[1] + sy, push * axis[2] + sz)
        torque = cross(r, force)
        if w.moments == 0:
            torque = cross(r, (f[i] * axis[0] + sx, f[i] * axis[1] + sy, f[i] * axis[2] + sz))
        yaw = -w.spins[i] * w.drag_torque * f[i]
        fx, fy, fz = fx + force[0], fy + force[1], fz + force[2]
        tx, ty, tz = tx + torque[0], ty + torque[1], tz + torque[2]
        tx, ty, tz = tx + yaw * axis[0], ty + yaw * axis[1], tz + yaw * axis[2]
    if w.aerodynamics == NETWORK:
        if whole == MIXED:
            extra, turning = mixed_network_force(w, net, p, q, v, f)
            tx, ty, tz = tx + turning[0], ty + turning[1], tz + turning[2]
        else:
            height = p[2] - w.centre[2] - height_of(w, whole, p[0], p[1]) - w.rest_height
            extra = network_force(net, height, v, q, f)
        fx, fy, fz = fx + extra[0], fy + extra[1], fz + extra[2]
    residual = (fx - total * axis[0], fy - total * axis[1], fz - total * axis[2])
    return (fx, fy, fz), (tx, ty, tz), residual
