"""Runs as an animation, side by side: what their logs say happened, seen by PyBullet's own renderer.

Nothing is flown again: poses come from the logs, a frame shows the row nearest to its time. A picture
is drawn without a display, on the processor. The camera follows the set-point, the same in every
panel, and comes closer as it comes down. Rotors turn slower than they do, so that turning is seen.
The file is a GIF; it plays at the speed of time, and rests on its last frame.
"""

import io
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import Vehicle, bundled_vehicles, load_vehicle
from neural_lander.sim.compare import scenario_of
from neural_lander.sim.plots.style import style_of
from neural_lander.sim.run_folder import read_run
from neural_lander.sim.summary import height_over_end, hover_of
from neural_lander.sim.world import pybullet

Array = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
Run = tuple[FlightLog, dict[str, Any]]
Progress = Callable[[float, str], None]

FRAMES = 20
"""A second."""
SIZE = (280, 340)
"""Width and height of a panel [pixel]."""
BAR = 58
"""Of which the text at the top takes so many."""
LEAD, TAIL, REST = 0.4, 0.8, 1.5
"""Drawn before the descent and after the last touch, and how long the last frame stays [s]."""
COLOURS = 96
"""Of the GIF's palette."""
TILE = 0.25
"""Side of a square of the floor [m]."""
MOST = 6
"""Runs that have room side by side."""
TURN = 2 * math.pi * 0.07
"""What a rotor turns from frame to frame [rad]."""
LARGEST = 5_000_000
"""Of the file [bytes]: where it would be larger, every other frame is left out."""


