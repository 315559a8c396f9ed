"""The paper protocol against the published tables (TapWeight, arXiv 2410.10006, Appendices B.4 and C.4, and others)."""

from __future__ import annotations

import pytest

from bench.protocol_files import load
from methods import METHODS
from methods.settings import BiLevelSettings, JointSettings, PhaseSettings, Settings, TriLevelSettings
from methods.simcse import SimcseSettings
from methods.tapt import AdaptiveSettings
from methods.tartan import TartanSettings
from tasks.catalogue import get, suites
from tasks.info import TaskInfo

# task: global steps, lr I, lr II, lr III
PUBLISHED = {
    "muv": (30_000, 0.02, 0.05, 200),
    "hiv": (20_000, 0.02, 0.05, 200),
    "tox21": (10_000, 0.02, 0.05, 200),
    "toxcast": (10_000, 0.02, 0.05, 200),
    "bace": (3_000, 0.02, 0.05, 200),
    "bbbp": (3_000, 0.02, 0.05, 200),
    "clintox": (3_000, 0.02, 0.05, 200),
    "sider": (3_000, 0.02, 0.05, 200),
    "esol": (10_000, 0.02, 1e-3, 1),
    "freesolv": (10_000, 0.02, 1e-3, 1),
    "lipophilicity": (10_000, 0.02, 1e-3, 1),
    "qm7": (10_000, 0.01, 1e-4, 0.1),
    "qm9": (30_000, 0.01, 1e-4, 0.1),
}
GAMMA = 1e-3


def test_the_table_names_all_thirteen_tasks() -> None:
    assert {task.name for task in suites()["moleculenet"].tasks} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_values_of_the_paper(name: str) -> None:
    steps, lr_one, lr_two, lr_three = PUBLISHED[name]
    settings = load("paper").resolve(METHODS.get("tapweight"), get(f"moleculenet:{name}"), "resnet18").settings
    two = settings.method
    assert isinstance(two, TriLevelSettings)
    assert settings.continued.steps == steps
    assert settings.continued.optimiser.lr == lr_one
    assert two.optimiser.lr == lr_two
    assert two.gamma == GAMMA
    assert two.rate == pytest.approx(2 * GAMMA * lr_three)  # eta_alpha = 2 gamma lr_alpha
    assert (settings.continued.batch, two.batch, two.validation_batch) == (1024, 64, 64)
    assert (two.alignment, two.unroll_one) == ("raw", 1)
    for optimiser in (settings.continued.optimiser, two.optimiser):
        assert (optimiser.name, optimiser.momentum, optimiser.weight_decay) == ("sgd", 0.9, 1e-5)
        assert optimiser.schedule == "step"
    assert settings.finetune.patience == 30
    assert (settings.finetune.epochs, settings.finetune.batch) == (100, 128)
    assert not settings.labels.standardise
    assert settings.corpus.clusters == (100, 1000, 10000)
    assert settings.corpus.molecules == 1_000_000


# --- text: TapWeight, Appendix C.4, and the papers of the other methods


def resolved(method: str, task: str) -> Settings:
    return load("paper").resolve(METHODS.get(method), get(task), "roberta").settings


def optimiser_of(phase: PhaseSettings) -> tuple[object, ...]:
    assert phase.optimiser is not None
    return phase.optimiser.name, phase.optimiser.lr, phase.optimiser.weight_decay, phase.optimiser.schedule


@pytest.mark.parametrize("task", suites()["glue"].tasks, ids=lambda task: task.name)
def test_glue_has_the_values_of_the_paper(task: TaskInfo) -> None:
    settings = resolved("tapweight", task.id)
    two = settings.method
    assert isinstance(two, TriLevelSettings)
    assert settings.continued.steps == (20_000 if task.name in ("qqp", "mnli") else 10_000)
    assert (settings.continued.batch, two.batch, two.validation_batch) == (512, 32, 32)
    for optimiser in (settings.continued.optimiser, two.optimiser):
        assert (optimiser.name, optimiser.lr, optimiser.weight_decay) == ("adam", 2e-5, 1e-3)
        assert (optimiser.schedule, optimiser.warmup, optimiser.clip) == ("linear", 0, None)
    assert two.gamma == 5e-3
    assert two.rate == pytest.approx(2 * 5e-3 * 1)
    assert (two.alignment, two.unroll_one, two.point, two.rate_schedule) == ("raw", 1, "post", "linear")
    blo = resolved("tapweight-blo", task.id)
    assert blo.continued == settings.continued
    assert isinstance(blo.method, BiLevelSettings)
    assert (blo.method.batch, blo.method.validation_batch, blo.method.coefficient) == (32, 32, 1)
    assert (blo.method.rate, blo.method.rate_schedule, blo.method.unroll) == (two.rate, "linear", 1)
    tuned = settings.finetune
    assert (tuned.batch, tuned.epochs, tuned.patience) == (32, 10, 10)
    assert (tuned.optimiser.name, tuned.optimiser.lr, tuned.optimiser.weight_decay) == ("adamw", 2e-5, 0.1)
    assert (tuned.optimiser.schedule, tuned.optimiser.warmup, tuned.optimiser.clip) == ("linear", 0.06, None)


