"""Writes tokenizer_cases.jsonl: texts with token ids and decoded text.

    tools/fetch-tokenizers DIR && pip install tokenizers
    python tokenizer_cases.py DIR OUT_FILE

Two byte-level BPE tokenizers are used through the `tokenizers` library: those
that tools/fetch-tokenizers writes to DIR/deepseek and DIR/smollm2.
Every line holds the text and, per tokenizer, the ids (no special tokens
added), the text decoded with special tokens kept and, where it differs, the
text decoded with special tokens skipped.
"""

import json
import os
import random
import sys

from tokenizers import Tokenizer

COUNT = 300

PLAIN = [
    "", " ", "  ", "\n", "\n\n\n", "\t", "\r\n", "a", "A", "é", "中", "0", "12", "123", "1234", "1234567890",
    "Hello, world!", " Hello", "Hello ", "  Hello  world  ", "hello\nworld", "hello\r\nworld\r\n",
    "The quick brown fox jumps over the lazy dog.", "don't won't I'll you've he'd it's I'm they're",
    "DON'T WON'T I'LL YOU'VE", "a.b.c", "...", "!!!???", "--__--", "(((())))", "\"quoted\" 'text' `code`",
    "price: $12.50, 3.14159, 1,000,000", "2024-11-24T19:06:16Z", "v1.2.3-rc4+build.5", "0x1F 0b1010 1e-10 -7 +8",
    "100% of 5/8 is ½ of ¾", "x² + y³ = z⁴", "H₂O and CO₂", "Ⅷ ⅳ ① ⑳", "٠١٢٣٤٥٦٧٨٩", "१२३४५", "１２３４５", "12٣4五6",
    "user@example.com https://example.com/a?b=c&d=e#f", "C:\\Users\\name\\file.txt", "/usr/local/bin/env",
]

LANGUAGES = [
    "Ein Compiler übersetzt Quelltext in Maschinencode; größere Straßen.", "L'été, les élèves étaient très fatigués à Noël.",
    "El niño comió piñas en la montaña. ¿Qué? ¡Sí!", "Não há ninguém na praça; coração e ação.", "Città, perché, così, più, è già.",
    "Москва — столица России. Съешь ещё этих мягких булок.", "Київ — столиця України, її річка Дніпро.", "Ελληνική γλώσσα: Ωμέγα και ἀρχή.",
    "Türkçe: İstanbul'da ığdır şöförü çiğ köfte yedi.", "Zażółć gęślą jaźń.", "Příliš žluťoučký kůň úpěl ďábelské ódy.", "Ngôn ngữ tiếng Việt có nhiều dấu: ế ệ ữ ợ.",
    "深度求索是一家人工智能公司。", "我有3个苹果，价格是12.5元。", "繁體中文：臺灣的鐵路與圖書館。", "日本語のテキスト：ひらがな、カタカナ、漢字。", "東京タワーは333メートルです。", "ｶﾀｶﾅ ﾊﾝｶｸ",
    "한국어 문장입니다. 서울은 수도이다.", "ㄱㄴㄷ ㅏㅑㅓ", "مرحبا بالعالم، كيف حالك؟", "السَّلامُ عَلَيْكُمْ", "שלום עולם! מה שלומך?", "שָׁלוֹם", "नमस्ते दुनिया, आप कैसे हैं?", "বাংলা ভাষা আমার মাতৃভাষা।",
    "தமிழ் மொழி இனிமையானது.", "తెలుగు భాష", "ಕನ್ನಡ ಭಾಷೆ", "മലയാളം ഭാഷ", "ภาษาไทยไม่มีช่องว่างระหว่างคำ", "ភាសាខ្មែរ", "မြန်မာဘာသာ", "ລາວ", "ქართული ენა", "Հայերեն լեզու", "አማርኛ ቋንቋ", "བོད་སྐད", "ᠮᠣᠩᠭᠣᠯ", "ᚠᚢᚦᚨᚱᚲ", "𒀭𒂗𒆤", "𐍅𐌿𐌻𐍆𐌹𐌻𐌰",
    "中英mixed文本with spaces 和 punctuation，ok？", "Tokyo東京Osaka大阪", "русский english 中文 العربية",
]

EMOJI = [
    "😀", "😀😃😄", "👍🏽", "👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇩🇪🇯🇵", "❤️ vs ❤", "1️⃣2️⃣3️⃣", "🧑🏿‍🤝‍🧑🏻", "text😀text", "😀 😀  😀", "🫠🪿🩷", "©®™ ☃ ☎️", "♠♥♦♣ ♔♕", "→ ⇒ ∀x∈ℝ: x²≥0", "∑∫∂∇√∞≈≠≤≥", "┌─┐│└┘█▓▒░", "🀄🃏", "\u2764\ufe0f\u200d\U0001f525",
]

