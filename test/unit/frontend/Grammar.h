//===- Grammar.h - The grammar of docs/dsl.md as a recogniser ---*- C++ -*-===//
//
// Reads the EBNF of the documentation, decides whether a text belongs to it
// and makes texts that do, so that tests can hold the parser against it.
//
//===----------------------------------------------------------------------===//
#ifndef DS_TEST_UNIT_FRONTEND_GRAMMAR_H
#define DS_TEST_UNIT_FRONTEND_GRAMMAR_H
#include "frontend/Lexer.h"
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

class Grammar {
public:
  /// Reads productions `name = ... ;`; the first one is the start.
  explicit Grammar(const std::string &text);

  /// What is wrong with the grammar: names without production, productions
  /// that nothing uses. Empty if nothing is.
  std::string check() const;
  /// All tokens in quotes.
  const std::set<std::string> &getTerminals() const { return terminals; }
  /// Whether `tokens` (the last is Eof) are a file.
  bool accepts(const std::vector<ds::Token> &tokens) const;
  /// Makes a random text of the grammar.
  std::string generate(std::mt19937 &random) const;

private:
  struct Node {
    enum Kind { Sequence, Choice, Optional, Repeat, Terminal, Name, Special };
    Kind kind;
    std::string text;
    std::vector<std::unique_ptr<Node>> children;
  };
  using NodePtr = std::unique_ptr<Node>;
  using Ends = std::set<size_t>;
  struct Matcher;

  NodePtr readChoice();
  NodePtr readSequence();
  NodePtr readPrimary();
  void visit(const Node &node, std::set<std::string> &names) const;
  void generate(const Node &node, std::mt19937 &random, unsigned depth,
                std::string &out) const;

  std::vector<std::string> words;
  size_t position = 0;
  std::string start;
  std::map<std::string, NodePtr> rules;
  std::set<std::string> terminals;
};

#endif
