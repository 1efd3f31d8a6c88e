//===- Values.cpp - Values of a step, read and written --------------------===//
#include "runtime/Values.h"

#include "runtime/Engine.h"

#include <cstring>

using namespace ds::runtime;

/// Elements that lie one after the other, rows `rowBytes` apart.
static void addRows(ValueElements &to, char *first, int64_t rowBytes) {
  int64_t size = to.element == Element::Bf16 ? 2 : 4;
  for (int64_t row = 0; row < to.rows; ++row)
    for (int64_t column = 0; column < to.columns; ++column)
      to.addresses.push_back(first + row * rowBytes + column * size);
}

static ValueElements findInBuffer(const Entry &entry,
                                  const Interpreter &interpreter,
                                  StepInput &input, const ValuePlace &place) {
  const BufferSpec &buffer = entry.buffers[place.argument.index];
  char *first = interpreter.bufferAddress(place.argument.index,
                                          buffer.layers > 1 ? place.inLoop : 0);
  ValueElements elements;
  elements.element = buffer.element;
  elements.rows = input.rows()[static_cast<size_t>(buffer.rows)];
  if (int64_t experts = place.spec->experts) {
    // Where every expert begins, padded to 16; then tokens and rows of slots.
    int64_t pairs = 2 * elements.rows * place.spec->picks;
    elements.rows = 1, elements.columns = experts + 1;
    addRows(elements, first, 0);
    elements.columns = pairs;
    addRows(elements, first + roundUp(experts + 1, 16) * 4, 0);
    elements.columns += experts + 1;
    return elements;
  }
  int64_t size = buffer.element == Element::Bf16 ? 2 : 4;
  elements.columns = buffer.rowBytes / size;
  addRows(elements, first, buffer.rowBytes);
  return elements;
}

/// Byte of a column of a slot of a head, from the beginning of its page. Pairs
/// of bf16 lie together: columns of the key view, slots of the value view.
static int64_t findInPage(const StateSpec &state, int64_t head, int64_t slot,
                          int64_t column) {
  int64_t slots = Manifest::pagePositions / state.stride;
  int64_t padded = roundUp(state.dims, 32), size = elementBytes(state.element);
  int64_t pair = state.element == Element::Bf16 ? 2 : 1;
  int64_t at = head * slots * padded;
  if (state.view == View::Key) {
    int64_t block = std::min<int64_t>(16, slots);
    at += slot / block * block * padded;
    at += (column / pair * block + slot % block) * pair + column % pair;
  } else {
    at += (slot / pair * padded + column) * pair + slot % pair;
  }
  return at * size;
}

/// What a state keeps of the step's tokens, or of the entries that they end.
static ValueElements findInState(const StateSpec &state, StepInput &input,
                                 char *first) {
  ValueElements elements;
  elements.element = state.element;
  elements.columns = state.heads * state.dims;
  int64_t slots = Manifest::pagePositions / state.stride;
  const ds_seq &seq = *input.sequences();
  for (int64_t row = 0; row < input.tokens(); ++row) {
    int64_t position = seq.position[row];
    if ((position + 1) % state.stride)
      continue;
    ++elements.rows;
    int64_t index = position / state.stride;
    char *page =
        first + seq.pages[seq.sequence[row] * seq.max_pages + index / slots] *
                    state.pageBytes();
    for (int64_t head = 0; head < state.heads; ++head)
      for (int64_t column = 0; column < state.dims; ++column)
        elements.addresses.push_back(
            page + findInPage(state, head, index % slots, column));
  }
  return elements;
}

ValueElements
ds::runtime::findElements(const Manifest &manifest, const Entry &entry,
                          const Interpreter &interpreter, StepInput &input,
                          const StatePool &state, const ValuePlace &place) {
  int64_t index = place.argument.index;
  if (place.argument.kind == Argument::State)
    return findInState(manifest.states[index], input,
                       state.data(index, place.inLoop));
  return findInBuffer(entry, interpreter, input, place);
}

std::vector<float> ds::runtime::readElements(const ValueElements &elements) {
  std::vector<float> values;
  values.reserve(elements.addresses.size());
  for (const char *address : elements.addresses) {
    uint32_t bits = 0;
    if (elements.element == Element::Bf16) // The high half of an f32.
      memcpy(reinterpret_cast<char *>(&bits) + 2, address, 2);
    else
      memcpy(&bits, address, 4);
    float value;
    memcpy(&value, &bits, sizeof(value));
    if (!elements.element)
      value = static_cast<float>(static_cast<int32_t>(bits));
    values.push_back(value);
  }
  return values;
}

void ds::runtime::writeElements(const ValueElements &elements,
                                const std::vector<float> &values) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof(bits));
    if (!elements.element)
      bits = static_cast<uint32_t>(static_cast<int32_t>(values[i]));
    if (elements.element == Element::Bf16)
      memcpy(elements.addresses[i], reinterpret_cast<char *>(&bits) + 2, 2);
    else
      memcpy(elements.addresses[i], &bits, 4);
  }
}

//===----------------------------------------------------------------------===//
// The engine
//===----------------------------------------------------------------------===//

void Engine::watchValues(ValueWatcher called) {
  if (!called)
    return infer.interpreter->watchValues({});
  infer.interpreter->watchValues(
      [this, called](const ValuePlace &place) { showValue(place, called); });
}

void Engine::showValue(const ValuePlace &place, const ValueWatcher &called) {
  ValueElements elements =
      findElements(manifest, *infer.entry, *infer.interpreter, infer.input,
                   *stepState, place);
  StepValue value;
  value.name = place.spec->name, value.place = place.spec->place;
  value.layer = place.layer;
  value.rows = elements.rows, value.columns = elements.columns;
  value.isInteger = !elements.element;
  value.values = readElements(elements);
  if (called(value))
    writeElements(elements, value.values);
}
