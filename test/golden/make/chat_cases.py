"""Writes chat_cases.jsonl: templates with the text that Jinja renders.

    pip install jinja2==3.1.6 && python chat_cases.py ../chat_cases.jsonl

Each line holds `name`, `template`, `variables` and `expected`, or `error` with
true where rendering fails. The environment is the one in which published chat
templates are rendered: trim_blocks and lstrip_blocks on, loop controls, tojson
without escapes, raise_exception. The templates of `STYLES` have the structure
of published families; those of `SNIPPETS` try one feature each.
"""

import json
import sys

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chat_templates import SNIPPETS, STYLES

USER = {"role": "user", "content": "Hi, who are you?"}
TALK = [
    USER,
    {"role": "assistant", "content": "A model.\nNothing more."},
    {"role": "user", "content": "  Write a haiku — 写一首诗 😀  "},
]
SYSTEM = {"role": "system", "content": "Be brief."}
TOOLS = [{
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Says how the weather is & \"feels\" <now>.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"},
                           "days": {"type": "integer", "default": 3}},
            "required": ["city"],
        },
    },
}]
CALL = {"id": "a1", "type": "function",
        "function": {"name": "weather",
                     "arguments": {"city": "Zürich", "days": 2.5,
                                   "deep": [None, True, {}]}}}
TEXT_CALL = {"type": "function",
             "function": {"name": "weather",
                          "arguments": "{\"city\": \"Zürich\"}"}}
CONVERSATIONS = {
    "one": {"messages": [USER]},
    "talk": {"messages": TALK},
    "system": {"messages": [SYSTEM] + TALK},
    "ends": {"messages": TALK[:2], "add_generation_prompt": False},
    "thoughts": {"messages": [USER, {
        "role": "assistant",
        "content": "<think>\nhm\n</think>\n\nAn answer."}, USER]},
    "tools": {"messages": [SYSTEM, USER], "tools": TOOLS},
    "calls": {"messages": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "rain"}, {"role": "tool", "content": "sun"},
        USER], "tools": TOOLS},
    "text_calls": {"messages": [
        USER,
        {"role": "assistant", "content": "Let me see.",
         "tool_calls": [TEXT_CALL]},
        {"role": "tool", "content": "rain"}]},
    "wrong_order": {"messages": [USER, USER]},
    "empty": {"messages": []},
}


def to_json(value, ensure_ascii=False, indent=None, separators=None,
            sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent,
                      separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"])
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = raise_exception
    return env


def case(env, name, template, variables):
    line = {"name": name, "template": template, "variables": variables}
    try:
        line["expected"] = env.from_string(template).render(**variables)
    except Exception:  # Jinja passes on whatever Python raises.
        line["error"] = True
    return line


def cases():
    env = environment()
    for style, template in STYLES.items():
        for name, variables in CONVERSATIONS.items():
            full = {"bos_token": "<s>", "eos_token": "</s>",
                    "add_generation_prompt": True, **variables}
            yield case(env, f"{style}/{name}", template, full)
    data = {"s": "a b", "n": 3, "x": 2.5, "none": None, "yes": True,
            "l": [3, 1, 2], "d": {"k": "v", "items": 1},
            "people": [{"name": "Bo", "age": 3, "tags": ["x"]},
                       {"name": "al", "age": 1}, {"name": "Cy", "age": 3}],
            "u": "  äé 中😀\n"}
    for i, template in enumerate(SNIPPETS):
        yield case(env, f"snippet {i + 1}", template, data)


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for line in cases():
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
