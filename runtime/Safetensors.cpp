//===- Safetensors.cpp - Files of tensors ---------------------------------===//
#include "runtime/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

using namespace ds::runtime;
using Json = nlohmann::json;

// The limit of the format's own reader.
static constexpr uint64_t maxHeaderBytes = 100'000'000;

std::string ds::runtime::shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// Returns the bits of an element of `dtype`; 0 where it is unknown.
static uint64_t elementBits(const std::string &dtype) {
  static const std::map<std::string, uint64_t> bits = {
      {"BOOL", 8},    {"U8", 8},      {"I8", 8},   {"F8_E4M3", 8},
      {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16},
      {"F16", 16},    {"BF16", 16},   {"I32", 32}, {"U32", 32},
      {"F32", 32},    {"F64", 64},    {"I64", 64}, {"U64", 64}};
  auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

/// Parses JSON whose objects have no key twice. `what` names it in errors.
static Result<Json> parseJson(std::string_view text, const std::string &what) {
  std::vector<std::set<std::string>> keys;
  std::string twice;
  Json::parser_callback_t note = [&](int, Json::parse_event_t event,
                                     Json &parsed) {
    if (event == Json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == Json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == Json::parse_event_t::key &&
             !keys.back().insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    return true;
  };
  try {
    Json json = Json::parse(text, note);
    if (!twice.empty())
      return failure(what, " has the key '", twice, "' twice");
    return json;
  } catch (const Json::parse_error &error) {
    return failure(what, " is not JSON: error at byte ", error.byte);
  }
}

/// Reads the unsigned integers of `json`, an array.
static bool readIntegers(const Json &json, std::vector<uint64_t> &out) {
  if (!json.is_array())
    return false;
  for (const Json &item : json) {
    if (!item.is_number_unsigned())
      return false;
    out.push_back(item.get<uint64_t>());
  }
  return true;
}

/// Returns the bytes of a tensor of `shape`; false where they overflow.
static bool countBytes(const std::vector<uint64_t> &shape, uint64_t bits,
                       uint64_t &bytes) {
  uint64_t count = bits / 8;
  for (uint64_t size : shape)
    if (__builtin_mul_overflow(count, size, &count) || count >> 62)
      return false;
  bytes = count;
  return true;
}

/// Reads one tensor of the header; `dataBegin` is where offset 0 lies, and
/// `where` names file and tensor.
static Result<Tensor> readTensor(const Json &json, const File &file,
                                 uint64_t dataBegin, const std::string &where) {
  std::vector<uint64_t> shape, offsets;
  if (!json.is_object() || !json.contains("dtype") ||
      !json["dtype"].is_string() || !json.contains("shape") ||
      !readIntegers(json["shape"], shape) || !json.contains("data_offsets") ||
      !readIntegers(json["data_offsets"], offsets) || offsets.size() != 2)
    return failure("expects ", where,
                   " to have dtype, shape and data_offsets [begin, end]");
  Tensor tensor;
  tensor.dtype = json["dtype"].get<std::string>();
  uint64_t bits = elementBits(tensor.dtype), bytes = 0;
  uint64_t dataBytes = file.size() - dataBegin;
  if (bits == 0)
    return failure(where, " has the unknown type '", tensor.dtype, "'");
  tensor.shape.assign(shape.begin(), shape.end());
  if (!countBytes(shape, bits, bytes))
    return failure(where, " has a shape that is too large");
  if (offsets[0] > offsets[1])
    return failure("expects the offsets of ", where, " to be in order, found [",
                   offsets[0], ", ", offsets[1], "]");
  if (offsets[1] > dataBytes)
    return failure(where, " ends at byte ", offsets[1],
                   " of the data, and the file has ", dataBytes,
                   ": it is truncated");
  if (offsets[1] - offsets[0] != bytes)
    return failure("expects ", where, " of type ", tensor.dtype, " and shape ",
                   shapeText(tensor.shape), " to have ", bytes,
                   " bytes, found ", offsets[1] - offsets[0]);
  tensor.begin = dataBegin + offsets[0];
  tensor.bytes = bytes;
  return tensor;
}

/// Checks that `tensors`, by offset, cover the data without gap or overlap.
static Status checkCover(const std::vector<Tensor> &tensors, const File &file,
                         uint64_t dataBegin) {
  uint64_t end = dataBegin;
  const std::string *before = nullptr;
  for (const Tensor &tensor : tensors) {
    if (tensor.begin < end)
      return failure("'", file.path(), "': tensor '", tensor.name,
                     "' overlaps tensor '", *before, "'");
    if (tensor.begin > end)
      return failure("'", file.path(), "': ", tensor.begin - end,
                     " bytes before tensor '", tensor.name,
                     "' belong to no tensor");
    end = tensor.begin + tensor.bytes;
    before = &tensor.name;
  }
  if (end != file.size())
    return failure("'", file.path(), "' has ", file.size() - end,
                   " bytes after its last tensor");
  return std::nullopt;
}

Result<std::vector<Tensor>>
ds::runtime::readSafetensorsHeader(const File &file) {
  uint64_t length = 0;
  if (file.size() < sizeof(length))
    return failure("'", file.path(),
                   "' is too short for a safetensors file: ", file.size(),
                   " bytes");
  if (Status error = file.read(0, sizeof(length), &length))
    return *error;
  if (length > maxHeaderBytes)
    return failure("expects '", file.path(), "' to have a header of at most ",
                   maxHeaderBytes, " bytes, found ", length);
  if (length > file.size() - sizeof(length))
    return failure("'", file.path(), "' is truncated: expects a header of ",
                   length, " bytes, found ", file.size() - sizeof(length));
  std::string text(length, '\0');
  if (Status error = file.read(sizeof(length), length, text.data()))
    return *error;
  std::string what = "the header of '" + file.path() + "'";
  Result<Json> json = parseJson(text, what);
  if (!json)
    return json.takeError();
  if (!json->is_object())
    return failure("expects ", what, " to be a JSON object");
  std::vector<Tensor> tensors;
  uint64_t dataBegin = sizeof(length) + length;
  for (const auto &[name, item] : json->items()) {
    if (name == "__metadata__")
      continue;
    Result<Tensor> tensor =
        readTensor(item, file, dataBegin,
                   "tensor '" + name + "' of '" + file.path() + "'");
    if (!tensor)
      return tensor.takeError();
    tensor->name = name;
    tensors.push_back(std::move(*tensor));
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto &a, const auto &b) {
    return std::tie(a.begin, a.bytes) < std::tie(b.begin, b.bytes);
  });
  if (Status error = checkCover(tensors, file, dataBegin))
    return *error;
  return tensors;
}

Status Checkpoint::addFile(const std::string &path) {
  Result<File> file = File::open(path);
  if (!file)
    return file.takeError();
  Result<std::vector<Tensor>> tensors = readSafetensorsHeader(*file);
  if (!tensors)
    return tensors.takeError();
  for (Tensor &tensor : *tensors) {
    tensor.file = files.size();
    std::string tensorName = tensor.name;
    auto [at, added] = byName.emplace(tensorName, std::move(tensor));
    if (!added)
      return failure("tensor '", tensorName, "' is in '", path, "' and in '",
                     files[at->second.file].path(), "'");
  }
  files.push_back(std::move(*file));
  return std::nullopt;
}

/// Compares the tensors of the index with those of the shards.
static Status checkIndex(const std::map<std::string, std::string> &index,
                         const Checkpoint &checkpoint,
                         const std::string &folder) {
  std::string problems;
  for (const auto &[tensor, shard] : index) {
    auto found = checkpoint.tensors().find(tensor);
    if (found == checkpoint.tensors().end() ||
        checkpoint.file(found->second).path() != folder + "/" + shard)
      problems += "\n  tensor '" + tensor + "' is not in " + shard;
  }
  for (const auto &[tensor, entry] : checkpoint.tensors())
    if (!index.count(tensor))
      problems += "\n  tensor '" + tensor + "' of '" +
                  checkpoint.file(entry).path() + "' is not in the index";
  if (problems.empty())
    return std::nullopt;
  return failure("the index in '", folder,
                 "' does not fit its shards:", problems);
}

Status Checkpoint::addShards(const std::string &indexPath) {
  Result<std::string> text = readWholeFile(indexPath);
  if (!text)
    return text.takeError();
  Result<Json> json = parseJson(*text, "'" + indexPath + "'");
  if (!json)
    return json.takeError();
  if (!json->is_object() || !json->contains("weight_map") ||
      !(*json)["weight_map"].is_object())
    return failure("expects '", indexPath, "' to have an object weight_map");
  std::map<std::string, std::string> index;
  std::set<std::string> shards;
  for (const auto &[tensor, shard] : (*json)["weight_map"].items()) {
    if (!shard.is_string() ||
        shard.get<std::string>().find('/') != std::string::npos)
      return failure("expects '", indexPath, "' to give tensor '", tensor,
                     "' the name of a file beside it");
    index[tensor] = shard.get<std::string>();
    shards.insert(index[tensor]);
  }
  for (const std::string &shard : shards)
    if (Status error = addFile(name + "/" + shard))
      return error;
  return checkIndex(index, *this, name);
}

Result<Checkpoint> Checkpoint::open(const std::string &path) {
  Checkpoint checkpoint;
  checkpoint.name = path;
  while (checkpoint.name.size() > 1 && checkpoint.name.back() == '/')
    checkpoint.name.pop_back();
  const std::string &folder = checkpoint.name;
  std::string index = folder + "/model.safetensors.index.json";
  std::string single = folder + "/model.safetensors";
  Status error;
  if (!fileExists(folder))
    error = failure("there is no '", folder, "'");
  else if (fileExists(index))
    error = checkpoint.addShards(index);
  else if (fileExists(single))
    error = checkpoint.addFile(single);
  else if (fileExists(folder + "/."))
    error = failure("'", folder,
                    "' has neither model.safetensors nor "
                    "model.safetensors.index.json");
  else
    error = checkpoint.addFile(folder);
  if (error)
    return *error;
  return checkpoint;
}
