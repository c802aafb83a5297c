"""Rows of ``one.template.*``."""

from typing import Final

from innkeeper_controller.opennebula.arguments import text, truth
from innkeeper_controller.opennebula.methods.table import change
from innkeeper_controller.opennebula.methods.terms import APPEND, RECURSIVE, locking, named, oid, ownership

ABOUT: Final = "template"
TEMPLATE: Final = oid("template")

METHODS: Final = (
    change(
        "one.template.allocate",
        (text("template"),),
        "template.add",
        lambda call: {"template": call["template"]},
        answer=lambda _call, answer: answer.template_id,
        makes_new=True,
    ),
    change(
        "one.template.update",
        (TEMPLATE, text("text"), APPEND),
        "template.replace",
        lambda call: {"template": named(call), "text": call["text"], "append": bool(call["append"])},
        about=ABOUT,
    ),
    change(
        "one.template.delete",
        (TEMPLATE, RECURSIVE),
        "template.delete",
        lambda call: {"template": named(call)},
        about=ABOUT,
        note="Its images stay, also with recursive.",
    ),
    change(
        "one.template.clone",
        (TEMPLATE, text("name"), RECURSIVE),
        "template.clone",
        lambda call: {"template": named(call), "name": call["name"]},
        answer=lambda _call, answer: answer.template_id,
        makes_new=True,
        about=ABOUT,
        note="Its images are not cloned, also with recursive.",
    ),
    change(
        "one.template.instantiate",
        (
            TEMPLATE,
            text("name", ""),
            truth("hold", default=False),
            text("extra template", ""),
            truth("persistent", default=False),
        ),
        "template.instantiate",
        lambda call: {
            "template": named(call),
            "name": call["name"],
            "hold": call["hold"],
            "extra": call["extra template"],
            "persistent": call["persistent"],
        },
        answer=lambda _call, answer: answer.vm_ids[0],
        makes_new=True,
        about=ABOUT,
    ),
    *ownership("template", "template", ABOUT),
    *locking("template", "template", ABOUT),
)
