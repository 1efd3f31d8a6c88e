"""The templates of chat_cases.py."""

CHATML = """\
{% for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] }}
{{- '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{% endif %}
"""

SMOLLM2 = (
    "{% for m in messages %}{% if loop.first and messages[0]['role'] !="
    " 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}")

LLAMA2 = """\
{% if messages[0]['role'] == 'system' %}
{% set rest = messages[1:] %}
{% set system = messages[0]['content'] %}
{% else %}
{% set rest = messages %}
{% set system = false %}
{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant/user/...') }}
{% endif %}
{% if loop.index0 == 0 and system != false %}
{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}
{% set content = message['content'] %}
{% endif %}
{% if message['role'] == 'user' %}
{{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}
{{- ' ' + content.strip() + ' ' + eos_token }}
{%- endif %}
{% endfor %}
"""

LLAMA3 = """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system message comes first, whoever wrote it. #}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

DEEPSEEK_V2 = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt"
    " = false %}{% endif %}{{ bos_token }}{% for message in messages %}{% if"
    " message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' +"
    " message['content'] + eos_token }}{% elif message['role'] == 'system' %}"
    "{{ message['content'] + '\n\n' }}{% endif %}{% endfor %}{% if"
    " add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")

# V3 and R1 keep what they know in a namespace; R1 drops the thoughts.
DEEPSEEK_HEAD = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt"
    " = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false,"
    " is_output_first=true, system_prompt='', is_first_sp=true) %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}"
    "{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt +"
    " message['content'] %}{% set ns.is_first_sp = false %}{%- else %}"
    "{% set ns.system_prompt = ns.system_prompt + '\\n\\n' +"
    " message['content'] %}{%- endif %}{%- endif %}{%- endfor %}"
    "{{ bos_token }}{{ ns.system_prompt }}")

DEEPSEEK_TOOLS = (
    "{%- if message['role'] == 'assistant' and 'tool_calls' in message %}"
    "{%- set ns.is_tool = false %}{%- for tool in message['tool_calls'] %}"
    "{%- if not ns.is_first %}{%- if message['content'] is none %}"
    "{{'<|Assistant|><|calls|><|call|>' + tool['type'] + '<|sep|>' +"
    " tool['function']['name'] + '\\n' + '```json' + '\\n' +"
    " tool['function']['arguments']|tojson + '\\n' + '```' + '<|/call|>'}}"
    "{%- else %}{{'<|Assistant|>' + message['content'] + '<|calls|><|call|>' +"
    " tool['type'] + '<|sep|>' + tool['function']['name'] + '\\n' + '```json' +"
    " '\\n' + tool['function']['arguments']|string + '\\n' + '```' +"
    " '<|/call|>'}}{%- endif %}{%- set ns.is_first = true -%}{%- else %}"
    "{{'\\n' + '<|call|>' + tool['type'] + '<|sep|>' +"
    " tool['function']['name'] + '<|/call|>'}}{%- endif %}{%- endfor %}"
    "{{'<|/calls|>' + eos_token}}{%- endif %}")

DEEPSEEK_TAIL = (
    "{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}"
    "{%- if ns.is_output_first %}{{'<|outputs|><|output|>' +"
    " message['content'] + '<|/output|>'}}{%- set ns.is_output_first = false %}"
    "{%- else %}{{'\\n<|output|>' + message['content'] + '<|/output|>'}}"
    "{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}"
    "{{'<|/outputs|>'}}{% endif %}")

DEEPSEEK_V3 = (
    DEEPSEEK_HEAD + "{%- for message in messages %}{%- if message['role'] =="
    " 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' +"
    " message['content']}}{%- endif %}" + DEEPSEEK_TOOLS +
    "{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}"
    "{%- if ns.is_tool %}{{'<|/outputs|>' + message['content'] + eos_token}}"
    "{%- set ns.is_tool = false -%}{%- else %}{{'<|Assistant|>' +"
    " message['content'] + eos_token}}{%- endif %}{%- endif %}" + DEEPSEEK_TAIL +
    "{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|>'}}"
    "{% endif %}")

DEEPSEEK_R1 = (
    DEEPSEEK_HEAD + "{%- for message in messages %}{% set content ="
    " message['content'] %}{%- if message['role'] == 'user' %}{%- set ns.is_tool"
    " = false -%}{{'<|User|>' + content}}{%- endif %}" + DEEPSEEK_TOOLS +
    "{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}"
    "{% if '</think>' in content %}{% set content ="
    " content.split('</think>')[-1] %}{% endif %}{%- if ns.is_tool %}"
    "{{'<|/outputs|>' + content + eos_token}}{%- set ns.is_tool = false -%}"
    "{%- else %}{{'<|Assistant|>' + content + eos_token}}{%- endif %}"
    "{%- endif %}" + DEEPSEEK_TAIL +
    "{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|>"
    "<think>\\n'}}{% endif %}")

QWEN25 = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nSignatures within <tools></tools> XML tags:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\n{\\"name\\": <function-name>}<|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# Walks backwards over the messages and cuts thoughts at both marks.
QWEN3 = """\
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

