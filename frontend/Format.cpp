//===- Format.cpp - Texts in canonical form -------------------------------===//
//
// One item a line, two spaces a level, at most one blank line, columns of
// neighbouring declarations aligned. Comments stay with the item they precede
// or follow.
//
//===----------------------------------------------------------------------===//
#include "frontend/Format.h"
#include "llvm/ADT/STLExtras.h"

using namespace ds;
using namespace ds::ast;
using llvm::StringRef;

static constexpr size_t kWidth = 80;

namespace {
/// An item of one line, as columns.
using Row = std::vector<std::string>;

class Formatter {
public:
  Formatter(StringRef text, const std::vector<Comment> &comments)
      : comments(comments), last(text.begin()) {}
  std::string format(const File &file);

private:
  void formatDecl(const Decl &decl);
  void formatBlock(const Block &block, unsigned level, const char *end);
  void formatBlockItem(const Item &item, unsigned level);
  void formatIf(const If &item, unsigned level);
  size_t formatRows(const Block &block, size_t begin, unsigned level);
  size_t findGroup(const Block &block, size_t begin, unsigned level,
                   std::vector<size_t> &widths);
  void flushComments(const char *before, unsigned level);
  void begin(const char *place, unsigned level);
  void end(const char *place);
  void line(StringRef text, unsigned level);
  bool hasComment(const char *from, const char *to) const;

  const std::vector<Comment> &comments;
  size_t next = 0;  // The first comment that is not printed.
  const char *last; // Where the source of what is printed ends.
  bool atStart = true;
  std::string out;
};
} // namespace

//===----------------------------------------------------------------------===//
// Lines
//===----------------------------------------------------------------------===//

/// Starts a line for what stands at `place`; a blank line is kept.
void Formatter::begin(const char *place, unsigned level) {
  if (!atStart && StringRef(last, place - last).count('\n') > 1)
    out += "\n";
  atStart = false;
  out.append(2 * level, ' ');
}

/// Ends a line whose source ends at `place`, with the comment beside it.
void Formatter::end(const char *place) {
  last = place;
  if (next < comments.size()) {
    const char *comment = comments[next].text.begin();
    if (comment >= place && !StringRef(place, comment - place).contains('\n')) {
      out += "  " + comments[next].text.str();
      last = comments[next++].text.end();
    }
  }
  out += "\n";
}

void Formatter::flushComments(const char *before, unsigned level) {
  for (; next < comments.size() && comments[next].text.begin() < before;
       ++next) {
    begin(comments[next].text.begin(), level);
    out += comments[next].text.str() + "\n";
    last = std::max(last, comments[next].text.end());
  }
}

bool Formatter::hasComment(const char *from, const char *to) const {
  return llvm::any_of(comments, [&](const Comment &comment) {
    return comment.text.begin() >= from && comment.text.begin() < to;
  });
}

/// Appends `text`; a long line is broken after commas.
void Formatter::line(StringRef text, unsigned level) {
  size_t indent = 2 * level;
  while (indent + text.size() > kWidth) {
    bool inString = false;
    size_t cut = 0;
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      if (cut && indent + i >= kWidth)
        break;
      if (text[i] == '"' && (i == 0 || text[i - 1] != '\\'))
        inString = !inString;
      if (!inString && text[i] == ',' && text[i + 1] == ' ')
        cut = i + 1;
    }
    if (!cut)
      break;
    out += text.take_front(cut).str() + "\n";
    indent = 2 * level + 4;
    out.append(indent, ' ');
    text = text.drop_front(cut + 1);
  }
  out += text.str();
}

//===----------------------------------------------------------------------===//
// Items of one line
//===----------------------------------------------------------------------===//

static std::string joinStrings(const std::vector<StringRef> &list) {
  return llvm::join(list, ", ");
}

static Row getFieldRow(const Field &field) {
  std::string keys;
  for (const Key &key : field.keys) {
    keys += keys.empty() ? "" : ", ";
    keys += llvm::join(
        llvm::map_range(key.spellings, [](auto &each) { return each.name; }),
        " | ");
    if (key.alias)
      keys += " as " + key.alias.name.str();
  }
  std::string type = ": " + spell(field.type);
  if (field.initial)
    type += " = " + spell(*field.initial);
  return {keys, type};
}

