"""Parts of installed distributions: named by a file, and known like our own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sweeper.cli.main import run
from sweeper.errors import SpecError
from sweeper.foreign_parts import ForeignParts
from sweeper.service.actions import catalogue as service_catalogue
from sweeper.sweepfile.load import parse_sweep, sweep_from_dict
from trials import catalogue, distributions, offered, origins
from trials.config import load_config, problems_of
from trials.distributions import canonical
from trials.errors import ConfigError
from trials.origins import origin_of
from trials.part import temporary_parts
from trials.trainer import Training

TRICK = '''
"""Contrast, at length."""

from trials.part import PartConfig, knob
from trials.trick import Trick


class Contrast(Trick):
    key = "{key}"
    group = "judgement"
    summary = "multiplies the contrast"
    formula = "c x"
    paper = "none"

    class Config(PartConfig):
        factor: float = knob(1.5, "c", gt=0, search={{"min": 0.5, "max": 2.0}})

    def see(self, game, images, real):
        return self.config.factor * images
'''

SWEEP = """
name: contrasted
{parts}
base: {{data: digits, steps: 4}}
parameters:
  tricks.contrast: {{toggle: true, knobs: default}}
objective: {{metric: fid}}
limits: {{trials: 2}}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one module, as pip leaves it."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def installed(name: str, module: str, source: str, version: str = "1.0") -> Path:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{canonical(name).replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{distributions.GROUP}]\n{module} = {module}\n")
        modules.append(module)
        distributions.installed.cache_clear()
        return tmp_path

    with temporary_parts():
        yield installed
    for module in modules:
        sys.modules.pop(module, None)
    offered._OFFERED.clear()
    offered._DEFINED.clear()
    distributions.installed.cache_clear()


@pytest.fixture
def lab(install: Install) -> Path:
    return install("My_Lab.parts", "my_lab", TRICK.format(key="contrast"))


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_sweep(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.usefixtures("lab")
def test_reading_what_is_installed_imports_nothing() -> None:
    assert list(distributions.installed()) == ["my-lab-parts"]
    assert distributions.installed()["my-lab-parts"].version == "1.0"
    assert "my_lab" not in sys.modules


@pytest.mark.usefixtures("lab")
def test_a_file_that_names_a_distribution_uses_its_parts_like_our_own() -> None:
    sweep = parse_sweep(SWEEP.format(parts="parts: [my-lab-parts]"))
    assert sweep.parts == ("my-lab-parts",)
    assert [item.path for item in sweep.parameters] == [
        "tricks.contrast",
        "tricks.contrast.factor",
    ]
    assert sweep.parameter("tricks.contrast.factor").domain.high == 2.0  # type: ignore[union-attr]
    assert "contrast" in catalogue.toggles()
    config = load_config({**sweep.base, "tricks": {"contrast": {"factor": 0.5}}})
    assert config.parts == ("my-lab-parts",)
    assert load_config(config.as_dict()) == config
    assert sweep_from_dict(sweep.to_dict()).fingerprint == sweep.fingerprint
    told = origin_of(catalogue.tricks()["contrast"])
    assert (str(told), told.installed, told.ours) == ("my-lab-parts 1.0", True, False)


@pytest.mark.usefixtures("lab")
def test_what_an_asked_for_distribution_offers_is_not_sent_but_asked_for_again() -> None:
    """In a worker that was sent it, all else that its modules import would act too."""
    foreign = ForeignParts.of(parse_sweep(SWEEP.format(parts="parts: [my-lab-parts]")))
    assert foreign.as_dict() == {"my-lab-parts": "1.0"}
    assert foreign.parts == b""


@pytest.mark.usefixtures("lab")
def test_a_name_of_a_distribution_that_is_not_named_gets_the_hint() -> None:
    hint = "; `parts` can name the distribution that has it, of my-lab-parts)"
    assert any(hint in line for line in problems(SWEEP.format(parts="")))
    (known,) = map(str, problems_of({"data": "digits", "tricks": {"contrast": True}}))
    assert known.startswith("tricks.contrast: there is no trick 'contrast' (expected one of ")
    assert hint in known
    assert "my_lab" not in sys.modules, "another person's code may hang, or end the process"


@pytest.mark.usefixtures("lab")
def test_the_service_s_lists_have_the_parts_of_distributions_that_a_file_has_named() -> None:
    def listed() -> set[str]:
        return {part["name"] for part in service_catalogue.parts()}

    properties = service_catalogue.schema()["properties"]["parameters"]["properties"]
    assert "contrast" not in listed() | set(service_catalogue.tricks())
    assert "tricks.contrast.factor" not in properties
    assert "my_lab" not in sys.modules
    parse_sweep(SWEEP.format(parts="parts: [my-lab-parts]"))
    properties = service_catalogue.schema()["properties"]["parameters"]["properties"]
    assert "contrast" in listed() & set(service_catalogue.tricks())
    assert "tricks.contrast.factor" in properties


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            "parts: [my-lap-parts]",
            "f.yaml:3: parts[0]: no installed distribution 'my-lap-parts' offers parts "
            "(expected it to be installed: pip install my-lap-parts); did you mean 'my-lab-parts'?",
        ),
        (
            "parts: [my_lab_parts, numpy]",
            "f.yaml:3: parts[1]: no installed distribution 'numpy' offers parts "
            "(expected it to be installed: pip install numpy)",
        ),
        (
            "parts: [../mine.py]",
            "f.yaml:3: parts[0]: no installed distribution '-/mine-py' offers parts "
            "(expected a name that pip knows, not a file)",
        ),
        (
            "parts: /tmp/evil.py",
            "f.yaml:3: parts: '/tmp/evil.py' is wrong (expected a list of installed distributions)",
        ),
    ],
)
def test_one_that_is_not_installed_is_one_clear_error(parts: str, told: str) -> None:
    assert problems(SWEEP.format(parts=parts)) == [told]


