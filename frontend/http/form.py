"""Multipart forms whose texts are what was sent: Starlette's parser takes for latin-1 whatever is
no UTF-8, and hands on a file that its part calls encoded as if it were not."""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from frontend.http.encoding import check_charset, check_plain, check_utf8

# Of the values in RFC 2045 those that leave the bytes as they are.
_AS_IT_IS = frozenset({"7bit", "8bit", "binary", "identity"})


class Form(MultiPartParser):
    """Raises `InvalidRequest` and `UnsupportedMediaType` where it would have to guess."""

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        for name, value in self._current_part.item_headers:
            text = value.decode("latin-1")
            if name == b"content-transfer-encoding":
                check_plain("Content-Transfer-Encoding", text, _AS_IT_IS)
            elif name == b"content-type" and self._current_part.file is None:
                check_charset(text)

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            check_utf8(self._current_part.data, f"`{self._current_part.field_name[:100]}`")
        super().on_part_end()


class FormOnDisk(Form):
    """A form whose one file is written to ``place``."""

    place: Path

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        kept = self._current_part.file
        if kept is not None:
            kept.file.close()
            file = self.place.open("wb")
            self._files_to_close_on_error.append(file)  # type: ignore[arg-type]
            self._current_part.file = UploadFile(
                file, size=0, filename=kept.filename, headers=kept.headers
            )
