"""The options that several verbs share, as typer reads them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
VehicleName = Annotated[
    str,
    typer.Option(
        "--vehicle", help="intel-aero, crazyflie, crazyflie-large, or a TOML file.", metavar="V"
    ),
]
Flights = Annotated[
    list[Path], typer.Argument(help="Flight logs, or folders of them.", metavar="FLIGHTS...")
]
Folder = Annotated[Path, typer.Option("--out", help="Folder to write into.", metavar="DIR")]
Seed = Annotated[int, typer.Option(help="Decides all randomness: same seed, same bytes.", min=0)]
Aero = Annotated[
    str,
    typer.Option(
        help="The simulator's aerodynamics: rotor, none, or a network NAME.safetensors that plays "
        "the real vehicle.",
        metavar="A",
    ),
]
ScenarioName = Annotated[
    str, typer.Option("--scenario", help="A bundled scenario, or a TOML file.", metavar="S")
]
Reference = Annotated[
    str,
    typer.Option(
        help="s-curve, exponential (the paper's), or fastest: as fast as rotors and model allow.",
        metavar="R",
    ),
]
TouchdownSpeed = Annotated[
    float | None,
    typer.Option(help="Of --reference fastest [m/s]; 0.15 if not given.", metavar="V", min=0.0),
]
DescentSpeed = Annotated[
    float | None,
    typer.Option(
        help="Of --reference fastest: the greatest [m/s]; a model may set a lower one.",
        metavar="V", min=0.0,
    ),
]  # fmt: skip
Room = Annotated[
    str | None,
    typer.Option(
        "--thrust-room",
        help="Of --reference fastest: shares of the greatest thrust that it leaves free for a tube, "
        "below and above, like 0.36:0.22, or by height, as `certify` says them where it refuses. "
        "Without: as fast as it goes.",
        metavar="ROOM",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option("--model", help="Model that a learned controller flies.", metavar="MODEL"),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--certificate", help="Certificate to take, instead of the model's own.", metavar="FILE"
    ),
]
Uncertified = Annotated[
    bool,
    typer.Option(
        "--uncertified", help="Fly without a certificate; log, summary and picture say so."
    ),
]

Engine = Annotated[
    Literal["pybullet", "hybrid"],
    typer.Option(help="hybrid: compiled free flight, PyBullet near the ground; the same figures."),
]

CONTROLLERS = (
    "pd, pid, textbook, textbook-fitted, observer, indi, l1, learned, learned+observer, "
    "learned-unbounded, oracle, oracle+observer"
)

SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of every program and group of verbs."""