# Macros that describe a schema, as templates with tools in TypeScript do.
TYPED = """\
{%- macro kind(spec) -%}
    {%- if spec.type == "array" -%}
        {{- kind(spec['items']) }}[]
    {%- elif spec.type == "integer" -%}
        number
    {%- elif spec.type == "object" -%}
        { {%- for name, inner in spec.properties.items() %}{{ name }}{{ '' if name in (spec.required or []) else '?' }}: {{ kind(inner) }}{{ ", " if not loop.last }}{%- endfor -%} }
    {%- else -%}
        {{- spec.type }}
    {%- endif -%}
{%- endmacro -%}
{%- macro say(text, mark="!", times=1) %}{{ text ~ mark * times }}{% endmacro %}
{%- if tools %}
{%- for tool in tools | map(attribute="function") %}
type {{ tool.name }} = (_: {{ kind(tool.parameters) }}) => any;
{% endfor %}
{%- endif %}
{%- for message in messages if message.content %}
{{ message.role | capitalize }}: {{ say(message.content | trim, times=2) }}
{%- else %}
nothing
{%- endfor %}
"""

STYLES = {
    "chatml": CHATML, "smollm2": SMOLLM2, "llama2": LLAMA2, "llama3": LLAMA3,
    "deepseek_v2": DEEPSEEK_V2, "deepseek_v3": DEEPSEEK_V3,
    "deepseek_r1": DEEPSEEK_R1, "qwen25": QWEN25, "qwen3": QWEN3,
    "typed": TYPED,
}

