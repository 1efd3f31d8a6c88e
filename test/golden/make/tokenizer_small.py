"""Trains the small tokenizer of the offline tests and records cases.

    pip install tokenizers==0.23.3 && python tokenizer_small.py ..

Writes to the folder given: tokenizer_small/ with a byte-level BPE tokenizer of
400 entries, tokenizer_small_cases.jsonl with its ids of some texts, and
tokenizer_parts.jsonl, which holds pre-tokenizers as in a tokenizer.json with
the pieces that they make of texts.
"""

import json
import pathlib
import sys

from tokenizers import AddedToken, Tokenizer, trainers

from tokenizer_cases import texts

SAMPLE = """\
A tokenizer cuts a text into the pieces that a model knows. The pieces are
found once, on a large text: the most frequent pair of neighbours becomes a
piece of its own, then the next, until there are enough of them. To cut a new
text, the same pairs are joined in the same order, so the result depends on the
order alone and not on the text before. Numbers such as 1024, 2048 or 65536 are
cut in groups of three; words don't begin with the space after them but with
the space before. It's the same in German: der Text wird in Stücke zerlegt, die
größten zuerst. def tokenize(text):\n    return [piece for piece in text]\n
这是一个测试。分词器把文本切成模型认识的片段。
"""

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False,
              "trim_offsets": True, "use_regex": False}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior,
            "invert": invert}


WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
             "Contiguous")
PATTERNS = ({"Regex": "[0-9]|\\s"}, {"String": " "}, {"Regex": "\\w+"},
            {"Regex": "\\h\\H|\\W\\S"}, {"Regex": "[^\\S\\n]|\\u4e2d"},
            {"Regex": "\\p{^L}+|^a|b$"}, {"String": "a.c"})


def parts():
    for behavior in BEHAVIORS:
        for invert in (False, True):
            for pattern in PATTERNS:
                yield split(pattern, behavior, invert)
    for single in (False, True):
        yield {"type": "Digits", "individual_digits": single}
    for behavior in BEHAVIORS:
        yield {"type": "Punctuation", "behavior": behavior}
    yield {"type": "Whitespace"}
    yield {"type": "WhitespaceSplit"}
    for prefix in (False, True):
        for regex in (False, True):
            yield {"type": "ByteLevel", "add_prefix_space": prefix,
                   "trim_offsets": True, "use_regex": regex}


def alphabet():
    """Maps the characters of the byte alphabet to bytes."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(b): b for b in own}
    for byte in range(256):
        if byte not in own:
            table[chr(256 + len(table) - len(own))] = byte
    return table


def pieces(part, text):
    """Returns the pieces that the pre-tokenizer `part` makes of `text`."""
    tokenizer = Tokenizer.from_str(json.dumps({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": part,
        "model": {"type": "BPE", "vocab": {}, "merges": []}}))
    found = [p for p, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    if part["type"] != "ByteLevel":
        return found
    table = alphabet()
    return [bytes(table[c] for c in p).decode("utf-8") for p in found]


def train():
    tokenizer = Tokenizer.from_str(json.dumps({
        "version": "1.0", "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            split({"Regex": WORDS}), BYTE_LEVEL]},
        "model": {"type": "BPE", "vocab": {}, "merges": []}}))
    trainer = trainers.BpeTrainer(
        vocab_size=394, special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(alphabet()), show_progress=False)
    tokenizer.train_from_iterator([SAMPLE], trainer)
    tokenizer.add_special_tokens([AddedToken("<|user|>", rstrip=True)])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False),
                          AddedToken("word", single_word=True),
                          AddedToken("<pad", lstrip=True, rstrip=True,
                                     normalized=True)])
    return tokenizer


def finish(tokenizer):
    """Returns the tokenizer.json with the parts that training leaves out."""
    data = json.loads(tokenizer.to_str())
    data["decoder"] = {**BYTE_LEVEL, "use_regex": True}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0],
                                   "tokens": ["<s>"]}}}
    return data


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")


def main():
    out = pathlib.Path(sys.argv[1])
    folder = out / "tokenizer_small"
    folder.mkdir(exist_ok=True)
    data = json.dumps(finish(train()), ensure_ascii=False, indent=1) + "\n"
    (folder / "tokenizer.json").write_text(data, encoding="utf-8")
    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>",
              "pad_token": None, "model_max_length": 64,
              "chat_template": "{% for m in messages %}<|user|> "
                               "{{ m['content'] }}{{ eos_token }}{% endfor %}"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=1) + "\n", encoding="utf-8")
    tokenizer = Tokenizer.from_str(data)
    extra = ["a <|user|>  b", "words word word,wordy", "x  <pad  y<pad",
             "<s>a</s>", "<think>\nhm</think>", "ÿ<think> word"]
    lines = []
    for text in texts()[:90] + texts()[-20:] + extra:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        lines.append({
            "text": text, "ids": ids,
            "with_special": tokenizer.encode(text).ids,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
            "without_special": tokenizer.decode(ids)})
    write_lines(out / "tokenizer_small_cases.jsonl", lines)
    samples = ["", " ", "a", "Hello, world! 12 x345", "  two  spaces\n\nline ",
               "a.c b-a.c  中文 2²½ ab\u200dc", "don't I'LL 3.14 —«quoted» £5",
               "ab\nab b\n", "\u180e_x\u00a0y\u3000z é e\u0301", "c0ffee, a.ca.c"]
    write_lines(out / "tokenizer_parts.jsonl",
                [{"part": part, "text": text, "pieces": pieces(part, text)}
                 for part in parts() for text in samples])


if __name__ == "__main__":
    main()