def test_text_baselines_have_the_values_of_their_papers() -> None:
    tapt, dapt = (resolved(name, "text:imdb").own(AdaptiveSettings) for name in ("tapt", "dapt"))
    simcse = resolved("simcse-mlm", "glue:rte").own(SimcseSettings)
    assert (dapt.steps, dapt.batch, *optimiser_of(dapt)) == (12_500, 2048, "adamw", 5e-4, 0.01, "linear")
    assert (tapt.batch, *optimiser_of(tapt)) == (256, "adamw", 1e-4, 0.01, "linear")
    assert tapt.objectives == dapt.objectives == ("masked-lm",)
    assert (simcse.steps, simcse.batch, *optimiser_of(simcse)) == (1953, 512, "adamw", 1e-5, 0.0, "linear")
    assert simcse.masked_lm == 0.1
    for phase, warmup in ((tapt, 0.06), (dapt, 0.06), (simcse, 0)):
        assert phase.optimiser
        assert (phase.optimiser.warmup, phase.optimiser.clip) == (warmup, 1)
    tuned = resolved("finetune", "glue:rte").finetune.optimiser
    for optimiser in (tapt.optimiser, dapt.optimiser, tuned):
        assert optimiser
        assert (optimiser.betas, optimiser.eps, optimiser.decay_norms) == ((0.9, 0.98), 1e-6, False)
    for optimiser in (simcse.optimiser, resolved("cp", "glue:rte").continued.optimiser):
        assert optimiser
        assert (optimiser.betas, optimiser.eps, optimiser.decay_norms) == ((0.9, 0.999), 1e-8, True)


@pytest.mark.parametrize(("task", "lines"), [("acl-arc", 1659), ("scierc", 3161), ("chemprot", 3983)])
def test_a_sample_of_a_domain_lasts_a_hundred_epochs(task: str, lines: int) -> None:
    dapt = resolved("dapt", f"tartan:{task}").own(AdaptiveSettings)
    assert (dapt.steps, dapt.batch) == (round(100 * lines / 256), 256)


@pytest.mark.parametrize("task", suites()["moleculenet"].tasks, ids=lambda task: task.name)
def test_tapt_on_molecules_lasts_a_hundred_epochs(task: TaskInfo) -> None:
    tapt = load("paper").resolve(METHODS.get("tapt"), task, "resnet18").settings.own(AdaptiveSettings)
    assert tapt.steps == pytest.approx(100 * 0.8 * task.rows / 256, abs=1)
    assert (tapt.batch, tapt.objectives) == (256, ())


@pytest.mark.parametrize("protocol", ["paper", "small", "smoke"])
def test_tartan_has_masked_lm_on_the_task_s_text_on_its_own_tasks(protocol: str) -> None:
    for method in ("mt-tartan", "meta-tartan", "meta-tartan-null"):
        of = lambda task: load(protocol).resolve(METHODS.get(method), get(task), "roberta").settings  # noqa: B023, E731
        own, other = of("tartan:scierc"), of("glue:rte")
        assert (own.continued.source, own.own(JointSettings).objectives) == ("task", ("masked-lm",))
        assert (other.continued.source, other.own(JointSettings).objectives) == ("corpus", ())


@pytest.mark.parametrize("task", ["esol", "muv", "qm9", "bace"])
def test_reweighting_on_graphs_takes_3000_steps(task: str) -> None:
    settings = load("paper").resolve(METHODS.get("cp"), get(f"moleculenet:{task}"), "gin").settings
    assert settings.continued.steps == 3000


