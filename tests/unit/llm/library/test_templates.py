"""Templates for weights that have none: recognised by Ollama's, and rendered by the real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peersky.core.chat import ChatRequest
from peersky.llm.builtin_request import chat_payload
from peersky.llm.engine import Engine, EngineOptions
from peersky.llm.gguf_head import read_head
from peersky.llm.library.templates import Extras, jinja_of, read_extras
from tests.conftest import ModelMaker

# As they stand in Ollama's registry, in short.
CHATML = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>"
)
LLAMA3 = "<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>"
LLAMA2 = "[INST] <<SYS>>{{ .System }}<</SYS>>\n\n{{ .Prompt }} [/INST]\n"
MISTRAL = "[INST] {{ if .System }}{{ .System }} {{ end }}{{ .Prompt }} [/INST]"
GEMMA = "<start_of_turn>user\n{{ .System }} {{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n"
PHI3 = "<|user|>\n{{ .Prompt }}<|end|>\n<|assistant|>\n"
ZEPHYR = "<|system|>\n{{ .System }}</s>\n<|user|>\n{{ .Prompt }}</s>\n<|assistant|>\n"
DEEPSEEK = "{{- if .System }}{{ .System }}{{ end }}<｜User｜>{{ .Prompt }}<｜Assistant｜>"
GRANITE = "<|start_of_role|>user<|end_of_role|>{{ .Prompt }}<|end_of_text|>"
ALPACA = "{{ .System }}\n\n### Instruction:\n{{ .Prompt }}\n\n### Response:\n"
VICUNA = "{{ .System }} USER: {{ .Prompt }} ASSISTANT:"

RENDERED = {
    CHATML: "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
    "<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n",
    LLAMA3: "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nA<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nC<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    LLAMA2: "[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B EOSBOS[INST] C [/INST]",
    MISTRAL: "[INST] S\n\nA [/INST] BEOS[INST] C [/INST]",
    GEMMA: "<start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\nB<end_of_turn>\n"
    "<start_of_turn>user\nC<end_of_turn>\n<start_of_turn>model\n",
    PHI3: "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n<|user|>\nC<|end|>\n<|assistant|>\n",
    ZEPHYR: "<|system|>\nS\n<|user|>\nA\n<|assistant|>\nBEOS\n<|user|>\nC\n<|assistant|>\n",
    DEEPSEEK: "S<｜User｜>A<｜Assistant｜>B<｜end▁of▁sentence｜><｜User｜>C<｜Assistant｜>",
    GRANITE: "<|start_of_role|>system<|end_of_role|>S<|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>A<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>B<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>C<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>",
    ALPACA: "S\n\n### Instruction:\nA\n\n### Response:\nB\n\n### Instruction:\nC\n\n### Response:\n",
    VICUNA: "S\n\nUSER: A\nASSISTANT: B\nUSER: C\nASSISTANT: ",
}
TALK = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "A"},
    {"role": "assistant", "content": "B"},
    {"role": "user", "content": "C"},
]


@pytest.mark.parametrize("go_template", RENDERED, ids=range(len(RENDERED)))
async def test_the_engine_writes_what_the_family_reads(make_model: ModelMaker, go_template: str) -> None:
    file = make_model("tiny", "--no-template")
    options = EngineOptions(512, parallel=1, chat_template=jinja_of(go_template))
    engine = Engine(file, read_head(file), options, idle_timeout_s=60, log=lambda kind, **fields: None)
    try:
        reply = await engine.post("/apply-template", {"messages": TALK})
    finally:
        await engine.close()
    expected = RENDERED[go_template].replace("BOS", "<|endoftext|>").replace("EOS", "<|im_end|>")
    assert reply["prompt"].removeprefix("<|endoftext|>") == expected


@pytest.mark.parametrize("text", ["", "{{ .Prompt }}", "Question: {{ .Prompt }}", "{{- range .Messages }}{{ end }}"])
def test_an_unknown_family_has_none(text: str) -> None:
    assert jinja_of(text) == ""


def test_extras() -> None:
    extras = read_extras(
        {
            "template": CHATML.encode(),
            "system": b" You are brief.\n",
            "params": json.dumps(
                {
                    "stop": ["<|im_end|>", 5, ""],
                    "top_k": 20,
                    "min_p": 0.1,
                    "num_ctx": 1 << 40,
                    "num_gpu": 99,
                    "seed": True,
                }
            ).encode(),
            "messages": json.dumps(
                [
                    {"role": "user", "content": "Hi"},
                    {"role": "evil", "content": "x"},
                    "x",
                    {"role": "user", "content": 5},
                ]
            ).encode(),
        }
    )
    assert extras.chat_template == jinja_of(CHATML)
    assert extras.system == "You are brief."
    assert extras.stop == ("<|im_end|>",)
    assert extras.parameters == {"top_k": 20, "min_p": 0.1}
    assert extras.messages == ({"role": "user", "content": "Hi"},)


@pytest.mark.parametrize("noise", [b"", b"{", b"[]", b"5", b"\xff", b'{"stop":"x"', b"[" * 100_000])
def test_extras_that_make_no_sense_are_left_out(noise: bytes) -> None:
    assert read_extras({"params": noise, "messages": noise}) == Extras()


def test_one_stop_may_stand_alone() -> None:
    assert read_extras({"params": b'{"stop":"END"}'}).stop == ("END",)


def payload(messages: list[dict[str, Any]], extras: Extras, **more: Any) -> dict[str, Any]:
    return chat_payload(ChatRequest(messages=tuple(messages), **more), extras)


def test_what_stands_beside_the_weights_goes_into_the_request() -> None:
    example = ({"role": "user", "content": "1"}, {"role": "assistant", "content": "2"})
    extras = Extras(
        system="Model's.", stop=("END",), parameters={"top_k": 5, "top_p": 0.5, "seed": 3}, messages=example
    )
    question = {"role": "user", "content": "Hi"}
    own = {"role": "system", "content": "Page's."}
    built = payload([question], extras, stop=("X", "END"), top_p=0.9)
    assert built["messages"] == [{"role": "system", "content": "Model's."}, *example, question]
    assert (built["stop"], built["top_k"], built["top_p"], built["seed"]) == (["X", "END"], 5, 0.9, 3)
    assert payload([own, question], extras)["messages"] == [own, *example, question]
    assert payload([question], Extras())["messages"] == [question]
    assert "stop" not in payload([question], Extras())
