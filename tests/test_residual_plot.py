"""The picture of residual force over height, against flights whose residual force is known."""

from pathlib import Path

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.network import Network, NetworkInput
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning import residual_plot
from neural_lander.learning.residual_plot import medians_by_height, plot_residual_over_height

VEHICLE = load_vehicle("crazyflie")
PNG = b"\x89PNG\r\n\x1a\n"


def bobbing(offset: float = 0.0, metres: float = 0.3) -> FlightLog:
    """20 s slowly up and down, level; the air carries 10 % exp(-h/0.05 m) + offset of weight."""
    t = np.arange(0, 20, 0.01)
    omega = 2 * np.pi / 10
    height = 0.02 + metres * (1 - np.cos(omega * t)) / 2
    v = metres / 2 * omega * np.sin(omega * t)
    a = metres / 2 * omega**2 * np.cos(omega * t)
    share = 0.1 * np.exp(-height / 0.05) + offset
    thrust = VEHICLE.mass * (a + GRAVITY) - share * VEHICLE.weight
    zero = np.zeros_like(t)
    up = np.stack([zero, zero, np.ones_like(t)], axis=-1)
    columns = {
        "time": t,
        "position": up * (height + VEHICLE.rest_height)[:, None],
        "velocity": up * v[:, None],
        "attitude": np.tile([0.0, 0.0, 0.0, 1.0], (len(t), 1)),
        "rate": np.zeros((len(t), 3)),
        "rotor_thrust_command": np.repeat(thrust[:, None] / 4, 4, axis=1),
        "height": height,
        "contact": zero,
        "rotor_speed": np.sqrt(np.repeat(thrust[:, None] / 4, 4, axis=1) / VEHICLE.rotors.k_f),
        "specific_force": up * (a + GRAVITY)[:, None],
    }
    return FlightLog(columns, {"vehicle": VEHICLE.name, "source": "made"})


def test_the_line_runs_through_the_force_that_was_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    monkeypatch.setattr(residual_plot, "write_whole", lambda path, write: write(path))
    plot_residual_over_height({"a flight": bobbing()}, VEHICLE, Path("none.png"))
    axes = drawn[0].axes[0]
    (line,) = [entry for entry in axes.lines if entry.get_label() == "a flight"]
    height, share = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert height.min() < 0.03
    # The 5 Hz low pass and a slice's width blur a slope of 10 % in 50 mm by less than 0.1 %.
    np.testing.assert_allclose(share, 10 * np.exp(-height / 0.05), atol=0.1)
    assert "[m]" in axes.get_xlabel()
    assert "% of weight" in axes.get_ylabel()


def test_a_picture_and_a_pdf_are_written(tmp_path: Path) -> None:
    network = Network(
        weights=(np.array([[0.0], [0.0], [-0.1]]),),
        biases=(np.array([0.0, 0.0, 0.02]),),
        inputs=(NetworkInput("height", "m", 1.0, 0.0),),
        output_scale=VEHICLE.weight,
        k_f=VEHICLE.rotors.k_f,
        vehicle=VEHICLE.name,
    )
    flights = {"one": bobbing(), "two": bobbing(offset=-0.03)}
    out = plot_residual_over_height(flights, VEHICLE, tmp_path / "residual.png", network)
    assert out.read_bytes().startswith(PNG)
    assert (tmp_path / "residual.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["residual.pdf", "residual.png"]


def test_the_same_flights_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / name / "residual.png" for name in ("a", "b")]
    for path in paths:
        plot_residual_over_height({"one": bobbing()}, VEHICLE, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pdfs = [path.with_suffix(".pdf").read_bytes() for path in paths]
    assert pdfs[0] == pdfs[1]


def test_more_flights_than_colours_are_drawn_as_one(tmp_path: Path) -> None:
    flights = {f"flight {i}": bobbing() for i in range(9)}
    assert plot_residual_over_height(flights, VEHICLE, tmp_path / "many.png").is_file()


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    plot_residual_over_height({"one": bobbing()}, VEHICLE, tmp_path / "residual.png")
    assert dict(matplotlib.rcParams) == before


def test_a_flight_without_labels_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    log = bobbing()
    standing = FlightLog({**log.columns, "contact": np.ones(len(log))}, log.metadata)
    with pytest.raises(InputError, match="asleep"):
        plot_residual_over_height(
            {"awake": log, "asleep": standing}, VEHICLE, tmp_path / "residual.png"
        )
    assert not list(tmp_path.iterdir())


def test_no_flights_and_no_png_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no flights"):
        plot_residual_over_height({}, VEHICLE, tmp_path / "residual.png")
    with pytest.raises(InputError, match="png"):
        plot_residual_over_height({"one": bobbing()}, VEHICLE, tmp_path / "residual.jpg")


def test_medians_need_enough_rows_and_hold_the_middle_half() -> None:
    rng = np.random.default_rng(0)
    height = rng.uniform(0.02, 0.5, 20_000)
    rows = medians_by_height(height, rng.normal(3, 1, 20_000))
    np.testing.assert_allclose(rows[:, 2], 3, atol=0.3)
    # A normal quartile lies 0.674 from the median.
    np.testing.assert_allclose(rows[:, 3] - rows[:, 1], 2 * 0.674, atol=0.35)
    assert len(medians_by_height(np.linspace(0.1, 0.4, 19), np.zeros(19))) == 0