class Stage:
    """A world to look at: the ground, its boxes, one vehicle. Nothing moves by itself."""

    def __init__(self, vehicle: Vehicle, terrain: Terrain, colour: str) -> None:
        """Build it; ``colour`` of the rotors is the controller's, as ``#rrggbb``."""
        self.here = {"physicsClientId": pybullet.connect(pybullet.DIRECT)}
        self.vehicle = vehicle
        self._put_ground(terrain)
        self.body = self._put_body(colour)
        self.blades = [self._put_blade() for _ in vehicle.rotors.positions]

    def close(self) -> None:
        """Let go of the engine's memory."""
        pybullet.disconnect(**self.here)

    def _put_ground(self, terrain: Terrain) -> None:
        """Lay out squares, and put boxes with squares of other shades on them."""
        level = (0.0, 0.0, 0.0, 1.0)
        boxes = [((4.0, 4.0, 0.005), (0.0, 0.0, -0.005), level, (238, 208))]
        for s in terrain.surfaces:
            up = s.height / 2
            along_x, along_y = s.gradient
            normal = np.array([-along_x, -along_y, 1.0]) / math.hypot(along_x, along_y, 1.0)
            turn = Rotation.from_rotvec(
                np.arctan2(math.hypot(along_x, along_y), 1.0) * uphill_axis(s)
            )
            middle = np.array([s.x, s.y, s.height]) - up * normal
            half = (s.half_x, s.half_y, up)
            boxes.append((half, tuple(middle.tolist()), tuple(turn.as_quat().tolist()), (196, 168)))
        for half, centre, turned, shades in boxes:
            shape = pybullet.createVisualShape(
                pybullet.GEOM_BOX, halfExtents=half, rgbaColor=[1, 1, 1, 1], **self.here
            )
            box = pybullet.createMultiBody(0, -1, shape, centre, turned, **self.here)
            across = [max(1, round(2 * side / TILE)) for side in half[:2]]
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                Image.fromarray(checkers(across[0], across[1], shades)).save(file.name)
                texture = pybullet.loadTexture(file.name, **self.here)
            pybullet.changeVisualShape(box, -1, textureUniqueId=texture, **self.here)

    def _put_body(self, colour: str) -> int:
        """Build a hub, and for every rotor an arm, a disc and a leg."""
        rotors, feet = self.vehicle.rotors, self.vehicle.legs.feet
        reach = float(np.linalg.norm(rotors.positions[:, :2], axis=1).max())
        thick = 0.05 * reach
        dark, grey = [0.12, 0.12, 0.12, 1.0], [0.45, 0.45, 0.45, 1.0]
        tint = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0]
        top = float(rotors.positions[:, 2].mean())
        box, disc = pybullet.GEOM_BOX, pybullet.GEOM_CYLINDER
        flat = (0.0, 0.0, 0.0, 1.0)
        parts = [(box, [0.3 * reach, 0.3 * reach, 2 * thick], 0.0, 0.0, dark, [0, 0, top], flat)]
        for x, y, z in rotors.positions:
            turned = Rotation.from_euler("z", math.atan2(y, x)).as_quat().tolist()
            length = math.hypot(x, y) / 2
            parts.append(
                (box, [length, thick, thick], 0.0, 0.0, dark, [x / 2, y / 2, z - thick], turned)
            )
            parts.append((disc, [0, 0, 0], rotors.radius, 0.3 * thick, tint, [x, y, z], flat))
        for x, y, z in feet:
            half = (top - z) / 2
            parts.append(
                (box, [thick / 2, thick / 2, half], 0.0, 0.0, grey, [x, y, z + half], flat)
            )
        kinds, halves, radii, lengths, colours, places, turns = map(list, zip(*parts, strict=True))
        shape = pybullet.createVisualShapeArray(
            shapeTypes=kinds,
            halfExtents=halves,
            radii=radii,
            lengths=lengths,
            rgbaColors=colours,
            visualFramePositions=places,
            visualFrameOrientations=turns,
            **self.here,
        )
        return int(pybullet.createMultiBody(0, -1, shape, **self.here))

    def _put_blade(self) -> int:
        """Build a bar that turns over a disc, so that the disc is seen to turn."""
        radius = self.vehicle.rotors.radius
        shape = pybullet.createVisualShape(
            pybullet.GEOM_BOX,
            halfExtents=[0.98 * radius, 0.09 * radius, 0.02 * radius],
            rgbaColor=[0.05, 0.05, 0.05, 1.0],
            **self.here,
        )
        return int(pybullet.createMultiBody(0, -1, shape, **self.here))

    def pose(self, place: Array, attitude: Array, angle: float) -> None:
        """Put the vehicle at p (3,) with quaternion xyzw (4,), its rotors turned by ``angle`` [rad]."""
        put = pybullet.resetBasePositionAndOrientation
        put(self.body, place.tolist(), attitude.tolist(), **self.here)
        body, rotors = Rotation.from_quat(attitude), self.vehicle.rotors
        over = np.array([0.0, 0.0, 0.04 * rotors.radius])
        for blade, hub, spin in zip(self.blades, rotors.positions, rotors.spins, strict=True):
            turned = body * Rotation.from_euler("z", float(spin) * angle)
            put(
                blade,
                (place + body.apply(hub + over)).tolist(),
                turned.as_quat().tolist(),
                **self.here,
            )

    def picture(self, eye: Array, target: Array) -> Picture:
        """Return what is seen from ``eye`` towards ``target``, both (3,) [m]."""
        width, height = SIZE[0], SIZE[1] - BAR
        view = pybullet.computeViewMatrix(eye.tolist(), target.tolist(), [0, 0, 1])
        lens = pybullet.computeProjectionMatrixFOV(38.0, width / height, 0.05, 20.0)
        seen = pybullet.getCameraImage(
            width,
            height,
            view,
            lens,
            lightDirection=[1.0, -1.0, 6.0],
            shadow=1,
            renderer=pybullet.ER_TINY_RENDERER,
            **self.here,
        )[2]
        return np.reshape(seen, (height, width, 4))[..., :3].astype(np.uint8)


def uphill_axis(surface: Surface) -> Array:
    """Return the level axis (3,) about which a surface is turned to rise."""
    uphill = math.radians(surface.uphill_deg)
    return np.array([math.sin(uphill), -math.cos(uphill), 0.0])


