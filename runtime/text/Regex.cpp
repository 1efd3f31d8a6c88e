//===- Regex.cpp - Patterns of tokenizer.json -----------------------------===//

#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/Regex.h"

#include "runtime/text/Utf8.h"

#include <pcre2.h>

namespace ds::text {

namespace {
struct FreeMatch {
  void operator()(pcre2_match_data *data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context *context) const {
    pcre2_match_context_free(context);
  }
};
struct FreeStack {
  void operator()(pcre2_jit_stack *stack) const { pcre2_jit_stack_free(stack); }
};
} // namespace

/// The largest stack that a match may take, in bytes.
static constexpr size_t maxStack = 64u << 20;

void Regex::Free::operator()(pcre2_real_code_8 *code) const {
  pcre2_code_free(code);
}

static std::string describe(int number) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(number, text, sizeof(text)) < 0)
    return "error " + std::to_string(number);
  return reinterpret_cast<const char *>(text);
}

Result<Regex> Regex::build(const std::string &pattern, uint32_t options) {
  int number = 0;
  PCRE2_SIZE offset = 0;
  PCRE2_SPTR text = reinterpret_cast<PCRE2_SPTR>(pattern.data());
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context *)>
      context(pcre2_compile_context_create(nullptr),
              pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_code *code = pcre2_compile(text, pattern.size(), options | PCRE2_UTF,
                                   &number, &offset, context.get());
  if (!code)
    return Error{"expects a regular expression, but at byte " +
                 std::to_string(offset) + ": " + describe(number)};
  Regex regex;
  regex.code.reset(code, Free());
  // Without the compiler, matching falls back to the interpreter.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return regex;
}

Result<Regex> Regex::compile(std::string_view pattern) {
  Result<std::string> rewritten = rewriteOniguruma(pattern);
  if (!rewritten)
    return rewritten.takeError();
  return build(*rewritten, PCRE2_UCP | PCRE2_MULTILINE);
}

Result<Regex> Regex::literal(std::string_view text) {
  return build(std::string(text), PCRE2_LITERAL);
}

/// Matches once more with a stack that grows on the heap.
static int matchWithStack(const pcre2_code *code, PCRE2_SPTR subject,
                          size_t length, size_t from, uint32_t options,
                          pcre2_match_data *data) {
  std::unique_ptr<pcre2_match_context, FreeContext> context(
      pcre2_match_context_create(nullptr));
  std::unique_ptr<pcre2_jit_stack, FreeStack> stack(
      pcre2_jit_stack_create(1u << 16, maxStack, nullptr));
  pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  return pcre2_match(code, subject, length, from, options, data, context.get());
}

Status Regex::findAll(std::string_view text, std::vector<Span> &out) const {
  std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code.get(), nullptr));
  const size_t *ends = pcre2_get_ovector_pointer(data.get());
  PCRE2_SPTR subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  uint32_t options = PCRE2_NO_UTF_CHECK;
  for (size_t from = 0; from <= text.size();) {
    int found = pcre2_match(code.get(), subject, text.size(), from, options,
                            data.get(), nullptr);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
      found = matchWithStack(code.get(), subject, text.size(), from, options,
                             data.get());
    if (found == PCRE2_ERROR_NOMATCH)
      return {};
    if (found < 0)
      return Error{"expects a text that the pre-tokenizer can split (" +
                   describe(found) + ")"};
    out.push_back({ends[0], ends[1]});
    from = ends[1];
    if (ends[0] == ends[1])
      from += from < text.size() ? readCodePoint(text.substr(from)).length : 1;
  }
  return {};
}

} // namespace ds::text
