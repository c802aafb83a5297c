"""Requirement and rank expressions about hosts: parsed once, then asked of many hosts; never evaluated as code."""

from innkeeper_controller.expressions.columns import At, AttributeColumns, Coded
from innkeeper_controller.expressions.compiled import (
    CompiledRank,
    CompiledRequirement,
    compile_rank,
    compile_requirement,
)
from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.explain import Obstacle, obstacles
from innkeeper_controller.expressions.masks import requirement_mask
from innkeeper_controller.expressions.meaning import Actual, Attributes
from innkeeper_controller.expressions.rank_vectors import rank_vector

__all__ = [
    "Actual",
    "At",
    "AttributeColumns",
    "Attributes",
    "Coded",
    "CompiledRank",
    "CompiledRequirement",
    "ExpressionError",
    "Obstacle",
    "compile_rank",
    "compile_requirement",
    "obstacles",
    "rank_vector",
    "requirement_mask",
]