def test_a_path_or_a_module_is_never_imported(install: Install) -> None:
    folder = install("other", "other_parts", "raise SystemError('not asked for')")
    (folder / "evil.py").write_text("raise SystemError('run')")
    for name in ("evil", "evil.py", str(folder / "evil.py"), "evil:Part"):
        with pytest.raises(ConfigError, match="no installed distribution"):
            load_config({"data": "digits", "parts": [name]})
    assert "evil" not in sys.modules


def test_a_distribution_that_cannot_be_imported_is_told_and_leaves_nothing(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken", "broken_parts", TRICK.format(key="half") + "\nimport no_such_module\n")
    told = (
        "parts[0]: 'broken' cannot be imported: ModuleNotFoundError: No module named 'no_such_mod"
    )
    assert told in problems(SWEEP.format(parts="parts: [broken]"))[0]
    assert "half" not in catalogue.tricks()
    assert run(["parts"]) == 1
    assert "'broken' cannot be imported" in capsys.readouterr().err


def test_a_distribution_that_wants_the_process_to_end_ends_nobodys_command(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("licensed", "licensed_parts", "import sys\nsys.exit('there is no licence')\n")
    file = tmp_path / "f.yaml"
    file.write_text("name: s\nbase: {data: digitz}\nlimits: {trials: 1}\n")
    assert run(["validate", str(file)]) == 2
    assert "did you mean 'digits'?" in capsys.readouterr().out
    told = problems(SWEEP.format(parts="parts: [licensed]"))
    assert any("cannot be imported: SystemExit: there is no licence" in line for line in told)


def test_a_part_that_lacks_a_method_is_told_before_anything_starts(install: Install) -> None:
    install(
        "half",
        "half_parts",
        "from sweeper.search.sampler import Sampler\nclass Half(Sampler):\n    key = 'half'\n",
    )
    told = problems(SWEEP.format(parts="parts: [half]"))
    assert told == ["f.yaml:3: parts[0]: of 'half', the sampler 'half' lacks propose"]


def test_two_parts_of_one_name_are_told_apart_by_refusing_the_second(install: Install) -> None:
    install("ours-again", "ours_again", TRICK.format(key="ema"))
    with pytest.raises(ConfigError, match=r"two parts \(trick\) are called 'ema'"):
        load_config({"data": "digits", "parts": ["ours-again"]})
    assert catalogue.tricks()["ema"].__module__ == "trials.tricks.ema"
    twice = TRICK.format(key="contrast")
    install("twice", "twice_parts", twice + twice.replace("class Contrast", "class Again"))
    told = problems(SWEEP.format(parts="parts: [twice]"))
    assert any("twice_parts.Contrast'> and <class 'twice_parts.Again'" in line for line in told)


def test_they_are_refused_too_where_both_were_looked_at_before(install: Install) -> None:
    for name in ("first", "other"):
        install(name, f"{name}_parts", TRICK.format(key="contrast"))
        parse_sweep(SWEEP.format(parts=f"parts: [{name}]"))
    told = problems(SWEEP.format(parts="parts: [first, other]"))
    assert any("parts[1]" in line and "are called 'contrast'" in line for line in told), told


def test_what_a_file_may_name_follows_from_that_file_alone(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "other"):
        install(name, f"{name}_parts", TRICK.format(key="contrast"))
    for _ in range(2):
        assert any("no trick 'contrast'" in line for line in problems(SWEEP.format(parts="")))
        for name in ("first", "other"):
            parse_sweep(SWEEP.format(parts=f"parts: [{name}]"))
            named = {"data": "digits", "tricks": {"contrast": True}}
            config = load_config({**named, "parts": [name]})
            assert f"{name}_parts" in {trick.__module__ for trick, _ in config.active()}
    run(["parts"])
    assert "are called 'contrast'" in capsys.readouterr().err
    assert any("no trick 'contrast'" in line for line in problems(SWEEP.format(parts="")))


ACTING = """
from trials.metrics.measure import Measure
from trials.optimization.decay import Decay


class Acting(Measure):
    key = "acting_{name}"
    summary = "taken of every training that may know it"
    better = "lower"
    paper = "none"
    kinds = frozenset({{"point"}})

    def compute(self, seen):
        return {factor}


class Held(Decay):
    key = "held"
    summary = "leaves the same rate from the first step to the last"

    @staticmethod
    def factor(progress, floor):
        return {factor}
"""


def test_a_training_has_the_parts_that_it_names_whatever_the_process_has_met(
    install: Install, tmp_path: Path
) -> None:
    for name, factor in (("first", 0.25), ("other", 0.5)):
        install(name, f"{name}_parts", ACTING.format(name=name, factor=factor))
    ring = {"data": {"name": "ring", "points": 300}, "steps": 4, "batch_size": 8}
    plain = {**ring, "evaluation": {"every": 2, "samples": 64, "lag": 1}}
    rate = {"optimizer": {"generator": {"decay": "held"}}}

    def training(name: str, **given: Any) -> Training:
        return Training(load_config({**plain, **given}), tmp_path / name)

    trainings = [
        training("before"),
        training("first", parts=["first"], **rate),
        training("other", parts=["other"], **rate),
        training("after"),
    ]
    acting = []
    for one in trainings:
        measured = one.advance().metrics
        acting.append([name for name in measured if name.startswith("acting")])
    assert acting == [[], ["acting_first"], ["acting_other"], []]
    rates = [one.game.optimizers["generator"].param_groups[0]["lr"] for one in trainings]
    assert [rate / rates[0] for rate in rates] == [1, 0.25, 0.5, 1]


@pytest.mark.usefixtures("lab")
def test_the_listings_show_parts_and_where_they_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["parts", "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    row = next(one for one in told["parts"] if one["name"] == "contrast")
    assert row == {
        "kind": "trick",
        "name": "contrast",
        "from": "my-lab-parts 1.0",
        "summary": "multiplies the contrast",
    }
    assert told["distributions"] == [{"name": "my-lab-parts", "version": "1.0"}]
    assert run(["parts"]) == 0
    assert "`parts: [my-lab-parts]`" in capsys.readouterr().out
    assert run(["tricks", "contrast"]) == 0
    shown = capsys.readouterr().out
    assert "my-lab-parts 1.0" in shown
    assert "Contrast, at length." in shown
    assert run(["schema"]) == 0
    properties = json.loads(capsys.readouterr().out)["properties"]["parameters"]["properties"]
    assert "tricks.contrast.factor" in properties


def test_a_stored_sweep_is_listed_where_its_distribution_is_gone(lab: Path) -> None:
    stored = parse_sweep(SWEEP.format(parts="parts: [my-lab-parts]")).to_dict()
    (info,) = lab.glob("*.dist-info")
    shutil.rmtree(info)
    distributions.installed.cache_clear()
    offered._OFFERED.clear()
    assert sweep_from_dict(stored).parts == ("my-lab-parts",)


BROKEN_DATA = """
from trials.data.source import DataSource


class Bare(DataSource):
    key = "bare"
    summary = "raises when it is asked for its shape"
    labelled = False

    def item_shape(self):
        raise KeyError("shape")

    def inspections(self):
        return ()

    def content(self, cache):
        raise KeyError("content")
"""


def test_a_part_that_raises_while_a_file_is_read_is_named_in_one_line(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bare-parts", "bare_parts", BROKEN_DATA)
    file = tmp_path / "f.yaml"
    file.write_text("name: bare\nparts: [bare-parts]\nbase: {data: bare}\nlimits: {trials: 1}\n")
    assert run(["validate", str(file)]) == 1
    place = "Bare.item_shape of bare-parts 1.0 (bare_parts.py, line 11)"
    assert capsys.readouterr().err == f"sweeper: KeyError: 'shape', in {place}\n"


def test_a_folder_beside_a_script_is_not_the_installed_package_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, version in (("site", "1.0"), ("script", "")):
        (tmp_path / place / "helpers_of_all").mkdir(parents=True)
        source = TRICK.format(key=f"contrast_of_{place}")
        (tmp_path / place / "helpers_of_all" / "__init__.py").write_text(source)
        if version:
            info = tmp_path / place / f"helpers-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: helpers\nVersion: {version}\n")
            (info / "top_level.txt").write_text("helpers_of_all\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    origins._packages.cache_clear()
    try:
        with temporary_parts():
            import_module("helpers_of_all")
            assert str(origin_of(catalogue.tricks()["contrast_of_site"])) == "helpers 1.0"
            del sys.modules["helpers_of_all"]
        monkeypatch.syspath_prepend(tmp_path / "script")
        with temporary_parts():
            import_module("helpers_of_all")
            told = origin_of(catalogue.tricks()["contrast_of_script"])
            assert (told.source, told.installed) == ("helpers_of_all", False)
    finally:
        sys.modules.pop("helpers_of_all", None)
        origins._packages.cache_clear()
