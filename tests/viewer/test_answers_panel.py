"""The folders of the answers, which the drawing thread fills and the page's own thread clears."""

import threading

import pytest
import torch
from page_support import PATIENCE

from lerf.queries.result import Answer, Geometry, Instance
from lerf.viewer.answers_panel import AnswersPanel
from lerf.viewer.errands import Errands
from lerf.viewer.page_server import PageServer
from lerf.viewer.scene_state import PhraseState


class Nothing:
    """Answers' controls that do nothing."""

    def set_scale(self, row, scale):
        pass

    def fly_to_instance(self, row, instance):
        pass


@pytest.fixture
def panel():
    served = PageServer(host="127.0.0.1", port=0, label="test", title="test")
    errands = Errands(lambda _: None)
    yield AnswersPanel(served.server, Nothing(), errands, (0.1, 1.0))
    errands.close()
    served.close()


def state(text):
    place = Geometry((0.0, 0.0, 0.0), 0.2, ((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)), None, None)
    answer = Answer(text, 0.9, place, (Instance(0.9, place),))
    return PhraseState(answer, 0.2, True, 0.9, torch.zeros(1), torch.zeros(1))


def test_two_threads_may_show_answers_at_once(panel, monkeypatch):
    drawing, slow, add_button = threading.Event(), threading.Event(), panel.client.gui.add_button
    failed = []

    def button(*args, **kwargs):
        drawing.set()
        slow.wait(0.2)
        return add_button(*args, **kwargs)

    monkeypatch.setattr(panel.client.gui, "add_button", button)

    def show(texts):
        try:
            panel.show([state(text) for text in texts], 1.0)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=show, args=(texts,)) for texts in (("mug", "hat"), ("hat",))]
    threads[0].start()
    assert drawing.wait(PATIENCE)
    threads[1].start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failed == []
    assert [row.text for row in panel._rows] == ["hat"]
    assert len(panel._rows[0].buttons) == 1
