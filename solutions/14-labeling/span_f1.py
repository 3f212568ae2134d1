"""Inputs for 14-labeling/span_f1, and spans asked of the definition, counted one by one."""

RETURNS = ("precision", "recall", "F1")


def inputs(rng):
    """Half right guesses, in both readings; types mixed up; a span cut in two; nothing there, nothing guessed."""
    names = ["O", "B-a", "I-a", "B-b", "I-b"]
    for strict in (False, True):
        truth = [[names[k] for k in rng.integers(5, size=n)] for n in (6, 3, 9, 5)]
        guess = [[names[rng.integers(5)] if rng.random() < 0.3 else label for label in one] for one in truth]
        yield truth, guess, strict
    yield [["B-a", "I-a", "O", "B-b"], ["O"]], [["B-a", "O", "O", "B-b"], ["B-a"]]
    yield [["B-a", "I-a", "O"]], [["B-b", "I-b", "O"]]
    yield [["B-a", "I-a", "I-a"], ["B-b", "O"]], [["B-a", "B-a", "I-a"], ["O", "B-b"]]
    yield [["O", "I-a"], ["B-a"]], [["O", "B-a"], ["B-a"]]
    yield [["O", "O"]], [["O", "O"]]
    yield [["B-a"]], [["O"]]


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


def oracle(truth, guess, strict=False):
    hits = said = there = 0
    for right, own in zip(truth, guess, strict=True):
        expected, found = all_spans(right, strict), all_spans(own, strict)
        there, said = there + len(expected), said + len(found)
        hits += sum(span in expected for span in found)
    precision = hits / said if said else 0.0
    recall = hits / there if there else 0.0
    both = 2 * precision * recall / (precision + recall) if hits else 0.0
    return precision, recall, both
