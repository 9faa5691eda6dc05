"""What the official SDK makes of a gateway: one scenario a run, its outcome as one JSON object on standard output.

    python sdk.py SCENARIO BASE_URL KEY MODEL
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai

MESSAGES = [{"role": "user", "content": "How are you today?"}]
MIX_REQUESTS = 50
MIX_THREADS = 10


class Caller:
    """A client as users have it, but for a count of the requests that it sends, those that it repeats too."""

    def __init__(self, base_url, key):
        self.requests = 0
        self.lock = threading.Lock()
        http_client = openai.DefaultHttpxClient(event_hooks={"request": [self.count]})
        self.client = openai.OpenAI(base_url=base_url + "/v1", api_key=key, http_client=http_client)

    def count(self, request):
        with self.lock:
            self.requests += 1

    def create(self, model, **options):
        return self.client.chat.completions.create(model=model, messages=MESSAGES, **options)

    def plain(self, model):
        completion = self.create(model)
        return {
            "content": completion.choices[0].message.content,
            "finish_reason": completion.choices[0].finish_reason,
            "usage": tokens(completion.usage),
        }

    def streamed(self, model, **options):
        chunks = list(self.create(model, stream=True, **options))
        choices = [choice for chunk in chunks for choice in chunk.choices]
        reported = [chunk.usage for chunk in chunks if chunk.usage]
        return {
            "content": "".join(choice.delta.content or "" for choice in choices),
            "finish_reason": choices[-1].finish_reason,
            "usage_only_chunks": sum(1 for chunk in chunks if not chunk.choices),
            "usage": tokens(reported[-1]) if reported else None,
        }

    def streamed_with_usage(self, model):
        return self.streamed(model, stream_options={"include_usage": True})

    def leave(self, model):
        """Reads three pieces of a stream and goes."""
        pieces = 0
        stream = self.create(model, stream=True)
        for chunk in stream:
            pieces += 1 if chunk.choices and chunk.choices[0].delta.content else 0
            if pieces == 3:
                break
        left_at = time.time()
        stream.close()
        return {"pieces": pieces, "left_at_ms": int(left_at * 1000)}

    def headers(self, model):
        answer = self.client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
        names = ["x-request-id", "x-tollgate-cost", "x-tollgate-balance", "openai-processing-ms"]
        return {"headers": {name: answer.headers.get(name) for name in names}}

    def idempotent(self, model):
        """The same request twice under one key, plain and streamed, and then another under it."""
        options = {"model": model, "messages": MESSAGES}
        create = self.client.chat.completions.with_raw_response.create
        plain = [create(**options, extra_headers={"Idempotency-Key": "plain"}) for _ in range(2)]
        key = {"Idempotency-Key": "streamed"}
        streamed = [list(self.create(model, stream=True, extra_headers=key)) for _ in range(2)]
        contents = {answer.parse().choices[0].message.content for answer in plain}
        for chunks in streamed:
            contents.add("".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices))
        try:
            create(**options, temperature=1, extra_headers={"Idempotency-Key": "plain"})
        except openai.UnprocessableEntityError as error:
            code = error.code
        return {
            "contents": sorted(contents),
            "ids": [answer.headers["x-request-id"] for answer in plain],
            "replayed": [answer.headers.get("idempotent-replayed") for answer in plain],
            "code": code,
        }

    def models(self, model):
        return {"models": [entry.id for entry in self.client.models.list()], "id": self.client.models.retrieve(model).id}

    def mix(self, model):
        """Many requests of each kind at once."""
        kinds = [self.plain, self.streamed, self.streamed_with_usage]
        with ThreadPoolExecutor(MIX_THREADS) as pool:
            outcomes = list(pool.map(lambda number: kinds[number % len(kinds)](model), range(MIX_REQUESTS)))
        return {
            "outcomes": len(outcomes),
            "contents": sorted({outcome["content"] for outcome in outcomes}),
            "with_usage": sum(1 for outcome in outcomes if outcome["usage"]),
        }


def tokens(usage):
    return {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens, "total": usage.total_tokens}


def main(scenario, base_url, key, model):
    caller = Caller(base_url, key)
    try:
        outcome = getattr(caller, scenario)(model)
    except openai.APIStatusError as error:
        outcome = {
            "error": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "type": error.type,
            "param": error.param,
            "message": error.message,
            "trace": error.request_id,
        }
    except openai.APIError as error:
        # An error event in a stream.
        outcome = {"error": type(error).__name__, "code": error.code, "type": error.type, "message": error.message}
    print(json.dumps(outcome | {"requests": caller.requests}))


if __name__ == "__main__":
    main(*sys.argv[1:])
