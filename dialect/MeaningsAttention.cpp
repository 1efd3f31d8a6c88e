//===- MeaningsAttention.cpp - What attention means -----------------------===//
#include "dialect/Meaning.h"
#include "dialect/Nsa.h"

using namespace ds;
using kernel::typeOf;
using nsa::dimsOf;
using nsa::headsOf;

static int64_t columnsOf(Value value) { return typeOf(value).getDimSize(1); }

//===----------------------------------------------------------------------===//
// Rope and state
//===----------------------------------------------------------------------===//

void RopeOp::buildMeaning(Meaning &m) {
  RopeAttr rope = getRope();
  SmallVector<double> all = getRopeFrequencies(rope);
  auto pairs = static_cast<int64_t>(all.size());
  auto heads = static_cast<int64_t>(getHeads());
  int64_t width = columnsOf(getInput()) / heads;
  Value frequencies = m.makeArray(pairs);
  for (auto [i, frequency] : llvm::enumerate(all))
    m.putArray(frequencies, m.num(static_cast<int64_t>(i)), m.num(frequency));
  Num position = m.toNumber(m.position(getSeq(), m.row));
  m.fill(getResult(),
         [&](Num column) { return m.at(getInput(), m.row, column); });
  Type f32 = m.builder.getF32Type();
  m.forEach(pairs, [&](Num pair) {
    Num angle = position * m.arrayAt(frequencies, pair);
    double gain = getRopeGain(rope);
    Num cosine = m.round(m.cos(angle) * gain, f32);
    Num sine = m.round(m.sin(angle) * (getInverse() ? -gain : gain), f32);
    bool isSplit = rope.getLayout() == RopeLayout::HalfSplit;
    m.forEach(heads, [&](Num head) {
      Num begin = head * width + rope.getFirst();
      Num a = begin + (isSplit ? pair : pair * int64_t(2));
      Num b = a + (isSplit ? pairs : 1);
      Num x = m.at(getInput(), m.row, a), y = m.at(getInput(), m.row, b);
      m.put(getResult(), {m.row, a}, x * cosine - y * sine);
      m.put(getResult(), {m.row, b}, y * cosine + x * sine);
    });
  });
}

/// Keeps a row, heads one after the other.
static void keepRow(Meaning &m, Value state, Value seq, Num sequence,
                    Num position, int64_t heads, int64_t dims,
                    llvm::function_ref<Num(Num)> value) {
  m.forEach(heads, [&](Num head) {
    m.forEach(dims, [&](Num column) {
      m.keep(state, seq, sequence, position, head, column,
             value(head * dims + column));
    });
  });
}

void AppendOp::buildMeaning(Meaning &m) {
  StateType type = getState().getType();
  keepRow(m, getState(), getSeq(), m.sequence(getSeq(), m.row),
          m.position(getSeq(), m.row), headsOf(type), dimsOf(type),
          [&](Num column) { return m.at(getInput(), m.row, column); });
}

//===----------------------------------------------------------------------===//
// Full attention
//===----------------------------------------------------------------------===//

namespace {
/// The positions that a query sees: all up to its own, or those of a list.
struct Seen {
  Seen(Meaning &m, Value seq, Value entries)
      : m(m), entries(entries), own(m.position(seq, m.row)),
        count(entries ? m.num(columnsOf(entries)) : own + 1) {}

  Meaning &m;
  Value entries;
  Num own, count;

  Num position(Num i) { return entries ? m.at(entries, m.row, i) : i; }
  Num sees(Num i) {
    return entries ? m.num(int64_t(-1)) < position(i) : m.isTrue(true);
  }
  int64_t room() { return entries ? columnsOf(entries) : m.positions; }
};
} // namespace