static Row getWeightRow(const Weight &weight) {
  std::string name = "weight " + weight.name.name.str();
  if (weight.tied && weight.labels.empty())
    return {name, "= " + weight.tied.name.str()};
  if (weight.tied)
    return {name, "= " + weight.tied.name.str(), weight.labels[0].text.str()};
  std::string labels;
  for (const Label &label : weight.labels) {
    labels += (labels.empty() ? "" : ", ") + label.text.str();
    if (label.rows)
      labels += ": " + spell(*label.rows);
  }
  if (weight.labels.size() > 1 || weight.labels[0].rows)
    labels = "concat(" + labels + ")";
  if (weight.index)
    labels = "stack(" + weight.index.name.str() + " in " +
             spell(*weight.first) + ".." + spell(*weight.last) + ", " + labels +
             ")";
  Row row = {name, ": " + spell(weight.type), labels};
  std::string options;
  for (const Argument &option : weight.options)
    options += (options.empty() ? "" : ", ") + option.name.name.str() + " = " +
               spell(*option.value);
  if (!options.empty())
    row.push_back(options);
  return row;
}

static Row getUseRow(const Use &use) {
  std::string name = "use " + use.name.name.str(), args;
  if (use.index)
    name += "[" + use.index.name.str() + " in " + spell(*use.first) + ".." +
            spell(*use.last) + "]";
  for (const ExprPtr &arg : use.args)
    args += (args.empty() ? "" : ", ") + spell(*arg);
  Row row = {name, "= " + use.module.name.str() + "(" + args + ")"};
  if (!use.label.empty())
    row.push_back(use.label.str());
  return row;
}

static Row getRow(const Item &item) {
  switch (item.kind) {
  case Item::Field:
    return getFieldRow(llvm::cast<Field>(item));
  case Item::Ignore:
    return {"ignore " + joinStrings(llvm::cast<Ignore>(item).keys)};
  case Item::Let: {
    const auto &let = llvm::cast<Let>(item);
    return {"let " + let.name.name.str() + " = " + spell(*let.value)};
  }
  case Item::Require: {
    const auto &require = llvm::cast<Require>(item);
    return {"require " + spell(*require.condition) + ", " +
            require.message.str()};
  }
  case Item::Weight:
    return getWeightRow(llvm::cast<Weight>(item));
  case Item::State: {
    const auto &state = llvm::cast<State>(item);
    std::string every =
        state.stride ? " every " + spell(*state.stride) : std::string();
    return {"state " + state.name.name.str(),
            ": " + spell(state.type) + every};
  }
  case Item::Input: {
    const auto &input = llvm::cast<Input>(item);
    return {"input " + input.name.name.str(), ": " + spell(input.type)};
  }
  case Item::Use:
    return getUseRow(llvm::cast<Use>(item));
  case Item::Assign: {
    const auto &assign = llvm::cast<Assign>(item);
    std::string names = llvm::join(
        llvm::map_range(assign.names, [](auto &each) { return each.name; }),
        ", ");
    return {names + " = " + spell(*assign.value)};
  }
  case Item::Auxiliary: {
    const auto &term = llvm::cast<Auxiliary>(item);
    std::string value = term.value ? " = " + spell(*term.value) : "";
    return {"auxiliary " + term.name.name.str() + value};
  }
  case Item::Return: {
    std::string values;
    for (const ExprPtr &value : llvm::cast<Return>(item).values)
      values += (values.empty() ? "" : ", ") + spell(*value);
    return {"return " + values};
  }
  default:
    return {};
  }
}

static std::string joinRow(const Row &row, const std::vector<size_t> &widths) {
  std::string text;
  for (size_t i = 0; i < row.size(); ++i) {
    text += (i ? " " : "") + row[i];
    if (i + 1 < row.size() && i < widths.size() && row[i].size() < widths[i])
      text.append(widths[i] - row[i].size(), ' ');
  }
  return text;
}

/// Widens `widths` to hold `row`; returns the longest line that comes of it.
static size_t widen(const Row &row, std::vector<size_t> &widths) {
  widths.resize(std::max(widths.size(), row.size()));
  for (size_t i = 0; i < row.size(); ++i)
    widths[i] = std::max(widths[i], row[i].size());
  size_t sum = widths.size() - 1;
  for (size_t width : widths)
    sum += width;
  return sum;
}

/// Returns the end of the group of rows that are aligned with item `begin`,
/// neighbours of one kind that fit a line, and the widths of its columns.
size_t Formatter::findGroup(const Block &block, size_t begin, unsigned level,
                            std::vector<size_t> &widths) {
  widen(getRow(*block[begin]), widths);
  size_t end = begin + 1;
  for (; end < block.size() && block[end]->kind == block[begin]->kind; ++end) {
    const char *from = block[end - 1]->end.getPointer();
    const char *to = block[end]->loc.getPointer();
    if (StringRef(from, to - from).count('\n') > 1 ||
        hasComment(to, block[end]->end.getPointer()))
      break;
    std::vector<size_t> wider = widths;
    if (2 * level + widen(getRow(*block[end]), wider) > kWidth)
      break;
    widths = std::move(wider);
  }
  return end;
}

