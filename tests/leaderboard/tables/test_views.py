"""What each view of the tables holds, and that captions explain what occurs and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.content import Cost, Lacking, Row, Skipped
from leaderboard.tables import Table, all_tables, sections, write_tables
from leaderboard.tables.markdown import render
from leaderboard.tables.words import ranges
from tests.leaderboard.tables import made


def find(name: str, *boards: object, **changes: object) -> Table:
    """The table ``name`` of a report."""
    (found,) = (table for table in all_tables(made.report(*boards, **changes)) if table.name == name)  # type: ignore[arg-type]
    return found


def column(table: Table, key: str) -> list[str]:
    """What the cells of one column show."""
    place = [column.key for column in table.columns].index(key)
    return [row.cells[place].plain for row in table.rows]


def numbers(table: Table, key: str) -> list[dict[str, float]]:
    place = [column.key for column in table.columns].index(key)
    return [row.cells[place].numbers for row in table.rows]


def unfinished() -> object:
    """A board with a control, a failed seed, a combination of ours, a skipped pair and another metric."""
    bace = made.task("moleculenet:bace")
    bace.entries[1] = made.entry("cp", 0.76, summary=made.summary(0.76, n=4), published=False)
    bace.entries.append(made.entry("null", 0.9))
    bbbp = made.task("moleculenet:bbbp", metric="rmse", higher_is_better=False, no_marks="too few", no_ties="too few")
    bbbp.entries[0].mark, bbbp.entries[2].tied_with_best = None, False
    bbbp.entries[1] = made.entry("cp", None, planned=0, skipped="does not fit")
    bbbp.entries.append(made.entry("null", None))
    rows = [Row(label=name, method=name, backbones=["image-small"], control_of=None) for name in made.METHODS]
    rows.append(Row(label="null", method="null", backbones=["image-small"], control_of="tapweight"))
    return made.board(
        task_tables=[bace, bbbp],
        rows=rows,
        suites=[],
        missing=[Lacking(row="null", task="moleculenet:bbbp", seeds=[0, 1, 2, 3, 4], reason=None)],
        failed=[Lacking(row="cp", task="moleculenet:bace", seeds=[4], reason="no space left")],
    )


def test_names_are_unique_whatever_they_are_made_of() -> None:
    boards = [made.board(tasks=["a b:x", "a-b:x", "A B:x-pairwise"], protocol=name) for name in ("p", "P", "p-a")]
    names = [table.name for table in all_tables(made.report(*boards))]
    assert len(set(names)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_suite_table() -> None:
    table = find("small-moleculenet")
    assert [column.heading for column in table.columns] == [
        "method", "bace (ROC-AUC ↑)", "bbbp (ROC-AUC ↑)", "average (ROC-AUC ↑)", "error removed (IQM ↑)", "rank (↓)",
        "cost (×)",
    ]  # fmt: skip
    assert column(table, "method") == ["finetune", "cp", "tapweight (focus)", "TapWeight [1]", "Other [1]"]
    assert column(table, "bace")[:3] == ["0.750 ± 0.013 (5) ▼", "0.762 ± 0.013 (5)", "0.775 ± 0.013 (5)"]
    assert column(table, "error removed")[1] == "+0.100 (+0.079 to +0.132)"
    assert column(table, "average")[:3] == ["0.700", "0.710", "0.720"]
    assert [row.faint for row in table.rows] == [False] * 3 + [True] * 2


def test_published_numbers_stand_in_our_units_with_the_digits_of_the_paper() -> None:
    table = find("small-moleculenet")
    assert column(table, "bace")[3:] == ["0.831 ± 0.005 (10)", "0.800 ± 0.005 (10)"]
    assert column(table, "bbbp")[3:] == ["0.7100 ± 0.0125 (10)", "0.7050 ± 0.0125 (10)"]
    assert numbers(table, "bace")[3] == pytest.approx({"mean": 0.831, "sd": 0.005, "n": 10})
    assert column(table, "average")[3:] == ["0.771", "0.753"]
    assert column(find("small-published-moleculenet-arxiv-0000-00000-table-1"), "average") == ["77.1", "75.3"]


def test_a_papers_average_over_other_tasks_is_left_out() -> None:
    paper = made.published()
    for row in paper.rows:
        row.recomputed_average = 70.0  # over tasks that the board has not
    assert column(find("small-moleculenet", made.board(published=[paper])), "average")[3:] == ["–", "–"]


def test_tables_of_a_paper_share_a_row_where_they_do_not_overlap() -> None:
    first, second = made.published(), made.published(source="Table 2")
    for row in first.rows:
        row.scores = row.scores[:1]
    for row in second.rows:
        row.scores = row.scores[1:]
    table = find("small-moleculenet", made.board(published=[first, second]))
    assert column(table, "method")[3:] == ["TapWeight [1, 2]", "Other [1, 2]"]
    assert column(table, "bbbp")[3] == "0.7100 ± 0.0125 (10)"
    again = find("small-moleculenet", made.board(published=[first, first]))
    assert column(again, "method")[3:] == ["TapWeight [1]", "TapWeight [2]", "Other [1]", "Other [2]"]


def test_another_metric_of_a_paper_is_marked() -> None:
    paper = made.published()
    paper.rows[0].scores[0].metric = "accuracy"
    paper.rows[1].scores[0].metric = "ROC AUC"
    table = find("small-moleculenet", made.board(published=[paper]))
    assert ["‡" in text for text in column(table, "bace")] == [False, False, False, True, False]
    assert any(note.startswith("‡: the paper has another metric") for note in table.notes)


def test_task_table() -> None:
    table = find("small-moleculenet-bace")
    assert column(table, "gain")[:3] == ["+0.025", "+0.012", ""]
    assert column(table, "95 % interval")[0] == "+0.014 to +0.038"
    assert column(table, "p (Holm)")[:3] == ["0.016", "0.016", ""]
    assert column(table, "p (Holm, all tasks)")[0] == "0.032"
    assert numbers(table, "gain")[0] == pytest.approx({"": 0.0246})


def test_refused_comparisons_have_no_p() -> None:
    task = made.task("moleculenet:bace", no_marks="3 seeds allow nothing")
    table = find("small-moleculenet-bace", made.board(task_tables=[task], suites=[]))
    keys = [column.key for column in table.columns]
    assert "gain" in keys
    assert not {"p", "p (Holm)", "p (Holm, all tasks)"} & set(keys)
    assert "No marks against tapweight: 3 seeds allow nothing." in table.notes


def test_pairwise_table_has_raw_above_and_corrected_below() -> None:
    table = find("small-moleculenet-bace-pairwise")
    assert [[cell.text for cell in row.cells[1:]] for row in table.rows] == [
        ["", "0.011", "0.012"],
        ["0.04", "", "0.013"],
        ["0.05", "0.06", ""],
    ]
    assert [[cell.strong for cell in row.cells[1:]] for row in table.rows] == [
        [False, False, False],
        [True, False, False],
        [True, False, False],
    ]


def test_pairs_that_nothing_can_separate_are_said_instead() -> None:
    task = made.task("moleculenet:bace")
    assert task.pairwise
    task.pairwise.no_marks = "too few seeds"
    report = made.report(made.board(task_tables=[task], suites=[]))
    assert "small-moleculenet-bace-pairwise" not in [table.name for table in all_tables(report)]
    assert "None: too few seeds." in render(report)


def test_comparisons_over_tasks() -> None:
    table = find("small-moleculenet-comparisons")
    assert column(table, "other method") == ["finetune ▼", "cp ▼"]
    assert column(table, "p (sign flip, Holm)") == ["0.016", "0.016"]
    suite = made.suite(no_marks="2 tasks allow p >= 0.50")
    suite.comparisons[0].tasks = suite.tasks[:1]
    table = find("small-moleculenet-comparisons", made.board(suites=[suite]))
    assert column(table, "other method") == ["finetune", "cp"]
    assert "p (sign flip)" not in [column.key for column in table.columns]
    assert column(table, "p (stratified, Holm)") == ["0.0002", "0.0002"]
    assert "finetune: without bbbp, where it or tapweight has no record." in table.notes


def test_ranking_groups_share_letters() -> None:
    table = find("small-moleculenet-ranking")
    assert column(table, "method") == ["tapweight", "cp", "finetune"]
    assert column(table, "group") == ["a", "a, b", "b"]


def test_cost_charges_shared_stages_alone_divided_and_once() -> None:
    tasks = [made.task(name) for name in made.TASKS]
    for own, task in zip((60.0, 100.0), tasks, strict=True):
        task.entries[1].cost = Cost(
            seconds=own,
            shared_seconds={"start": 900.0, "continued": 40.0},
            peak_memory_bytes=2**30,
            examples_per_second=1.0,
            ratio=(own + 40) / 40,
        )
    table = find("small-moleculenet-cost", made.board(task_tables=tasks))
    assert column(table, "bace") == ["1.00", "2.50 / 2.00", "1.00", "–"]
    assert column(table, "bbbp") == ["1.00", "3.50 / 3.00", "1.00", "–"]
    assert column(table, "suite") == ["1.00", "2.50", "1.00", "2.18 to 2.76"]  # (60 + 100 + 40) / 80
    shared = find("small-moleculenet-seconds", made.board(task_tables=tasks))
    assert column(shared, "bace")[1] == "60 s, 1,024 MiB"
    assert column(shared, "shared")[1] == "start 900 s, continued 40 s"
    assert column(find("small-moleculenet", made.board(task_tables=tasks)), "cost")[:3] == ["1.00", "2.50", "1.00"]


def test_a_suite_cost_needs_every_task() -> None:
    tasks = [made.task(name) for name in made.TASKS]
    tasks[0].entries[1] = made.entry("cp", None)
    table = find("small-moleculenet-cost", made.board(task_tables=tasks))
    assert column(table, "suite")[:3] == ["1.00", "–", "1.00"]


def test_aggregates_say_what_lacks() -> None:
    suite = made.suite()
    suite.rows[1] = suite.rows[1].model_copy(
        update={"missing": ["moleculenet:bbbp"], "iqm": None, "mean_score": None, "average_rank": None}
    )
    table = find("small-moleculenet", made.board(suites=[suite]))
    assert [column(table, key)[1] for key in ("average", "error removed", "rank")] == ["–"] * 3
    assert "No aggregate for cp: no record on bbbp." in table.notes
    none = find("small-moleculenet", made.board(suites=[made.suite(no_aggregate="finetune has no record", rows=[])]))
    assert "No error removed over the tasks: finetune has no record." in none.notes


def test_coverage_counts_rows_and_tasks() -> None:
    board = unfinished()
    table = find("small-coverage", board)
    assert column(table, "moleculenet:bace") == ["5/5", "4/5†", "5/5", "5/5"]
    assert column(table, "moleculenet:bbbp") == ["5/5", "skipped", "5/5", "0/5†"]
    assert column(find("small-failed", board), "reason") == ["no space left"]
    assert column(find("small-missing", board), "seeds") == ["0-4"]
    skipped = [Skipped(method="mlm", task="moleculenet:bace", reason="no tokens")]
    assert column(find("skipped", board, skipped=skipped), "reason") == ["no tokens"]


def test_a_task_without_any_record_is_covered_too() -> None:
    lacking = [Lacking(row="cp", task="moleculenet:hiv", seeds=[0, 1], reason=None)]
    table = find("small-coverage", made.board(missing=lacking))
    assert column(table, "moleculenet:hiv") == ["–", "0/2†", "–"]


def test_captions_explain_what_occurs_and_nothing_else() -> None:
    plain = made.task("moleculenet:bace", comparisons=[], no_marks="no focus method", no_ties="nothing", pairwise=None)
    for entry in plain.entries:
        entry.mark, entry.tied_with_best, entry.readouts = None, False, {"last": made.summary(0.7, sd=None, n=1)}
        entry.summary = made.summary(0.7, sd=None, n=1)
        entry.planned = 1
    bare = made.board(task_tables=[plain], suites=[], published=[], software={})
    better = made.task("moleculenet:bace")
    better.entries[1].mark = "better"
    for board in (made.board(), unfinished(), bare, made.board(task_tables=[better])):
        for table in all_tables(made.report(board)):  # type: ignore[arg-type]
            cells = [cell for row in table.rows for cell in row.cells]
            shown, said = "".join(cell.plain for cell in cells), " ".join(table.notes)
            for sign in "±°†‡▲▼":
                assert (sign in shown) == (sign in said), (table.name, sign)
            assert any(cell.strong for cell in cells) == ("Bold:" in said), table.name
            assert "**" not in said
            assert ("↑" in said) <= ("↑" in "".join(column.unit for column in table.columns))


def test_a_caption_names_the_test() -> None:
    notes = " ".join(find("small-moleculenet").notes)
    for part in (
        "ROC-AUC ↑ larger is better; seeds 0-4",
        "▼: worse than the focus method tapweight",
        "Holm over the 2 comparisons of one task",
        "two-sided unpaired permutation test of the difference of means, exact over 252 splits",
        "80 % of the time",
        "bace cccccccccccccccc",
        "n = 10; ±: the standard deviation",
    ):
        assert part in notes
    drawn = made.task("moleculenet:bace")
    for comparison in drawn.comparisons:
        comparison.exact, comparison.splits, comparison.generator_seed = False, 9999, 3
    notes = " ".join(find("small-moleculenet", made.board(task_tables=[drawn], suites=[])).notes)
    assert "9,999 draws, generator seed 3" in notes


def test_tables_too_large_to_read_are_named_and_written(tmp_path: Path) -> None:
    tasks = [f"moleculenet:task{number}" for number in range(21)]
    report = made.report(made.board([f"m{number}" for number in range(11)], tasks, published=[]))
    text = render(report)
    assert text.index("| m0 ") < text.index("In files of their own: ")
    assert "tables/small-moleculenet-task20.csv" in text
    assert "gain / sd |" not in text
    assert len(text.splitlines()) < 250
    aside = [table.name for section in sections(report) if section.aside for table in section.tables]
    written = {path.name for path in write_tables(tmp_path, report)}
    assert {f"{name}.csv" for name in aside} | {f"{name}.tex" for name in aside} <= written
    assert written == {path.name for path in (tmp_path / "tables").iterdir()}


def test_no_sentence_stands_twice_below_the_tables_of_a_suite() -> None:
    bullets = [line for line in render(made.report()).splitlines() if line.startswith("- ")]
    assert len(bullets) == len(set(bullets))


def test_pictures_are_shown_where_they_belong() -> None:
    text = render(made.report())
    assert text.index("![Who leads.](pictures/ranks.png)") < text.index("### Pictures of the tasks")
    assert text.index("### Pictures of the tasks") < text.index("![Each seed.](pictures/s.png)")


def test_ranges() -> None:
    assert ranges([0, 1, 2, 4, 7, 8]) == "0-2, 4, 7-8"
    assert ranges([]) == ""
