"""A method: a named list of stages with what a reader must know about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from methods import METHODS

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.settings import Section

Stages = Callable[["Settings"], Sequence["Stage"]]
Names = Callable[["Section | None"], Sequence[str]]


@dataclass(frozen=True)
class Method:
    """An entry of the registry ``methods.METHODS``."""

    name: str
    title: str
    paper: str
    published: tuple[str, ...]  # modalities that the paper evaluates; elsewhere the combination is ours
    backbones: tuple[str, ...]  # the only ones that it runs on, the preferred one first; none: it runs on all
    cost: str  # training cost relative to fine-tuning, in words
    stages: Stages  # after the shared general-domain start
    section: str | None = None  # the protocol section of its own
    options: type[Section] | None = None  # what that section may hold
    learns: bool = False  # weights, whose trajectory goes into the record
    control_of: str | None = None  # the method whose learned weights it is the null of
    group: str = ""  # a name that stands for all methods of the group in a request
    extra: str = ""  # the optional extra of this project that installs what it needs
    needs: tuple[str, ...] = ()  # modules of that extra
    made_of: Names = lambda own: ()  # from its own section: the methods whose stages, and sections, it takes
    pretrained_on: Mapping[str, float] | None = None  # objectives of its own start, with weights; none: all, equal ones

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that the method needs and that are not installed."""
        return tuple(name for name in self.needs if find_spec(name) is None)

    def pipeline(self, settings: Settings) -> list[Stage]:
        """All stages of a cell: the general-domain start, then the method's own."""
        from methods.stages.start import start_stage

        return [start_stage(settings.start, self.pretrained_on), *self.stages(settings)]

    def part(self, settings: Settings) -> list[Stage]:
        """The method's own stages, for the settings of a method that is made of this one."""
        return list(self.stages(settings.model_copy(update={"method": settings.others.get(self.section or "")})))


def method(
    name: str,
    *,
    title: str,
    paper: str,
    published: tuple[str, ...],
    cost: str,
    backbones: tuple[str, ...] = (),
    section: str | None = None,
    options: type[Section] | None = None,
    learns: bool = False,
    control_of: str | None = None,
    group: str = "",
    extra: str = "",
    needs: tuple[str, ...] = (),
    made_of: Names = lambda own: (),
    pretrained_on: Mapping[str, float] | None = None,
) -> Callable[[Stages], Stages]:
    """Register the decorated function, which takes settings and returns stages, as a method."""

    def file(stages: Stages) -> Stages:
        entry = Method(
            name=name, title=title, paper=paper, published=published, backbones=backbones, cost=cost, stages=stages,
            section=section, options=options, learns=learns, control_of=control_of, group=group, extra=extra,
            needs=needs, made_of=made_of, pretrained_on=pretrained_on,
        )  # fmt: skip
        METHODS.register(name)(entry)
        return stages

    return file