size_t Formatter::formatRows(const Block &block, size_t from, unsigned level) {
  std::vector<size_t> widths;
  size_t to = findGroup(block, from, level, widths);
  for (size_t i = from; i < to; ++i) {
    const Item &item = *block[i];
    flushComments(item.loc.getPointer(), level);
    // A comment inside the item goes before it.
    if (hasComment(item.loc.getPointer(), item.end.getPointer())) {
      const char *place = item.loc.getPointer();
      flushComments(item.end.getPointer(), level);
      last = std::max(last, place);
    }
    begin(std::max(last, item.loc.getPointer()), level);
    line(joinRow(getRow(item), widths), level);
    end(item.end.getPointer());
  }
  return to;
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

void Formatter::formatBlock(const Block &block, unsigned level,
                            const char *endPlace) {
  atStart = true;
  for (size_t i = 0; i < block.size();) {
    const Item &item = *block[i];
    if (item.kind == Item::Fn || item.kind == Item::If ||
        item.kind == Item::For) {
      flushComments(item.loc.getPointer(), level);
      begin(item.loc.getPointer(), level);
      formatBlockItem(item, level);
      ++i;
    } else {
      i = formatRows(block, i, level);
    }
  }
  flushComments(endPlace, level);
  atStart = false;
}

static std::string spellParams(const std::vector<Param> &params) {
  std::string text;
  for (const Param &param : params)
    text += (text.empty() ? "" : ", ") + param.name.name.str() + ": " +
            spell(param.type);
  return "(" + text + ")";
}

void Formatter::formatBlockItem(const Item &item, unsigned level) {
  const Block *body = nullptr;
  if (auto *fn = llvm::dyn_cast<Fn>(&item)) {
    std::string results;
    for (const TypeExpr &type : fn->results)
      results += (results.empty() ? "" : ", ") + spell(type);
    line("fn " + fn->name.name.str() + spellParams(fn->params) + " -> " +
             results + " {",
         level);
    body = &fn->body;
  } else if (auto *loop = llvm::dyn_cast<For>(&item)) {
    line("for " + loop->index.name.str() + " in " + spell(*loop->first) + ".." +
             spell(*loop->last) + " {",
         level);
    body = &loop->body;
  } else {
    formatIf(llvm::cast<If>(item), level);
    return end(item.end.getPointer());
  }
  out += "\n";
  last = item.loc.getPointer();
  formatBlock(*body, level + 1, item.end.getPointer() - 1);
  out.append(2 * level, ' ');
  out += "}";
  end(item.end.getPointer());
}

void Formatter::formatIf(const If &item, unsigned level) {
  line("if " + spell(*item.condition) + " {", level);
  out += "\n";
  last = item.loc.getPointer();
  bool isChain =
      item.hasElse && item.elseBlock.size() == 1 &&
      item.elseBlock[0]->kind == Item::If &&
      StringRef(item.elseLoc.getPointer(),
                item.elseBlock[0]->loc.getPointer() - item.elseLoc.getPointer())
              .find('{') == StringRef::npos;
  const char *thenEnd =
      item.hasElse ? item.elseLoc.getPointer() : item.end.getPointer() - 1;
  formatBlock(item.thenBlock, level + 1, thenEnd);
  out.append(2 * level, ' ');
  out += "}";
  if (!item.hasElse)
    return;
  last = item.elseLoc.getPointer();
  if (isChain) {
    out += " else ";
    return formatIf(llvm::cast<If>(*item.elseBlock[0]), level);
  }
  out += " else {\n";
  formatBlock(item.elseBlock, level + 1, item.end.getPointer() - 1);
  out.append(2 * level, ' ');
  out += "}";
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

void Formatter::formatDecl(const Decl &decl) {
  begin(decl.loc.getPointer(), 0);
  std::string head =
      getWord(decl.kind).str() + " " + decl.name.name.str();
  if (decl.kind != Decl::Config)
    head += spellParams(decl.params);
  if (decl.kind == Decl::Model)
    head += " serves " + joinStrings(decl.serves);
  line(head + " {", 0);
  out += "\n";
  last = decl.loc.getPointer();
  formatBlock(decl.body, 1, decl.end.getPointer() - 1);
  out += "}";
  end(decl.end.getPointer());
}

std::string Formatter::format(const File &file) {
  for (const std::unique_ptr<Decl> &decl : file.decls) {
    size_t before = out.size();
    flushComments(decl->loc.getPointer(), 0);
    formatDecl(*decl);
    bool isFirst = before == 0;
    if (!isFirst && out[before] != '\n')
      out.insert(before, "\n");
  }
  flushComments(comments.empty() ? last : comments.back().text.end(), 0);
  return std::move(out);
}

std::string ds::format(const File &file, StringRef text,
                       const std::vector<Comment> &comments) {
  return Formatter(text, comments).format(file);
}
