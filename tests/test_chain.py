"""The whole course as one program: a learner's functions of all chapters, saved by `%%implement`, train attention."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.checks.attention import GATE
from course.exercises import catalogue, chapter_number
from course.library import functions, is_stub
from course.rig import run_jobs
from course.sources import ROOT, chapters
from course.workspace import start

# What a step of training and a greedy answer go through, from the embedding to the attention decoder and the optimizer.
CHAIN = {
    "03-definition": ("cross_entropy", "output_layer", "output_layer_backward", "rnn_forward"),
    "06-lstm": ("sigmoid",),
    "07-gru": ("gru_step", "gru_step_backward"),
    "09-batches": ("mask_from_lengths",),
    "10-bptt": ("backward_through_time", "embed", "embed_backward"),
    "11-gradients": ("clip_by_norm",),
    "12-training": ("adam", "fit", "warmup_cosine"),
    "13-classification": ("pool_last", "pool_last_backward"),
    "16-seq2seq": ("encode", "encode_backward", "greedy_decode"),
    "17-attention": (
        *("attend", "attend_backward", "general_score", "general_score_backward", "luong_step", "luong_step_backward"),
        *("masked_softmax", "masked_softmax_backward"),
    ),
}
NAMES = [name for names in CHAIN.values() for name in names]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A learner's folder in which every function of the library that is graded was written in its notebook's cell."""
    folder = tmp_path_factory.mktemp("learner") / "my-rnn"
    start(folder)
    for chapter in chapters():
        cells = [("setup", f"%load_ext course\n%chapter {chapter.slug}")]
        for exercise in chapter.exercises:
            if exercise.implements:
                cells.append((exercise.id, f"%%implement {exercise.implements}\n{chapter.answer(exercise)}"))
        (told,) = run_jobs([cells], folder)
        assert not [f"{name}: {error}" for name, error in told.items() if error]
    return folder


def _run(folder: Path, *canaries: str) -> dict:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests" / "chain_run.py"), *canaries]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def _written(folder: Path, full_name: str) -> bool:
    _, *path, name = full_name.split(".")
    text = folder.joinpath("rnnlib", *path).with_suffix(".py").read_text("utf-8")
    return not is_stub(functions(text)[name].node)


def test_every_graded_function_is_the_learners(workspace):
    """None of the library's functions that an exercise asks for is a stub any more."""
    graded = [exercise.implements for exercise in catalogue().values() if exercise.implements]
    assert len(graded) > 100
    assert [name for name in graded if not _written(workspace, name)] == []


def test_they_train_the_attention_model_to_its_gate(workspace):
    """With nothing but the learner's functions the net says fresh words backwards as well as chapter 17 asks."""
    assert _run(workspace)["share"] >= GATE


def test_one_function_that_raises_stops_the_training(workspace):
    """Each function of the chain in turn is made to raise: the run ends there, so each is really used."""
    told = _run(workspace, *NAMES)
    assert told == {name: f"the canary in {name}" for name in NAMES}


def test_a_canary_saved_by_implement_is_met(workspace, tmp_path):
    """Not patched in memory but saved from a notebook's cell: the training fails, and says so in the learner's file."""
    chapter = next(chapter for chapter in chapters() if chapter.slug == "17-attention")
    exercise = chapter.exercise("attend_backward")
    header, _ = chapter.header_and_body(exercise)
    path = workspace.joinpath("rnnlib", "attention.py")
    before = path.read_bytes()
    try:
        source = "\n".join([*header, '    raise RuntimeError("the canary")'])
        cells = [("setup", f"%load_ext course\n%chapter {chapter.slug}")]
        (told,) = run_jobs([[*cells, ("canary", f"%%implement {exercise.implements}\n{source}")]], workspace)
        assert not any(told.values())
        with pytest.raises(AssertionError, match=r"attention\.py[\s\S]*RuntimeError: the canary"):
            _run(workspace)
    finally:
        path.write_bytes(before)


def test_the_chain_is_of_graded_functions(workspace):
    """Every name on the list is graded in the chapter that it stands under, from 03 to 17."""
    for slug, names in CHAIN.items():
        graded = {exercise.name for exercise in catalogue().values() if exercise.slug == slug and exercise.implements}
        assert set(names) <= graded, slug
    assert [chapter_number(slug) for slug in CHAIN] == [3, 6, 7, 9, 10, 11, 12, 13, 16, 17]