void AttendOp::buildMeaning(Meaning &m) {
  auto heads = static_cast<int64_t>(getHeads());
  StateType keys = getKeys().getType(), values = getValues().getType();
  int64_t group = heads / headsOf(keys), keyDims = dimsOf(keys);
  int64_t valueDims =
      getPrefix() ? static_cast<int64_t>(*getPrefix()) : dimsOf(values);
  Seen seen(m, getSeq(), getEntries());
  Num sequence = m.sequence(getSeq(), m.row);
  Value scores = m.makeArray(seen.room());
  m.forEach(heads, [&](Num head) {
    Num keyHead = head / group;
    MeantHead one{seen.count,
                  [&](Num i) { return seen.sees(i); },
                  [&](Num column) {
                    return m.at(getQuery(), m.row, head * keyDims + column);
                  },
                  [&](Num i, Num column) {
                    return m.kept(getKeys(), getSeq(), sequence,
                                  seen.position(i), keyHead, column);
                  },
                  [&](Num i, Num column) {
                    return m.kept(getValues(), getSeq(), sequence,
                                  seen.position(i), keyHead, column);
                  },
                  keyDims,
                  valueDims,
                  getScale().convertToDouble(),
                  values.getElementType()};
    auto put = [&](Num column, Num value) {
      m.put(getResult(), {m.row, head * valueDims + column}, value);
    };
    auto putLse = [&](Num lse) { m.put(getLse(), {m.row, head}, lse); };
    if (getLse())
      meanHead(m, one, scores, put, putLse);
    else
      meanHead(m, one, scores, put, {});
  });
}

/// Keys and values are expanded, whatever a token's role. DeepSeek-V2,
/// arXiv 2405.04434, eq. 9 to 19.
void MlaAttendOp::buildMeaning(Meaning &m) {
  LatentHeadsAttr heads = getHeads();
  int64_t nope = heads.getNope(), values = heads.getValue();
  int64_t rank = heads.getRank(), width = nope + heads.getRope();
  Type element = typeOf(getResult()).getElementType();
  Seen seen(m, getSeq(), getEntries());
  Num sequence = m.sequence(getSeq(), m.row), first = m.num(int64_t(0));
  Value scores = m.makeArray(seen.room());
  auto kept = [&](Num i, Num column) {
    return m.kept(getLatents(), getSeq(), sequence, seen.position(i), first,
                  column);
  };
  auto expand = [&](Num row, Num i) {
    return m.round(m.sum(rank,
                         [&](Num r) {
                           return m.at(getProjection(), row, r) * kept(i, r);
                         }),
                   element);
  };
  m.forEach(heads.getCount(), [&](Num head) {
    Num begin = head * (nope + values);
    MeantHead one{
        seen.count,
        [&](Num i) { return seen.sees(i); },
        [&](Num column) {
          return m.at(getQuery(), m.row, head * width + column);
        },
        [&](Num i, Num column) {
          return m.choose(
              column < nope, [&] { return expand(begin + column, i); },
              [&] { return kept(i, column - nope + rank); });
        },
        [&](Num i, Num column) { return expand(begin + nope + column, i); },
        width,
        values,
        getScale().convertToDouble(),
        element};
    meanHead(m, one, scores,
             [&](Num column, Num value) {
               m.put(getResult(), {m.row, head * values + column}, value);
             },
             {});
  });
}

//===----------------------------------------------------------------------===//
// Selection of tokens
//===----------------------------------------------------------------------===//

/// Whether the value at `index` is among the `most` best of `count`, ties to
/// the lower index.
static Num isBest(Meaning &m, Num count, Num index, int64_t most,
                  llvm::function_ref<Num(Num)> value) {
  Num own = value(index);
  return m.count(m.num(int64_t(0)), count, [&](Num i) {
    Num other = value(i);
    return own < other || (other == own && i < index);
  }) < most;
}

/// Lists the indices below `count` that are taken, from column `first` of the
/// row on, which has `room` of them; -1 after the last.
static void list(Meaning &m, Value result, Num first, int64_t room, Num count,
                 llvm::function_ref<Num(Num)> isTaken) {
  m.forEach(room, [&](Num slot) {
    m.put(result, {m.row, first + slot}, m.num(int64_t(-1)));
  });
  m.fold(m.num(int64_t(0)), m.num(int64_t(0)), count, [&](Num i, Num slot) {
    Num takes = isTaken(i);
    m.when(takes, [&] { m.put(result, {m.row, first + slot}, i); });
    return m.select(takes, slot + 1, slot);
  });
}

