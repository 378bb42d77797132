"""Chat templates of the field, written out by hand and without their tools, each on a tiny tokenizer with its marks.

Each does what the released one does around a turn: marks, spaces, default system prompts, dates, thinking, ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

__all__ = ["FIELD", "Field", "tokenizer_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A model of the field, as far as it is asked and answers."""

    template: str
    marks: str
    """Special tokens, spaces between."""
    eos: str
    """The tokenizer's end token."""
    end: str
    """What the model writes at the end of an answer."""
    bos: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    """What the model writes before an answer without thinking."""
    thought: str = "<think>\nhmm\n</think>\n\n"
    """Thinking as the model writes it, behind the prompt; empty: it writes none."""
    after: str = ""
    """What it writes behind an answer."""
    named: str = ""
    """End tokens that generation_config.json names besides, spaces between."""


IM = "<|im_start|> <|im_end|> <|endoftext|>"
QWEN25 = (
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n'"
    " }}{%- endif %}"
    "{%- for message in messages %}{%- if (message.role == 'user') or (message.role == 'system' and not loop.first) or "
    "(message.role == 'assistant' and not message.tool_calls) %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
QWEN3 = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}"
    "{%- endif %}{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}"
    "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}"
    "{%- if ns.multi_step_tool and message.role == 'user' and message.content is string and not"
    "(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
    "{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{%- if message.content is string %}{%- set content = message.content %}"
    "{%- else %}{%- set content = '' %}{%- endif %}"
    "{%- if (message.role == 'user') or (message.role == 'system' and not loop.first) %}"
    "{{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}"
    "{%- elif message.role == 'assistant' %}{%- set reasoning_content = '' %}"
    "{%- if message.reasoning_content is string %}{%- set reasoning_content = message.reasoning_content %}"
    "{%- elif '</think>' in content %}"
    "{%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}"
    "{{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + "
    "content.lstrip('\n') }}{%- else %}{{- '<|im_start|>' + message.role + '\n' + content }}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{%- endif %}"
)
LLAMA3 = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}"
    "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: ' + "
    "date_string + '\n\n' + system_message + '<|eot_id|>' }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
GEMMA2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}"
    "{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- if messages[0]['content'] is string -%}"
    "{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}{%- else -%}"
    "{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}"
    "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first_user_prefix = '' -%}"
    "{%- set loop_messages = messages -%}{%- endif -%}{%- for message in loop_messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{%- if (message['role'] == 'assistant') -%}{%- set role = 'model' -%}{%- else -%}"
    "{%- set role = message['role'] -%}{%- endif -%}"
    "{{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else '') }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- else -%}"
    "{%- for item in message['content'] -%}{{ item['text'] | trim }}{%- endfor -%}{%- endif -%}{{ '<end_of_turn>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{'<start_of_turn>model\n'}}{%- endif -%}"
)
MISTRAL = (  # the system prompt stands in the last question alone, while that is the last message
    "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
    "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}{{- bos_token }}"
    "{%- for message in loop_messages %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{- raise_exception('roles must alternate user and assistant') }}{%- endif %}"
    "{%- if message['role'] == 'user' %}{%- if loop.last and system_message is defined %}"
    "{{- '[INST]SP' + system_message + '\n\n' + message['content'] + '[/INST]' }}{%- else %}"
    "{{- '[INST]SP' + message['content'] + '[/INST]' }}{%- endif %}"
    "{%- elif message['role'] == 'assistant' %}{{- 'SP' + message['content']|trim + eos_token }}{%- endif %}"
    "{%- endfor %}"
)
MISTRAL_SMALL = (
    "{%- set today = strftime_now('%Y-%m-%d') %}{{- bos_token }}{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}{%- else %}"
    "{%- set system_message = 'You are Mistral Small 3. The current date is ' + today %}"
    "{%- set loop_messages = messages %}{%- endif %}{{- '[SYSTEM_PROMPT]' + system_message + '[/SYSTEM_PROMPT]' }}"
    "{%- for message in loop_messages %}{%- if message['role'] == 'user' %}"
    "{{- '[INST]' + message['content'] + '[/INST]' }}"
    "{%- elif message['role'] == 'system' %}{{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
    "{%- elif message['role'] == 'assistant' %}{{- message['content'] + eos_token }}{%- else %}"
    "{{- raise_exception('Only user, system and assistant roles are supported!') }}{%- endif %}{%- endfor %}"
)
PHI3 = (
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}"
    "{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
