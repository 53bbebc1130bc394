"""A box of three that the others do not hear any more, and that does not hear them: on a network of
their own, which takes root."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.clients import cluster_boxes
from tests.clients.cluster_boxes import ADDRESSES, EMBED, Box, boxes
from tests.clients.networks import NoNetwork, network
from tests.clients.test_cluster import BACK_S, client, whole_while
from tests.process.box import wait_until

CLIENT = cluster_boxes.CLIENT

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Box]]:
    try:
        with (
            network(len(ADDRESSES)) as places,
            boxes(tmp_path_factory.mktemp("parted"), places=places) as found,
        ):
            yield found
    except NoNetwork as error:
        pytest.skip(str(error))


@pytest.fixture
def cut_off(cluster: list[Box]) -> Iterator[Box]:
    """The last box, which is not the first one, let in again at the latest at the end."""
    yield cluster[-1]
    cluster[-1].place.let_in()


def embeds(box: Box) -> bool:
    """Whether it answers; where it does not, it has to say that it reaches nobody."""
    try:
        return len(client(box).embeddings.create(model=EMBED, input="a").data) == 1
    except openai.InternalServerError as refused:
        if refused.code not in ("unavailable", "model_loading"):
            raise
    return False


def states(box: Box) -> dict[str, str]:
    return {one.address: one.state for one in box.state().boxes}


def test_the_others_go_on_and_it_comes_back_by_itself(cluster: list[Box], cut_off: Box) -> None:
    first, second, _ = cluster
    whole_while([first, second], cut_off.place.cut_off)
    wait_until(lambda: states(first)[cut_off.address] == "gone", BACK_S)
    embeds(cut_off)  # by a replica of its own, or not at all
    whole_while([first, second], lambda: None)
    cut_off.place.let_in()
    wait_until(lambda: states(first)[cut_off.address] == "up", BACK_S)
    wait_until(lambda: embeds(cut_off), BACK_S)
    whole_while(cluster, lambda: None)
