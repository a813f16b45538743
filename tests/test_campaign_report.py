"""What a campaign says at its end: tables that drop nothing, a page that loads and runs nothing."""

import itertools
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from neural_lander.scripts.cli import main
from neural_lander.sim.campaign.failures import failures
from neural_lander.sim.campaign.folder import REPORT, RESULTS, WORST
from neural_lander.sim.campaign.pictures import logarithmic
from neural_lander.sim.campaign.report import write_report
from neural_lander.sim.campaign.rows import parameter_column, schema
from neural_lander.sim.campaign.run import Crew, claimed, fly_campaign
from neural_lander.sim.campaign.scenario_file import scenario_text
from neural_lander.sim.campaign.severity import severity
from neural_lander.sim.campaign.shards import Shards
from neural_lander.sim.campaign.tables import groups
from neural_lander.sim.campaign.worst import worst_rows
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.run_folder import read_run
from neural_lander.sim.scenario import bundled_scenarios, load_scenario
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.wind import Wind

from .campaign_cases import SHORT, TEXT, rows_in, spec_in

EVIL = "<script>alert('1')</script>"
HEAVY = """
name = "heavy on purpose"
[[parameter]]
field = "vehicle.mass_share"
distribution = "uniform"
low = 0.0
high = 0.4
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory):
    """A campaign whose scenario has a name that is a script: spec, folder, result, page."""
    folder = tmp_path_factory.mktemp("reported")
    text = HEAVY.replace("heavy on purpose", EVIL).replace("[[", TEXT + "[[")
    text = text.replace("0:3", "0:1")
    scenario = SHORT.replace('"short"', f'"{EVIL}"')
    spec = spec_in(folder, text, short=scenario)
    fly_campaign(spec, folder / "out", Crew(1))
    result = write_report(spec, folder / "out")
    return spec, folder / "out", result, (folder / "out" / REPORT).read_text(encoding="utf-8")


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_names_from_files_are_text_in_the_page(reported) -> None:
    *_, page = reported
    read = Page(page)
    assert "script" not in {tag for tag, _ in read.tags}
    assert sum(EVIL in words for words in read.words) >= 3  # as a title, in a heading, in the spec
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)


def test_the_page_loads_nothing_and_links_only_to_files_beside_it(reported) -> None:
    _, out, _, page = reported
    read = Page(page)
    assert {tag for tag, _ in read.tags} & {"link", "iframe", "object", "embed", "video"} == set()
    for tag, attributes in read.tags:
        source = attributes.get("src")
        if source is not None:
            assert tag == "img"
            assert source.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        link = attributes.get("href")
        if link is not None:
            assert (out / link).is_file()
    assert "url(" not in page
    assert not re.search(r"https?://", re.sub(r'data:[^"]*', "", page))


def test_the_worst_are_the_worst_and_their_commands_repeat_them(reported, monkeypatch) -> None:
    spec, out, result, page = reported
    rows = rows_in(out)
    order = sorted(rows, key=lambda row: (-row["severity"], row["landing"]))[:5]
    assert [bad["row"]["landing"] for bad in result["worst"]] == [r["landing"] for r in order]
    assert all(bad["repeats"] for bad in result["worst"])
    for i, bad in enumerate(result["worst"]):
        assert bad["run"] == f"{WORST}/{i + 1}"
    words = shlex.split(result["worst"][0]["command"])
    assert words[0] == "neural-lander"
    assert shlex.join(words) in "".join(Page(page).words)
    monkeypatch.chdir(out)
    with pytest.raises(SystemExit):
        main(words[1:])
    _, again = read_run(out / words[-1])
    for key in again.keys() - {"real_time_factor", "aero", "scenario", "controller"}:
        assert again[key] == order[0][key], key


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """The pictures of ``reported`` are drawn; others take a second each."""
    monkeypatch.setattr("neural_lander.sim.campaign.pictures.outcomes", lambda _: "data:image/png,")
    monkeypatch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)


@pytest.mark.usefixtures("undrawn")
def test_a_page_says_when_a_landing_does_not_repeat(reported, tmp_path: Path) -> None:
    spec, _, _, _ = reported
    shards = Shards(tmp_path / RESULTS, schema(tuple(p.name for p in spec.parameters)))
    row = dict.fromkeys(shards.schema.names) | {
        "landing": 0, "scenario": EVIL, "aero": "rotor", "controller": "pd", "seed": 0,
        "status": "flown", "severity": 99.0, "crashed": False, "landed": True, "lands": True,
        parameter_column("vehicle.mass_share"): 0.0,
    }  # fmt: skip
    shards.add([row])
    shards.flush()
    with claimed(spec, tmp_path, resume=True):
        pass
    assert [bad["repeats"] for bad in write_report(spec, tmp_path)["worst"]] == [False]
    assert "NOT the same" in (tmp_path / REPORT).read_text(encoding="utf-8")


def table_of(tmp_path: Path, text: str, entries: list[dict]) -> list[dict]:
    """Return the lines of a campaign with these rows."""
    spec = spec_in(tmp_path, text)
    shards = Shards(tmp_path / "rows", schema(tuple(p.name for p in spec.parameters)))
    blank = dict.fromkeys(shards.schema.names) | {
        "scenario": "short", "aero": "rotor", "status": "flown", "crashed": False, "landed": True,
        "lands": True, "outcome": "landed",
    }  # fmt: skip
    shards.add([blank | {"landing": i} | entry for i, entry in enumerate(entries)])
    shards.flush()
    (group,) = groups(spec, shards.paths())
    return group.lines


def test_differences_are_paired_by_seed_and_nothing_is_dropped(tmp_path: Path) -> None:
    text = TEXT.replace("0:3", "0:4")
    pd = [{"controller": "pd", "seed": s, "z_max_error_m": z} for s, z in enumerate((1, 2, 4, 8))]
    observer = [
        {"controller": "observer", "seed": 2, "z_max_error_m": -3.0},
        {"controller": "observer", "seed": 0, "z_max_error_m": 0.5},
        {"controller": "observer", "seed": 1, "crashed": True, "landed": False,
         "outcome": "crashed"},
        {"controller": "observer", "seed": 3, "status": "error", "crashed": None, "landed": None,
         "lands": None, "error": "Bad: luck", "outcome": None},
    ]  # fmt: skip
    first, second = table_of(tmp_path, text, pd + observer)
    assert (first["landings"], first["outcomes"]["landed"], first["failures"]["failed"]) == (
        4,
        4,
        0,
    )
    assert first["z_max_error_m"]["median"]["value"] == 2
    counts = [second[k] for k in ("landings", "flown", "errors", "refused")]
    assert counts == [4, 3, 1, 0]
    assert {k: n for k, n in second["outcomes"].items() if n} == {"landed": 2, "crashed": 1}
    assert (second["failures"]["failed"], second["failures"]["n"]) == (2, 4)
    gap = second["z_max_error_m difference"]
    # seeds 0 and 2 are won, 0.5 - 1 and 3 - 4; seeds 1 and 3 are lost by failing
    assert (gap["wins"], gap["losses"], gap["ties"], gap["not_comparable"]) == (2, 2, 0, 0)
    assert second["pairs"] == {
        "n": 4,
        "failed_both": 0,
        "failed_only_controller": 2,
        "failed_only_baseline": 0,
    }


def test_crashes_do_not_win_by_small_errors_until_then(tmp_path: Path) -> None:
    text = TEXT.replace("0:3", "0:20") + 'baseline = "observer"\n'
    crash = {"crashed": True, "landed": False, "outcome": "crashed", "z_rmse_m": 0.002}
    rows = [{"controller": "pd", "seed": s, **crash} for s in range(20)]
    rows += [{"controller": "observer", "seed": s, "z_rmse_m": 0.004} for s in range(20)]
    gap = table_of(tmp_path, text, rows)[0]["z_rmse_m difference"]
    assert (gap["wins"], gap["losses"], gap["median"]["value"]) == (0, 20, "inf")
    assert gap["win_rate"]["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
    ties = [row | {"controller": c} for row in rows[20:] for c in ("pd", "observer")]
    gap = table_of(tmp_path / "ties", text, ties)[0]["z_rmse_m difference"]
    assert (gap["wins"], gap["losses"], gap["ties"], gap["win_rate"]) == (0, 0, 20, None)


def test_pairs_are_with_the_strongest_simple_controller_unless_one_is_given(tmp_path: Path) -> None:
    rows = [
        {"controller": c, "seed": s, "z_rmse_m": z}
        for c, z in (("pd", 0.05), ("observer", 0.004))
        for s in range(3)
    ]
    first, second = table_of(tmp_path, TEXT, rows)
    assert first["z_rmse_m difference"]["losses"] == 3
    assert "z_rmse_m difference" not in second
    first, second = table_of(tmp_path / "given", TEXT + 'baseline = "pd"\n', rows)
    assert second["z_rmse_m difference"]["wins"] == 3


def test_refused_and_impossible_landings_are_counted_where_they_belong(tmp_path: Path) -> None:
    rows = [{"controller": "pd", "seed": s, "z_rmse_m": 0.05} for s in range(3)]
    unflown = {"crashed": None, "landed": None, "lands": None, "outcome": None}
    rows[2] |= unflown | {"status": "impossible", "error": "InputError: too fast a deck"}
    rows += [
        {"controller": "observer", "seed": 0, "z_rmse_m": 0.04},
        {"controller": "observer", "seed": 1, **unflown, "status": "refused", "refused": "no"},
        {"controller": "observer", "seed": 2, **unflown, "status": "impossible", "error": "x"},
    ]
    first, second = table_of(tmp_path, TEXT + 'baseline = "pd"\n', rows)
    assert (first["failures"]["failed"], first["failures"]["n"], first["impossible"]) == (0, 2, 1)
    assert first["why_impossible"] == "InputError: too fast a deck"
    assert (second["failures"]["failed"], second["failures"]["n"]) == (0, 1)
    assert (second["unsuccessful"]["failed"], second["unsuccessful"]["n"]) == (1, 2)
    gap = second["z_rmse_m difference"]
    assert (second["pairs"]["n"], gap["wins"], gap["losses"]) == (2, 1, 1)


def test_an_evenly_spread_sample_gives_no_probability_and_no_interval(tmp_path: Path) -> None:
    entries = [
        {"controller": c, "seed": s, "z_max_error_m": 1.0 + s, "landed": s > 0}
        for c in ("pd", "observer")
        for s in range(64)
    ]
    text = HEAVY.replace("[[", TEXT.replace("0:3", "0:64") + "[[")
    for sampling in ("random", "sobol", "latin-hypercube"):
        chosen = text.replace("[[", f'baseline = "pd"\nsampling = "{sampling}"\n[[')
        line = table_of(tmp_path / sampling, chosen, entries)[1]
        drawn = sampling == "random"
        assert (line["failures"]["probability"] is not None) == drawn
        assert (line["z_max_error_m"]["median"]["low"] is not None) == drawn
        assert (line["z_max_error_m difference"]["median"]["low"] is not None) == drawn
        assert line["failures"]["share"] == 1 / 64


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_a_spread_sample_never_says_probability_of_failure(tmp_path: Path) -> None:
    for sampling, said in (("random", True), ("latin-hypercube", False)):
        folder = tmp_path / sampling
        text = HEAVY.replace("[[", TEXT + f'sampling = "{sampling}"\n[[')
        spec = spec_in(folder, text)
        with claimed(spec, folder / "out", resume=False):
            pass
        shards = Shards(folder / "out" / RESULTS, schema(("vehicle.mass_share",)))
        blank = dict.fromkeys(shards.schema.names)
        shards.add(
            [
                blank
                | {"landing": i, "scenario": "short", "aero": "rotor", "seed": i % 3,
                   "controller": "pd" if i < 3 else "observer", "status": "refused",
                   "refused": "no certificate"}
                for i in range(6)
            ]
        )  # fmt: skip
        shards.flush()
        write_report(spec, folder / "out")
        page = (folder / "out" / REPORT).read_text(encoding="utf-8")
        assert ("<th>probability of failure" in page) == said
        assert ("no interval or probability is stated" in page) == (not said)


def test_the_bounds_of_a_probability_are_the_closed_forms() -> None:
    n = 59
    none = failures(0, n, independent=True)
    assert none["below"] == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-12)
    assert none["below"] == pytest.approx(3 / n, rel=0.05)  # the rule of three
    assert none["probability"]["low"] == 0
    assert none["probability"]["high"] == pytest.approx(1 - 0.025 ** (1 / n), rel=1e-9)
    every = failures(n, n, independent=True)
    assert every["probability"]["low"] == pytest.approx(0.025 ** (1 / n), rel=1e-9)
    assert every["probability"]["high"] == 1
    assert every["below"] is None
    one = failures(1, n, independent=True)["probability"]
    assert 1 - (1 - one["low"]) ** n == pytest.approx(0.025, rel=1e-6)
    p = one["high"]
    assert (1 - p) ** n + n * p * (1 - p) ** (n - 1) == pytest.approx(0.025, rel=1e-6)
    for k, m in ((0, 5), (2, 5)):
        assert failures(k, m, independent=False)["probability"] is None
        assert failures(k, m, independent=False)["below"] is None
    assert failures(0, 0, independent=True)["share"] is None


def test_the_exact_interval_covers_at_least_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    p, n, trials = 0.07, 40, 400
    held = 0
    for k in rng.binomial(n, p, trials):
        found = failures(int(k), n, independent=True)["probability"]
        held += found["low"] <= p <= found["high"]
    assert held / trials >= 0.95


@pytest.mark.parametrize("span", [(3, 60), (4.2, 4.9), (0.01, 900), (7, 7)])
def test_numbers_on_a_logarithmic_axis_do_not_overlap(span: tuple[float, float]) -> None:
    figure = Figure(figsize=(3.2, 1.5), dpi=100)
    axes = figure.subplots()
    axes.plot(span, (0, 1), "o")
    logarithmic(axes)
    axes.tick_params(labelsize=8)
    figure.canvas.draw()
    low, high = axes.get_xlim()
    shown = [label for at, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
             if low <= at <= high]  # fmt: skip
    assert shown
    ends = [label.get_window_extent() for label in shown]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(ends))


def test_severity_puts_crashes_over_hanging_over_errors() -> None:
    soft = {
        "contact_speed_max_m_s": 0.1, "touchdown_speed_m_s": 0.1, "tilt_max_rad": 0.1,
        "z_max_error_m": 0.02, "xy_max_m": None, "crashed": False, "landed": True, "lands": True,
    }  # fmt: skip
    assert severity(soft) == pytest.approx(0.1)
    assert severity(soft | {"z_max_error_m": -0.3}) == pytest.approx(0.3)
    assert severity(soft | {"contact_speed_max_m_s": 1.0}) == pytest.approx(1.0)
    hanging = severity(soft | {"landed": False})
    assert severity(soft | {"z_max_error_m": 2.0}) < hanging
    assert hanging < severity(soft | {"landed": False, "crashed": True})
    assert severity(soft | {"landed": False, "lands": False}) == pytest.approx(0.1)


@pytest.mark.parametrize("name", bundled_scenarios())
def test_a_scenario_survives_the_way_into_a_file_and_back(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(name)
    odd = replace(
        scenario,
        name='"quoted" \\ ünï 💥 <b>\n\x7f\x01',
        start_spread=0.1 + 0.2,
        vehicle=Deviation(mass_share=1e-5, latency=0.01, thrust_shares=(0.0, -0.1, 1 / 3, 0.0)),
        wind=Wind(steady=(1e-17, 2.0, -3.0)),
        sensors=Sensors(rotor_speed=False, colour="white"),
    )
    for i, one in enumerate((scenario, odd)):
        path = tmp_path / f"{i}.toml"
        path.write_text(scenario_text(one), encoding="utf-8")
        assert load_scenario(str(path)) == one


def test_worst_rows_of_shards_are_those_of_all_rows(tmp_path: Path) -> None:
    names = schema(())
    values = np.random.default_rng(1).permutation(40) // 2  # in pairs: the first landing leads
    shards = Shards(tmp_path, names)
    for i in range(0, 40, 8):
        shards.add(
            [
                dict.fromkeys(names.names) | {"landing": k, "severity": float(values[k])}
                for k in range(i, i + 8)
            ]
        )
        shards.flush()
    shards.add([dict.fromkeys(names.names) | {"landing": 40}])  # refused: no severity
    shards.flush()
    expected = sorted(range(40), key=lambda k: (-values[k], k))[:5]
    assert [row["landing"] for row in worst_rows(shards.paths())] == expected
