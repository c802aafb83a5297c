"""Requirement and rank expressions about hosts: parsed once, then asked of many hosts; never evaluated as code."""

from innkeeper_controller.expressions.compiled import (
    CompiledRank,
    CompiledRequirement,
    compile_rank,
    compile_requirement,
)
from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.explain import Obstacle, obstacles
from innkeeper_controller.expressions.meaning import Actual, Attributes

__all__ = [
    "Actual",
    "Attributes",
    "CompiledRank",
    "CompiledRequirement",
    "ExpressionError",
    "Obstacle",
    "compile_rank",
    "compile_requirement",
    "obstacles",
]
