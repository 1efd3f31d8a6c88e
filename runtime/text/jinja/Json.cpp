//===- Json.cpp - Values written as JSON ----------------------------------===//

#include "runtime/text/jinja/Value.h"

#include <cstdio>

namespace ds::text::jinja {

namespace {
/// Writes one value as Python's json.dumps.
class JsonWriter {
public:
  JsonWriter(int64_t indent, const std::string &itemSeparator,
             const std::string &keySeparator)
      : indent(indent), itemSeparator(itemSeparator),
        keySeparator(keySeparator) {}

  void write(const Value &value, int64_t level);
  std::string take() { return std::move(out); }

private:
  void writeString(const std::string &text);
  void breakLine(int64_t level);

  template <typename Items, typename Write>
  void writeAll(const Items &items, const char *marks, int64_t level,
                Write writeItem) {
    out += marks[0];
    bool first = true;
    for (const auto &item : items) {
      if (!first)
        out += itemSeparator;
      first = false;
      breakLine(level + 1);
      writeItem(item);
    }
    if (!first)
      breakLine(level);
    out += marks[1];
  }

  int64_t indent;
  const std::string &itemSeparator, &keySeparator;
  std::string out;
};
} // namespace

void JsonWriter::breakLine(int64_t level) {
  if (indent < 0)
    return;
  out += '\n';
  out.append(static_cast<size_t>(indent * level), ' ');
}

void JsonWriter::writeString(const std::string &text) {
  static constexpr std::string_view special = "\"\\\b\f\n\r\t";
  static constexpr std::string_view names = "\"\\bfnrt";
  out += '"';
  for (char c : text) {
    size_t at = special.find(c);
    char code[8];
    if (at != special.npos) {
      out += {'\\', names[at]};
    } else if (static_cast<uint8_t>(c) < 0x20) {
      std::snprintf(code, sizeof(code), "\\u%04x", c);
      out += code;
    } else {
      out += c;
    }
  }
  out += '"';
}

void JsonWriter::write(const Value &value, int64_t level) {
  if (value.isNone())
    out += "null";
  else if (value.isBool())
    out += value.isTrue() ? "true" : "false";
  else if (value.isNumber())
    out += value.print();
  else if (value.isString())
    writeString(value.string());
  else if (value.isList())
    writeAll(value.list(), "[]", level,
             [&](const Value &item) { write(item, level + 1); });
  else if (value.isDict())
    writeAll(value.dict(), "{}", level,
             [&](const std::pair<std::string, Value> &item) {
               writeString(item.first);
               out += keySeparator;
               write(item.second, level + 1);
             });
  else
    fail(std::string("cannot write ") + value.typeName() + " as JSON");
}

std::string dumpJson(const Value &value, int64_t indent,
                     const std::string &itemSeparator,
                     const std::string &keySeparator) {
  JsonWriter writer(indent, itemSeparator, keySeparator);
  writer.write(value, 0);
  return writer.take();
}

} // namespace ds::text::jinja