SNIPPETS = [
    # White space.
    "a\n  {% if yes %}\n  b\n  {% endif %}\nc\n", "a {%- if yes -%} b {%- endif -%} c",
    "  {%+ if yes %}\nx{% endif +%}\ny", "{{ n }}\n{{- n -}}\n {{ n }}", "x\n  {# c #}\n  y",
    "x {#- c -#} y", "a\r\nb\rc\n\n", "{% raw %}{{ x }}{% if %}{% endraw %}\nz",
    "a {%- raw -%} {{ b }} {%- endraw -%} c", "\t{% set a = 1 %}\t\n{{ a }}", "{{ '{{' }} {{ '%}' }}",
    "1{{ n }}\n2", "{% for i in l %}\n    {{ i }}\n{% endfor %}", "  {{ n }}  ", "a{% if yes %} {% endif %}b",
    # Literals and printing.
    "{{ 'a\\n\\t\\x41\\u00e9\\q\\\\' }}", "{{ \"it's\" 'and' }}", "{{ [1, 'a', none, true, 2.0, {'k': [1]}] }}",
    "{{ (1, 2) }} {{ (1,) }} {{ () }} {{ (1, 2) == [1, 2] }} {{ (1, 2)|list }} {{ (1,)|list }} {{ ()|list }}", "{{ {'a': 1, \"b\": \"it's\"} }}", "{{ 1.5 }} {{ 1e3 }} {{ 1e20 }} {{ 12345678.9 }} {{ 0.1 + 0.2 }} {{ 1e-7 }} {{ 100000.0 }} {{ 123456789012345680.0 }}",
    "{{ none }} {{ true }} {{ False }} {{ None }}", "{{ missing }}|{{ d.missing }}|", "{{ 1_000 }}", "{{ 'a\nb' }}",
    # Arithmetic and comparison.
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }}",
    "{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ -n }} {{ - n + 1 }} {{ +n }}", "{{ 'a' ~ 1 ~ none }}", "{{ 'ab' * 2 }} {{ [1] * 2 }} {{ 2 * 'x' }}",
    "{{ 1 == 1.0 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 != 2 }} {{ true == 1 }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{{ 'a' < 1 }}", "{{ missing + 1 }}",
    "{{ 2 in l }} {{ 9 not in l }} {{ 'k' in d }} {{ 'a' in s }} {{ not 1 in l }}", "{{ 1 in missing }}", "{{ [1] + [2] }}", "{{ '%s-%d%%' % ('a', 3) }} {{ '%.2f' % x }}",
    "{{ 1 and 'a' or 'b' }} {{ none or 'x' }} {{ 0 and 1 }} {{ not none }}", "{{ 'y' if yes else 'n' }} {{ 'y' if none }}|", "{{ 'a' if false else 'b' if false else 'c' }}",
    # Items, slices, attributes.
    "{{ l[0] }} {{ l[-1] }} {{ l[9] }}| {{ s[0] }} {{ u[3] }}", "{{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[::2] }} {{ s[1:] }} {{ l[5:] }} {{ l[-2:9] }} {{ l[2:0:-1] }}", "{{ u[2:5] }} {{ u[::-1] }}",
    "{{ d.k }} {{ d['k'] }} {{ d['items'] }} {{ d.get('k') }} {{ d.get('q') }} {{ d.get('q', 1) }}", "{{ people[0].name }} {{ people.0.name }}", "{{ missing.x }}", "{{ d.q.r }}", "{{ none.x }}|", "{{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{{ missing() }}", "{{ n.upper() }}", "{{ l[1:2][0] }} {{ l['a'] }}|",
    # Loops.
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% for i in l if i > 1 %}{{ loop.index }}:{{ i }} {% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}", "{% for c in 'añ😀' %}[{{ c }}]{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for i in missing %}x{% endfor %}ok", "{% for i in none %}x{% endfor %}", "{% for i in 3 %}x{% endfor %}", "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{{ range(3)|list }} {{ range(1, 7, 2)|list }} {{ range(3, 0, -1)|list }}",
    "{% for a, b in [[1, 2, 3]] %}{% endfor %}",
    # Scopes.
    "{% set a = 1 %}{% for i in l %}{% set a = i %}{% endfor %}{{ a }}", "{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}", "{% set ns = namespace(c=0) %}{% for i in l %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set t %}in {{ n }}{% endset %}[{{ t }}]", "{% set t | upper | trim %} in {% endset %}[{{ t }}]", "{% filter upper %}a{{ s }}{% endfilter %}", "{% set d.k = 1 %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='z') }}{{ m() }}", "{% macro m() %}{{ n }}{% set n = 9 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}", "{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro box(t) %}<{{ t }}>{{ caller() }}</>{% endmacro %}{% call box('b') %}in {{ n }}{% endcall %}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(q=2) }}", "{% set q = 5 %}{% macro m() %}{{ q }}{% endmacro %}{% for q in l %}{{ m() }}{% endfor %}",
    # Filters.
    "[{{ u|trim }}] {{ 'xxaxx'|trim('x') }}", "{{ s|upper }} {{ 'ABC'|lower }} {{ 'aBC dE'|capitalize }} {{ \"it's a bc\"|title }}", "{{ l|length }} {{ u|length }} {{ d|count }}", "{{ missing|default('x') }} {{ none|default('x') }} {{ ''|default('x', true) }} {{ n|d(1) }}",
    "{{ l|join(', ') }} {{ l|join }} {{ people|join('/', attribute='name') }}", "{{ l|first }} {{ l|last }} {{ s|first }} {{ []|first }}|", "{{ l|sort }} {{ l|sort(reverse=true) }} {{ people|sort(attribute='age')|map(attribute='name')|list }} {{ ['b', 'A', 'c']|sort }}",
    "{{ people|map(attribute='name')|join(' ') }} {{ ['a']|map('upper')|list }} {{ people|map(attribute='tags', default=[])|list }} {{ ['1', '2']|map('int')|sum }}", "{{ people|selectattr('age', 'equalto', 3)|map(attribute='name')|list }} {{ people|rejectattr('tags', 'defined')|list|length }} {{ people|selectattr('tags')|list|length }}",
    "{{ [0, 1, none, 'a']|select|list }} {{ l|select('gt', 1)|list }} {{ l|reject('odd')|list }}", "{{ d|tojson }} {{ d|tojson(indent=2) }} {{ []|tojson(indent=2) }} {{ {'a': [1, {'b': none}]}|tojson(indent=1) }}", "{{ \"<é\\\"\\n\\x01'&\"|tojson }} {{ 1.0|tojson }} {{ [true, none]|tojson(separators=(',', ':')) }}",
    "{{ '3'|int + 1 }} {{ 'x'|int }} {{ '2.7'|int }} {{ 2.9|int }} {{ '1.5'|float }} {{ 3|float }} {{ 'q'|int(7) }}", "{{ 3|string + 'a' }} {{ [1]|string }}", "{{ 'a-b-c'|replace('-', '+') }} {{ 'aaa'|replace('a', 'b', 2) }}", "{{ 'a\nb\n\nc'|indent }} {{ 'a\nb'|indent(2, true) }} {{ 'a\n\nb'|indent(1, blank=true) }}",
    "{{ [1, 2, 1, 'a', 'A']|unique|list }} {{ l|max }} {{ l|min }} {{ l|sum }} {{ people|sum(attribute='age') }}", "{{ l|reverse|list }} {{ 'abc'|reverse }}", "{{ d|items|list }} {{ {'b': 1, 'a': 2}|dictsort }}", "{{ -3|abs }} {{ (-3)|abs }} {{ 2.567|round(2) }} {{ 2.5|round }} {{ 7|round }}",
    "{{ '<a href=\"x\">'|e }} {{ '<'|safe }}", "{{ '%s and %s'|format('a', 1) }}", "{{ s|nothing }}", "{{ missing|length }} {{ missing|trim }}|", "{{ missing|tojson }}", "{{ n|length }}", "{{ 1 + 2|string|length }}", "{{ u|trim|list }}",
    # Tests.
    "{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} {{ missing is not defined }}", "{{ none is none }} {{ 'a' is string }} {{ 1 is number }} {{ 1.5 is float }} {{ 1 is integer }} {{ true is boolean }} {{ true is number }} {{ true is integer }}", "{{ d is mapping }} {{ l is mapping }} {{ l is sequence }} {{ s is iterable }} {{ l is iterable }} {{ n is iterable }} {{ d is sequence }}",
    "{{ true is true }} {{ 1 is true }} {{ false is false }} {{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }}", "{{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 3 is gt 2 }} {{ 1 is in [1] }} {{ 'a' is in 'abc' }} {{ 1 is sameas 1 }}", "{{ 'a' is lower }} {{ 'A' is upper }} {{ not n is string }} {{ n is string or yes }} {{ n is not string and yes }}",
    "{{ raise_exception is callable }} {{ n is callable }}", "{{ 1 is nothing }}",
    # Methods.
    "[{{ '  a '.strip() }}] [{{ ' a '.lstrip() }}] [{{ ' a '.rstrip() }}] {{ 'xay'.strip('xy') }} {{ u.strip() }}", "{{ 'a,b,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ ''.split(',') }} {{ ''.split() }} {{ ' a b  c '.rsplit(none, 1) }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith(('x', 'a')) }}", "{{ 'a-b'.replace('-', '') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'ab'.replace('', '.') }}", "{{ s.upper() }} {{ s.title() }} {{ s.capitalize() }} {{ 'A'.lower() }}", "{{ 'äbc'.find('c') }} {{ 'abc'.find('x') }} {{ 'abab'.rfind('ab') }} {{ 'abab'.count('ab') }}",
    "{{ '-'.join(['a', 'b']) }} {{ 'a\nb\r\nc'.splitlines() }} {{ '12'.isdigit() }} {{ [1, 1].count(1) }}", "{{ l.append(1) }}", "{{ 'a'.split('') }}",
    # Refusals.
    "{{ raise_exception('no') }}", "{% if yes %}{{ raise_exception(s ~ n) }}{% endif %}", "{{ namespace(a=1).a }} {{ dict(a=1, b='x') }}", "{% include 'x' %}", "{{ 1 +", "{% if yes %}", "{{ ) }}", "{% endif %}", "{{ 'a }}", "{# never", "{{ @ }}", "{% for x %}{% endfor %}", "{% set %}", "{% break %}", "{{ a b }}", "{% if yes %}{% endfor %}",
    "{{ {'a': {'b': {}}} }}", "{{ [[1, 2], [3]]|map('first')|list }}",
]