void SelectTokensOp::buildMeaning(Meaning &m) {
  auto heads = static_cast<int64_t>(getHeads());
  int64_t dims = columnsOf(getQuery()) / heads;
  Num own = m.position(getSeq(), m.row), sequence = m.sequence(getSeq(), m.row);
  Num zero = m.num(int64_t(0)), end = own + 1;
  Value scores = m.makeArray(m.positions);
  m.forEach(zero, end, [&](Num position) {
    Num score = m.sum(heads, [&](Num head) {
      Num dot = m.sum(dims, [&](Num column) {
        return m.at(getQuery(), m.row, head * dims + column) *
               m.kept(getKeys(), getSeq(), sequence, position, zero, column);
      });
      Num above = m.select(m.num(0.0) < dot, dot, m.num(0.0));
      return m.at(getWeights(), m.row, head) * above;
    });
    m.putArray(scores, position, score);
  });
  auto count = static_cast<int64_t>(getCount());
  list(m, getResult(), zero, count, end, [&](Num i) {
    return isBest(m, end, i, count,
                  [&](Num other) { return m.arrayAt(scores, other); });
  });
}

//===----------------------------------------------------------------------===//
// Native sparse attention, arXiv 2502.11089
//===----------------------------------------------------------------------===//

void GatherBlocksOp::buildMeaning(Meaning &m) {
  StateType state = getState().getType();
  int64_t heads = headsOf(state), dims = dimsOf(state);
  auto length = static_cast<int64_t>(getLength());
  Num entry = m.row / heads, head = m.row % heads;
  Num first = m.position(getSeq(), entry) - (length - 1);
  Num sequence = m.sequence(getSeq(), entry);
  m.forEach(length, [&](Num i) {
    m.forEach(dims, [&](Num column) {
      Num position = first + i;
      Num value = m.choose(
          position < 0, [&] { return m.num(0.0); },
          [&] {
            return m.kept(getState(), getSeq(), sequence, position, head,
                          column) +
                   m.at(getPositions(), i, column);
          });
      m.put(getResult(), {m.row, i * dims + column}, value);
    });
  });
}

void AppendBlocksOp::buildMeaning(Meaning &m) {
  StateType state = getState().getType();
  int64_t heads = headsOf(state);
  Num entry = m.row / heads, head = m.row % heads;
  Num index = m.position(getSeq(), entry) / state.getStride();
  Num sequence = m.sequence(getSeq(), entry);
  m.forEach(dimsOf(state), [&](Num column) {
    m.keep(getState(), getSeq(), sequence, index, head, column,
           m.at(getInput(), m.row, column));
  });
}

namespace {
/// What a query sees of sparse attention: candidates in order, and where each
/// lies in the state.
struct SparseSeen {
  Meaning &m;
  SparseAttendOp op;
  Num own, keyHead;

  int64_t size() { return static_cast<int64_t>(op.getSize()); }
  int64_t stride() { return op.getKeys().getType().getStride(); }
  int64_t blocks() {
    return columnsOf(op.getBlocks()) / headsOf(op.getKeys().getType());
  }
  Num count() {
    switch (op.getSource()) {
    case KeySource::Window:
      return own + 1;
    case KeySource::Blocks:
      return m.num(blocks() * size());
    case KeySource::Entries:
      return (own + 1) / stride();
    }
    llvm_unreachable("covered switch");
  }
  Num block(Num i) {
    return m.at(op.getBlocks(), m.row, keyHead * blocks() + i / size());
  }
  Num place(Num i) {
    return op.getSource() == KeySource::Blocks ? block(i) * size() + i % size()
                                               : i;
  }
  Num sees(Num i) {
    switch (op.getSource()) {
    case KeySource::Window:
      return own - size() < i;
    case KeySource::Blocks:
      return m.num(int64_t(-1)) < block(i) && place(i) < own + 1;
    case KeySource::Entries: // All of its tokens are there.
      return m.num(size() / stride() - 2) < i;
    }
    llvm_unreachable("covered switch");
  }
  int64_t room() {
    return op.getSource() == KeySource::Blocks ? blocks() * size()
                                               : m.positions;
  }
};
} // namespace

void SparseAttendOp::buildMeaning(Meaning &m) {
  auto heads = static_cast<int64_t>(getHeads());
  StateType keys = getKeys().getType(), values = getValues().getType();
  int64_t group = heads / headsOf(keys), keyDims = dimsOf(keys),
          valueDims = dimsOf(values);
  SparseSeen seen{m, *this, m.position(getSeq(), m.row), {}};
  Num sequence = m.sequence(getSeq(), m.row);
  Value scores = m.makeArray(seen.room());
  m.forEach(heads, [&](Num head) {
    Num keyHead = seen.keyHead = head / group;
    MeantHead one{seen.count(),
                  [&](Num i) { return seen.sees(i); },
                  [&](Num column) {
                    return m.at(getQuery(), m.row, head * keyDims + column);
                  },
                  [&](Num i, Num column) {
                    return m.kept(getKeys(), getSeq(), sequence, seen.place(i),
                                  keyHead, column);
                  },
                  [&](Num i, Num column) {
                    return m.kept(getValues(), getSeq(), sequence,
                                  seen.place(i), keyHead, column);
                  },
                  keyDims,
                  valueDims,
                  getScale().convertToDouble(),
                  values.getElementType()};
    meanHead(
        m, one, scores,
        [&](Num column, Num value) {
          m.put(getResult(), {m.row, head * valueDims + column}, value);
        },
        [&](Num lse) {
          m.put(getLse(), {m.row, head}, lse);
        });
  });
}

