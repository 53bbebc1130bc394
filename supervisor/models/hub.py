"""Download a model repository of the Hugging Face hub."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from supervisor.config.errors import words
from supervisor.models.archive import FetchError, Report

# Weights, configuration, tokenizers. Not *.bin, *.pt and the like: those are pickles, which run
# code when they are loaded.
INCLUDE = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
EXCLUDE = ["*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack", "pytorch_model*"]
# Fetched where a repository has no safetensors: a model in OpenVINO's format.
OPENVINO = ["openvino_*.xml", "openvino_*.bin"]
# Fetched where it has neither; `to_safetensors` beside this makes safetensors of them.
PICKLED = ["pytorch_model*.bin", "*/pytorch_model*.bin", "pytorch_model.bin.index.json"]


def download(
    repo: str,
    revision: str,
    include: list[str] | None,
    folder: Path,
    report: Report,
    token: str | None,
) -> None:
    """Fill ``folder`` with the files of ``repo``.

    Without ``include`` those are the safetensors and what goes with them, or a model in OpenVINO's
    format where there are none, or else pickled weights. Raises `FetchError`.
    """
    from huggingface_hub import errors, snapshot_download

    label = f"hf:{repo}"
    report(label, 0, 0)  # how much it will be shows when all files have begun

    def fetch(allow: list[str], ignore: list[str]) -> None:
        snapshot_download(
            repo,
            revision=revision,
            local_dir=folder,
            allow_patterns=allow,
            ignore_patterns=ignore,
            token=token or False,
            tqdm_class=_bar(label, report),
        )

    try:
        fetch(include or INCLUDE, EXCLUDE)
        if not include and not any(folder.rglob("*.safetensors")):
            fetch(OPENVINO, [])
            if not any(folder.glob("openvino_*.xml")):
                fetch(PICKLED, [])
                _check_weights(repo, folder)
    except errors.GatedRepoError:
        raise FetchError(
            f"hf:{repo} asks for consent: accept its terms on its page, then set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise FetchError(f"hf:{repo} does not exist, or is private: then set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise FetchError(f"hf:{repo} has no revision {revision!r}") from None
    except errors.OfflineModeIsEnabled:
        raise FetchError(f"hf:{repo}: HF_HUB_OFFLINE is set; unset it to pull") from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise FetchError(f"hf:{repo} cannot be downloaded: {_first_sentence(error)}") from None
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes about the download


def _check_weights(repo: str, folder: Path) -> None:
    if not any(folder.rglob("pytorch_model*.bin")):
        raise FetchError(
            f"hf:{repo} has neither safetensors nor pytorch_model.bin; name the files to take in "
            "include, such as ['*Q4_K_M.gguf']"
        )


def _bar(label: str, report: Report) -> type[Any]:
    """A progress bar for the hub's client that shows nothing, but tells ``report`` what it counts:
    bytes on the disk, of those files that it has begun with."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            # It has others for the files and for what the network carried.
            self._counts = options.get("unit") == "B" and "transfer" not in options.pop("name", "")
            super().__init__(*args, **options | {"disable": False, "file": io.StringIO()})

        def display(self, *_args: Any, **_options: Any) -> None:
            if self._counts and self.total:
                report(label, int(self.n), int(self.total))

    return Bar


def _first_sentence(error: BaseException) -> str:
    """The innermost cause, which names the real trouble; the outer ones guess."""
    while error.__cause__ is not None:
        error = error.__cause__
    return words(error)[:200]