def test_text_starts_from_roberta_base_in_16_bits_and_its_documents_are_cut_at_512() -> None:
    settings = resolved("tapt", "glue:rte")
    assert (settings.start.kind, settings.start.checkpoint) == ("checkpoint", "roberta-base")
    assert (settings.text.corpus_tokens, settings.text.document_tokens) == (128, 512)
    assert settings.training.precision == "bfloat16"
    assert load("paper").resolve(METHODS.get("cp"), get("bace"), "resnet18").settings.training.precision == "float32"


@pytest.mark.parametrize("method", ["simcse", "simcse-mlm"])
def test_simcse_reads_32_tokens_of_a_sentence(method: str) -> None:
    # Two halves have four special tokens, and all views of a sentence are cut alike.
    assert resolved(method, "glue:rte").text.corpus_tokens - 4 + 2 == 32


@pytest.mark.parametrize(
    "task",
    [task for suite in suites().values() for task in suite.tasks if task.text and suite.name != "demo"],
    ids=lambda task: task.id,
)
def test_tapt_lasts_a_hundred_epochs(task: TaskInfo) -> None:
    assert task.text is not None
    rows = task.text.train.rows
    train = rows - round(rows / 9) if task.split == "seeded" else rows
    lines = 2 * train if task.text.second else train
    tapt = resolved("tapt", task.id).own(PhaseSettings)
    assert tapt.steps is not None
    assert tapt.steps * 256 == pytest.approx(100 * lines, abs=128)


@pytest.mark.parametrize("task", suites()["tartan"].tasks, ids=lambda task: task.name)
def test_tartan_s_own_tasks_have_its_values(task: TaskInfo) -> None:
    assert task.text is not None
    settings = resolved("meta-tartan", task.id)
    own = settings.own(TartanSettings)
    assert settings.continued.steps == task.text.train.rows // 128 * 150  # epochs of whole batches
    body = settings.continued.optimiser
    assert (settings.continued.batch, body.name, body.lr, body.weight_decay) == (128, "adamw", 1e-4, 0.01)
    assert (body.schedule, body.warmup, body.clip) == ("linear", 0.06, 1.0)
    assert (body.betas, body.eps, body.decay_norms, own.head.betas) == ((0.9, 0.98), 1e-6, False, (0.9, 0.98))
    assert (own.head.lr, own.head.weight_decay, own.head.schedule, own.eta) == (1e-3, 0.1, "linear", 0.01)
    assert (own.evaluate_every, own.patience, own.meta_steps, own.meta_batch) == (30, 20, 10, 32)
    tuned = settings.finetune.optimiser
    assert (tuned.lr, tuned.weight_decay, tuned.schedule, tuned.clip) == (5e-6, 0.01, "constant", 1.0)
    assert (settings.finetune.epochs, settings.finetune.patience) == (10, 2)
    plain = resolved("finetune", task.id).finetune
    assert (plain.optimiser.lr, plain.optimiser.weight_decay, plain.optimiser.schedule) == (2e-5, 0.1, "constant")
    assert plain.batch == (8 if task.name == "hyperpartisan" else 16)
    assert (own.batch, own.validation_batch, own.meta_head, own.meta_head_split) == (128, 64, "separate", "train")
    assert (own.weight_update, own.score, own.jacobian, own.final_finetuning) == ("after", "cosine", False, True)
    assert (own.head.name, own.head.warmup, own.head.clip) == ("adamw", 0.06, 1)


@pytest.mark.parametrize("task", suites()["text"].tasks, ids=lambda task: task.name)
def test_large_sets_are_fine_tuned_as_don_t_stop_pretraining_says(task: TaskInfo) -> None:
    settings = resolved("finetune", task.id)
    tuned = settings.finetune
    assert (tuned.epochs, tuned.batch, settings.text.tokens) == (3, 16, 512)
    assert (tuned.optimiser.lr, tuned.optimiser.weight_decay, tuned.optimiser.clip) == (2e-5, 0.1, 1)
    assert (tuned.optimiser.schedule, tuned.optimiser.warmup) == ("linear", 0.06)


def test_elsewhere_tartan_shares_the_body_of_the_other_methods() -> None:
    assert resolved("meta-tartan", "glue:rte").continued == resolved("cp", "glue:rte").continued
    assert resolved("meta-tartan", "glue:rte").finetune == resolved("finetune", "glue:rte").finetune
