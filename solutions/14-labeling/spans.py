"""Inputs for 14-labeling/spans, and every stretch of steps asked whether it is a span."""

RETURNS = "spans"


def inputs(rng):
    """Legal and illegal sequences, in both readings; spans side by side; nothing; a span up to the end."""
    names = ["O", "B-a", "I-a", "B-b", "I-b"]
    for strict in (False, True):
        for text in ("O B-a I-a O", "B-a B-a I-a I-a", "O I-a I-a B-b", "B-a I-b I-b I-a", "O O", "B-a I-a B-b I-b"):
            yield text.split(), strict
        for n in (7, 12):
            yield [names[k] for k in rng.integers(5, size=n)], strict
    yield (["I-a", "O", "I-b"],)
    yield ([],)


def is_span(labels, first, end, kind, strict):
    """Whether the steps from `first` up to `end` are one span of this type, asked of the definition."""
    mine = (f"B-{kind}", f"I-{kind}")
    begins = labels[first] == mine[0] or (
        not strict and labels[first] == mine[1] and (first == 0 or labels[first - 1] not in mine)
    )
    inner = all(label == mine[1] for label in labels[first + 1 : end])
    return begins and inner and (end == len(labels) or labels[end] != mine[1])


def all_spans(labels, strict):
    kinds = sorted({label[2:] for label in labels if label != "O"})
    steps = range(len(labels))
    return [
        (k, i, j)
        for i in steps
        for j in range(i + 1, len(labels) + 1)
        for k in kinds
        if is_span(labels, i, j, k, strict)
    ]


def oracle(labels, strict=False):
    return all_spans(labels, strict)
