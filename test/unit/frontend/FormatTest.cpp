//===- FormatTest.cpp - Canonical form of texts ---------------------------===//
#include "Cases.h"
#include "frontend/Frontend.h"
#include "gtest/gtest.h"

static std::string format(const std::string &text) {
  std::string errors;
  llvm::raw_string_ostream os(errors);
  std::optional<std::string> result = ds::formatSource({"text", text}, os);
  EXPECT_TRUE(result) << errors;
  return result.value_or("");
}

/// Expects `text` to become `expected`, which stays as it is.
static void expectFormat(const std::string &text, const std::string &expected) {
  EXPECT_EQ(format(text), expected);
  EXPECT_EQ(format(expected), expected);
}

TEST(Format, AlignsNeighbours) {
  expectFormat(
      R"(module A(c: C) { weight q:[H*Dh,D] "q"; weight norm : [ D ] "norm.weight"
state k:[1,D]; use   a=B( c,1 ) "a" ; use part[i in 0 .. L]=Layer(c)  "layers.{i}" }
)",
      R"(module A(c: C) {
  weight q    : [H * Dh, D] "q"
  weight norm : [D]         "norm.weight"
  state k : [1, D]
  use a               = B(c, 1)  "a"
  use part[i in 0..L] = Layer(c) "layers.{i}"
}
)");
}

TEST(Format, KeepsCommentsAndOneBlankLine) {
  expectFormat(R"(// First.


// Second.
config C { // What the numbers are.
  a : int   // The number.
  // Before b.
  b : int


  // Last.
}
// Between.
config D {
}
config E {}  // After.
// At the end.
)",
               R"(// First.

// Second.
config C {
  // What the numbers are.
  a : int  // The number.
  // Before b.
  b : int

  // Last.
}

// Between.
config D {
}

config E {
}  // After.
// At the end.
)");
}

TEST(Format, MovesCommentsOutOfItems) {
  expectFormat(R"(config C {
  let a = 1 + // one
    2 // two
  let b = 3
}
)",
               R"(config C {
  // one
  let a = 1 + 2  // two
  let b = 3
}
)");
}

TEST(Format, KeepsOnlyParenthesesThatCount) {
  expectFormat(R"(config C {
  let a = ((1 + 2) * 3) - (4 - (5 - 6))
  let b = -(1 + 2) ^ (2 ^ 3)
  let c = (1 ?? 2) == (3) && !(true || false)
  let d = (a < b) == (c <= d)
  let e = (2 ^ 3) ^ -x
}
)",
               R"(config C {
  let a = (1 + 2) * 3 - (4 - (5 - 6))
  let b = -(1 + 2) ^ 2 ^ 3
  let c = (1 ?? 2) == 3 && !(true || false)
  let d = (a < b) == (c <= d)
  let e = (2 ^ 3) ^ -x
}
)");
}

TEST(Format, BreaksLongLinesAfterCommas) {
  expectFormat(R"(config C {
  require aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > 0 && bbbbbbbbbbbbbbbbbbbbb > 0, "expects, that a and b are positive"
}
)",
               R"(config C {
  require aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > 0 && bbbbbbbbbbbbbbbbbbbbb > 0,
      "expects, that a and b are positive"
}
)");
}

TEST(Format, NestsBlocks) {
  expectFormat(R"(module A(c: C) {
if a { weight w : [1] "w" } else if b { weight w : [2] "w" }
else { weight w : [3] "w" // three
}
fn forward(x: [T, D]) -> [T, D] { for i in 0..3 { if a { x = x } else { } }
return x } }
)",
               R"(module A(c: C) {
  if a {
    weight w : [1] "w"
  } else if b {
    weight w : [2] "w"
  } else {
    weight w : [3] "w"  // three
  }
  fn forward(x: [T, D]) -> [T, D] {
    for i in 0..3 {
      if a {
        x = x
      } else {
      }
    }
    return x
  }
}
)");
}

TEST(Format, ModelsAreCanonical) {
  for (const char *name : {"llama", "qwen2"}) {
    std::string text =
        readText(std::string(DS_SOURCE_DIR "/models/") + name + ".ds");
    EXPECT_EQ(format(text), text) << name;
  }
}

TEST(Format, RefusesBrokenText) {
  std::string errors;
  llvm::raw_string_ostream os(errors);
  EXPECT_FALSE(ds::formatSource({"text", "config C {"}, os));
  EXPECT_NE(errors.find("text:1:11: error: expects '}' to close config 'C'"),
            std::string::npos)
      << errors;
}
