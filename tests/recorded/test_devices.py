"""Which device, stream and kernel: defects 1, 2, 6, 8 and 10 of the CUDA path as it first was."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from cliptok.prompts.stable_diffusion import encode_prompts
from support.recording import recording, starting

TEXTS = ["a photo of a cat", "a photo of a dog", "", "a dog " * 60]


def in_a_thread(call):
    """A new thread's current device is 0."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("call", ["encode", "encode_prompts"])
@pytest.mark.parametrize("where", ["here", "in a thread"])
@pytest.mark.parametrize("width", [64, 768])
def test_everything_happens_on_the_encoders_device(make, tokenizer, call, where, width):
    encoder = make("cuda:1", width=width, heads=width // 64)
    calls = {"encode": lambda: encoder.encode(TEXTS, tokenizer), "encode_prompts": lambda: prompts()}

    def prompts():
        return encode_prompts(encoder, tokenizer, TEXTS)

    for attempt in range(3):
        with recording() as events:
            out = calls[call]() if where == "here" else in_a_thread(calls[call])
        assert out.device == torch.device("cuda:1")
        assert all(event.where.startswith("dev1:") for event in events if event.work)
        launches = starting(events, "graphLaunch")
        assert len(launches) == (attempt > 0)
        assert all(event.where == "dev1:default" and event.what != "graphLaunch nodes 0" for event in launches)
        # What the graph reads was copied to the device before.
        assert any(event.what.startswith("memcpyAsync H2D") and "pinned" in event.what for event in events)
    assert torch.cuda.current_device() == 0


def test_graphs_of_another_stream_run_after_what_they_depend_on(encoder, tokenizer):
    for _ in range(2):
        encoder.encode(TEXTS, tokenizer)
    with torch.cuda.stream(torch.cuda.Stream()), recording() as events:
        encoder.encode(TEXTS, tokenizer)
    names = [event.what.split()[0] for event in events]
    assert names.index("streamWaitEvent") < names.index("graphLaunch") < names.index("eventRecord")
    assert {event.where for event in starting(events, "graphLaunch")} == {"dev0:side"}


@pytest.mark.parametrize("devices", [1, 2])
def test_400_calls_from_four_threads(make, tokenizer, devices):
    """Captures happen beside the other threads' calls, and beside a thread that does anything else with CUDA."""
    encoders = [make(f"cuda:{number % devices}") for number in range(2)]
    failures, calls, stop = [], [], threading.Event()

    def work(number):
        pick = random.Random(number)
        for _ in range(100):
            encoder = encoders[pick.randrange(2)]
            texts = [f"{word} number {number}" for word in range(pick.choice([1, 5, 40, 150, 700]))]
            try:
                if pick.random() < 0.3:
                    out = encode_prompts(encoder, tokenizer, texts[:5])
                else:
                    out = encoder.encode(texts, tokenizer)
                assert out.device == encoder.device
                calls.append(out)
            except Exception as error:
                failures.append(error)

    def other():
        while not stop.is_set():
            try:
                x = torch.ones(64, 64, device="cuda")
                (x @ x).cpu()
                torch.cuda.synchronize()
            except Exception as error:  # noqa: PERF203
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    beside = threading.Thread(target=other)
    beside.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    beside.join()
    assert failures == [] and len(calls) == 400


def test_outputs_of_several_devices_are_gathered(make):
    """What `DataParallel` does at its end. (Its beginning is NCCL's, which needs a driver.)"""
    parts = [
        make(device)(torch.full((2, 77), 49407, device=device), output_hidden_states=True)
        for device in ("cuda:0", "cuda:1")
    ]
    for part in parts:
        part.end = None  # It would look at ids, which are zeros here.
    output = torch.nn.parallel.gather(parts, "cuda:0")
    assert output.unchecked("text_embeds").shape == (4, 48) and output.last_hidden_state.shape == (4, 77, 64)
    assert len(output.hidden_states) == 3 and output[0].device == torch.device("cuda:0")


def attention_kernels(events):
    return [
        event.what for event in events if "fmha" in event.what or "flash" in event.what or "cudnn" in event.what.lower()
    ]


@pytest.mark.sm_90
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_which_kernel_attention_is(make, tokenizer, dtype):
    """Flash where it is causal alone and half precision, else the memory-efficient one. Left to choose, torch takes
    cuDNN's here, whose stub ends in an error.
    """
    encoder = make(dtype=dtype)
    flags = [torch.backends.cuda.cudnn_sdp_enabled(), torch.backends.cuda.flash_sdp_enabled()]
    ids = torch.full((3, 77), 49407, device="cuda")
    mask = torch.ones_like(ids)
    causal = "fmha_cutlassF" if dtype == torch.float32 else "flash_fwd"
    for run, kernel in (
        (lambda: encoder.encode(TEXTS, tokenizer), "fmha_cutlassF"),
        (lambda: encoder(ids), causal),
        (lambda: encoder(ids, attention_mask=mask), "fmha_cutlassF"),
        (lambda: encode_prompts(encoder, tokenizer, TEXTS), causal),
    ):
        with torch.no_grad(), recording() as events:
            run()
        kernels = attention_kernels(events)
        assert len(kernels) == 2 and all(kernel in name for name in kernels)
    for given, kernel in ((mask, "fmha_cutlassB"), (None, causal.replace("F", "B").replace("fwd", "bwd"))):
        loss = encoder(ids, attention_mask=given).unchecked("text_embeds").sum()
        with recording() as events:
            loss.backward()
        assert any(kernel in name for name in attention_kernels(events))
    assert flags == [torch.backends.cuda.cudnn_sdp_enabled(), torch.backends.cuda.flash_sdp_enabled()]


@pytest.mark.sm_90
def test_a_kernel_that_the_user_has_switched_off_stays_off(make, tokenizer):
    encoder = make()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), recording() as events:
        encoder.encode(TEXTS, tokenizer)
    assert attention_kernels(events) == [] and any("softmax" in event.what.lower() for event in events)
