//===- Commands.h - The commands of dsrun ---------------------------------===//
#ifndef DS_TOOLS_DSRUN_COMMANDS_H
#define DS_TOOLS_DSRUN_COMMANDS_H

#include <string>
#include <vector>

namespace ds::tool {

/// The words after the name of a command.
using Words = std::vector<std::string>;

/// Each runs a command and returns the exit code.
int runGenerate(const Words &words);
int runChat(const Words &words);
int runBench(const Words &words);
int runInspect(const Words &words);
int runEval(const Words &words);
int runLogits(const Words &words);
int runGrad(const Words &words);
int runQuantise(const Words &words);
int runTrain(const Words &words);
int runPlot(const Words &words);
int runVerify(const Words &words);

} // namespace ds::tool

#endif // DS_TOOLS_DSRUN_COMMANDS_H