CODE = [
    "def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "#include <stdio.h>\nint main(void) { return 0; }",
    "SELECT * FROM t WHERE a = 'b' AND c >= 10;", "<div class=\"x\">&nbsp;&lt;b&gt;</div>", "{\"key\": [1, 2.5, null, true], \"s\": \"\\u00e9\\n\"}",
    "fn main() { println!(\"{:?}\", vec![1, 2, 3]); }", "let x = y?.z ?? `t${a}`;", "x<-c(1,2);y<-x%*%x", "%0 = arith.addi %a, %b : i32", "\\begin{align} a &= b \\\\ \\end{align}",
    "if [[ -f \"$f\" ]]; then echo ${f%.*}; fi", "a = b if c else d  # comment\n\n\n    e = 1", "        deep indent\n\t\ttabs\n  \t mixed", "camelCase snake_case SCREAMING_CASE kebab-case", "std::vector<std::pair<int,int>>& v", "λx.x ∘ f", "a&&b||!c^d~e", "1+2*3/4-5%6", "i++;--j;k+=2;l<<=3;",
    "__init__ self.__dict__ _private", "http://[::1]:8080/%7Euser", "SHA256: e3b0c44298fc1c149afbf4c8996fb924", "AAAAB3NzaC1yc2EAAAADAQABAAABgQ==", "\n\n  \n\t\n x", "#define MAX(a,b) ((a)>(b)?(a):(b))",
]

ODD = [
    "\u0000", "a\u0000b", "\u0001\u0002\u0003", "\u007f", "\u0080\u009f", "\u001b[31mred\u001b[0m", "\ufeffBOM first", "a\u200bb\u200cc\u200dd", "\u00a0non\u00a0breaking\u00a0", "\u2028line\u2029para", "\u3000全角スペース\u3000", "\u202ertl override\u202c", "\ufffd\ufffd", "\ufffe\uffff", "\U0010ffff\U000e0001", "\ue000\uf8ff private", "e\u0301 vs \u00e9", "a\u0300\u0301\u0302\u0303\u0304", "Z\u0351\u036b\u0343\u032aa\u0302\u0366lgo", "\u1100\u1161\u11a8 vs \uac01", "\ufb01ligature \ufb03", "ß ẞ ı İ ſ", "ﷺ ﷽", "\u0378 unassigned \U000323b0", "𝓗𝓮𝓵𝓵𝓸 𝔘𝔫𝔦", "Ａｂｃ", "\x85next\x0bvt\x0cff", "tab\tbetween\twords\t", "trailing spaces   ", "   leading", "a  b   c    d     e", "\n \n  \n   \n", "\r\r\r", "\t\n\t\n", " \t \t ", "x" * 100, "ab" * 60, "," * 40, " " * 77, "\n" * 33, "9" * 50, "중" * 20, "é" * 30, "ÃƒÂ© mojibake", "Ġ Ċ ĉ Â", "â€œquotesâ€\u009d", "\\u0041 \\x41 &#65;", "%E4%B8%AD%E6%96%87",
]

SPECIAL = [
    "<｜begin▁of▁sentence｜>Hello<｜end▁of▁sentence｜>", "<｜User｜>Hi<｜Assistant｜>", "<think>\nreason\n</think>\n\nanswer", "a<｜end▁of▁sentence｜>b <｜end▁of▁sentence｜> c", "<｜▁pad▁｜><｜▁pad▁｜>", "<｜fim▁begin｜>def f():<｜fim▁hole｜>return<｜fim▁end｜>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "text<|endoftext|>text", "<|im_start|><|im_start|>", "<|im_start |> broken <|im_end", "<｜User｜ broken", "<|begin▁of▁sentence|> ascii bars", "<repo_name>x<file_sep>y", "<|im_end|>\n\n<|im_end|> \n", " <｜User｜> ", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "<s></s><unk><pad>", "[INST] [/INST] <<SYS>>", "</think><think></think>", "<empty_output><jupyter_code>print(1)",
]

JOINERS = ["", " ", "  ", "\n", "\t", ", ", " — ", "。", "1", "\n\n    "]


def texts():
    """The fixed cases, then random mixtures of them up to COUNT."""
    cases = list(dict.fromkeys(PLAIN + LANGUAGES + EMOJI + CODE + ODD + SPECIAL))
    rng = random.Random(7)
    pool = cases[1:]
    while len(cases) < COUNT:
        pieces = rng.sample(pool, rng.randint(2, 5))
        text = pieces[0]
        for piece in pieces[1:]:
            start = rng.randrange(len(piece))
            text += rng.choice(JOINERS) + piece[start : start + rng.randint(1, 40)]
        cases.append(text)
    return cases[:COUNT]


def main():
    folder, out_file = sys.argv[1:3]
    tokenizers = {
        name: Tokenizer.from_file(os.path.join(folder, name, "tokenizer.json"))
        for name in ("deepseek", "smollm2")
    }
    with open(out_file, "w", encoding="utf-8") as file:
        for text in texts():
            line = {"text": text}
            for name, tokenizer in tokenizers.items():
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                kept = tokenizer.decode(ids, skip_special_tokens=False)
                skipped = tokenizer.decode(ids, skip_special_tokens=True)
                line[name] = {"ids": ids, "decoded": kept}
                if skipped != kept:
                    line[name]["decoded_without_special"] = skipped
            file.write(json.dumps(line, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
