"""The pairs of chapters 16 and 17, and the runs on them: parts that do not overlap, batches without waste, scores."""

import numpy as np
import pytest

from course.pairs import END, PAD, START, TASKS
from course.runs.seq2seq import EDGES, PLAIN, STEPS, answers, judge, learn
from rnnlib.parameters import flat

every_task = pytest.mark.parametrize("task", TASKS)


@every_task
def test_no_input_stands_twice_and_the_parts_do_not_overlap(task):
    """Ten thousand different inputs, each in one part: nothing that is tested was trained on."""
    data = TASKS[task]()
    assert data.name == task
    texts = [text for text, _ in data.texts]
    assert len(set(texts)) == len(texts) == 10_000
    parts = [*data.train, *data.valid, *data.test]
    assert sorted(parts) == list(range(len(texts)))


@every_task
def test_a_batch_holds_the_picked_pairs_and_no_step_more(task):
    """Letters and words are those of the texts; a target starts with START, ends with END; behind the ends is PAD."""
    data = TASKS[task]()
    pick = np.array([7, 4321, 9999, 12])
    sources, n, targets, m = data.batch(pick)
    assert sources.shape == (n.max(), 4)
    assert targets.shape == (m.max(), 4)
    for b, i in enumerate(pick):
        text, answer = data.texts[i]
        assert "".join(data.letters[k] for k in sources[: n[b], b]) == text
        assert [data.words[k] for k in targets[1 : m[b] - 1, b]] == answer
        assert (targets[0, b], targets[m[b] - 1, b]) == (START, END)
        assert (sources[n[b] :, b] == PAD).all()
        assert (targets[m[b] :, b] == PAD).all()
    assert data.wanted(pick) == [targets[1 : m[b] - 1, b].tolist() for b in range(4)]
    assert data.write(data.wanted(pick)[0]) == data.joint.join(data.texts[7][1])
    single = data.read(data.texts[7][0])
    assert np.array_equal(single[0][:, 0], sources[: n[0], 0])


def test_numbers_and_dates_are_what_they_say():
    """The English words of a number are those of its German name, and a date has ten characters."""
    by_text = dict(TASKS["numbers"]().texts)
    assert by_text["siebenundneunzig"] == ["ninety", "seven"]
    assert by_text["einhunderteins"] == ["one", "hundred", "and", "one"]
    assert all(len(iso) == 10 for _, iso in TASKS["dates"]().texts)


@every_task
def test_every_length_falls_into_a_bin(task):
    """The edges hold all tested lengths, and each bin holds some."""
    data = TASKS[task]()
    tested = np.histogram(data.whole[1][data.test], EDGES[task])[0]
    assert tested.sum() == len(data.test)
    assert tested.min() >= 10


@pytest.mark.parametrize("feed", ["truth", "weaned"])
def test_learning_is_decided_by_the_seed(feed):
    """The same seed gives the same net to the bit, another seed another one; the loss falls."""
    data, losses = TASKS["dates"](), []
    note = lambda run, numbers: losses.append(numbers["loss"])  # noqa: E731
    nets = [flat(learn(PLAIN, data, seed, feed, hidden=8, steps=20, report=note)) for seed in (3, 3, 4)]
    assert all(np.array_equal(nets[0][name], nets[1][name]) for name in nets[0])
    assert any(not np.array_equal(nets[0][name], nets[2][name]) for name in nets[0])
    assert np.mean(losses[15:20]) < np.mean(losses[:5]) - 0.3


def test_a_weaned_net_is_fed_its_own_words_in_the_end(monkeypatch):
    """Always told, no inputs are handed to the loss; weaned, they are once the chance is below 1."""
    data, fed = TASKS["dates"](), []

    def spy(net, *batch):
        fed.append(batch[4] is not None)
        return PLAIN.loss(net, *batch)

    model = type(PLAIN)(PLAIN.init, spy, PLAIN.begin)
    for feed, expected in (("truth", [False] * 60), ("weaned", [False] * 50 + [True] * 10)):
        fed.clear()
        learn(model, data, 0, feed, hidden=4, steps=60)
        assert fed == expected
    assert STEPS % 50 == 0


def test_the_score_of_right_and_of_half_right_answers():
    """Exact match, edits, BLEU and bins of a decoder that knows every second answer by heart."""
    data = TASKS["numbers"]()
    targets, lengths = data.whole[2], data.whole[1]
    half = data.test[::2]

    def begin(net, sources, n):
        """Speaks the answers; of odd pairs the first word is another one."""
        count = sources.shape[1]

        def step(words, state):
            rows, at = state
            wish = targets[np.minimum(at + 1, len(targets) - 1), rows]
            wish = np.where((at == 0) & (rows % 2 == 1), PAD, wish)
            return np.eye(len(data.words))[wish], (rows, at + 1)

        return step, (np.arange(count), np.zeros(count, int))

    model = type(PLAIN)(PLAIN.init, PLAIN.loss, begin)
    score = judge(model, {}, data, data.test)
    assert score.exact == 0.5
    assert score.edits == 0.5
    assert 50 < score.bleu < 100
    assert score.right == np.histogram(lengths[half], EDGES["numbers"])[0].tolist()
    assert answers(model, {}, data, data.test)[0] == data.wanted([0])[0]