/// P of an entry, summed over the heads of a group. Eq. 8 and 10.
static void sumHeads(Meaning &m, SelectBlocksOp op, Num keyHead, Num entries,
                     Value sums) {
  nsa::Selection s = nsa::getSelection(op);
  StateType keys = op.getKeys().getType();
  int64_t group = s.heads / headsOf(keys), dims = dimsOf(keys);
  int64_t hidden = s.length / keys.getStride() - 1;
  Num sequence = m.sequence(op.getSeq(), m.row);
  m.forEach(m.num(int64_t(0)), entries, [&](Num entry) {
    Num sum = m.sum(group, [&](Num inGroup) {
      Num head = keyHead * group + inGroup;
      Num dot = m.sum(dims, [&](Num column) {
        return m.at(op.getQuery(), m.row, head * dims + column) *
               m.kept(op.getKeys(), op.getSeq(), sequence, entry, keyHead,
                      column);
      });
      return m.exp(dot * op.getScale().convertToDouble() -
                   m.at(op.getLse(), m.row, head));
    });
    m.putArray(sums, entry, m.select(entry < hidden, m.num(0.0), sum));
  });
}

/// What a block is worth: P times the strides that entries share with it.
/// Eq. 9.
static Num scoreBlock(Meaning &m, const nsa::Selection &s, int64_t stride,
                      Num block, Num entries, Value sums) {
  int64_t perBlock = s.block / stride, perEntry = s.length / stride;
  Num begin = block * perBlock, end = begin + perBlock;
  return m.sum(m.num(int64_t(0)), entries, [&](Num entry) {
    Num first = entry - (perEntry - 1), last = entry + 1;
    Num from = m.select(first < begin, begin, first);
    Num to = m.select(end < last, end, last);
    Num shared = m.select(from < to, to - from, m.num(int64_t(0)));
    return m.toNumber(shared) * m.arrayAt(sums, entry);
  });
}

void SelectBlocksOp::buildMeaning(Meaning &m) {
  nsa::Selection s = nsa::getSelection(*this);
  int64_t stride = getKeys().getType().getStride();
  Num own = m.position(getSeq(), m.row), zero = m.num(int64_t(0));
  Num entries = (own + 1) / stride, last = own / s.block;
  Value sums = m.makeArray(m.positions), scores = m.makeArray(m.positions);
  m.forEach(headsOf(getKeys().getType()), [&](Num keyHead) {
    sumHeads(m, *this, keyHead, entries, sums);
    // Others are below all, so that they have no rank among those.
    auto isFixed = [&](Num block) {
      return block < s.initial || last - s.local < block;
    };
    m.forEach(zero, last + 1, [&](Num block) {
      m.putArray(
          scores, block,
          m.choose(
              isFixed(block), [&] { return m.num(-INFINITY); },
              [&] { return scoreBlock(m, s, stride, block, entries, sums); }));
    });
    list(m, getResult(), keyHead * s.count, s.count, last + 1, [&](Num block) {
      Num best = isBest(m, last + 1, block, s.count - s.initial - s.local,
                        [&](Num i) { return m.arrayAt(scores, i); });
      return isFixed(block) || best;
    });
  });
}

void MixBranchesOp::buildMeaning(Meaning &m) {
  int64_t width = columnsOf(getResult()) / static_cast<int64_t>(getHeads());
  m.fill(getResult(), [&](Num column) {
    Num gate = column / width * int64_t(3);
    Value branches[] = {getFirst(), getSecond(), getThird()};
    Num sum = m.num(0.0);
    for (auto [i, branch] : llvm::enumerate(branches))
      sum = sum + m.at(getGates(), m.row, gate + static_cast<int64_t>(i)) *
                      m.at(branch, m.row, column);
    return sum;
  });
}
