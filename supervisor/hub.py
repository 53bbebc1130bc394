"""Download a model repository of the Hugging Face hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from supervisor.archive import FetchError

# Weights, configuration, tokenizers. Not *.bin, *.pt and the like: those are pickles, which run
# code when they are read.
INCLUDE = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
EXCLUDE = ["*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.h5", "*.msgpack", "pytorch_model*"]


def download(
    repo: str, revision: str, include: list[str] | None, folder: Path, token: str | None
) -> None:
    """Fill ``folder`` with the files of ``repo``; the hub's client shows its own progress.

    Raises `FetchError`.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        snapshot_download(
            repo,
            revision=revision,
            local_dir=folder,
            allow_patterns=include or INCLUDE,
            ignore_patterns=EXCLUDE,
            token=token or False,
        )
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


def _first_sentence(error: BaseException) -> str:
    """The innermost cause, which names the real trouble; the outer ones guess."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
