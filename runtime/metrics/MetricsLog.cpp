//===- MetricsLog.cpp - What a training run reports, in its folder --------===//

#include "runtime/metrics/MetricsLog.h"

#include "runtime/text/ReadFile.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace ds::metrics {

using Json = nlohmann::ordered_json;

static std::string getPath(const std::string &folder) {
  return folder + "/metrics.jsonl";
}

static Error cannotWrite(const std::string &path) {
  return Error{"cannot write '" + path + "': " + std::strerror(errno)};
}

static double getTime() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

static std::string print(int64_t step, const Scalars &scalars) {
  Json object = {{"step", step}};
  for (const auto &[name, value] : scalars)
    object[name] = std::isfinite(value) ? Json(value) : Json();
  return object.dump() + "\n";
}

/// Reads a line of metrics.jsonl; false if it is none.
static bool parseRecord(const std::string &line, Record &record) {
  Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("step") ||
      !object["step"].is_number_integer())
    return false;
  record.step = object["step"].get<int64_t>();
  for (const auto &[name, value] : object.items()) {
    if (name == "step")
      continue;
    if (!value.is_number() && !value.is_null())
      return false;
    record.scalars.emplace_back(name, value.is_null() ? std::nan("")
                                                      : value.get<double>());
  }
  return true;
}

Result<std::vector<Record>> readMetrics(const std::string &folder) {
  Result<std::string> text = text::readFile(getPath(folder), false);
  if (!text)
    return text.takeError();
  std::vector<Record> records;
  int64_t number = 0;
  for (size_t begin = 0; begin < text->size();) {
    size_t end = text->find('\n', begin);
    ++number;
    if (end == text->npos)
      break;
    Record record;
    if (!parseRecord(text->substr(begin, end - begin), record))
      return Error{getPath(folder) + ":" + std::to_string(number) +
                   ": expects an object with a step and numbers"};
    records.push_back(std::move(record));
    begin = end + 1;
  }
  return records;
}

Result<MetricsLog> MetricsLog::open(const std::string &folder,
                                    int64_t lastStep) {
  MetricsLog log;
  log.path = getPath(folder);
  Result<std::string> old = text::readFile(log.path, /*optional=*/true);
  if (!old)
    return old.takeError();
  std::vector<Record> kept;
  if (lastStep > 0 && !old->empty()) {
    Result<std::vector<Record>> read = readMetrics(folder);
    if (!read)
      return read.takeError();
    kept = std::move(*read);
  }
  std::string temporary = log.path + ".tmp";
  log.lines.reset(std::fopen(temporary.c_str(), "wb"));
  if (!log.lines)
    return cannotWrite(temporary);
  for (const Record &record : kept)
    if (record.step <= lastStep)
      std::fputs(print(record.step, record.scalars).c_str(), log.lines.get());
  if (std::fflush(log.lines.get()) ||
      std::rename(temporary.c_str(), log.path.c_str()))
    return cannotWrite(log.path);
  Result<EventFile> events = EventFile::create(folder, getTime());
  if (!events)
    return events.takeError();
  log.events = std::make_unique<EventFile>(std::move(*events));
  return log;
}

Status MetricsLog::write(int64_t step, const Scalars &scalars) {
  if (std::fputs(print(step, scalars).c_str(), lines.get()) == EOF ||
      std::fflush(lines.get()))
    return cannotWrite(path);
  return events->write(getTime(), step, scalars);
}

} // namespace ds::metrics
