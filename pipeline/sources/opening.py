"""Opens a source of any kind as a stream of lines or records, or says what the file is instead."""

from functools import partial

from pipeline.errors import InputError
from pipeline.sources.converters.csv_table import csv_columns, csv_lines
from pipeline.sources.converters.json_text import json_lines, json_mode
from pipeline.sources.converters.sketch_rnn import sketch_rnn_lines, sketch_rnn_word
from pipeline.sources.files import Source
from pipeline.sources.kinds import PEEK_BYTES, is_npz, refusal
from pipeline.sources.streams import Stream


def open_source(source: Source) -> Stream:
    """The stream of a source: lines of ndjson, whatever kind of file they are made of, or Google's packed records.

    Raises:
        InputError: it cannot be read, or it is no file of drawings; the error says what it is and what to do.
    """
    stream = Stream(source.path)
    try:
        begin = stream.peek(PEEK_BYTES)
        if source.is_binary:
            pass
        elif is_npz(begin):
            if source.declared is None and not source.is_file:
                raise InputError(
                    f"{source.path}: sketch-rnn's npz holds no class, and this pipe's name declares none; write it to "
                    "a file <class>.npz, and name that"
                )
            word = source.declared or sketch_rnn_word(source.name)
            stream.convert(partial(sketch_rnn_lines, where=str(source.path), word=word, note=stream.note_converted))
            return stream
        elif csv_columns(begin) is not None:
            stream.convert(csv_lines)
            return stream
        elif (mode := json_mode(begin)) is not None:
            stream.convert(partial(json_lines, mode=mode))
            return stream
        what = refusal(begin, source.path.name, is_binary=source.is_binary)
        if what is not None:
            raise InputError(f"{source.path}: {what}")
    except InputError:
        stream.close()
        raise
    return stream
