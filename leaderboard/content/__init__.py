"""What a report holds: one object, written as report.json, from which every table, picture and page is drawn.

Numbers are full floats in the units of the metric. ``None`` stands where a number does not exist.
"""

from leaderboard.content.board import BASELINE, Board, Lacking, Picture, Report, Row, Skipped, TaskTable, task_name
from leaderboard.content.comparisons import Comparison, Pairwise
from leaderboard.content.curves import LearningCurves, TaskCurves, WeightCurves
from leaderboard.content.learned import FinalWeight, LearnedWeights
from leaderboard.content.procedures import Estimate, Interval, Procedure
from leaderboard.content.published import PublishedCost, PublishedRow, PublishedScore, PublishedTable
from leaderboard.content.scores import Cost, Entry, Run, Summary
from leaderboard.content.suites import Ranking, SuiteComparison, SuiteRow, SuiteTable

__all__ = [
    "BASELINE",
    "Board",
    "Comparison",
    "Cost",
    "Entry",
    "Estimate",
    "FinalWeight",
    "Interval",
    "Lacking",
    "LearnedWeights",
    "LearningCurves",
    "Pairwise",
    "Picture",
    "Procedure",
    "PublishedCost",
    "PublishedRow",
    "PublishedScore",
    "PublishedTable",
    "Ranking",
    "Report",
    "Row",
    "Run",
    "Skipped",
    "SuiteComparison",
    "SuiteRow",
    "SuiteTable",
    "Summary",
    "TaskCurves",
    "TaskTable",
    "WeightCurves",
    "task_name",
]
