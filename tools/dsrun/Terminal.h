//===- Terminal.h - Progress, interruption and messages -------------------===//
#ifndef DS_TOOLS_DSRUN_TERMINAL_H
#define DS_TOOLS_DSRUN_TERMINAL_H

#include <chrono>
#include <cstdint>
#include <string>

namespace ds::tool {

/// Exit codes.
enum : int { exitDone = 0, exitError = 1, exitInterrupted = 130 };

/// Makes Ctrl-C set a flag; a second Ctrl-C ends the process.
void catchInterrupts();

/// Tells whether Ctrl-C was pressed.
bool interrupted();

/// Prints "dsrun: error: MESSAGE" and returns the exit code: that of an
/// interruption, without a word, if there was one.
int reportError(const std::string &message);

/// A line on the terminal with a bar, a rate and the time that is left. It says
/// nothing where standard error is no terminal, nor in the first moments.
class Progress {
public:
  /// `what` is the work, `unit` what is counted, such as "tok".
  Progress(std::string what, std::string unit);
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void update(double done, double total);

private:
  std::string what, unit;
  std::chrono::steady_clock::time_point begin, shown;
  bool enabled, drawn = false;
};

/// Returns the seconds since some moment in the past.
double now();

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_TERMINAL_H
