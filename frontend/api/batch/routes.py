"""The routes of files and batches."""

from __future__ import annotations

from frontend.api.batch import answers as batch_answers
from frontend.api.batch.batches import BatchJobs
from frontend.api.batch.files import Files
from frontend.api.batch.requests import BatchesQuery, BatchRequest, FileRequest, FilesQuery
from frontend.api.route import BYTES, FORM, JSON, Route

_FILES = (
    Route(
        method="POST",
        path="/v1/files",
        id="file_create",
        summary="Keep a file of requests for a batch",
        answer=lambda its: Files(its.batches).create,
        takes=(FileRequest,),
        body=FORM,
        gives={JSON: batch_answers.FileObject},
        errors=(503,),
    ),
    Route(
        method="GET",
        path="/v1/files",
        id="files",
        summary="The files that are kept",
        answer=lambda its: Files(its.batches).index,
        asks=FilesQuery,
        gives={JSON: batch_answers.FileList},
        errors=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/files/{file_id}",
        id="file",
        summary="One of them",
        answer=lambda its: Files(its.batches).get,
        gives={JSON: batch_answers.FileObject},
        errors=(404, 503),
    ),
    Route(
        method="DELETE",
        path="/v1/files/{file_id}",
        id="file_delete",
        summary="Keep it no longer",
        answer=lambda its: Files(its.batches).delete,
        gives={JSON: batch_answers.FileDeleted},
        errors=(400, 404, 503),
    ),
    Route(
        method="GET",
        path="/v1/files/{file_id}/content",
        id="file_content",
        summary="Its lines, as they are",
        answer=lambda its: Files(its.batches).content,
        gives={BYTES: None},
        errors=(404, 503),
    ),
)

_BATCHES = (
    Route(
        method="POST",
        path="/v1/batches",
        id="batch_create",
        summary="Have the requests of a file answered while nobody else asks anything",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).create,
        takes=(BatchRequest,),
        gives={JSON: batch_answers.BatchObject},
        errors=(404, 429, 503),
    ),
    Route(
        method="GET",
        path="/v1/batches",
        id="batches",
        summary="The batches, newest first",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).index,
        asks=BatchesQuery,
        gives={JSON: batch_answers.BatchList},
        errors=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/batches/{batch_id}",
        id="batch",
        summary="How far one of them has come",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).get,
        gives={JSON: batch_answers.BatchObject},
        errors=(404, 503),
    ),
    Route(
        method="POST",
        path="/v1/batches/{batch_id}/cancel",
        id="batch_cancel",
        summary="Call it off; what was answered is kept",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).cancel,
        gives={JSON: batch_answers.BatchObject},
        errors=(400, 404, 503),
    ),
)

ROUTES: tuple[Route, ...] = (*_FILES, *_BATCHES)