def checkers(across: int, deep: int, shades: tuple[int, int]) -> Picture:
    """Return a picture of ``across`` times ``deep`` squares of two shades of grey."""
    side = max(1, 512 // max(across, deep))
    odd = np.add.outer(np.arange(deep), np.arange(across)) % 2
    grey = np.where(odd, *shades).astype(np.uint8)
    return np.repeat(np.kron(grey, np.ones((side, side), np.uint8))[..., None], 3, axis=-1)


def camera(log: FlightLog, row: int, vehicle: Vehicle) -> tuple[Array, Array]:
    """Return eye and target (3,) [m]: beside the set-point, the closer the lower it is."""
    size = 2 * float(np.linalg.norm(vehicle.rotors.positions[:, :2], axis=1).max())
    wanted = log["setpoint_position"][row]
    height = max(0.0, float(log["reference_height"][row]))
    floor = float(wanted[2] - log["reference_height"][row])
    target = np.array(
        [wanted[0], wanted[1], floor - vehicle.rest_height + 0.25 * size + 0.5 * height]
    )
    away = 3.2 * size + 1.1 * height
    return target + away * np.array([0.55, -0.8, 0.30]), target


def animate_runs(
    folders: Sequence[Path],
    out: Path,
    vehicle: str,
    scenario: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw the runs in some folders side by side as ``landing.gif`` in the folder ``out``.

    Args:
        folders: that ``land`` wrote, of one vehicle, scenario and reference.
        out: folder.
        vehicle: name or file of the vehicle, where the runs' own name is none that is bundled.
        scenario: likewise.
        progress: told the share done.

    Raises:
        InputError: vehicle or scenario are not those of the runs, or cannot be found.
    """
    runs = [read_run(folder) for folder in folders]
    summary = runs[0][1]
    name = str(summary["vehicle"])
    known = load_vehicle(name if name in bundled_vehicles() else vehicle)
    if known.name != name:
        raise InputError(
            f"the runs are of vehicle '{name}', which does not come with the package; give its file "
            "with --vehicle FILE.toml"
        )
    world = scenario_of(summary, scenario)
    if world is None:
        raise InputError(
            f"the runs are of scenario '{summary['scenario']}', which does not come with the package; "
            "give its file with --scenario FILE.toml"
        )
    return animate(runs, known, world.ground, out / "landing.gif", progress)


def animate(
    runs: Sequence[Run],
    vehicle: Vehicle,
    terrain: Terrain,
    out: Path,
    progress: Progress | None = None,
) -> Path:
    """Draw runs side by side as an animated GIF and return its path.

    Args:
        runs: logs and summaries, of one scenario and reference.
        vehicle: of all of them.
        terrain: the scenario's.
        out: file to write.
        progress: told the share done.

    Raises:
        InputError: more runs than have room, a log without attitude.
    """
    if len(runs) > MOST:
        raise InputError(
            f"{len(runs)} runs are more than the {MOST} that have room side by side; animate fewer"
        )
    for log, _ in runs:
        log.require(("truth_attitude", "truth_position", "reference_height"), "an animation")
    frames = list(_frames(runs, vehicle, terrain, progress))
    data = encoded(frames, 1)
    every = 1
    while len(data) > LARGEST and every < 8:
        every *= 2
        data = encoded(frames, every)
    write_whole(out, lambda path: _write(path, data))
    return out


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _frames(
    runs: Sequence[Run], vehicle: Vehicle, terrain: Terrain, progress: Progress | None
) -> Iterator[Image.Image]:
    """Yield every frame: a panel a run."""
    start, end = span(runs)
    times = np.arange(start, end, 1 / FRAMES)
    guide = max((log for log, _ in runs), key=len)
    stages = [
        Stage(vehicle, terrain, str(style_of(str(summary["controller"]), i)["color"]))
        for i, (_, summary) in enumerate(runs)
    ]
    try:
        for k, t in enumerate(times):
            eye, target = camera(guide, row_at(guide, t), vehicle)
            frame = Image.new("RGB", (SIZE[0] * len(runs), SIZE[1]), "white")
            for i, (stage, (log, summary)) in enumerate(zip(stages, runs, strict=True)):
                row = row_at(log, t)
                running = 0.0 if log["phase"][row] >= 2 else 1.0
                stage.pose(
                    log["truth_position"][row], log["truth_attitude"][row], TURN * k * running
                )
                frame.paste(Image.fromarray(stage.picture(eye, target)), (SIZE[0] * i, BAR))
                _caption(frame, SIZE[0] * i, i, log, summary, row, t)
            if progress:
                progress((k + 1) / len(times), f"frame {k + 1} of {len(times)}")
            yield frame
    finally:
        for stage in stages:
            stage.close()


def span(runs: Sequence[Run]) -> tuple[float, float]:
    """Return first and last time that are shown [s]: from before the descent to after the last end.

    Of a flight that goes on, because it hangs or was not to land, so much is shown as of the others,
    or a little after the set-point has come to rest.
    """
    starts, ends, rests = [], [], []
    for log, summary in runs:
        wanted = log["setpoint_position"]
        moving = np.flatnonzero((np.abs(np.diff(wanted, axis=0)) > 1e-9).any(axis=1))
        starts.append(hover_of(log))
        rests.append(float(log["time"][moving[-1]]) if len(moving) else float(log["time"][-1]))
        if summary["motors_cut"] or summary["crashed"]:
            ends.append(float(log["time"][-1]))
    end = max([*ends, *rests])
    return max(0.0, min(starts) - LEAD), end + TAIL


def row_at(log: FlightLog, time: float) -> int:
    """Return the row at a time; a flight that is over stays at its last."""
    return int(np.clip(np.searchsorted(log["time"], time), 0, len(log) - 1))


def _caption(
    frame: Image.Image,
    left: int,
    index: int,
    log: FlightLog,
    summary: dict[str, Any],
    row: int,
    time: float,
) -> None:
    """Write name, time, height and height error over a panel, and how it ended once it has."""
    draw = ImageDraw.Draw(frame)
    draw.rectangle((left, 0, left + SIZE[0] - 1, BAR - 1), fill="white")
    name = str(summary["controller"]) + (", uncertified" if summary["certified"] is False else "")
    colour = str(style_of(str(summary["controller"]), index)["color"])
    draw.rectangle((left + 8, 7, left + 20, 19), fill=colour, outline="black")
    draw.text((left + 27, 4), name, fill="black", font=_font(15, "bold"))
    height = float(height_over_end(log)[row])
    touching = np.flatnonzero(log["truth_contact_force"] > 0)
    free = not len(touching) or row < touching[0]
    error = 1e3 * (height - max(float(log["reference_height"][row]), 0.0))
    state = f"error {error:+6.1f} mm" if free else "on the ground"
    ended = row == len(log) - 1 and (summary["motors_cut"] or summary["crashed"])
    if ended:
        state = str(summary["outcome"])
    draw.text(
        (left + 8, 23),
        f"{time:5.2f} s   height {round(1e3 * height):6d} mm",
        "black",
        _font(12),
    )
    draw.text(
        (left + 8, 39), state, "#B00000" if ended and not summary["landed"] else "black", _font(12)
    )
    if left:
        draw.line((left, 0, left, SIZE[1]), fill="#808080")


@cache
def _font(size: int, weight: str = "normal") -> Any:
    """Return the font of the other pictures; digits are all as wide as one another in it."""
    properties = font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    return ImageFont.truetype(font_manager.findfont(properties), size)


def encoded(frames: Sequence[Image.Image], every: int) -> bytes:
    """Return frames as a GIF with one palette, ``every`` so many of them, at the speed of time."""
    shown = [*frames[::every]]
    some = shown[:: max(1, len(shown) // 6)]
    sheet = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for i, frame in enumerate(some):
        sheet.paste(frame, (0, i * frame.height))
    palette = sheet.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in shown]
    pause = round(1000 * every / FRAMES)
    file = io.BytesIO()
    flat[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=flat[1:],
        duration=[pause] * (len(flat) - 1) + [round(1000 * REST)],
        loop=0,
        disposal=1,
    )
    return file.getvalue()
