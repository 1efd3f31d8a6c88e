//===- Folder.h - A temporary folder --------------------------------------===//
#ifndef DS_TEST_UNIT_METRICS_FOLDER_H
#define DS_TEST_UNIT_METRICS_FOLDER_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

/// A folder that is removed at the end.
struct Folder {
  Folder() {
    path =
        (std::filesystem::temp_directory_path() / "dscc-run-XXXXXX").string();
    mkdtemp(path.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }

  /// Returns the content of a file in it.
  std::string read(const std::string &name) const {
    std::ifstream file(path + "/" + name, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  /// Returns the names of the event files in it.
  std::vector<std::string> listEvents() const {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(path))
      if (entry.path().filename().string().find("tfevents") !=
          std::string::npos)
        names.push_back(entry.path().filename().string());
    return names;
  }

  std::string path;
};

#endif
