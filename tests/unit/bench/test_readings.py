"""What of a book is read aloud, and how."""

from __future__ import annotations

from tests.bench.sound.readings import paragraphs

BOOK = """
                    CHAPTER I

                 Down the Rabbit-Hole

  There was nothing so VERY remarkable in that; `Oh dear!  Oh
dear!  I shall be late!' (she said), and took a WATCH OUT OF ITS WAISTCOAT-
POCKET--but the rabbit's friends' ears heard it.

           How doth the little crocodile
             Improve his shining tail, and pour the waters

  Too short.
"""


def test_prose_is_read_without_headings_verse_and_marks() -> None:
    assert list(paragraphs(BOOK)) == [
        "There was nothing so very remarkable in that; Oh dear! Oh dear! I shall be late! she said,"
        " and took a watch out of its waistcoat-pocket, but the rabbit's friends ears heard it."
    ]
