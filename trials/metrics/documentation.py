"""Measures and extractors as a page: docs/measures.md (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic.fields import FieldInfo

from trials.metrics.extractor import Extractor
from trials.metrics.measure import Measure
from trials.metrics.needs import REASONS
from trials.part import Part

OPENING = """\
# Measures and extractors

What an evaluation measures and through which network, made from the classes (`make docs`).
[Feature extractors](extractors.md) says what each network is worth, [health and scores](health.md)
what a value is recorded with and when two may be compared.

```yaml
evaluation:
  metrics: [fid, kid, memorisation]   # auto: those below that are measured by themselves
  extractor: {name: inception, weights: ~/inception.pth}
  keep_by: kid                        # whose best generator is kept
```
"""


WORTH = """
## What the extractors are worth

Whether an extractor puts generators in the right order, where it is known: six GANs on UCI digits,
good ones and bad ones, each drawn from at four lengths of its training, 1,797 samples each: 24
generators, whose FID by the digits classifier goes from 2.1 to 539. Spearman's rank correlation of
the FID in other features with that order (`python benchmarks/extractors.py`):

| `evaluation.extractor` | features | all 24 | the better 12 | floor / best |
|---|---|---|---|---|
| `digits` | 64 | 1 | 1 | 0.15 |
| `trained` | 64 | 0.99 | 0.99 | 0.21 |
| `random` | 204 | 0.95 | 0.96 | 0.31 |
| `identity` | 64 | 0.94 | 0.95 | 0.25 |

*Floor / best* is the distance between two halves of the real images as a share of the best
generator's: the nearer to 1, the less is left to see. `trained` learnt the same digits under
another seed (`sweeper extractor train digits --seed 1`, right in 99.8 % of the images kept out), so
it says that the command makes what was made by hand, not that any labels will do.

- **Images of your own with labels:** `sweeper extractor train DATA -o FILE`, then `extractor:
  {name: trained, weights: FILE}`. It prints the test accuracy: features of a network that cannot
  tell the classes apart say little. It is blind to what all classes share.
- **Without labels:** `extractor: random`. Nothing is fetched, and any size will do. It sees light,
  colour, texture at every scale and coarse layout, and knows nothing of what people look at; a fine
  defect in a large image weighs little. Enough to search by and to see a GAN fail; look at the
  samples before you believe a small difference.
- **To compare with papers:** `inception`, and nothing else.
- `identity` does as well on 8 × 8 pixels, and takes no more than 4,096 numbers an image.
"""


COST = """
## What an evaluation costs, and what can be saved

```yaml
evaluation:
  lag: 1                                  # measured beside the next training steps
  extractor_precision: {dtype: bfloat16, channels_last: true}
  samples: 50000
  real_samples: 50000                     # real images that pairs are made with
```

- **`lag: 1`.** Sampling the generator takes the training's time in any case. All that follows,
  moments, roots of matrices, neighbours, is computed in a thread of its own while the next steps
  are trained, on a GPU in a stream of its own, and told when the next evaluation is due, one
  evaluation late. The numbers are those of `lag: 0` bit for bit; stopping rules, signs of failure
  and the choice of the best generator see the same values in the same order. A trial that they
  stop has trained one evaluation further by then. A checkpoint says that the verdict on its step
  is due; a training that was killed samples the same generator with the same noise again. It does
  not go with `precision.tf32`, which would reach the measures, nor with `scheduler: pbt`, which
  copies weights as they were measured. On a CPU with one core it saves nothing: something has to
  compute.
- **`extractor_precision`.** The extractor's convolutions in bfloat16 are other features of the
  same network, so that values of both are of two protocols and never compared. On digits a FID is
  within 1 % of that in float32 (1.238 for 1.247, 23.159 for 23.161; `tests/unit/test_seeing.py`).
  Off by default, and for numbers that go beside published ones leave it off.
- **Tricks that train on it.** `perceptual` and `style` compare layers of the very extractor that
  measures. A score is in their favour against trainings without them; a second sweep with another
  extractor tells how much of it is left. `validate` says so.
- **Pairs.** Precision, recall, density, coverage and KID are taken from tiles of the matrix of
  distances, which never exists as a whole; a measurement that takes long tells every ten seconds
  how far it is, in the trial's log, or where `sweeper run` measures the winner.
- **The data's side** is computed once and kept in the home's `cache/`, whichever machine was
  first; whoever needs it meanwhile waits.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([OPENING, *_measures(), "", *_extractors(), WORTH, COST])


def _measures() -> Iterator[str]:
    yield "## Measures\n"
    yield "| `evaluation.metrics` | what it is | better | measured by itself on | needs | paper |"
    yield "|---|---|---|---|---|---|"
    for key, measure in Measure.all().items():
        by_itself = _kinds(measure.kinds)
        if by_itself and "logits" in measure.needs:
            by_itself += " of the extractor's classes"
        needs = "; ".join(REASONS[need] for need in sorted(measure.needs))
        yield _row(
            [f"`{key}`", measure.summary, measure.better, by_itself, needs],
            measure.paper,
        )
    yield from _settings(Measure)


def _extractors() -> Iterator[str]:
    yield "## Extractors\n"
    yield "| `evaluation.extractor` | what it is | looks at | `auto` takes it for | classes |"
    yield "|---|---|---|---|---|"
    for key, extractor in Extractor.all().items():
        suits = [f"`{source}`" for source in sorted(extractor.suits_sources)]
        suits += [_kinds(extractor.suits_kinds)] if extractor.suits_kinds else []
        classes = "yes" if extractor.classifies else ""
        takes = _kinds(extractor.takes)
        yield _row([f"`{key}`", extractor.summary, takes, ", ".join(suits)], classes)
    yield from _settings(Extractor)


def _settings(kind: type[Part]) -> Iterator[str]:
    """A table of the knobs of every part of a kind, if any has one."""
    rows = [row for part in kind.all().values() for row in settings_of(part)]
    if rows:
        yield from ("", "| setting | default | meaning |", "|---|---|---|", *rows)


def page_with_extractors(whole: str) -> str:
    """docs/extractors.md with the part made anew in which each extractor has the text of its file:
    from the first that has a heading down to the end."""
    written = whole.partition("\n## `")[0].rstrip("\n")
    made = "\n".join(line for key in Extractor.all() for line in _about(key))
    return f"{written}\n\n{made.rstrip()}\n"


def _about(key: str) -> Iterator[str]:
    extractor = Extractor.named(key)
    yield f"## `{key}`\n"
    yield f"{extractor.description()}\n"
    if rows := list(settings_of(extractor)):
        yield from ("| setting | default | meaning |", "|---|---|---|", *rows, "")


def settings_of(part: type[Part]) -> Iterator[str]:
    """A row for every knob of a part."""
    for name, field in part.Config.model_fields.items():
        yield _row([f"`{part.key}.{name}`", _default(field)], field.description or "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    return "none" if field.default is None else f"`{field.default}`"


def _kinds(kinds: Iterable[str]) -> str:
    return ", ".join(f"{kind}s" for kind in sorted(kinds))


def _row(cells: Iterable[str], last: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, last)) + " |"
