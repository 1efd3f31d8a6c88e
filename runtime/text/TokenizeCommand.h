//===- TokenizeCommand.h - The command `dsrun tokenize` -------------------===//
//
// Prints the ids and pieces of a text, or the text of ids.
//
//===----------------------------------------------------------------------===//

#ifndef DS_RUNTIME_TEXT_TOKENIZECOMMAND_H
#define DS_RUNTIME_TEXT_TOKENIZECOMMAND_H

#include <iosfwd>
#include <string>
#include <vector>

namespace ds::text {

/// Runs `tokenize DIR --text T | --file F | --decode IDS`. `arguments` are the
/// words after `tokenize`. Returns the exit code; errors go to `err`.
int tokenizeMain(const std::vector<std::string> &arguments, std::ostream &out,
                 std::ostream &err);

/// Returns the help text of the command.
const char *tokenizeHelp();

} // namespace ds::text

#endif // DS_RUNTIME_TEXT_TOKENIZECOMMAND_H
