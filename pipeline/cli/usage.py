"""The one line that says what is wrong with a command line, and what to write instead."""

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What other tools call an option of ours.
_OTHER_NAMES = {
    "--lr": ("--learning-rate", "--learning_rate", "--rate"),
    "--batch": ("--batch-size", "--batch_size", "--batchsize", "--bs"),
    "--epochs": ("--num-epochs", "--max-epochs", "--n-epochs", "--num_epochs"),
    "--network": ("--model", "--arch", "--architecture", "--net"),
    "--shards": ("--data", "--dataset", "--data-dir", "--data_dir"),
    "--run": ("--checkpoint", "--ckpt", "--weights", "--run-dir"),
    "--start": ("--pretrained", "--init", "--finetune", "--fine-tune"),
    "--to": ("--output", "--out", "-o", "--output-dir", "--output_dir", "--dest"),
    "--workers": ("--num-workers", "--num_workers", "--threads", "--jobs", "-j"),
    "--device gpu": ("--gpu", "--gpus", "--cuda"),
    "--device cpu": ("--cpu", "--no-cuda"),
    "--drawings-per-class": ("--limit", "--max-samples", "--samples-per-class", "--num-samples"),
    "--force": ("--overwrite",),
    "--seed": ("--random-seed", "--random_seed"),
    "--augment": ("--augmentation", "--augmentations"),
    "--precision": ("--dtype", "--mixed-precision", "--amp"),
    "--top": ("--topk", "--top-k", "--top_k"),
}
_NUMBER = re.compile(r"(?:Input should be|'[^']*' is not) a valid (integer|number|float).*")  # of newer and older Typer


def usage_message(error: Any) -> str:
    """One line for an error of click's: what is wrong with an option or an argument, and which help explains it."""
    message, context = error.format_message().replace("Value error, ", ""), error.ctx  # which pydantic prepends
    possible = getattr(error, "possibilities", None)
    if name := getattr(error, "option_name", ""):
        if possible is not None or message.startswith("No such option"):
            message = f"no such option: {name}{_instead(name, context, possible or ())}"
    elif (found := re.match("No such command '(.*?)'", message)) and context is not None:
        near = difflib.get_close_matches(found[1], context.command.list_commands(context), 2)
        message = f"no such command '{found[1]}'{_did_you_mean(near)}"
    elif found := re.search(r"unexpected extra argument.*? \(([^)]+)\)\.?$", message):
        message = f"unexpected argument: {found[1]}{_place_for(found[1], context)}"
    else:
        kinds = {"integer": "a whole number", "number": "a number", "float": "a number"}
        message = _NUMBER.sub(lambda match: f"expected {kinds[match[1]]}{_found(error.param)}", message)
    message = " ".join(message.split())
    return f"{message[:1].lower()}{message[1:].rstrip('.')} (see {_command(context)} --help)"


def _instead(name: str, context: Any, possible: Sequence[str]) -> str:
    """What an unknown option is called here, as far as the command has it."""
    known = _options_of(context)
    for ours, others in _OTHER_NAMES.items():
        if name in others and ours.split()[0] in known:
            return f"; here it is {ours}"
    return _did_you_mean(possible)


def _place_for(extra: str, context: Any) -> str:
    """How to give what was given as an argument that the command does not have."""
    if "/" not in extra and not Path(extra).is_dir():  # as of --classes cat dog
        takes_list = context is not None and any(one.metavar in ("LIST", "WORDS") for one in context.command.params)
        return "; a list is one argument with commas" if takes_list else ""
    known = _options_of(context)
    options = [option for option in ("--run", "--shards") if option in known]
    return f"; a folder is given with {' or '.join(options)}" if options else ""


def _options_of(context: Any) -> set[str]:
    """How the options of a command are spelled; none if it is not known which command was called."""
    return {spelled for one in context.command.params for spelled in one.opts} if context is not None else set()


def _did_you_mean(names: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _found(param: Any) -> str:
    """The text that was given for an option; nothing if it cannot be told."""
    for spelled in param.opts if param is not None else ():
        for word, after in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
            if word == spelled:
                return f', found "{after:.60}"'
            if word.startswith(f"{spelled}="):
                return f', found "{word.partition("=")[2]:.60}"'
    return ""


def _command(context: Any) -> str:
    """The command that was called; click does not always tell which."""
    if context is not None:
        return str(context.command_path)
    words = [word for word in sys.argv[1:3] if word.isalpha()]
    return " ".join(["sketchpipe", *(words if words[:1] == ["render"] else words[:1])])
