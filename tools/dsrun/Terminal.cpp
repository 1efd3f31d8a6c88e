//===- Terminal.cpp - Progress, interruption and messages -----------------===//
#include "tools/dsrun/Terminal.h"

#include <csignal>
#include <cstdio>
#include <iostream>
#include <unistd.h>

using namespace ds::tool;
using Clock = std::chrono::steady_clock;

static volatile sig_atomic_t interruptFlag = 0;

void ds::tool::catchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interruptFlag = 1; };
  // After the first one the default is back.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool ds::tool::interrupted() { return interruptFlag != 0; }

int ds::tool::reportError(const std::string &message) {
  std::cout.flush();
  if (interrupted())
    return exitInterrupted;
  std::cerr << "dsrun: error: " << message << "\n";
  return exitError;
}

double ds::tool::now() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

Progress::Progress(std::string what, std::string unit)
    : what(std::move(what)), unit(std::move(unit)), begin(Clock::now()),
      shown(begin), enabled(isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (drawn)
    fputs("\r\033[K", stderr);
}

/// Returns `seconds` as m:ss or h:mm:ss.
static std::string clockText(double seconds) {
  long s = static_cast<long>(seconds + 0.5);
  char text[32];
  if (s >= 3600)
    snprintf(text, sizeof(text), "%ld:%02ld:%02ld", s / 3600, s / 60 % 60,
             s % 60);
  else
    snprintf(text, sizeof(text), "%ld:%02ld", s / 60, s % 60);
  return text;
}

void Progress::update(double done, double total) {
  constexpr auto interval = std::chrono::milliseconds(200);
  Clock::time_point time = Clock::now();
  if (!enabled || total <= 0 || time - shown < interval)
    return;
  shown = time;
  drawn = true;
  constexpr int width = 24;
  double share = done / total;
  double elapsed = std::chrono::duration<double>(time - begin).count();
  double left = done > 0 ? elapsed * (total - done) / done : 0;
  int filled = static_cast<int>(share * width);
  std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
  fprintf(stderr, "\r\033[K%s %3.0f%% [%s] %.4g/%.4g %s, %s left", what.c_str(),
          100 * share, bar.c_str(), done, total, unit.c_str(),
          clockText(left).c_str());
  fflush(stderr);
}
