"""Why a VM waits, in one sentence for its record; the whole of it is told by ``reasons``."""

from collections.abc import Mapping

#: Clauses that are named in the sentence.
_NAMED = 3


def waiting_words(counts: Mapping[str, int], hosts: int) -> str:
    """Return the sentence, like ``None of 12 hosts can take it: memory keeps 9 out, cpu 3.``.

    Args:
        counts: ``{clause: hosts that fail it}``, the one that most fail first.
        hosts: How many there are.
    """
    if not hosts:
        return "There is no host yet."
    if not counts:
        return "A host could take it, but its images or files are on no host that is there."
    (first, most), *others = list(counts.items())[:_NAMED]
    more = "".join(f", {name} {count}" for name, count in others)
    return f"None of {hosts} hosts can take it: {first} keeps {most} out{more}."