PHI4 = (
    "{% for message in messages %}{% if (message['role'] == 'system') %}"
    "{{'<|im_start|>system<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}"
    "{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'assistant') %}"
    "{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
R1 = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% set ns = namespace(system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}"
    "{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor %}"
    "{% if add_generation_prompt %}{{'<｜Assistant｜>OPEN'}}{% endif %}"
)
V31 = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    "{% set ns = namespace(system='', last=false) %}"
    "{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system = message['content'] %}"
    "{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system }}{%- for message in messages %}"
    "{%- if message['role'] == 'user' %}{%- set ns.last = true -%}{{'<｜User｜>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' %}{%- if ns.last %}{{'<｜Assistant｜>'}}"
    "{%- if message['prefix'] is defined and message['prefix'] and thinking %}{{'<think>'}}{%- else %}{{'</think>'}}"
    "{%- endif %}{%- endif %}{%- set ns.last = false -%}{%- set content = message['content'] -%}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>', 1)[1] -%}{%- endif %}"
    "{{content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt and ns.last %}{{'<｜Assistant｜>'}}{%- if not thinking %}{{'</think>'}}{%- else %}"
    "{{'<think>'}}{%- endif %}{% endif %}"
)
GLM45 = (
    "[gMASK]<sop>{%- set ns = namespace(last=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}"
    "{%- set ns.last = loop.index0 -%}{%- endif %}{%- endfor %}{%- for m in messages %}"
    "{%- if m.role == 'user' -%}{{ '<|user|>\n' + m.content }}"
    "{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not m.content.endswith('/nothink')) "
    "else '' -}}{%- elif m.role == 'assistant' -%}{{ '<|assistant|>' }}{%- set reasoning_content = '' %}"
    "{%- set content = m.content %}{%- if m.reasoning_content is string %}"
    "{%- set reasoning_content = m.reasoning_content %}{%- elif '</think>' in content %}"
    "{%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last and reasoning_content -%}{{ '\n<think>' + reasoning_content.strip() + '</think>' }}"
    "{%- else -%}{{ '\n<think></think>' }}{%- endif -%}{%- if content.strip() -%}{{ '\n' + content.strip() }}"
    "{%- endif -%}"
    "{%- elif m.role == 'system' -%}{{ '<|system|>\n' + m.content }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}"
    "{{- '\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}{%- endif -%}"
)
HARMONY = (
    "{{- '<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\nCurrent date: ' + "
    "strftime_now('%Y-%m-%d') + '\n\nReasoning: ' + (reasoning_effort or 'medium') + '\n\n# Valid channels: analysis, "
    "commentary, final. Channel must be included for every message.<|end|>' }}"
    "{%- if messages[0].role == 'developer' or messages[0].role == 'system' %}"
    "{%- set developer_message = messages[0].content %}{%- set loop_messages = messages[1:] %}{%- else %}"
    "{%- set developer_message = '' %}{%- set loop_messages = messages %}{%- endif %}{%- if developer_message %}"
    "{{- '<|start|>developer<|message|># Instructions\n\n' + developer_message + '\n\n<|end|>' }}{%- endif %}"
    "{%- for message in loop_messages -%}{%- if message.role == 'assistant' -%}"
    "{%- if '<|channel|>analysis<|message|>' in message.content or '<|channel|>final<|message|>' in message.content %}"
    "{{- raise_exception('You have passed a message containing <|channel|> tags in the content field.') }}{%- endif %}"
    "{%- if loop.last and not add_generation_prompt %}{%- if 'thinking' in message %}"
    "{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}{%- endif %}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}{%- else %}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}{%- endif %}"
    "{%- elif message.role == 'user' -%}{{- '<|start|>user<|message|>' + message.content + '<|end|>' }}{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}"
)
SMOLLM3 = (
    "{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}"
    "{%- if enable_thinking -%}{%- set mode = '/think' -%}{%- else -%}{%- set mode = '/no_think' -%}{%- endif -%}"
    "{%- set own = '' -%}{%- if messages[0].role == 'system' -%}"
    "{%- if '/no_think' in messages[0].content -%}{%- set mode = '/no_think' -%}"
    "{%- elif '/think' in messages[0].content -%}{%- set mode = '/think' -%}{%- endif -%}"
    "{%- set own = messages[0].content.replace('/no_think', '').replace('/think', '').rstrip() -%}{%- endif -%}"
    "{{- '<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: ' + "
    "strftime_now('%d %B %Y') + '\nReasoning Mode: ' + mode + '\n\n## Custom Instructions\n\n' }}"
    "{{- (own if own else 'You are a helpful AI assistant named SmolLM, trained by Hugging Face.') }}"
    "{{- '\n\n<|im_end|>\n' }}"
    "{%- for message in messages -%}{%- set content = message.content if message.content is string else '' -%}"
    "{%- if message.role == 'user' -%}{{ '<|im_start|>user\n' + content + '<|im_end|>\n' }}"
    "{%- elif message.role == 'assistant' -%}{% generation %}{%- if mode == '/think' -%}"
    "{{ '<|im_start|>assistant\n' + content.lstrip('\n') + '<|im_end|>\n' }}{%- else -%}"
    "{{ '<|im_start|>assistant\n<think>\n\n</think>\n' + content.lstrip('\n') + '<|im_end|>\n' }}{%- endif -%}"
    "{% endgeneration %}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}{%- if mode == '/think' -%}"
    "{{ '<|im_start|>assistant\n' }}{%- else -%}{{ '<|im_start|>assistant\n<think>\n\n</think>\n' }}{%- endif -%}"
    "{%- endif -%}"
)
OLMO2 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<|system|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'user' %}"
    "{{ '<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token + '\n' }}{% else %}"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}{% endif %}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"
)
KIMI = (
    "{%- for message in messages -%}{%- if loop.first and messages[0]['role'] != 'system' -%}"
    "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>{%- endif -%}"
    "{%- if message['role'] == 'system' -%}<|im_system|>system<|im_middle|>{%- elif message['role'] == 'user' -%}"
    "<|im_user|>user<|im_middle|>{%- elif message['role'] == 'assistant' -%}<|im_assistant|>assistant<|im_middle|>"
    "{%- endif -%}{{ message['content'] }}<|im_end|>{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_assistant|>assistant<|im_middle|>{%- endif -%}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
DEEPSEEK = "<｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜User｜> <｜Assistant｜>"
R1_ENDS: dict[str, Any] = {"marks": DEEPSEEK, "bos": "<｜begin▁of▁sentence｜>", "eos": "<｜end▁of▁sentence｜>",
                           "end": "<｜end▁of▁sentence｜>"}  # fmt: skip
S: dict[str, Any] = {"bos": "<s>", "eos": "</s>", "end": "</s>"}
LLAMA_MARKS = "<|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|> <|end_of_text|>"
GEMMA: dict[str, Any] = {"marks": "<bos> <eos> <start_of_turn> <end_of_turn>", "bos": "<bos>", "eos": "<eos>",
                         "end": "<end_of_turn>"}  # fmt: skip
GLM: dict[str, Any] = {"marks": "[gMASK] <sop> <|endoftext|> <|system|> <|user|> <|assistant|> <|observation|>",
                       "eos": "<|endoftext|>", "end": "<|user|>", "named": "<|user|> <|observation|>"}  # fmt: skip
EMPTY = "<think>\n\n</think>\n\n"

FIELD: dict[str, Field] = {
    "qwen2.5": Field(template=QWEN25, marks=IM, eos="<|im_end|>", end="<|im_end|>", named="<|endoftext|>"),
    "qwen3": Field(template=QWEN3, marks=IM, eos="<|im_end|>", end="<|im_end|>", before=EMPTY),
    "qwen3 without": Field(
        template=QWEN3, marks=IM, eos="<|im_end|>", end="<|im_end|>", arguments={"enable_thinking": False}, thought=""
    ),
    "llama 2": Field(
        template=LLAMA2, marks="<s> </s>", **S, before=" ", thought=" <think>\nhmm\n</think>\n\n", after=" "
    ),
    "llama 3": Field(
        template=LLAMA3, marks=LLAMA_MARKS, bos="<|begin_of_text|>", eos="<|eot_id|>", end="<|eot_id|>",
        named="<|end_of_text|> <|eom_id|>",
    ),
    "gemma 2": Field(template=GEMMA2, **GEMMA),
    "gemma 3": Field(template=GEMMA3, **GEMMA),
    "mistral v3": Field(
        template=MISTRAL.replace("SP", " "), marks="<s> </s> [INST] [/INST]", **S, before=" ",
        thought=" <think>\nhmm\n</think>\n\n",
    ),
    "mistral tekken": Field(template=MISTRAL.replace("SP", ""), marks="<s> </s> [INST] [/INST]", **S),
    "mistral small": Field(
        template=MISTRAL_SMALL, marks="<s> </s> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT]", **S
    ),
    "phi 3": Field(
        template=PHI3, marks="<|endoftext|> <|system|> <|user|> <|assistant|> <|end|>", eos="<|endoftext|>",
        end="<|end|>", named="<|end|> <|assistant|>",
    ),
    "phi 4": Field(template=PHI4, marks=IM + " <|im_sep|>", eos="<|im_end|>", end="<|im_end|>"),
    "deepseek v3": Field(template=R1.replace("OPEN", ""), **R1_ENDS),
    "deepseek r1": Field(
        template=R1.replace("OPEN", "<think>\\n"), **R1_ENDS, thought="hmm\n</think>\n\n", before="\n</think>\n\n"
    ),
    "deepseek v3.1": Field(template=V31, **R1_ENDS, thought=""),
    "deepseek v3.1 thinking": Field(
        template=V31, **R1_ENDS, arguments={"thinking": True}, thought="hmm</think>", before="</think>"
    ),
    "glm 4.5": Field(template=GLM45, **GLM, thought="\n<think>hmm</think>\n", before="\n<think></think>\n"),
    "glm 4.5 without": Field(
        template=GLM45, **GLM, arguments={"enable_thinking": False}, thought="", before="\n"
    ),
    "gpt-oss": Field(
        template=HARMONY, marks="<|start|> <|message|> <|end|> <|return|> <|channel|> <|call|> <|endoftext|>",
        eos="<|return|>", end="<|return|>", named="<|endoftext|> <|call|>", before="<|channel|>final<|message|>",
        thought="<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "smollm 3": Field(template=SMOLLM3, marks=IM, eos="<|im_end|>", end="<|im_end|>"),
    "smollm 3 without": Field(
        template=SMOLLM3, marks=IM, eos="<|im_end|>", end="<|im_end|>", arguments={"enable_thinking": False}, thought=""
    ),
    "olmo 2": Field(
        template=OLMO2, marks="<|endoftext|>", bos="<|endoftext|>", eos="<|endoftext|>", end="<|endoftext|>"
    ),
    "kimi k2": Field(
        template=KIMI, marks="[BOS] [EOS] <|im_end|> <|im_user|> <|im_assistant|> <|im_system|> <|im_middle|>",
        bos="[BOS]", eos="[EOS]", end="<|im_end|>",
    ),
}  # fmt: skip


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """A token a byte, the model's marks and the tags of thinking."""
    own = FIELD[name]
    vocab = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in own.marks.split()])
    backend.add_tokens([AddedToken(tag, normalized=False) for tag in ("<think>", "</think>")])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=own.bos, eos_token=own.eos, clean_up_tokenization_spaces=False
    )
    made.chat_template = own.template
    return made
